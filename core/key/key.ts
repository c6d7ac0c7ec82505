/**
 * The coordinator's `Key` aggregate: Requested → Certified → Active, or Failed. The n-th certificate is the pivot of
 * key generation: from there it only goes forward, and t activations make the wallet usable; the others follow.
 */
import { canonicalJson } from '../../schema/contracts/canonical.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { DomainEvent, EventData } from '../../schema/contracts/events.ts';
import type { KeyDescriptor, SignedCertificate } from '../../schema/contracts/key.ts';
import { KeyId, type PartyId, RequestId, WalletId } from '../../schema/contracts/primitives.ts';
import type { FailureInfo } from '../../schema/contracts/saga.ts';
import type { Fold } from '../ports/ledger.ts';
import { next, type TransitionTable } from '../state-machine.ts';

export type KeyPhase = 'Requested' | 'Certified' | 'Active' | 'Failed';
export type KeyCommand = 'certify' | 'activate' | 'fail';

export const KEY_MACHINE: TransitionTable<KeyPhase, KeyCommand> = {
  name: 'key',
  initial: 'Requested',
  final: ['Failed'],
  transitions: {
    Requested: { certify: 'Certified', fail: 'Failed' },
    Certified: { activate: 'Active' },
    Active: {},
    Failed: {},
  },
};

type Request = EventData<'keysaga.key.requested.v1'>;
export type Key = {
  readonly phase: KeyPhase;
  readonly request: Request['request'];
  readonly workflowId: string;
  readonly protocol: string;
  readonly policyHash: string;
  readonly key: KeyDescriptor | null;
  readonly certificates: readonly SignedCertificate[];
  readonly activated: readonly PartyId[];
  readonly failure: FailureInfo | null;
};
/** Null before `requested`. */
export type KeyState = Key | null;

function changed(state: Key, event: DomainEvent): Key {
  switch (event.type) {
    case 'keysaga.key.certified.v1':
      return {
        ...state,
        phase: 'Certified',
        key: event.data.key,
        certificates: event.data.certificates,
      };
    case 'keysaga.key.party-activated.v1':
      return { ...state, activated: [...state.activated, event.data.party] };
    case 'keysaga.key.generated.v1':
      return { ...state, phase: 'Active' };
    case 'keysaga.key.failed.v1':
      return { ...state, phase: 'Failed', failure: event.data.failure };
    default:
      return state;
  }
}

export const keyFold: Fold<KeyState> = {
  name: 'key',
  schemaVersion: 1,
  initial: null,
  apply: (state, event) => {
    if (event.type === 'keysaga.key.requested.v1' && state === null)
      return {
        phase: 'Requested',
        request: event.data.request,
        workflowId: event.data.workflowId,
        protocol: event.data.protocol,
        policyHash: event.data.policyHash,
        key: null,
        certificates: [],
        activated: [],
        failure: null,
      };
    return state === null ? null : changed(state, event);
  },
};

const same = (a: unknown, b: unknown): boolean => canonicalJson(a) === canonicalJson(b);

/** The key, or `NotFound`. */
export function existingKey(state: KeyState, requestId: string): Key {
  if (state === null)
    throw new KeysagaError('NotFound', `There is no key generation ${requestId}.`, {
      field: 'requestId',
      requestId,
    });
  return state;
}

/** Throws `RequestConflict` for another body, `InvalidInput` (`threshold`, `parties`) and `StateConflict` when it has failed. */
export function request(state: KeyState, data: Request): DomainEvent[] {
  const { threshold, parties, requestId } = data.request;
  const invalid = (field: string, message: string): never => {
    throw new KeysagaError('InvalidInput', message, { field });
  };
  if (new Set(parties).size !== parties.length) invalid('parties', 'A party is named twice.');
  if (threshold > parties.length)
    invalid('threshold', 'The threshold is above the number of parties.');
  // Any two signer sets must share a party, or the conflict rule would have nobody to enforce it.
  if (2 * threshold <= parties.length)
    invalid('threshold', 'The threshold must be above half of the parties.');
  if (state === null) return [{ type: 'keysaga.key.requested.v1', data }];
  if (!same(state.request, data.request) || state.workflowId !== data.workflowId)
    throw new KeysagaError('RequestConflict', `Request ${requestId} was used with another body.`, {
      field: 'requestId',
      requestId,
    });
  if (state.phase === 'Failed')
    throw new KeysagaError('StateConflict', `Key generation ${requestId} has failed.`, {
      requestId,
      ...(state.failure === null ? {} : { code: state.failure.code }),
    });
  return [];
}

