/** JSON-RPC over HTTP to a Bitcoin node, bitcoind and btcd alike. Knows nothing of what the methods mean. */
import { ExponentialBackoff, handleWhen, retry } from 'cockatiel';
import { isKeysagaError, KeysagaError } from '../../schema/contracts/errors.ts';

export type RpcOptions = {
  /** `http://user:password@host:port`, or https. The password appears in no error. */
  readonly url: string;
  /** Time for one request, ms; default 10,000. Shorter gives up on big blocks, longer holds an activity. */
  readonly timeoutMs?: number;
  /** Repeats of a read after the first try; default 3. Writes are never repeated here. */
  readonly retries?: number;
};

/** A node's own answer: a result, or its error as it gave it. */
export type RpcAnswer =
  | { readonly ok: true; readonly result: unknown }
  | { readonly ok: false; readonly code: number; readonly message: string };

export type CallOptions = { readonly signal?: AbortSignal };

export type RpcClient = {
  /** One try. @throws KeysagaError `ChainUnavailable` when no answer came. */
  once(method: string, params: readonly unknown[], options?: CallOptions): Promise<RpcAnswer>;
  /** Repeated with back-off while no answer comes. For methods that change nothing. */
  read(method: string, params: readonly unknown[], options?: CallOptions): Promise<RpcAnswer>;
};

/** bitcoind answers -28 while it loads its index and -9/-10 while it is not connected or still downloading. */
const notReady = new Set([-28, -9, -10]);
/** An answer longer than this is refused before it is parsed: a block is at most 4 MB, 8 as hex. */
const maxAnswer = 16_000_000;

const unavailable = (
  method: string,
  reason: string,
  options: { cause?: unknown; retryable?: boolean } = {},
): KeysagaError =>
  new KeysagaError(
    'ChainUnavailable',
    `the Bitcoin node did not answer ${method}: ${reason}`,
    { method, reason },
    options,
  );

function endpoint(url: string): { readonly href: string; readonly authorization?: string } {
  // The value holds a password, so no message repeats it.
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || !['http:', 'https:'].includes(parsed.protocol)) {
    throw new KeysagaError('InvalidInput', 'the node address is not an http(s) URL', {
      field: 'rpcUrl',
    });
  }
  const credentials = `${decodeURIComponent(parsed.username)}:${decodeURIComponent(parsed.password)}`;
  // fetch refuses addresses that carry credentials.
  parsed.username = '';
  parsed.password = '';
  return credentials === ':'
    ? { href: parsed.href }
    : {
        href: parsed.href,
        authorization: `Basic ${Buffer.from(credentials, 'utf8').toString('base64')}`,
      };
}

function parseAnswer(method: string, status: number, id: number, text: string): RpcAnswer {
  if (status === 401 || status === 403) {
    throw unavailable(method, 'it refuses the user name and password', { retryable: false });
  }
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (cause) {
    // bitcoind answers 503 "Work queue depth exceeded" in plain text.
    throw unavailable(method, `HTTP ${status} without JSON`, { cause });
  }
  if (typeof body !== 'object' || body === null || !('id' in body) || body.id !== id) {
    throw unavailable(method, 'an answer that is not to this request');
  }
  const error = 'error' in body ? body.error : undefined;
  if (error === undefined || error === null) {
    if (!('result' in body)) throw unavailable(method, 'an answer without a result');
    return { ok: true, result: body.result };
  }
  const { code, message } = error as { code?: unknown; message?: unknown };
  if (typeof code !== 'number') throw unavailable(method, 'an error without a code');
  const words = typeof message === 'string' ? message.slice(0, 500) : '';
  if (notReady.has(code)) throw unavailable(method, words);
  return { ok: false, code, message: words };
}

/** @throws KeysagaError `InvalidInput` (`rpcUrl`). */
export function createRpc({ url, timeoutMs = 10_000, retries = 3 }: RpcOptions): RpcClient {
  const { href, authorization } = endpoint(url);
  let counter = 0;

  const once: RpcClient['once'] = async (method, params, { signal } = {}) => {
    const id = ++counter;
    const limit = AbortSignal.timeout(timeoutMs);
    let status: number;
    let text: string;
    try {
      const response = await fetch(href, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          ...(authorization === undefined ? {} : { authorization }),
        },
        body: JSON.stringify({ jsonrpc: '1.0', id, method, params }),
        redirect: 'error',
        signal: signal === undefined ? limit : AbortSignal.any([signal, limit]),
      });
      status = response.status;
      if (Number(response.headers.get('content-length') ?? 0) > maxAnswer) {
        await response.body?.cancel();
        throw unavailable(method, 'an answer that is too long');
      }
      text = await response.text();
    } catch (cause) {
      if (isKeysagaError(cause)) throw cause;
      if (signal?.aborted)
        throw unavailable(method, 'given up by the caller', { retryable: false });
      // The cause may quote the address; only its kind is passed on.
      throw unavailable(
        method,
        limit.aborted ? `no answer in ${timeoutMs} ms` : networkReason(cause),
      );
    }
    return parseAnswer(method, status, id, text);
  };

  const policy = retry(
    handleWhen((error) => isKeysagaError(error, 'ChainUnavailable') && error.retryable),
    {
      maxAttempts: retries,
      backoff: new ExponentialBackoff({ initialDelay: 50, maxDelay: 2_000 }),
    },
  );
  return {
    once,
    read: (method, params, options) =>
      policy.execute(() => once(method, params, options), options?.signal),
  };
}

function networkReason(error: unknown): string {
  const cause = error instanceof Error ? (error.cause ?? error) : error;
  const code = (cause as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : 'the connection failed';
}
