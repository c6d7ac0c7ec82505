/** `Ceremonies` over the registry: what a party service runs, rebuilt from its log when it has one. */
import { hkdf } from '@noble/hashes/hkdf.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, hexToBytes, utf8ToBytes } from '@noble/hashes/utils.js';
import type { Ceremonies, CeremonyLog, CeremonyRun } from '../core/ports/ceremonies.ts';
import type {
  Presigning,
  ProtocolRegistry,
  RoundMachine,
  ThresholdProtocol,
} from '../core/ports/protocol.ts';
import { KeysagaError } from '../schema/contracts/errors.ts';
import { activationCeremony, ceremonyVersion, refreshVersion } from './activation.ts';
import { replayRun } from './runner.ts';

function runOf<Output>(
  factory: () => RoundMachine<Output>,
  seed: Uint8Array,
  log: CeremonyLog,
): CeremonyRun<Output> {
  const run = replayRun(factory, seed, {
    version: log.version,
    entries: log.entries.map((e) => ({ ...e, outboxHash: hexToBytes(e.outboxHash) })),
  });
  return {
    version: run.version,
    rounds: run.rounds,
    get next() {
      return run.next;
    },
    round(r, inbox) {
      const { outboxHash, ...outcome } = run.round(r, inbox);
      return { ...outcome, outboxHash: bytesToHex(outboxHash) };
    },
    dispose: run.dispose,
  };
}

function presigningOf({ metadata, presigning }: ThresholdProtocol): Presigning {
  if (presigning === undefined)
    throw new KeysagaError('ProtocolUnsupported', `${metadata.id} has no presigning`, {
      field: 'protocol',
      id: metadata.id,
    });
  return presigning;
}

export function createCeremonies(registry: ProtocolRegistry): Ceremonies {
  return {
    keygen: (protocol, { keyId, epoch, ...params }, seed, log) =>
      runOf(() => activationCeremony(registry.get(protocol), { params, keyId, epoch }), seed, log),
    sign: (protocol, params, seed, log) =>
      runOf(() => registry.get(protocol).sign(params), seed, log),
    refresh: (protocol, { keyId, epoch, share, publicPackage, ...params }, seed, log) =>
      runOf(
        () =>
          activationCeremony(registry.get(protocol), {
            params,
            keyId,
            epoch,
            refresh: { share, publicPackage },
          }),
        seed,
        log,
      ),
    presign: (protocol, params, seed, log) =>
      runOf(() => presigningOf(registry.get(protocol)).presign(params), seed, log),
    online: (protocol, params, seed, log) =>
      runOf(() => presigningOf(registry.get(protocol)).online(params), seed, log),
    describe(protocol, kind) {
      const adapter = registry.get(protocol);
      const { versions, rounds } = adapter.metadata;
      if (kind === 'presign' || kind === 'online') {
        const presigning = presigningOf(adapter);
        return { version: presigning.versions[kind], rounds: presigning.rounds[kind] };
      }
      if (kind === 'refresh') return { version: refreshVersion(adapter), rounds: rounds.keygen };
      return {
        version: kind === 'keygen' ? ceremonyVersion(adapter) : versions.sign,
        rounds: rounds[kind],
      };
    },
    derive: (seed, label) =>
      hkdf(sha256, seed, utf8ToBytes('keysaga/session-key/v1'), utf8ToBytes(label), 32),
    metadata: (protocol) => registry.get(protocol).metadata,
    list: () => registry.list().map((m) => m.id),
  };
}
