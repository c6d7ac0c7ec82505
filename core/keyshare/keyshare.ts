/**
 * Aggregate `KeyShare`: one party's share of one key in one epoch, from the request of its ceremony to its end
 * (R5). Data and pure functions: `decide` judges a command and answers with events, `apply` folds them. The share's
 * bytes are never here.
 */
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { next, type TransitionTable } from '../state-machine.ts';

export type KeyShareStatus = 'Pending' | 'Generating' | 'Active' | 'Revoked' | 'Failed';
export type KeyShareCommand = 'begin' | 'activate' | 'revoke' | 'fail';

/** Certifying is no state of its own: the share stays Generating, but its word is given (`word`). */
export const KEY_SHARE_MACHINE: TransitionTable<KeyShareStatus, KeyShareCommand> = {
  name: 'KeyShare',
  initial: 'Pending',
  final: ['Revoked', 'Failed'],
  transitions: {
    Pending: { begin: 'Generating', fail: 'Failed' },
    Generating: { activate: 'Active', fail: 'Failed' },
    Active: { revoke: 'Revoked' },
    Revoked: {},
    Failed: {},
  },
};

/** A shared lease: the share cannot be refreshed, revoked or destroyed while one stands. It ends by itself. */
export type ShareLease = { readonly session: string; readonly expiresAt: number };

export type KeyShare = {
  readonly keyId: string;
  readonly epoch: number;
  readonly attempt: string;
  readonly network: string;
  readonly threshold: number;
  readonly parties: readonly string[];
  readonly status: KeyShareStatus;
  /** What the party swore about the ceremony: one row, a certificate or a `never`, not both. */
  readonly word: 'none' | 'certificate' | 'never';
  readonly destroyed: boolean;
  readonly leases: readonly ShareLease[];
};

export type KeyShareEvent =
  | {
      readonly type: 'ShareRequested';
      readonly share: Omit<KeyShare, 'status' | 'word' | 'destroyed' | 'leases'>;
    }
  | { readonly type: 'GenerationBegun' }
  | { readonly type: 'Certified' }
  | { readonly type: 'NeverSworn' }
  | { readonly type: 'GenerationFailed'; readonly reason: string }
  | { readonly type: 'Activated' }
  | { readonly type: 'LeaseTaken'; readonly lease: ShareLease }
  | { readonly type: 'LeaseReturned'; readonly session: string }
  | { readonly type: 'Revoked' }
  | { readonly type: 'Destroyed' };

const conflict = (share: KeyShare, command: string, message: string): never => {
  throw new KeysagaError('StateConflict', message, {
    machine: 'KeyShare',
    command,
    state: share.status,
    word: share.word,
  });
};

/**
 * Threshold and members of a new key: 2 ≤ t ≤ n, 2t > n so that any two signer sets share a party (the conflict
 * rule stands on it), nobody twice. Throws `InvalidInput` (`threshold`, `parties`).
 */
export function checkThreshold(threshold: number, parties: readonly string[]): void {
  const refuse = (field: string, message: string): never => {
    throw new KeysagaError('InvalidInput', message, { field });
  };
  const n = parties.length;
  if (new Set(parties).size !== n) refuse('parties', 'A party is named twice.');
  if (!Number.isInteger(threshold) || threshold < 2)
    refuse('threshold', 'The threshold must be at least 2.');
  if (threshold > n) refuse('threshold', 'The threshold is above the number of parties.');
  if (2 * threshold <= n)
    refuse(
      'threshold',
      'Two signer sets could be disjoint: twice the threshold must exceed the parties.',
    );
}

/** A new share. Throws as `checkThreshold`. */
export function requestShare(
  share: Extract<KeyShareEvent, { type: 'ShareRequested' }>['share'],
): KeyShareEvent[] {
  checkThreshold(share.threshold, share.parties);
  return [{ type: 'ShareRequested', share }];
}

/** Prepare was answered and round 1 is computed. Throws `StateConflict`. */
export function begin(share: KeyShare): KeyShareEvent[] {
  if (share.word === 'never')
    conflict(share, 'begin', 'This party swore never to certify the ceremony.');
  next(KEY_SHARE_MACHINE, share.status, 'begin');
  return [{ type: 'GenerationBegun' }];
}

/** The party gives its certificate; a repeat changes nothing. Throws `StateConflict` after a `never`. */
export function certify(share: KeyShare): KeyShareEvent[] {
  if (share.word === 'certificate') return [];
  if (share.word === 'never')
    conflict(share, 'certify', 'This party swore never to certify the ceremony.');
  if (share.status !== 'Generating')
    conflict(share, 'certify', 'Only a share in generation is certified.');
  return [{ type: 'Certified' }];
}

/** The opposite word, which ends the ceremony for everyone; a repeat changes nothing. Throws `StateConflict` after a certificate. */
export function swearNever(share: KeyShare): KeyShareEvent[] {
  if (share.word === 'never') return [];
  if (share.word === 'certificate')
    conflict(share, 'swearNever', 'This party has certified the key.');
  if (share.status !== 'Pending' && share.status !== 'Generating' && share.status !== 'Failed')
    conflict(share, 'swearNever', 'The ceremony is over.');
  const failed: KeyShareEvent[] =
    share.status === 'Failed' ? [] : [{ type: 'GenerationFailed', reason: 'never' }];
  return [{ type: 'NeverSworn' }, ...failed];
}

