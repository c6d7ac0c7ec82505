/** Time spent per phase, in workflow time. */
export class PhaseClock<P extends string> {
  #phase: P;
  #since = Date.now();
  readonly #spent = new Map<string, number>();

  constructor(first: P) {
    this.#phase = first;
  }
  get phase(): P {
    return this.#phase;
  }
  /** True when the phase changed. */
  enter(phase: P): boolean {
    if (phase === this.#phase) return false;
    const now = Date.now();
    this.#spent.set(this.#phase, (this.#spent.get(this.#phase) ?? 0) + now - this.#since);
    this.#phase = phase;
    this.#since = now;
    return true;
  }
  /** Whole milliseconds of each phase that has ended; a phase entered twice is summed. */
  get spentMs(): Record<string, number> {
    return Object.fromEntries(this.#spent);
  }
}

export const isoNow = (): string => new Date(Date.now()).toISOString();
