/**
 * A transfer by the SDK, against the local stack (`npm start` in another terminal):
 *
 *   node --import tsx examples/transfer.ts <wallet> <address> <amount> <fee cap>      amounts in smallest units
 *
 * It starts the transfer and follows it; approve it with `./cli/keysaga approve`.
 */
import { randomUUID } from 'node:crypto';
import { clientOptions, createClient, readClientConfig } from '../client/index.ts';
import { TransferIntent } from '../schema/contracts/intent.ts';

const [walletId, destination, amount, feeCap] = process.argv.slice(2);
const config = readClientConfig(process.env.KEYSAGA_CONFIG ?? '.keysaga/client.json');
const client = await createClient(clientOptions(config));
try {
  // Gives the address out only after checking every party's certificate against the pinned keys.
  const wallet = await client.wallet(walletId ?? 'demo-bitcoin');
  const now = Date.now();
  const intent = TransferIntent.parse({
    requestId: `example-${randomUUID()}`,
    walletId: wallet.walletId,
    chain: wallet.network,
    destination,
    asset: 'native',
    amount,
    feeCap,
    issuedAt: new Date(now).toISOString(),
    expiresAt: new Date(now + 3_600_000).toISOString(),
  });
  // Starting it again with the same intent finds the same transfer; with another one it is an error.
  await client.transfer(intent);
  console.log(`./cli/keysaga approve ${intent.requestId} --as alice`);
  for await (const status of client.watch(intent.requestId))
    console.log(status.phase, status.missing.join(', '), status.transactionId ?? '');
} finally {
  await client.close();
}
