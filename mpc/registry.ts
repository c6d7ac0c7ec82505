/** Which protocols there are, and which one a new key gets. */
import type {
  ProtocolMetadata,
  ProtocolRegistry,
  ThresholdProtocol,
} from '../core/ports/protocol.ts';
import { KeysagaError } from '../schema/contracts/errors.ts';
import type { Curve, Scheme } from '../schema/contracts/key.ts';
import { dkls23 } from './dkls23/adapter.ts';
import { frostBip340, frostEd25519 } from './frost/adapter.ts';
import { instrumented, type Telemetry } from './telemetry.ts';

/**
 * The rule, best first: Schnorr schemes → FROST; ECDSA with two parties → DKLs23; with more → CGGMP21, which names
 * every cheat, and where it is not registered DKLs23.
 */
export function protocolsFor(scheme: Scheme, curve: Curve, parties: number): readonly string[] {
  if (scheme === 'eddsa' && curve === 'ed25519') return ['frost-ed25519'];
  if (scheme === 'bip340' && curve === 'secp256k1') return ['frost-bip340'];
  if (scheme === 'ecdsa' && curve === 'secp256k1')
    return parties === 2 ? ['dkls23'] : ['cggmp21', 'dkls23'];
  return [];
}

export type RegistryOptions = {
  /** Default: every protocol of this version. */
  readonly protocols?: readonly ThresholdProtocol[];
  /** Absent: nothing is measured. */
  readonly telemetry?: Telemetry;
};

/** `get` and `select` throw `ProtocolUnsupported`. */
export function createRegistry(options: RegistryOptions = {}): ProtocolRegistry {
  const { protocols = [frostEd25519, frostBip340, dkls23], telemetry } = options;
  const byId = new Map<string, ThresholdProtocol>();
  for (const protocol of protocols) {
    const { id } = protocol.metadata;
    if (byId.has(id))
      throw new KeysagaError('InvalidInput', 'two protocols share an id', { field: 'id', id });
    byId.set(id, telemetry === undefined ? protocol : instrumented(protocol, telemetry));
  }
  const get = (id: string): ThresholdProtocol => {
    const protocol = byId.get(id);
    if (protocol === undefined)
      throw new KeysagaError('ProtocolUnsupported', `the protocol ${id} is not registered`, {
        field: 'protocol',
        id,
      });
    return protocol;
  };
  return {
    get,
    list: (): readonly ProtocolMetadata[] => [...byId.values()].map(({ metadata }) => metadata),
    select(scheme, curve, parties) {
      const fitting = protocolsFor(scheme, curve, parties);
      const id = fitting.find((candidate) => byId.has(candidate)) ?? fitting[0];
      if (id === undefined)
        throw new KeysagaError('ProtocolUnsupported', `no protocol signs ${scheme} on ${curve}`, {
          field: 'scheme',
          scheme,
          curve,
        });
      const protocol = get(id);
      const { min, max } = protocol.metadata.parties;
      if (!Number.isInteger(parties) || parties < min || parties > max)
        throw new KeysagaError('ProtocolUnsupported', `${id} takes ${min} to ${max} parties`, {
          field: 'parties',
          id,
        });
      return protocol;
    },
  };
}
