/** Composition of one coordinator: adapters meet ports here. */
import type pino from 'pino';
import { createChainActivities } from '../activities/chain/index.ts';
import {
  adoptPolicy,
  createLedgerActivities,
  createPolicySource,
} from '../activities/ledger/index.ts';
import { createBitcoin } from '../chains/bitcoin/blockchain.ts';
import { createEthereum } from '../chains/ethereum/blockchain.ts';
import { createChains } from '../chains/registry.ts';
import { createSolana } from '../chains/solana/blockchain.ts';
import { verifySignedPolicy } from '../core/policy.ts';
import type { Blockchain } from '../core/ports/blockchain.ts';
import { type FailPoints, noFailPoints } from '../core/ports/clock.ts';
import { createRegistry } from '../mpc/index.ts';
import type { ChainActivities, LedgerActivities } from '../schema/contracts/activities.ts';
import type { ChainConfig } from '../schema/contracts/config.ts';
import type { SignedPolicy } from '../schema/contracts/policy.ts';
import { createBitcoinOutputs } from '../storage/bitcoin-outputs.ts';
import {
  createInProcessBus,
  createOutboxPublisher,
  createPolicySubjects,
  createProjector,
  createUnitOfWork,
  migrateCoordinatorDatabase,
  openCoordinatorDatabase,
} from '../storage/coordinator/index.ts';
import { createEthereumNonces } from '../storage/ethereum-nonces.ts';
import { verifyNative } from '../storage/party/identity.ts';
import { createNonceAccounts } from '../storage/solana-nonces.ts';

export type CoordinatorServiceOptions = {
  readonly databaseUrl: string;
  readonly directory: ReadonlyMap<string, string>;
  readonly administrators: readonly { readonly name: string; readonly publicKey: string }[];
  readonly administratorQuorum: number;
  readonly chains: readonly ChainConfig[];
  readonly failPoints?: FailPoints;
  readonly log: pino.Logger;
};

export type CoordinatorService = {
  readonly ledger: LedgerActivities;
  readonly chain: ChainActivities;
  adoptPolicy(signed: SignedPolicy): Promise<void>;
  /** Begins to follow chains and the log. */
  start(): Promise<void>;
  close(): Promise<void>;
};

/** How often chains are asked for news between transfers; build, balance and lookup also look by themselves. */
const FOLLOW_MS = 500;

export async function createCoordinatorService(
  options: CoordinatorServiceOptions,
): Promise<CoordinatorService> {
  const { log, failPoints = noFailPoints } = options;
  await migrateCoordinatorDatabase(options.databaseUrl);
  const database = openCoordinatorDatabase(options.databaseUrl, { max: 20 });
  // A pool of their own: `build` runs inside a ledger transaction and reads the chains' tables meanwhile, so with one
  // pool enough builds at once would wait for each other's connections.
  const chainDatabase = openCoordinatorDatabase(options.databaseUrl, { max: 10 });
  const clock = { now: () => Date.now() };
  const uow = createUnitOfWork(database, clock);
  const followers: { start(): void | Promise<void>; stop(): Promise<void> }[] = [];
  const chains = options.chains.map((chain): Blockchain => {
    const shared = {
      network: chain.network,
      rpcUrl: chain.rpcUrl,
      ...(chain.agreement === undefined ? {} : { agreement: chain.agreement }),
      ...(chain.finality === undefined ? {} : { finality: chain.finality }),
      logger: log.child({ network: chain.network }),
    };
    if (chain.kind === 'bitcoin') {
      const bitcoin = createBitcoin({
        ...shared,
        outputs: createBitcoinOutputs(chainDatabase.db, chain.network),
      });
      const { follower } = bitcoin;
      followers.push({
        start: () => follower.start({ pollMs: FOLLOW_MS }),
        stop: () => follower.stop(),
      });
      return bitcoin;
    }
    if (chain.kind === 'ethereum') {
      const serial = new Set<string>(chain.serialWallets ?? []);
      const ethereum = createEthereum({
        ...shared,
        nonces: createEthereumNonces(chainDatabase.db),
        serial: (walletId) => serial.has(walletId),
        ...(chain.legacy === undefined ? {} : { legacy: chain.legacy }),
        clock,
      });
      followers.push(ethereum);
      return ethereum;
    }
    const solana = createSolana({
      ...shared,
      nonces: createNonceAccounts(chainDatabase.db),
      sponsor: chain.sponsorFile ?? null,
      ...(chain.poolSize === undefined ? {} : { poolSize: chain.poolSize }),
      clock,
    });
    followers.push(solana);
    return solana;
  });
  const onError = (error: unknown) =>
    log.warn({ err: error }, 'a follower met an error and tries again');
  followers.push(
    createProjector(database, { onError }),
    createOutboxPublisher(database, createInProcessBus(), { onError }),
  );
  const verifyPolicy = (document: SignedPolicy): string =>
    verifySignedPolicy(document, options.administrators, options.administratorQuorum, verifyNative);
  const deps = {
    uow,
    chains: createChains(chains),
    protocols: createRegistry(),
    policies: createPolicySource(uow),
    subjects: createPolicySubjects(database),
    verifyPolicy,
    clock,
    failPoints,
    directory: options.directory,
    verify: verifyNative,
  };
  return {
    ledger: createLedgerActivities(deps),
    chain: createChainActivities(deps),
    async adoptPolicy(signed) {
      await adoptPolicy({ uow, failPoints, verify: verifyPolicy }, signed);
    },
    async start() {
      for (const follower of followers) await follower.start();
    },
    async close() {
      for (const follower of followers) await follower.stop();
      await chainDatabase.close();
      await database.close();
    },
  };
}
