/** JSON-RPC 1.0 to a Bitcoin node, for the local stack only: mining and the faucet. */
import { KeysagaError } from '../../schema/contracts/errors.ts';

/** What the node answered instead of a result; `rpcCode` as in Bitcoin Core's `protocol.h`. */
export class BitcoinRpcError extends Error {
  readonly rpcCode: number;
  constructor(method: string, rpcCode: number, message: string) {
    super(`${method}: ${message} (${rpcCode})`);
    this.rpcCode = rpcCode;
  }
}

export interface BitcoinRpc {
  /** @throws BitcoinRpcError the node's own refusal. @throws KeysagaError `ChainUnavailable` when there is no answer. */
  call<T>(method: string, ...params: readonly unknown[]): Promise<T>;
}

/** `url` may carry user and password. */
export function bitcoinRpc(url: string, timeoutMs = 20_000): BitcoinRpc {
  const target = new URL(url);
  const credentials = `${decodeURIComponent(target.username)}:${decodeURIComponent(target.password)}`;
  target.username = '';
  target.password = '';
  const headers = {
    'content-type': 'application/json',
    authorization: `Basic ${Buffer.from(credentials).toString('base64')}`,
  };
  return {
    async call<T>(method: string, ...params: readonly unknown[]): Promise<T> {
      let answer: { result?: unknown; error?: { code: number; message: string } | null };
      try {
        const response = await fetch(target, {
          method: 'POST',
          headers,
          body: JSON.stringify({ jsonrpc: '1.0', id: 1, method, params }),
          signal: AbortSignal.timeout(timeoutMs),
        });
        // bitcoind sends its errors with status 500, and the JSON in the body.
        const text = await response.text();
        if (response.status === 401) throw new Error('wrong user or password');
        answer = JSON.parse(text);
      } catch (error) {
        throw new KeysagaError(
          'ChainUnavailable',
          `the Bitcoin node at ${target.host} did not answer ${method}`,
          { method, host: target.host },
          { cause: error },
        );
      }
      if (answer.error) throw new BitcoinRpcError(method, answer.error.code, answer.error.message);
      return answer.result as T;
    },
  };
}
