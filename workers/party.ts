/** A party's worker process: `node --import tsx workers/party.ts --config <file> [--unlock | --unlock-fd <n>]`. */
import { existsSync } from 'node:fs';
import { NativeConnection, Worker } from '@temporalio/worker';
import type { Logger } from 'pino';
import { PartyConfig } from '../schema/contracts/config.ts';
import { KeysagaError } from '../schema/contracts/errors.ts';
import { SignedPolicy } from '../schema/contracts/policy.ts';
import { partyQueue } from '../schema/contracts/temporal.ts';
import { identityFromFile } from '../storage/party/identity.ts';
import { createDataConverter } from '../wire/data-converter.ts';
import { createPartyService } from './party-service.ts';
import { activityFailures } from './support/activity-failures.ts';
import {
  dataConverterOptions,
  type Flags,
  type Loaded,
  loadConfig,
  readFlags,
  readJson,
  readKey,
} from './support/config.ts';
import { createFailPoints } from './support/fail-points.ts';
import { heartbeats } from './support/heartbeats.ts';
import { installRuntime, instanceName, main, serve } from './support/run.ts';
import { passphraseSource, unlockMasterKey } from './support/unlock.ts';
import { VERSION } from './support/version.ts';

/** From its file, or with `--unlock` (asked on the terminal) or `--unlock-fd <n>` under passphrase and device secret. */
async function masterKeyOf(
  log: Logger,
  { config, path }: Loaded<PartyConfig>,
  flags: Flags,
): Promise<Uint8Array> {
  const { keyStoreMasterKeyFile: plainFile, unlock } = config;
  if (flags.unlock !== true && flags['unlock-fd'] === undefined) {
    if (plainFile === undefined)
      throw new KeysagaError('InvalidInput', 'No master key file: start with --unlock.', {
        field: 'keyStoreMasterKeyFile',
      });
    return readKey(path(plainFile), 'keyStoreMasterKeyFile');
  }
  if (unlock === undefined)
    throw new KeysagaError('InvalidInput', 'The configuration names no unlock files.', {
      field: 'unlock',
    });
  if (plainFile !== undefined && existsSync(path(plainFile)))
    log.warn('the master key still lies in keyStoreMasterKeyFile: delete it');
  return unlockMasterKey({
    party: config.party,
    unlockFile: path(unlock.file),
    deviceSecretFile: path(unlock.deviceSecretFile),
    source: passphraseSource(flags['unlock-fd']),
  });
}

main('party', async (log) => {
  const flags = readFlags({
    config: { type: 'string' },
    unlock: { type: 'boolean' },
    'unlock-fd': { type: 'string' },
  });
  const loaded = loadConfig(PartyConfig, flags);
  const { config, path } = loaded;
  log.setBindings({ party: config.party });
  installRuntime(log);
  const identity = identityFromFile(path(config.identityKeyFile));
  const directory = new Map(config.directory.map(({ party, publicKey }) => [party, publicKey]));
  // A wrong identity would make every peer refuse every message; better said here.
  if (directory.get(config.party) !== identity.publicKey)
    throw new KeysagaError(
      'InvalidInput',
      'The identity key is not the one the directory pins for this party.',
      {
        field: 'directory',
      },
    );

  const masterKey = await masterKeyOf(log, loaded, flags);
  const backupKey = readKey(path(config.backupKeyFile), 'backupKeyFile');
  const service = await createPartyService({
    settings: {
      party: config.party,
      version: VERSION,
      directory,
      administrators: config.administrators,
      administratorQuorum: config.administratorQuorum,
      signingSessionMs: 60_000,
      keygenSessionMs: 900_000,
    },
    databaseUrl: config.databaseUrl,
    identity,
    networks: config.networks,
    keyStoreDirectory: path(config.keyStoreDirectory),
    keyStoreMasterKey: masterKey,
    ...(config.headFile === undefined ? {} : { headFile: path(config.headFile) }),
    backupDirectory: path(config.backupDirectory),
    backupKey,
    failPoints: createFailPoints(),
  });
  // The stores hold their own copies, outside of JavaScript's heap.
  masterKey.fill(0);
  backupKey.fill(0);
  for (const file of config.initialPolicies) {
    const signed = SignedPolicy.parse(readJson(path(file), 'initialPolicies'));
    await service.activities.receivePolicy({ signed });
  }

  const connection = await NativeConnection.connect({ address: config.temporal.address });
  const worker = await Worker.create({
    connection,
    namespace: config.temporal.namespace,
    taskQueue: partyQueue(config.party),
    identity: `${config.party}/${instanceName(config.instance)}`,
    activities: { ...service.activities },
    dataConverter: createDataConverter(dataConverterOptions(loaded)),
    interceptors: {
      activity: [
        heartbeats(),
        activityFailures((entry) =>
          log.error(
            { ...entry, error: undefined, err: entry.error },
            'activity failed unexpectedly',
          ),
        ),
      ],
    },
    // Signing is CPU work on one thread: more in flight only makes each slower.
    maxConcurrentActivityTaskExecutions: 16,
    shutdownGraceTime: '5 seconds',
  });
  await serve(log, [worker], connection, { role: 'party', party: config.party }, [
    () => service.close(),
  ]);
});
