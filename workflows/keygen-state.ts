/** State of one key generation and everything that watches it. */
import {
  CancellationScope,
  condition,
  type EventGroupMarker,
  setCurrentDetails,
  setDefaultSignalHandler,
  setHandler,
} from '@temporalio/workflow';
import type { PartyReport } from '../schema/contracts/activities.ts';
import { KeysagaError } from '../schema/contracts/errors.ts';
import { fromFailure } from '../schema/contracts/failures.ts';
import type { GenerateKeyRequest } from '../schema/contracts/key.ts';
import type { AttemptId, PartyId } from '../schema/contracts/primitives.ts';
import type {
  CancelReceipt,
  FailureInfo,
  GenerateKeyInput,
  KeygenPhase,
  KeygenStatus,
} from '../schema/contracts/saga.ts';
import { Background } from './background.ts';
import { keygenBoard } from './board.ts';
import { isoNow, PhaseClock } from './clock.ts';
import { cancelUpdate, keygenStatus } from './messages.ts';
import { BACKOFF_CAPS, backoffMs } from './profiles.ts';
import { Progress } from './progress.ts';
import { Compensations } from './saga.ts';
import { SearchAttributes } from './search-attributes.ts';
import { PhaseGroups } from './steps.ts';

export class KeygenSaga {
  readonly input: GenerateKeyInput;
  readonly request: GenerateKeyRequest;
  readonly clock = new PhaseClock<KeygenPhase>('Reserving');
  readonly progress = new Progress();
  readonly undos = new Compensations(() => this.changed());
  readonly background = new Background();
  readonly reports: PartyReport[] = [];

  attempt: AttemptId | undefined;
  waitingFor = '';
  /** n certificates are in: only forward from here. */
  certified = false;
  certificates = 0;
  readonly activated: PartyId[] = [];
  address: string | undefined;
  failure: FailureInfo | undefined;
  ended = false;

  readonly #scope = new CancellationScope();
  readonly #groups = new PhaseGroups();
  readonly #attributes = new SearchAttributes();
  #interruption: KeysagaError | undefined;

  constructor(input: GenerateKeyInput) {
    this.input = input;
    this.request = input.request;
    setHandler(keygenStatus, () => this.status());
    setHandler(cancelUpdate, () => this.requestCancel());
    setDefaultSignalHandler(() => this.changed());
    this.#attributes.update({
      wallet: this.request.requestId,
      chain: this.request.network,
      phase: 'Reserving',
    });
    this.changed();
  }

  set protocol(protocol: string) {
    this.#attributes.update({ protocol });
  }
  group(): EventGroupMarker {
    return this.#groups.of(this.clock.phase);
  }
  enter(phase: KeygenPhase, waitingFor = ''): void {
    this.waitingFor = waitingFor;
    this.clock.enter(phase);
    this.changed();
  }
  wait(waitingFor: string): void {
    this.waitingFor = waitingFor;
    this.changed();
  }
  changed(): void {
    this.#attributes.update({ phase: this.clock.phase });
    setCurrentDetails(keygenBoard(this.status()));
  }
  status(): KeygenStatus {
    return {
      phase: this.clock.phase,
      request: this.request,
      ...(this.attempt === undefined ? {} : { attempt: this.attempt }),
      parties: this.progress.rows,
      certificates: this.certificates,
      activated: [...this.activated],
      waitingFor: this.waitingFor,
      ...(this.address === undefined ? {} : { address: this.address }),
      undos: this.undos.status,
      ...(this.failure === undefined ? {} : { failure: this.failure }),
      phasesMs: this.clock.spentMs,
    };
  }

  requestCancel(): CancelReceipt {
    if (this.ended || this.certified)
      return { accepted: false, path: 'too-late', message: `The key is ${this.clock.phase}.` };
    if (this.#interruption === undefined) {
      this.#interruption = new KeysagaError('Cancelled', 'Cancelled on request.');
      this.#scope.cancel();
    }
    return {
      accepted: true,
      path: 'compensate',
      message: 'The shares of the ceremony are destroyed.',
    };
  }
  throwIfInterrupted(): void {
    if (this.#interruption !== undefined && !this.certified) throw this.#interruption;
  }
  get interrupted(): boolean {
    return this.#interruption !== undefined && !this.certified;
  }

  /** A step before the pivot: an interruption cancels it, and is what it then throws. */
  async run<T>(step: () => Promise<T>): Promise<T> {
    this.throwIfInterrupted();
    try {
      return await this.#scope.run(step);
    } catch (error) {
      if (fromFailure(error).code === 'Cancelled') this.throwIfInterrupted();
      throw error;
    }
  }
  async until(met: () => boolean, milliseconds: number, summary: string): Promise<boolean> {
    if (milliseconds > 0)
      await condition(() => met() || this.interrupted, milliseconds, { summary });
    this.throwIfInterrupted();
    return met();
  }
  async insist<T>(what: string, step: () => Promise<T>): Promise<T> {
    for (let wave = 1; ; wave++) {
      try {
        const result = await step();
        if (wave > 1) this.wait('');
        return result;
      } catch (error) {
        const failure = fromFailure(error, { timeout: 'TimeLimit' });
        this.wait(`ALERT: ${what} failed ${wave} times (${failure.code}: ${failure.message})`);
        await condition(() => false, backoffMs(wave, BACKOFF_CAPS.afterPivot), {
          summary: `${what} failed (${failure.code}), tried again`,
        });
      }
    }
  }
  failed(error: KeysagaError): FailureInfo {
    const { party, field } = error.details;
    this.failure = {
      code: error.code,
      message: error.message.slice(0, 500),
      ...(typeof party === 'string' ? { party: party as PartyId } : {}),
      ...(field === undefined ? {} : { field }),
      at: isoNow(),
    };
    this.changed();
    return this.failure;
  }
}