/** The ceremony broke. A certified share does not fail by itself: others may hold n certificates. Throws `StateConflict`. */
export function fail(share: KeyShare, reason: string): KeyShareEvent[] {
  if (share.status === 'Failed') return [];
  if (share.word === 'certificate')
    conflict(share, 'fail', 'A certified share waits for the others’ word.');
  next(KEY_SHARE_MACHINE, share.status, 'fail');
  return [{ type: 'GenerationFailed', reason }];
}

/** Call after `verifyCertificates`; a repeat changes nothing. Throws `StateConflict` for a share this party did not certify. */
export function activate(share: KeyShare): KeyShareEvent[] {
  if (share.status === 'Active') return [];
  if (share.word !== 'certificate')
    conflict(share, 'activate', 'This party has not certified the key.');
  next(KEY_SHARE_MACHINE, share.status, 'activate');
  return [{ type: 'Activated' }];
}

const standing = (share: KeyShare, now: number): readonly ShareLease[] =>
  share.leases.filter((lease) => lease.expiresAt > now);

/** A session's shared lease; a repeat of the same session changes nothing. Throws `KeyNotActive`, `SessionExpired`. */
export function lock(share: KeyShare, lease: ShareLease, now: number): KeyShareEvent[] {
  if (share.status !== 'Active')
    throw new KeysagaError('KeyNotActive', 'The share is not active.', {
      keyId: share.keyId,
      state: share.status,
    });
  if (lease.expiresAt <= now)
    throw new KeysagaError('SessionExpired', 'The lease would have ended already.', {
      field: 'expiresAt',
    });
  if (standing(share, now).some((l) => l.session === lease.session)) return [];
  return [{ type: 'LeaseTaken', lease }];
}

/** Idempotent; the lease may have ended by itself. */
export const unlock = (share: KeyShare, session: string): KeyShareEvent[] =>
  share.leases.some((l) => l.session === session) ? [{ type: 'LeaseReturned', session }] : [];

function requireUnlocked(share: KeyShare, now: number): void {
  const leases = standing(share, now);
  if (leases.length > 0)
    throw new KeysagaError('KeyLocked', `${leases.length} sessions hold the share.`, {
      keyId: share.keyId,
      sessions: leases.map((l) => l.session),
    });
}

/** The share signs no more. Throws `KeyLocked` while sessions hold it, `StateConflict`. */
export function revoke(share: KeyShare, now: number): KeyShareEvent[] {
  if (share.status === 'Revoked') return [];
  next(KEY_SHARE_MACHINE, share.status, 'revoke');
  requireUnlocked(share, now);
  return [{ type: 'Revoked' }];
}

/** What was shown for a destroy: nothing, a member's verified `never`, or an administrators' verified order naming key and epoch. */
export type DestroyProof = 'none' | 'never' | 'order';
export type DestroyOutcome = 'destroyed' | 'nothing' | 'kept';

/**
 * Undo of a ceremony. An uncertified share goes at once, and the party swears `never` with it, so that no later
 * certificate of its own can exist. A certified one goes on a `never` (the key can then never be activated) or an
 * order; an active one on an order alone, since a corrupt member can sign a `never` after its certificate.
 * Throws `KeyLocked` while sessions hold an active share.
 */
export function destroy(
  share: KeyShare,
  proof: DestroyProof,
  now: number,
): { readonly outcome: DestroyOutcome; readonly events: KeyShareEvent[] } {
  if (share.destroyed) return { outcome: 'nothing', events: [] };
  if (share.word !== 'certificate')
    return { outcome: 'destroyed', events: [...swearNever(share), { type: 'Destroyed' }] };
  const live = share.status === 'Active' || share.status === 'Revoked';
  if (live ? proof !== 'order' : proof === 'none') return { outcome: 'kept', events: [] };
  requireUnlocked(share, now);
  const end: KeyShareEvent[] =
    share.status === 'Active'
      ? [{ type: 'Revoked' }]
      : share.status === 'Generating'
        ? [{ type: 'GenerationFailed', reason: proof }]
        : [];
  return { outcome: 'destroyed', events: [...end, { type: 'Destroyed' }] };
}

/** Folds one event. The first of a stream is `ShareRequested`; throws `StateConflict` for anything else before it. */
export function apply(share: KeyShare | undefined, event: KeyShareEvent): KeyShare {
  if (event.type === 'ShareRequested')
    return { ...event.share, status: 'Pending', word: 'none', destroyed: false, leases: [] };
  if (share === undefined)
    throw new KeysagaError('StateConflict', `${event.type} without a share.`, {
      machine: 'KeyShare',
      command: event.type,
    });
  switch (event.type) {
    case 'GenerationBegun':
      return { ...share, status: 'Generating' };
    case 'Certified':
      return { ...share, word: 'certificate' };
    case 'NeverSworn':
      return { ...share, word: 'never' };
    case 'GenerationFailed':
      return { ...share, status: 'Failed' };
    case 'Activated':
      return { ...share, status: 'Active' };
    case 'LeaseTaken':
      return {
        ...share,
        leases: [...share.leases.filter((l) => l.session !== event.lease.session), event.lease],
      };
    case 'LeaseReturned':
      return { ...share, leases: share.leases.filter((l) => l.session !== event.session) };
    case 'Revoked':
      return { ...share, status: 'Revoked', leases: [] };
    case 'Destroyed':
      return { ...share, destroyed: true };
  }
}

export const fold = (events: readonly KeyShareEvent[], share?: KeyShare): KeyShare | undefined =>
  events.reduce<KeyShare | undefined>(apply, share);
