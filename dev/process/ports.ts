/** Free TCP ports on 127.0.0.1. */
import { createConnection, createServer } from 'node:net';
import { KeysagaError } from '../../schema/contracts/errors.ts';

const tryPort = (port: number): Promise<number | undefined> =>
  new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(undefined));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' ? address?.port : undefined));
    });
  });

/** Handed out by this process a moment ago and perhaps not bound yet: not to be handed out twice. */
const recent = new Map<number, number>();
const recentMs = 30_000;

/** `preferred` when nothing listens there, else any free port; 0 asks for any. */
export async function freePort(preferred = 0): Promise<number> {
  const now = Date.now();
  for (const [port, at] of recent) if (now - at > recentMs) recent.delete(port);
  for (let attempt = 0; attempt < 50; attempt++) {
    const wanted = attempt === 0 ? preferred : 0;
    if (wanted !== 0 && recent.has(wanted)) continue;
    const port = await tryPort(wanted);
    if (port !== undefined && !recent.has(port)) {
      recent.set(port, now);
      return port;
    }
  }
  throw new KeysagaError('PartFailed', 'no free TCP port on 127.0.0.1', { field: 'port' });
}

/** The stack that had them is down: they may be handed out again at once. */
export const releasePorts = (...ports: readonly number[]): void => {
  for (const port of ports) recent.delete(port);
};

/** Does something accept connections there? */
export const accepts = (port: number, host = '127.0.0.1', timeoutMs = 1000): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = createConnection({ port, host });
    const done = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(timeoutMs, () => done(false));
    socket.once('connect', () => done(true));
    socket.once('error', () => done(false));
  });
