/**
 * Process that hosts the Solana runtime (a native addon that would take its whole process along in a crash).
 * Arguments: path of the addon, then a JSON object { rpcPort, wsPort, slotTimeMs }.
 * Prints one line {"ready":true,"rpcUrl","wsUrl"} and runs until SIGTERM or SIGINT. Plain JavaScript: starts in 0.1 s.
 */
import { createRequire } from 'node:module';
import { createConnection, createServer } from 'node:net';

const [addon, json] = process.argv.slice(2);
const { rpcPort, wsPort, slotTimeMs } = JSON.parse(json);
const { Surfnet } = createRequire(import.meta.url)(addon);
const surfnet = Surfnet.startWithConfig({
  offline: true,
  blockProductionMode: 'clock',
  slotTimeMs,
});

/** The runtime picks its own ports; a restart must come back on the same ones, so ours are relayed to them. */
const relay = (port, url) =>
  new Promise((resolve, reject) => {
    const target = { host: '127.0.0.1', port: Number(new URL(url).port) };
    const server = createServer({ noDelay: true }, (near) => {
      const far = createConnection({ ...target, noDelay: true });
      for (const [from, to] of [
        [near, far],
        [far, near],
      ]) {
        from.on('error', () => to.destroy());
        from.on('close', () => to.destroy());
      }
      near.pipe(far);
      far.pipe(near);
    });
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve(server));
  });

// The runtime reports every block on a bounded channel and stops making blocks, and answering, once it is full: with a
// block each 100 ms that is after some 100 s unless somebody reads it.
setInterval(() => surfnet.drainEvents(), 200);

const servers = await Promise.all([relay(rpcPort, surfnet.rpcUrl), relay(wsPort, surfnet.wsUrl)]);
for (const signal of ['SIGTERM', 'SIGINT']) {
  process.once(signal, () => {
    for (const server of servers) server.close();
    surfnet.stop();
    process.exit(0);
  });
}
process.stdout.write(
  `${JSON.stringify({ ready: true, rpcUrl: `http://127.0.0.1:${rpcPort}`, wsUrl: `ws://127.0.0.1:${wsPort}` })}\n`,
);
