/**
 * The undo side of a saga. An undo is registered before its step, because a step that failed may still have
 * happened; undos run last in, first out, in a non-cancellable scope; each is idempotent; one that fails is
 * repeated and shown, never swallowed. What a party does not take within its limit is owed: a child workflow
 * delivers it on the party's return, so that the saga may close.
 */
import { CancellationScope, sleep } from '@temporalio/workflow';
import type { KeysagaError } from '../schema/contracts/errors.ts';
import { fromFailure } from '../schema/contracts/failures.ts';
import type { PartyId } from '../schema/contracts/primitives.ts';
import type { UndoStatus } from '../schema/contracts/saga.ts';
import { BACKOFF_CAPS, backoffMs } from './profiles.ts';

export type Undo = {
  /** As board, ledger and timeline name it: `release the lease`. */
  readonly step: string;
  /** Present when it is a party's to do: then it can be owed. */
  readonly party?: PartyId;
  run(): Promise<void>;
  /** Hands it to the child that delivers it later. Only with `party`. */
  owe?(reason: KeysagaError): Promise<void>;
};

type Entry = {
  readonly undo: Undo;
  readonly status: { -readonly [K in keyof UndoStatus]: UndoStatus[K] };
  running?: Promise<void>;
};
/** Undos registered together (one step at several parties): they run side by side. */
export type Registered = readonly Entry[];

export class Compensations {
  readonly #stack: Registered[] = [];
  readonly #changed: () => void;

  /** `changed` is called whenever `status` would answer otherwise. */
  constructor(changed: () => void) {
    this.#changed = changed;
  }

  get status(): UndoStatus[] {
    return this.#stack.flat().map(({ status }) => ({ ...status }));
  }

  /** Is an undo of this name on the stack? */
  has(step: string): boolean {
    return this.#stack.flat().some((entry) => entry.status.step === step);
  }

  /** Before the step. Several undos at once run in parallel when their turn comes. */
  register(...undos: readonly Undo[]): Registered {
    const entries = undos.map((undo) => ({
      undo,
      status: { step: undo.step, state: 'registered' as UndoStatus['state'], tries: 0 },
    }));
    this.#stack.push(entries);
    this.#changed();
    return entries;
  }

  /** The step needs no undo any more. One that runs already is left to end. */
  dismiss(registered: Registered): void {
    for (const entry of registered)
      if (entry.running === undefined && entry.status.state === 'registered')
        entry.status.state = 'not-needed';
    this.#changed();
  }
  /** Past the pivot: what is registered must not run any more. */
  dismissAll(): void {
    for (const registered of this.#stack) this.dismiss(registered);
  }

  /** Runs these now, while the saga goes on (an attempt that failed). Never rejects but with `PivotPassed`. */
  runNow(registered: Registered): Promise<void> {
    const running = registered.map((entry) => {
      entry.running ??= this.#perform(entry);
      return entry.running;
    });
    return Promise.all(running).then(() => undefined);
  }

  /**
   * All of them, last in, first out. Rejects with `PivotPassed` when an undo meets the pivot in the ledger
   * (a reset forgot it): the rest of the stack is left alone and the saga must go forward.
   */
  async unwind(): Promise<void> {
    for (const registered of [...this.#stack].reverse()) {
      const open = registered.filter(({ status }) => status.state !== 'not-needed');
      if (open.length > 0) await this.runNow(open);
    }
  }

  #perform(entry: Entry): Promise<void> {
    return CancellationScope.nonCancellable(async () => {
      const { undo, status } = entry;
      status.state = 'running';
      for (;;) {
        status.tries += 1;
        this.#changed();
        try {
          await undo.run();
          status.state = 'done';
          this.#changed();
          return;
        } catch (error) {
          const failure = fromFailure(error, {
            timeout: undo.party ? 'PartyUnavailable' : 'TimeLimit',
          });
          status.lastError = `${failure.code}: ${failure.message}`.slice(0, 200);
          if (failure.code === 'PivotPassed') {
            status.state = 'not-needed';
            this.#changed();
            throw failure;
          }
          if (undo.owe !== undefined) {
            status.state = 'owed';
            this.#changed();
            await undo.owe(failure);
            return;
          }
          this.#changed();
          await sleep(backoffMs(status.tries, BACKOFF_CAPS.undo), {
            summary: `${undo.step} failed (${failure.code}), tried again`,
          });
        }
      }
    });
  }
}
