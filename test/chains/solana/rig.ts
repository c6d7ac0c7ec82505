/** A Solana runtime and PostgreSQL for one test file, and what the tests do with them. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Connection, Keypair } from '@solana/web3.js';
import { createSolana, type SolanaOptions } from '../../../chains/solana/blockchain.ts';
import type { Leaser } from '../../../core/ports/blockchain.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import type { LeaseState } from '../../../core/ports/ledger.ts';
import type { NonceAccount } from '../../../core/ports/nonce-accounts.ts';
import { startStack } from '../../../dev/stack/index.ts';
import { loadTopology } from '../../../dev/topology.ts';
import { until } from '../../../dev/until.ts';
import { TransferIntent } from '../../../schema/contracts/intent.ts';
import { type KeyDescriptor, ProtocolId } from '../../../schema/contracts/key.ts';
import { KeyId, PartyId, PolicyId, WalletId } from '../../../schema/contracts/primitives.ts';
import type { SignedTransaction, TransactionStatus, UnsignedTransaction } from '../../../schema/contracts/transaction.ts';
import { migrateCoordinatorDatabase, openCoordinatorDatabase } from '../../../storage/coordinator/index.ts';
import { createUnitOfWork } from '../../../storage/coordinator/unit-of-work.ts';
import { createNonceAccounts } from '../../../storage/solana-nonces.ts';
import { hex, local, signWith, unhex } from './support.ts';

export const clock: Clock = { now: () => Date.now() };
export type Wallet = { readonly secret: Keypair; readonly key: KeyDescriptor };
export type Rig = Awaited<ReturnType<typeof startRig>>;

export async function startRig() {
  const dataDir = mkdtempSync(join(tmpdir(), 'keysaga-solana-'));
  const { topology } = loadTopology();
  const stack = await startStack({
    dataDir,
    external: {},
    parts: ['solana', 'postgres'],
    // Faster slots: 32 of them make a transaction final.
    topology: { ...topology, chains: { ...topology.chains, solana: { ...topology.chains.solana, slotTimeMs: 40 } } },
  });
  const url = await stack.postgres.createDatabase('coordinator');
  await migrateCoordinatorDatabase(url);
  const database = openCoordinatorDatabase(url);
  if (process.env.TMP_DDL) {
    const { generateDrizzleJson, generateMigration } = await import('drizzle-kit/api');
    const { solanaNonceAccounts } = await import('../../../schema/db/coordinator-solana.ts');
    for (const q of await generateMigration(generateDrizzleJson({}), generateDrizzleJson({ solanaNonceAccounts }))) await database.sql.unsafe(q);
  }
  const nonces = createNonceAccounts(database.db);
  const work = createUnitOfWork(database, clock);
  const chain = (options: Partial<SolanaOptions> = {}) =>
    createSolana({
      network: local,
      rpcUrl: stack.solana.rpcUrl,
      nonces,
      sponsor: stack.solana.sponsorFile,
      poolSize: 2,
      clock,
      ...options,
    });
  const solana = chain();
  let names = 0;

  const fund = (address: string, lamports: bigint) => stack.solana.faucet(address, lamports);

  return {
    stack,
    nonces,
    solana,
    chain,
    fund,
    connection: new Connection(stack.solana.rpcUrl, { commitment: 'confirmed', disableRetryOnRateLimit: true }),

    /** A wallet with nonce accounts and 5 SOL, unless said otherwise. */
    async wallet({ provision = true, lamports = 5_000_000_000n } = {}): Promise<Wallet> {
      const secret = Keypair.generate();
      const name = `wallet-${names++}`;
      const key: KeyDescriptor = {
        keyId: KeyId.parse(name),
        walletId: WalletId.parse(name),
        epoch: 0,
        network: local,
        protocol: ProtocolId.parse('frost-ed25519'),
        threshold: 2,
        parties: ['alpha', 'beta', 'gamma'].map((party) => PartyId.parse(party)),
        publicKey: hex(secret.publicKey.toBytes()),
        publicPackage: '',
        address: secret.publicKey.toBase58(),
        policyId: PolicyId.parse('demo'),
        policyHash: '00'.repeat(32),
        transcriptHash: '00'.repeat(32),
      };
      if (lamports > 0n) await fund(key.address, lamports);
      if (provision) await solana.provision(key);
      return { secret, key };
    },

    intent: (wallet: Wallet, change: Partial<TransferIntent> = {}): TransferIntent =>
      TransferIntent.parse({
        requestId: `request-${names++}`,
        walletId: wallet.key.walletId,
        chain: local,
        destination: Keypair.generate().publicKey.toBase58(),
        asset: 'native',
        amount: '1000000',
        feeCap: '100000',
        issuedAt: '2026-01-01T00:00:00.000Z',
        expiresAt: '2026-01-02T00:00:00.000Z',
        ...change,
      }),

    /** Runs `use` as the ledger does: in one transaction, with the real leases of `owner`. */
    leasing: <T>(owner: string, wallet: Wallet, use: (leaser: Leaser) => Promise<T>): Promise<T> =>
      work.transaction(async ({ leases }) =>
        use({
          held: (await leases.lockByOwner(owner)).filter(({ state }) => state === 'held' || state === 'pivoted'),
          tryTake: (resource, detail) => leases.tryTake(owner, wallet.key.walletId, local, { resource, detail }),
        }),
      ),
    settle: (owner: string, state: LeaseState) => work.transaction(({ leases }) => leases.setState(owner, state)),

    sign({ secret }: Wallet, unsigned: UnsignedTransaction): SignedTransaction {
      const publicKey = secret.publicKey.toBytes();
      return solana.codec.attach(
        unsigned,
        publicKey,
        solana.codec.messages(unsigned, publicKey).map((message) => signWith(secret, message)),
      );
    },

    lookup: (wallet: Wallet, unsigned: UnsignedTransaction, id: string) =>
      solana.lookup(id, unsigned, unhex(wallet.key.publicKey)),
    /** Waits until the transaction stands as `wanted`; shows the last answer when it does not. */
    async settled(wallet: Wallet, unsigned: UnsignedTransaction, id: string, wanted: (s: TransactionStatus) => boolean) {
      let last: TransactionStatus | undefined;
      try {
        await until(
          async () => {
            last = await solana.lookup(id, unsigned, unhex(wallet.key.publicKey));
            return wanted(last);
          },
          { deadlineMs: 30_000, intervalMs: 50, what: 'the transaction settling' },
        );
      } catch (cause) {
        throw new Error(`it stands as ${JSON.stringify(last)}`, { cause });
      }
      if (last === undefined) throw new Error('never looked up');
      return last;
    },

    async nonce(wallet: Wallet, account: string): Promise<NonceAccount> {
      await solana.syncNonces();
      const found = (await nonces.list(local, wallet.key.walletId)).find((one) => one.account === account);
      if (found === undefined) throw new Error(`no account ${account}`);
      return found;
    },

    async stop(): Promise<void> {
      await solana.stop();
      await database.close();
      await stack.stop();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}
