/** A Solana runtime and PostgreSQL for one test file, and what the tests do with them. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  Connection,
  Keypair,
  type PublicKey,
  SYSVAR_RECENT_BLOCKHASHES_PUBKEY,
  SystemProgram,
  Transaction,
} from '@solana/web3.js';
import { createSolana, type SolanaOptions } from '../../../chains/solana/blockchain.ts';
import type { Leaser } from '../../../core/ports/blockchain.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import type { LeaseState } from '../../../core/ports/ledger.ts';
import type { NonceAccount } from '../../../core/ports/nonce-accounts.ts';
import { type Stack, startStack } from '../../../dev/stack/index.ts';
import { loadTopology } from '../../../dev/topology.ts';
import { until } from '../../../dev/until.ts';
import { TransferIntent } from '../../../schema/contracts/intent.ts';
import { type KeyDescriptor, ProtocolId } from '../../../schema/contracts/key.ts';
import { KeyId, PartyId, PolicyId, WalletId } from '../../../schema/contracts/primitives.ts';
import type {
  SignedTransaction,
  TransactionStatus,
  UnsignedTransaction,
} from '../../../schema/contracts/transaction.ts';
import {
  migrateCoordinatorDatabase,
  openCoordinatorDatabase,
} from '../../../storage/coordinator/index.ts';
import { createUnitOfWork } from '../../../storage/coordinator/unit-of-work.ts';
import { createNonceAccounts } from '../../../storage/solana-nonces.ts';
import { hex, local, signWith, unhex } from './support.ts';

export const clock: Clock = { now: () => Date.now() };
export type Wallet = { readonly secret: Keypair; readonly key: KeyDescriptor };
export type Rig = Awaited<ReturnType<typeof startRig>>;

/**
 * The same node as one would find it that keeps no history and no RecentBlockhashes sysvar: what it would have to look up
 * there it does not know, everything else is passed through.
 */
async function forgetful(url: string): Promise<{ url: string; close(): Promise<void> }> {
  const sysvar = SYSVAR_RECENT_BLOCKHASHES_PUBKEY.toBase58();
  const server = createServer((request, response) => {
    const answer = async () => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const body = Buffer.concat(chunks).toString();
      const { id, method, params } = JSON.parse(body) as {
        id: string;
        method: string;
        params: unknown[];
      };
      const reply = (part: object) => JSON.stringify({ jsonrpc: '2.0', id, ...part });
      if (['getSignaturesForAddress', 'getTransaction', 'getBlock'].includes(method)) {
        return reply({
          error: { code: -32011, message: 'Transaction history is not available from this node' },
        });
      }
      if (method === 'getMultipleAccounts' && JSON.stringify(params).includes(sysvar)) {
        return reply({ result: { context: { slot: 1 }, value: [null] } });
      }
      const passed = await fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body,
      });
      return passed.text();
    };
    answer().then(
      (text) => response.setHeader('content-type', 'application/json').end(text),
      () => response.destroy(),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

export async function startRig() {
  const dataDir = mkdtempSync(join(tmpdir(), 'keysaga-solana-'));
  const { topology } = loadTopology();
  const stack = await startStack({
    dataDir,
    external: {},
    parts: ['solana', 'postgres'],
    // Faster slots: 32 of them make a transaction final.
    topology: {
      ...topology,
      chains: { ...topology.chains, solana: { ...topology.chains.solana, slotTimeMs: 40 } },
    },
  });
  try {
    return await rigOn(stack, dataDir);
  } catch (error) {
    await stack.stop();
    rmSync(dataDir, { recursive: true, force: true });
    throw error;
  }
}

async function rigOn(stack: Stack, dataDir: string) {
  const url = await stack.postgres.createDatabase('coordinator');
  await migrateCoordinatorDatabase(url);
  const database = openCoordinatorDatabase(url);
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

  const pruned = await forgetful(stack.solana.rpcUrl);
  const connection = new Connection(stack.solana.rpcUrl, {
    commitment: 'confirmed',
    disableRetryOnRateLimit: true,
  });
  const fund = (address: string, lamports: bigint) => stack.solana.faucet(address, lamports);

  return {
    stack,
    nonces,
    solana,
    chain,
    fund,
    connection,
    /** Address of the same node without memory. */
    prunedUrl: pruned.url,

    /** A nonce account that somebody else makes and pays for; its address. */
    async nonceAccount(authority: PublicKey): Promise<string> {
      const [payer, account] = [Keypair.generate(), Keypair.generate()];
      await fund(payer.publicKey.toBase58(), 1_000_000_000n);
      const transaction = new Transaction();
      transaction.feePayer = payer.publicKey;
      transaction.recentBlockhash = (await connection.getLatestBlockhash()).blockhash;
      const lamports = await connection.getMinimumBalanceForRentExemption(80);
      transaction.add(
        SystemProgram.createNonceAccount({
          fromPubkey: payer.publicKey,
          noncePubkey: account.publicKey,
          authorizedPubkey: authority,
          lamports,
        }),
      );
      transaction.sign(payer, account);
      await connection.sendRawTransaction(transaction.serialize());
      await until(
        async () =>
          (await connection.getAccountInfo(account.publicKey, 'finalized'))?.data.length === 80,
        {
          deadlineMs: 30_000,
          what: 'the nonce account being made',
        },
      );
      return account.publicKey.toBase58();
    },

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
          held: (await leases.lockByOwner(owner)).filter(
            ({ state }) => state === 'held' || state === 'pivoted',
          ),
          tryTake: (resource, detail) =>
            leases.tryTake(owner, wallet.key.walletId, local, { resource, detail }),
        }),
      ),
    settle: (owner: string, state: LeaseState) =>
      work.transaction(({ leases }) => leases.setState(owner, state)),

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
    async settled(
      wallet: Wallet,
      unsigned: UnsignedTransaction,
      id: string,
      wanted: (s: TransactionStatus) => boolean,
    ) {
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
      const found = (await nonces.list(local, wallet.key.walletId)).find(
        (one) => one.account === account,
      );
      if (found === undefined) throw new Error(`no account ${account}`);
      return found;
    },

    async stop(): Promise<void> {
      await solana.stop();
      await pruned.close();
      await database.close();
      await stack.stop();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}
