/**
 * A signature's life cycle (R8) from key generation to confirmation, as data: states, commands, and which domain event
 * is which command. The wallet's key walks the first part once, each transfer the rest. Its time limits stand with the
 * phases of the saga that shows them (`machine.ts`).
 */
import type { DomainEvent } from '../../schema/contracts/events.ts';
import { canApply, type TransitionTable } from '../state-machine.ts';

export type SignatureState =
  | 'Initialized'
  | 'KeyGeneration'
  | 'Ready'
  | 'SigningPending'
  | 'SigningInProgress'
  | 'Signed'
  | 'Broadcast'
  | 'Confirmed'
  | 'KeyGenerationFailed'
  | 'SigningFailed'
  | 'BroadcastFailed';

export type SignatureCommand =
  | 'generateKey'
  | 'activateKey'
  | 'request'
  | 'begin'
  | 'restart'
  | 'sign'
  | 'broadcast'
  | 'confirm'
  | 'fail';

export const SIGNATURE_LIFE_CYCLE: TransitionTable<SignatureState, SignatureCommand> = {
  name: 'signature',
  initial: 'Initialized',
  final: ['Confirmed', 'KeyGenerationFailed', 'SigningFailed', 'BroadcastFailed'],
  transitions: {
    Initialized: { generateKey: 'KeyGeneration' },
    KeyGeneration: { activateKey: 'Ready', fail: 'KeyGenerationFailed' },
    Ready: { request: 'SigningPending' },
    SigningPending: { begin: 'SigningInProgress', fail: 'SigningFailed' },
    SigningInProgress: { restart: 'SigningPending', sign: 'Signed', fail: 'SigningFailed' },
    Signed: { broadcast: 'Broadcast', confirm: 'Confirmed', fail: 'BroadcastFailed' },
    Broadcast: { confirm: 'Confirmed', fail: 'BroadcastFailed' },
    Confirmed: {},
    KeyGenerationFailed: {},
    SigningFailed: {},
    BroadcastFailed: {},
  },
};

/** The command an event stands for; `undefined` for events that are no change of a signature. */
export function signatureCommand(event: DomainEvent): SignatureCommand | undefined {
  switch (event.type) {
    case 'keysaga.key.requested.v1':
      return 'generateKey';
    case 'keysaga.key.generated.v1':
      return 'activateKey';
    case 'keysaga.key.failed.v1':
    case 'keysaga.transfer.failed.v1':
      return 'fail';
    case 'keysaga.transfer.initiated.v1':
    case 'keysaga.payout.initiated.v1':
      return 'request';
    case 'keysaga.transfer.transaction-built.v1':
      return event.data.purpose === 'payment' ? 'begin' : undefined;
    case 'keysaga.transfer.phase-changed.v1':
      return event.data.phase === 'AwaitingApprovals' ? 'restart' : undefined;
    case 'keysaga.transfer.transaction-signed.v1':
      return event.data.purpose === 'payment' ? 'sign' : undefined;
    case 'keysaga.transfer.broadcast.v1': {
      const { status } = event.data.outcome;
      const sent = status === 'accepted' || status === 'already-known';
      return event.data.purpose === 'payment' && sent ? 'broadcast' : undefined;
    }
    case 'keysaga.transfer.finalized.v1':
      return event.data.purpose === 'payment' && event.data.outcome === 'included'
        ? 'confirm'
        : undefined;
    default:
      return undefined;
  }
}

/** Total, as folds must be: an event that is no step from here leaves the state as it is. */
export function advanceSignature(state: SignatureState, event: DomainEvent): SignatureState {
  const command = signatureCommand(event);
  if (command === undefined || !canApply(SIGNATURE_LIFE_CYCLE, state, command)) return state;
  return SIGNATURE_LIFE_CYCLE.transitions[state][command] ?? state;
}
