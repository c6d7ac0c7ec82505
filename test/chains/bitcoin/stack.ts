/** A Bitcoin node and PostgreSQL for one test file, and what the tests do with them. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asc } from 'drizzle-orm';
import { bitcoinNetwork } from '../../../chains/bitcoin/networks.ts';
import { type BitcoinNode, createNode } from '../../../chains/bitcoin/node.ts';
import { createRpc } from '../../../chains/bitcoin/rpc.ts';
import { bitcoinRpc } from '../../../dev/bitcoin/rpc.ts';
import { startStack } from '../../../dev/stack/index.ts';
import { type KeyDescriptor, ProtocolId } from '../../../schema/contracts/key.ts';
import { KeyId, PartyId, PolicyId, WalletId } from '../../../schema/contracts/primitives.ts';
import {
  bitcoinBlocks,
  bitcoinOutputs,
  bitcoinScripts,
} from '../../../schema/db/coordinator-bitcoin.ts';
import { createBitcoinOutputs } from '../../../storage/bitcoin-outputs.ts';
import {
  type CoordinatorDatabase,
  createUnitOfWork,
  migrateCoordinatorDatabase,
  openCoordinatorDatabase,
} from '../../../storage/coordinator/index.ts';
import { startCoreDialect } from './core-dialect.ts';
import { hex, REGTEST, type TestKey } from './support.ts';

export type Rig = Awaited<ReturnType<typeof startRig>>;

export async function startRig() {
  const dataDir = mkdtempSync(join(tmpdir(), 'keysaga-bitcoin-'));
  const stack = await startStack({
    dataDir,
    parts: ['bitcoin', 'postgres'],
    mining: { mode: 'off', blockIntervalMs: 1_000, settleBlocks: 0 },
  });
  const dialect =
    process.env.KEYSAGA_TEST_BITCOIN_DIALECT === 'core'
      ? await startCoreDialect(stack.bitcoin.rpcUrl)
      : undefined;
  const rpcUrl = dialect?.rpcUrl ?? stack.bitcoin.rpcUrl;
  // The tests' own hands on the node, whatever the adapter sees of it.
  const rpc = bitcoinRpc(stack.bitcoin.rpcUrl);
  const open: CoordinatorDatabase[] = [];
  let names = 0;
  return {
    stack,
    rpcUrl,
    rpc,
    mine: (count: number) => stack.bitcoin.mine(count),
    pay: (address: string, sats: bigint) => stack.bitcoin.faucet(address, sats),
    node: (): BitcoinNode => createNode(createRpc({ url: rpcUrl }), bitcoinNetwork(REGTEST)),
    /** Drops the newest `depth` blocks and mines `depth + 1` others. */
    async reorganise(depth: number): Promise<void> {
      const height = await rpc.call<number>('getblockcount');
      await rpc.call('invalidateblock', await rpc.call<string>('getblockhash', height - depth + 1));
      await stack.bitcoin.mine(depth + 1);
    },
    /** A fresh migrated database. */
    async database() {
      const url = await stack.postgres.createDatabase(`bitcoin_${names++}`);
      await migrateCoordinatorDatabase(url);
      const database = openCoordinatorDatabase(url, { max: 6 });
      // The adapter's pool is not the ledger's: a build holds a connection of the one while it waits for the other.
      const ledger = openCoordinatorDatabase(url, { max: 6 });
      open.push(database, ledger);
      const { db } = database;
      return {
        url,
        outputs: createBitcoinOutputs(db, REGTEST),
        work: createUnitOfWork(ledger, { now: () => Date.now() }),
        /** All rows in a fixed order; blocks from a height on. */
        async rows(fromHeight = 0) {
          const blocks = await db.select().from(bitcoinBlocks).orderBy(asc(bitcoinBlocks.height));
          return {
            blocks: blocks.filter(({ height }) => height >= fromHeight),
            scripts: await db.select().from(bitcoinScripts).orderBy(asc(bitcoinScripts.script)),
            outputs: await db
              .select()
              .from(bitcoinOutputs)
              .orderBy(asc(bitcoinOutputs.txid), asc(bitcoinOutputs.vout)),
          };
        },
      };
    },
    async stop(): Promise<void> {
      await Promise.all(open.map((database) => database.close()));
      await dialect?.stop();
      await stack.stop();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

export const descriptor = (key: TestKey, address: string, name: string): KeyDescriptor => ({
  keyId: KeyId.parse(name),
  walletId: WalletId.parse(name),
  epoch: 0,
  network: REGTEST,
  protocol: ProtocolId.parse('frost-bip340'),
  threshold: 2,
  parties: ['alpha', 'beta', 'gamma'].map((party) => PartyId.parse(party)),
  publicKey: hex(key.publicKey),
  publicPackage: '',
  address,
  policyId: PolicyId.parse('demo'),
  policyHash: '00'.repeat(32),
  transcriptHash: '00'.repeat(32),
});
