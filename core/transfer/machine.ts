/**
 * The signing saga's states (R7: Initiated → Preparing → Signing → Broadcasting → Completed, or Compensating →
 * Failed, plus the waits a person sees) as data. What a command needs besides the right state stands beside it in
 * `PHASE_GUARDS`.
 */
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { DomainEvent } from '../../schema/contracts/events.ts';
import type { TransferPhase } from '../../schema/contracts/saga.ts';
import { canApply, next, type TransitionTable } from '../state-machine.ts';

export type TransferCommand =
  | 'awaitApprovals'
  | 'prepare'
  | 'sign'
  | 'broadcast'
  | 'confirm'
  | 'void'
  | 'compensate'
  | 'complete'
  | 'fail';

export const TRANSFER_MACHINE: TransitionTable<TransferPhase, TransferCommand> = {
  name: 'transfer',
  initial: 'Initiated',
  final: ['Completed', 'Failed'],
  transitions: {
    Initiated: {
      awaitApprovals: 'AwaitingApprovals',
      prepare: 'Preparing',
      compensate: 'Compensating',
    },
    // Back to waiting: approvals may expire while too few parties are up.
    AwaitingApprovals: { prepare: 'Preparing', compensate: 'Compensating' },
    Preparing: {
      awaitApprovals: 'AwaitingApprovals',
      sign: 'Signing',
      broadcast: 'Broadcasting',
      void: 'Voiding',
      compensate: 'Compensating',
    },
    // Back to preparing: a new attempt with another signer set.
    Signing: {
      prepare: 'Preparing',
      broadcast: 'Broadcasting',
      void: 'Voiding',
      compensate: 'Compensating',
    },
    Broadcasting: {
      confirm: 'Confirming',
      void: 'Voiding',
      complete: 'Completed',
      compensate: 'Compensating',
    },
    Confirming: {
      broadcast: 'Broadcasting',
      void: 'Voiding',
      complete: 'Completed',
      compensate: 'Compensating',
    },
    // Completed: the payment was on chain before its void could be.
    Voiding: { complete: 'Completed', compensate: 'Compensating' },
    Compensating: { fail: 'Failed' },
    Completed: {},
    Failed: {},
  },
  // R8's limits. They alert and end nothing: before the pivot it is `waitForParties` that decides when a signing is given
  // up, since an absent party may be back in a minute, and past the pivot nothing may be given up.
  limits: { Preparing: 60, Signing: 60, Broadcasting: 120 },
};

/** How far along a phase is: a report of an earlier phase comes from a saga that was reset and is catching up. */
const RANK: Readonly<Record<TransferPhase, number>> = {
  Initiated: 0,
  AwaitingApprovals: 1,
  Preparing: 2,
  Signing: 3,
  Broadcasting: 4,
  Confirming: 5,
  Voiding: 6,
  Compensating: 7,
  Completed: 8,
  Failed: 8,
};

const COMMAND_FOR: Readonly<Record<TransferPhase, TransferCommand | undefined>> = {
  Initiated: undefined,
  AwaitingApprovals: 'awaitApprovals',
  Preparing: 'prepare',
  Signing: 'sign',
  Broadcasting: 'broadcast',
  Confirming: 'confirm',
  Voiding: 'void',
  Compensating: 'compensate',
  Completed: 'complete',
  Failed: 'fail',
};

/** What the guards look at. */
export type PhaseFacts = {
  readonly pivotPassed: boolean;
  readonly paymentSigned: boolean;
  /** The payment can no longer take effect: its void is final, or it is final without effect. */
  readonly lineOver: boolean;
  /** The payment is final on chain, with effect. */
  readonly paymentFinal: boolean;
};

type Guard = {
  readonly holds: (facts: PhaseFacts) => boolean;
  readonly code: 'PivotPassed' | 'StateConflict';
  readonly says: string;
};

export const PHASE_GUARDS: Readonly<Partial<Record<TransferCommand, Guard>>> = {
  awaitApprovals: {
    holds: (f) => !f.pivotPassed,
    code: 'PivotPassed',
    says: 'after the pivot nobody is asked any more',
  },
  broadcast: {
    holds: (f) => f.paymentSigned,
    code: 'StateConflict',
    says: 'nothing is sent before the signed bytes are stored',
  },
  void: {
    holds: (f) => f.pivotPassed && !f.paymentFinal,
    code: 'StateConflict',
    says: 'a void follows the pivot only, and no final payment',
  },
  compensate: {
    holds: (f) => !f.pivotPassed || f.lineOver,
    code: 'PivotPassed',
    says: 'after the pivot nothing is undone until a conflicting transaction is final',
  },
  complete: {
    holds: (f) => f.paymentFinal,
    code: 'StateConflict',
    says: 'the payment is not final on chain',
  },
};

/**
 * The phase that an event brings with it; the command that decides the event appends the change as well, since what
 * a saga reports comes beside its path, late and not always. `undefined`: none.
 */
export function impliedPhase(phase: TransferPhase, event: DomainEvent): TransferPhase | undefined {
  if (TRANSFER_MACHINE.final.includes(phase) || phase === 'Compensating') return undefined;
  switch (event.type) {
    case 'keysaga.transfer.transaction-built.v1':
      return event.data.purpose === 'void' ? 'Voiding' : onward(phase, 'Preparing');
    case 'keysaga.transfer.pivot-passed.v1':
      return event.data.purpose === 'void' ? 'Voiding' : onward(phase, 'Signing');
    case 'keysaga.transfer.transaction-signed.v1':
      return event.data.purpose === 'void' ? 'Voiding' : onward(phase, 'Broadcasting');
    case 'keysaga.transfer.broadcast.v1':
      return event.data.purpose === 'payment' && event.data.outcome.status !== 'rejected'
        ? onward(phase, 'Confirming')
        : undefined;
    case 'keysaga.transfer.finalized.v1':
      return event.data.purpose === 'payment' ? onward(phase, 'Confirming') : 'Voiding';
    default:
      return undefined;
  }
}
const onward = (phase: TransferPhase, to: TransferPhase): TransferPhase | undefined =>
  RANK[to] > RANK[phase] ? to : undefined;

/** The next phase for a command, or `StateConflict` / `PivotPassed` saying why not. */
export function advance(
  phase: TransferPhase,
  command: TransferCommand,
  facts: PhaseFacts,
): TransferPhase {
  const to = next(TRANSFER_MACHINE, phase, command);
  const guard = PHASE_GUARDS[command];
  if (guard !== undefined && !guard.holds(facts))
    throw new KeysagaError(guard.code, `transfer: ${command} refused in ${phase}: ${guard.says}.`, {
      machine: TRANSFER_MACHINE.name,
      state: phase,
      command,
    });
  return to;
}

/**
 * Where a report of `to` leads from `phase`: the new phase, or `undefined` when there is nothing to record (the same
 * phase, an end already reached, or a phase that the ledger has left behind).
 */
export function reportedPhase(
  phase: TransferPhase,
  to: TransferPhase,
  facts: PhaseFacts,
): TransferPhase | undefined {
  if (phase === to || TRANSFER_MACHINE.final.includes(phase)) return undefined;
  const command = COMMAND_FOR[to];
  if (command === undefined) return undefined;
  const backwards = RANK[to] < RANK[phase];
  const possible =
    canApply(TRANSFER_MACHINE, phase, command) && (PHASE_GUARDS[command]?.holds(facts) ?? true);
  return backwards && !possible ? undefined : advance(phase, command, facts);
}