/**
 * The certificates were verified by the caller; here it is checked that there are n, one per party in the key's
 * order, and that the key is the requested one.
 */
export function certify(
  state: Key,
  key: KeyDescriptor,
  certificates: readonly SignedCertificate[],
): DomainEvent[] {
  const invalid = (field: string, message: string): never => {
    throw new KeysagaError('CertificateInvalid', message, { field });
  };
  const { request: asked } = state;
  const fits: readonly (readonly [string, unknown, unknown])[] = [
    ['keyId', key.keyId, KeyId.parse(asked.requestId)],
    ['walletId', key.walletId, WalletId.parse(asked.requestId)],
    ['epoch', key.epoch, 0],
    ['network', key.network, asked.network],
    ['protocol', key.protocol, state.protocol],
    ['threshold', key.threshold, asked.threshold],
    ['parties', key.parties, asked.parties],
    ['policyId', key.policyId, asked.policyId],
    ['policyHash', key.policyHash, state.policyHash],
  ];
  for (const [field, has, wanted] of fits)
    if (!same(has, wanted)) invalid(`key.${field}`, `The key's ${field} is not the requested one.`);
  if (
    !same(
      certificates.map((c) => c.certificate.party),
      key.parties,
    )
  )
    invalid('certificates', 'One certificate of each party is needed, in the order of the key.');
  if (state.key !== null) {
    if (same(state.key, key)) return [];
    throw new KeysagaError('StateConflict', `Key ${key.keyId} is certified otherwise.`, {
      field: 'key',
    });
  }
  next(KEY_MACHINE, state.phase, 'certify');
  return [{ type: 'keysaga.key.certified.v1', data: { key, certificates: [...certificates] } }];
}

/** One party holds its share active. Nothing when that is known. `InvalidInput` (`party`) for a stranger. */
export function partyActivated(state: Key, party: PartyId): DomainEvent[] {
  if (state.key === null)
    throw new KeysagaError('StateConflict', `Key ${state.request.requestId} is not certified.`, {
      state: state.phase,
    });
  if (!state.key.parties.includes(party))
    throw new KeysagaError('InvalidInput', `${party} is no party of this key.`, {
      field: 'party',
      party,
    });
  if (state.activated.includes(party)) return [];
  return [
    {
      type: 'keysaga.key.party-activated.v1',
      data: { keyId: WalletId.parse(state.request.requestId), party },
    },
  ];
}

/** With t activations, those in `activated` among them, the key is Active. `StateConflict` with fewer. */
export function activate(state: Key, activated: readonly PartyId[]): DomainEvent[] {
  const { key } = state;
  const events = [...new Set(activated)].flatMap((party) => partyActivated(state, party));
  if (key === null) return events;
  const all = key.parties.filter((p) => state.activated.includes(p) || activated.includes(p));
  if (all.length < key.threshold)
    throw new KeysagaError(
      'StateConflict',
      `${all.length} of ${key.threshold} parties are active.`,
      {
        field: 'activated',
        have: all.length,
        need: key.threshold,
      },
    );
  if (state.phase === 'Active') return events;
  next(KEY_MACHINE, state.phase, 'activate');
  return [...events, { type: 'keysaga.key.generated.v1', data: { key, activated: all } }];
}

/** Throws `PivotPassed` once certified: a certified share is in the world, so the only way is forward. */
export function fail(state: Key, failure: FailureInfo): DomainEvent[] {
  if (state.phase === 'Failed') return [];
  if (state.phase !== 'Requested')
    throw new KeysagaError(
      'PivotPassed',
      `Key ${state.request.requestId} is certified by all; it only goes forward.`,
      {
        state: state.phase,
      },
    );
  next(KEY_MACHINE, state.phase, 'fail');
  return [
    {
      type: 'keysaga.key.failed.v1',
      data: { requestId: RequestId.parse(state.request.requestId), failure },
    },
  ];
}
