/** A party's worker process: `node --import tsx workers/party.ts --config <file>`. */
import { NativeConnection, Worker } from '@temporalio/worker';
import { PartyConfig } from '../schema/contracts/config.ts';
import { KeysagaError } from '../schema/contracts/errors.ts';
import { SignedPolicy } from '../schema/contracts/policy.ts';
import { partyQueue } from '../schema/contracts/temporal.ts';
import { identityFromFile } from '../storage/party/identity.ts';
import { createDataConverter } from '../wire/data-converter.ts';
import { createPartyService } from './party-service.ts';
import { activityFailures } from './support/activity-failures.ts';
import { loadConfig, readJson, readKey, readPayloadKeys } from './support/config.ts';
import { createFailPoints } from './support/fail-points.ts';
import { heartbeats } from './support/heartbeats.ts';
import { installRuntime, instanceName, main, serve } from './support/run.ts';
import { VERSION } from './support/version.ts';

main('party', async (log) => {
  const loaded = loadConfig(PartyConfig);
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
    keyStoreMasterKey: readKey(path(config.keyStoreMasterKeyFile), 'keyStoreMasterKeyFile'),
    backupDirectory: path(config.backupDirectory),
    backupKey: readKey(path(config.backupKeyFile), 'backupKeyFile'),
    failPoints: createFailPoints(),
  });
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
    dataConverter: createDataConverter({ keys: readPayloadKeys(loaded, config.payloadKeys) }),
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
