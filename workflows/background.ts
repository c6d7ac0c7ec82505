/** Work beside the critical path: started now, awaited where it must be done. */
import { CancellationScope, condition } from '@temporalio/workflow';
import type { KeysagaError } from '../schema/contracts/errors.ts';
import { fromFailure } from '../schema/contracts/failures.ts';

export class Background {
  #pending = 0;
  #failure: KeysagaError | undefined;

  /** Runs to its end even when the saga is cancelled. A failure is kept for `settled`. */
  start(work: () => Promise<unknown>): void {
    this.#pending += 1;
    CancellationScope.nonCancellable(work)
      .catch((error: unknown) => {
        this.#failure ??= fromFailure(error, { timeout: 'TimeLimit' });
      })
      .finally(() => {
        this.#pending -= 1;
      });
  }
  get idle(): boolean {
    return this.#pending === 0;
  }
  /** Waits for all that was started; answers with the first failure, if any, and forgets it. */
  async settled(): Promise<KeysagaError | undefined> {
    if (this.#pending > 0) await condition(() => this.#pending === 0);
    const failure = this.#failure;
    this.#failure = undefined;
    return failure;
  }
}
