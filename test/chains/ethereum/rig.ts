/** Anvil and PostgreSQL for one test file, and what the tests do with them. Blocks come on request only. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createEthereum, type EthereumOptions } from '../../../chains/ethereum/blockchain.ts';
import type { BuildResult, Leaser } from '../../../core/ports/blockchain.ts';
import type { LeaseState } from '../../../core/ports/ledger.ts';
import { ethereumRpc } from '../../../dev/ethereum/rpc.ts';
import { startStack } from '../../../dev/stack/index.ts';
import { TransferIntent } from '../../../schema/contracts/intent.ts';
import { type KeyDescriptor, ProtocolId } from '../../../schema/contracts/key.ts';
import { KeyId, PartyId, PolicyId, WalletId } from '../../../schema/contracts/primitives.ts';
import type { UnsignedTransaction } from '../../../schema/contracts/transaction.ts';
import {
  createUnitOfWork,
  migrateCoordinatorDatabase,
  openCoordinatorDatabase,
} from '../../../storage/coordinator/index.ts';
import { createEthereumNonces } from '../../../storage/ethereum-nonces.ts';
import { hex, LOCAL, type TestKey, testKey } from './support.ts';

export type Rig = Awaited<ReturnType<typeof startRig>>;
export type Wallet = Awaited<ReturnType<Rig['wallet']>>;

export const ETHER = 10n ** 18n;
const clock = { now: () => Date.now() };

export const descriptor = (key: TestKey, name: string): KeyDescriptor => ({
  keyId: KeyId.parse(name),
  walletId: WalletId.parse(name),
  epoch: 0,
  network: LOCAL,
  protocol: ProtocolId.parse('dkls23'),
  threshold: 2,
  parties: ['alpha', 'beta'].map((party) => PartyId.parse(party)),
  publicKey: hex(key.publicKey),
  publicPackage: '',
  address: key.address,
  policyId: PolicyId.parse('demo'),
  policyHash: '00'.repeat(32),
  transcriptHash: '00'.repeat(32),
});

export async function startRig() {
  const dataDir = mkdtempSync(join(tmpdir(), 'keysaga-ethereum-'));
  const stack = await startStack({
    dataDir,
    parts: ['ethereum', 'postgres'],
    mining: { mode: 'off', blockIntervalMs: 1_000, settleBlocks: 0 },
  });
  const url = await stack.postgres.createDatabase('ethereum');
  await migrateCoordinatorDatabase(url);
  const database = openCoordinatorDatabase(url, { max: 6 });
  const ledger = openCoordinatorDatabase(url, { max: 6 });
  const nonces = createEthereumNonces(database.db);
  const work = createUnitOfWork(ledger, clock);
  const rpc = ethereumRpc(stack.ethereum.rpcUrl);
  const options: EthereumOptions = {
    network: LOCAL,
    rpcUrl: stack.ethereum.rpcUrl,
    nonces,
    clock,
  };
  const chain = createEthereum(options);
  const { codec } = chain;
  let count = 0;

  /** Takes leases as the coordinator does: each in a short transaction of its own. */
  const leaserOf = async (walletId: string, owner: string): Promise<Leaser> => ({
    held: await work.transaction(async ({ leases }) =>
      (await leases.lockByOwner(owner)).filter(({ state }) => state === 'held'),
    ),
    tryTake: (resource, detail) =>
      work.transaction(({ leases }) =>
        leases.tryTake(owner, walletId, LOCAL, { resource, detail }),
      ),
  });
  const intentOf = (from: { descriptor: KeyDescriptor }, change: Partial<TransferIntent> = {}) =>
    TransferIntent.parse({
      requestId: `request-${count++}`,
      walletId: from.descriptor.walletId,
      chain: LOCAL,
      destination: '0x70997970C51812dc3A010C7d01b50e0d17dc79C8',
      asset: 'native',
      amount: '1000',
      feeCap: (ETHER / 100n).toString(),
      issuedAt: '2026-01-01T00:00:00.000Z',
      expiresAt: '2026-01-02T00:00:00.000Z',
      ...change,
    });

  return {
    stack,
    rpc,
    chain,
    codec,
    nonces,
    /** As another coordinator on the same database has it. */
    elsewhere: createEthereumNonces(ledger.db),
    work,
    options,
    intentOf,
    mine: (blocks: number) => stack.ethereum.mine(blocks),
    /** A provisioned account with this much ether. */
    async wallet(wei = ETHER) {
      const key = testKey();
      const name = `wallet-${count++}`;
      if (wei > 0n) {
        await stack.ethereum.faucet(key.address, wei);
        await stack.ethereum.mine(1);
      }
      const described = descriptor(key, name);
      await chain.provision(described);
      const sign = (unsigned: UnsignedTransaction) =>
        codec.attach(
          unsigned,
          key.publicKey,
          codec.messages(unsigned, key.publicKey).map(key.sign),
        );
      return { key, address: key.address, descriptor: described, sign };
    },
    /** Builds with the real leases of one owner. */
    async build(
      from: { descriptor: KeyDescriptor },
      change: Partial<TransferIntent> = {},
      owner = `owner-${count++}`,
      by = chain,
    ): Promise<BuildResult & { readonly owner: string }> {
      const leaser = await leaserOf(from.descriptor.walletId, owner);
      const built = await by.build(intentOf(from, change), from.descriptor, leaser);
      return { ...built, owner };
    },
    setState: (owner: string, state: LeaseState) =>
      work.transaction(({ leases }) => leases.setState(owner, state)),
    async nonce(address: string, tag = 'latest'): Promise<bigint> {
      return BigInt(await rpc.call<string>('eth_getTransactionCount', address, tag));
    },
    async balance(address: string): Promise<bigint> {
      return BigInt(await rpc.call<string>('eth_getBalance', address, 'latest'));
    },
    async stop(): Promise<void> {
      await database.close();
      await ledger.close();
      await stack.stop();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}
