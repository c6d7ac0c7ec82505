/** How to reach Temporal, from the environment; the same variables as Temporal's own CLI. */
import { readFileSync } from 'node:fs';
import { KeysagaError } from '../schema/contracts/errors.ts';
import { NAMESPACE } from '../schema/contracts/temporal.ts';

export type TemporalConnection = {
  readonly address: string;
  readonly namespace: string;
  readonly tls?:
    | true
    | {
        readonly serverNameOverride?: string;
        readonly serverRootCACertificate?: Buffer;
        readonly clientCertPair?: { readonly crt: Buffer; readonly key: Buffer };
      };
  readonly apiKey?: string;
};

type Env = Readonly<Record<string, string | undefined>>;

function file(env: Env, name: string): Buffer | undefined {
  const path = env[name];
  if (!path) return undefined;
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new KeysagaError(
      'InvalidInput',
      `${name}: the file cannot be read.`,
      { field: name },
      { cause },
    );
  }
}

/**
 * `TEMPORAL_ADDRESS` (default 127.0.0.1:7233), `TEMPORAL_NAMESPACE` (default keysaga), `TEMPORAL_TLS`,
 * `TEMPORAL_TLS_CA`, `TEMPORAL_TLS_CERT` and `TEMPORAL_TLS_KEY` (paths), `TEMPORAL_TLS_SERVER_NAME`,
 * `TEMPORAL_API_KEY` (implies TLS). Throws `InvalidInput` naming the variable. The result fits both
 * `Connection.connect` and `NativeConnection.connect`, the namespace aside.
 */
export function connectionFromEnv(env: Env = process.env): TemporalConnection {
  const ca = file(env, 'TEMPORAL_TLS_CA');
  const crt = file(env, 'TEMPORAL_TLS_CERT');
  const key = file(env, 'TEMPORAL_TLS_KEY');
  if ((crt === undefined) !== (key === undefined))
    throw new KeysagaError('InvalidInput', 'A client certificate and its key come together.', {
      field: crt === undefined ? 'TEMPORAL_TLS_CERT' : 'TEMPORAL_TLS_KEY',
    });
  const apiKey = env.TEMPORAL_API_KEY;
  const serverName = env.TEMPORAL_TLS_SERVER_NAME;
  const detailed = ca !== undefined || crt !== undefined || Boolean(serverName);
  const wanted = detailed || Boolean(apiKey) || /^(1|true)$/i.test(env.TEMPORAL_TLS ?? '');
  const tls = detailed
    ? {
        ...(serverName ? { serverNameOverride: serverName } : {}),
        ...(ca === undefined ? {} : { serverRootCACertificate: ca }),
        ...(crt === undefined || key === undefined ? {} : { clientCertPair: { crt, key } }),
      }
    : (true as const);
  return {
    address: env.TEMPORAL_ADDRESS || '127.0.0.1:7233',
    namespace: env.TEMPORAL_NAMESPACE || NAMESPACE,
    ...(wanted ? { tls } : {}),
    ...(apiKey ? { apiKey } : {}),
  };
}
