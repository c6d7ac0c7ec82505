/**
 * Codec server for the Temporal UI and CLI: decodes payloads, never encodes. It listens on loopback only. The UI
 * sends neither cookies nor an Authorization header, so a token in the path guards it (a real deployment puts it
 * behind OIDC); CORS lets only the named origins read the answers.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Payload } from '@temporalio/common';
import Fastify from 'fastify';
import { KeysagaError } from '../schema/contracts/errors.ts';
import { createPayloadCodec, type PayloadKeys } from '../wire/codec.ts';
import { PayloadMessage, PayloadsMessage } from '../wire/proto.ts';

const HEADERS = 'content-type,x-namespace';

export type CodecServerOptions = {
  readonly keys: PayloadKeys;
  /** At least 16 URL-safe characters. */
  readonly token: string;
  /** 0: any free port. */
  readonly port: number;
  /** Exact origins, e.g. `http://127.0.0.1:8233`. */
  readonly allowedOrigins: readonly string[];
};
export type CodecServer = {
  /** For `--ui-codec-endpoint` and `temporal --codec-endpoint`: the token is part of it. */
  readonly url: string;
  readonly port: number;
  close(): Promise<void>;
};

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/** Throws `InvalidInput` for a weak token; rejects with the system's error when the port is taken. */
export async function startCodecServer(options: CodecServerOptions): Promise<CodecServer> {
  if (!/^[A-Za-z0-9_-]{16,128}$/.test(options.token))
    throw new KeysagaError('InvalidInput', 'The token needs at least 16 URL-safe characters.', {
      field: 'token',
    });
  const codec = createPayloadCodec(options.keys);
  const expected = digest(options.token);
  const origins = new Set(options.allowedOrigins);
  // No request log: the path holds the token.
  const server = Fastify({ logger: false, bodyLimit: 32 * 1024 * 1024 });

  server.addHook('onRequest', async (request, reply) => {
    const { origin } = request.headers;
    reply.header('cache-control', 'no-store').header('vary', 'origin');
    if (origin !== undefined && origins.has(origin)) {
      reply.header('access-control-allow-origin', origin);
      reply.header('access-control-allow-methods', 'POST');
      reply.header('access-control-allow-headers', HEADERS);
      reply.header('access-control-max-age', '600');
    }
  });
  // One answer for a wrong token and a wrong path: nothing to probe.
  server.setNotFoundHandler(async (_request, reply) => reply.code(404).send({ code: 'NotFound' }));
  server.setErrorHandler(async (error, _request, reply) => {
    const ours = error instanceof KeysagaError;
    const status = ours ? 422 : ((error as { statusCode?: number }).statusCode ?? 500);
    const code = ours ? error.code : status < 500 ? 'InvalidInput' : 'Internal';
    return reply.code(status).send({ code, message: ours ? error.message : 'Not decoded.' });
  });
  const authorized = (token: string): boolean => timingSafeEqual(digest(token), expected);

  server.options<{ Params: { token: string } }>('/:token/decode', async (request, reply) => {
    if (!authorized(request.params.token)) return reply.callNotFound();
    return reply.code(204).send();
  });
  server.post<{ Params: { token: string } }>('/:token/decode', async (request, reply) => {
    if (!authorized(request.params.token)) return reply.callNotFound();
    const parsed = fromJson(request.body);
    if (parsed === undefined)
      return reply
        .code(400)
        .send({ code: 'InvalidInput', message: 'Expected { payloads: [...] }.' });
    const decoded = await codec.decode(parsed);
    return {
      payloads: decoded.map((payload) =>
        PayloadMessage.toObject(PayloadMessage.create(payload), { bytes: String }),
      ),
    };
  });

  await server.listen({ host: '127.0.0.1', port: options.port });
  const address = server.server.address();
  const port = typeof address === 'object' && address !== null ? address.port : options.port;
  return {
    url: `http://127.0.0.1:${port}/${options.token}`,
    port,
    close: () => server.close(),
  };
}

/** `Payloads` in protobuf's JSON form, as UI and CLI send it; undefined when it is something else. */
function fromJson(body: unknown): Payload[] | undefined {
  if (
    typeof body !== 'object' ||
    body === null ||
    !Array.isArray((body as { payloads?: unknown }).payloads)
  )
    return undefined;
  try {
    return PayloadsMessage.fromObject(body).payloads;
  } catch {
    return undefined;
  }
}
