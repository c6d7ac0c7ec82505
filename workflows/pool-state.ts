/** State of one presignature pool and what shows it: board, search attributes, status query. */
import { type EventGroupMarker, setCurrentDetails, setHandler } from '@temporalio/workflow';
import type { PartyReport } from '../schema/contracts/activities.ts';
import {
  type PoolInput,
  PoolMarks,
  type PoolPhase,
  type PoolStatus,
  type PoolStock,
} from '../schema/contracts/pool.ts';
import { Background } from './background.ts';
import { poolBoard } from './board-pool.ts';
import { PhaseClock } from './clock.ts';
import { dropPoolSignal, fillPoolSignal, poolStatus } from './messages.ts';
import { Progress } from './progress.ts';
import { Compensations } from './saga.ts';
import { SearchAttributes } from './search-attributes.ts';
import { PhaseGroups } from './steps.ts';

export class PresignaturePool {
  readonly input: PoolInput;
  readonly clock = new PhaseClock<PoolPhase>('Starting');
  readonly background = new Background();
  readonly progress = new Progress();
  readonly undos = new Compensations(() => this.changed());
  readonly reports: PartyReport[] = [];
  marks: PoolMarks;
  stock: PoolStock | undefined;
  /** Made by this run. */
  packs = 0;
  waitingFor = '';
  /** Somebody asked it to look now. */
  poked = false;
  dropping: string | undefined;
  readonly #groups = new PhaseGroups();
  readonly #attributes = new SearchAttributes();

  constructor(input: PoolInput) {
    this.input = input;
    this.marks = input.marks;
    setHandler(poolStatus, () => this.status());
    // Signals come from whoever reaches Temporal: what does not parse only makes it look.
    setHandler(fillPoolSignal, (marks) => {
      const { data } = PoolMarks.safeParse(marks);
      if (data !== undefined) this.marks = data;
      this.poked = true;
    });
    setHandler(dropPoolSignal, (reason) => this.drop(typeof reason === 'string' ? reason : ''));
    this.#attributes.update({ wallet: input.walletId, phase: this.clock.phase });
    this.changed();
  }

  drop(reason: string): void {
    this.dropping ??= (reason === '' ? 'on request' : reason).slice(0, 200);
  }
  group(): EventGroupMarker {
    return this.#groups.of(this.clock.phase);
  }
  enter(phase: PoolPhase, waitingFor = ''): void {
    this.waitingFor = waitingFor;
    if (this.clock.enter(phase)) this.#attributes.update({ phase });
    this.changed();
  }
  changed(): void {
    setCurrentDetails(poolBoard(this.status(), this.progress.rows));
  }

  status(): PoolStatus {
    const { walletId, signers } = this.input;
    return {
      phase: this.clock.phase,
      walletId,
      signers,
      marks: { ...this.marks },
      ...(this.stock === undefined ? {} : { stock: this.stock }),
      packs: this.packs,
      waitingFor: this.waitingFor,
    };
  }
}
