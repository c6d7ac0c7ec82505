/** Composition of one party: adapters meet ports here. Used by the party worker and by tests that run parties in-process. */
import { join } from 'node:path';
import { createParty, type PartyDeps, type PartySettings } from '../activities/party/index.ts';
import { codecsFor } from '../chains/registry.ts';
import type { Clock, FailPoints } from '../core/ports/clock.ts';
import { noFailPoints } from '../core/ports/clock.ts';
import type { Identity } from '../core/ports/envelope-crypto.ts';
import { createCeremonies, createRegistry, type Telemetry } from '../mpc/index.ts';
import type { PartyActivities } from '../schema/contracts/activities.ts';
import { createShareBackup } from '../storage/party/backup.ts';
import { createHeadFile } from '../storage/party/head-file.ts';
import { createEnvelopeCrypto } from '../storage/party/hpke.ts';
import { verifyNative } from '../storage/party/identity.ts';
import { createKeyStore } from '../storage/party/key-store.ts';
import { openPartyDatabase } from '../storage/party/store.ts';

export type PartyServiceOptions = {
  readonly settings: PartySettings;
  readonly databaseUrl: string;
  readonly identity: Identity;
  readonly networks: readonly string[];
  readonly keyStoreDirectory: string;
  /** 32 bytes. */
  readonly keyStoreMasterKey: Uint8Array;
  /** Head of the release chain, outside the database; default: in the key store's folder, which all instances share. */
  readonly headFile?: string;
  readonly backupDirectory: string;
  /** 32 bytes, unrelated to the master key. */
  readonly backupKey: Uint8Array;
  readonly clock?: Clock;
  readonly failPoints?: FailPoints;
  readonly telemetry?: Telemetry;
  /** Database connections. Default 8; each activity in flight needs one. */
  readonly poolSize?: number;
  /** See `SweepOptions`. Default two minutes. */
  readonly orphanMs?: number;
};

export type PartyService = {
  readonly activities: PartyActivities;
  /** Closes expired sessions and destroys ownerless data keys; also runs by itself. */
  sweepOnce(): Promise<void>;
  close(): Promise<void>;
};

/** Between sweeps; a session's life is 60 s, so an expired one is tidied up soon. */
const SWEEP_MS = 5_000;
/** Far above what PostgreSQL's time limits leave a transaction. */
const ORPHAN_MS = 120_000;

export async function createPartyService(options: PartyServiceOptions): Promise<PartyService> {
  const { settings } = options;
  const database = await openPartyDatabase(options.databaseUrl, {
    poolSize: options.poolSize ?? 8,
  });
  const deps: PartyDeps = {
    settings,
    store: database.store,
    headFile: createHeadFile(
      options.headFile ?? join(options.keyStoreDirectory, '.release-head'),
      settings.party,
      options.identity,
      verifyNative,
    ),
    sealer: createKeyStore(options.keyStoreDirectory, options.keyStoreMasterKey),
    backup: createShareBackup(options.backupDirectory, options.backupKey),
    identity: options.identity,
    envelopes: createEnvelopeCrypto(),
    ceremonies: createCeremonies(
      createRegistry(options.telemetry === undefined ? {} : { telemetry: options.telemetry }),
    ),
    codecs: codecsFor(options.networks),
    clock: options.clock ?? { now: () => Date.now() },
    // Filled in place: seeds are drawn here, and a copy would outlive the one that is wiped.
    random: { bytes: (length) => crypto.getRandomValues(new Uint8Array(length)) },
    verify: verifyNative,
    failPoints: options.failPoints ?? noFailPoints,
  };
  const { activities, sweep } = createParty(deps, {
    monotonic: () => performance.now(),
    orphanMs: options.orphanMs ?? ORPHAN_MS,
  });
  let running: Promise<void> | undefined;
  const sweepOnce = () => {
    running ??= sweep().finally(() => {
      running = undefined;
    });
    return running;
  };
  const timer = setInterval(() => {
    // A database that is away for a moment is met again by the next sweep.
    sweepOnce().catch(() => {});
  }, SWEEP_MS);
  timer.unref();
  try {
    await sweepOnce();
  } catch (error) {
    clearInterval(timer);
    await database.close();
    throw error;
  }
  return {
    activities,
    sweepOnce,
    async close() {
      clearInterval(timer);
      await running?.catch(() => {});
      await database.close();
    },
  };
}
