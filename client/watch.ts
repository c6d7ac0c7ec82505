/** Following a saga: a query is asked again until the saga ends; only changes are passed on. */
import { setTimeout as sleep } from 'node:timers/promises';
import { isKeysagaError, KeysagaError } from '../schema/contracts/errors.ts';

export type WatchOptions = {
  /**
   * Milliseconds between two looks while something happens; default 250. While nothing does, the pause grows to eight
   * times as much. Lower shows short phases, and costs a query each.
   */
  readonly intervalMs?: number;
  /** Ends the watch with `TimeLimit`; default: none, since approvals may take days. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Nobody answers at the moment (a worker or Temporal is down); the watch goes on. */
  readonly onUnavailable?: (error: KeysagaError) => void;
};

export type Watched<S> = {
  readonly look: () => Promise<S>;
  readonly ended: (status: S) => boolean;
  /** Is the workflow closed, whatever its last status says (an operator terminated it)? */
  readonly closed: () => Promise<boolean>;
  readonly subject: string;
};

const CLOSED_CHECK_MS = 5_000;

/** Yields the first status and each that differs from the one before; returns after the one that ends the saga. */
export async function* watchSaga<S>(
  watched: Watched<S>,
  options: WatchOptions = {},
): AsyncGenerator<S, void, void> {
  const { look, ended, closed, subject } = watched;
  const interval = options.intervalMs ?? 250;
  const begun = Date.now();
  let pause = interval;
  let shown: string | undefined;
  let checkedAt = begun;
  for (;;) {
    options.signal?.throwIfAborted();
    if (options.timeoutMs !== undefined && Date.now() - begun > options.timeoutMs)
      throw new KeysagaError('TimeLimit', `${subject} did not end within the time given.`, {});
    let status: S | undefined;
    try {
      status = await look();
    } catch (error) {
      if (!isKeysagaError(error, 'PartFailed')) throw error;
      options.onUnavailable?.(error);
      pause = Math.max(pause, 1_000);
    }
    if (status !== undefined) {
      const text = JSON.stringify(status);
      pause = text === shown ? Math.min(pause * 1.5, interval * 8) : interval;
      if (text !== shown) {
        shown = text;
        yield status;
      }
      if (ended(status)) return;
      if (Date.now() - checkedAt > CLOSED_CHECK_MS) {
        checkedAt = Date.now();
        if (await closed()) {
          const last = await look();
          if (JSON.stringify(last) !== shown) yield last;
          if (ended(last)) return;
          throw new KeysagaError('Cancelled', `${subject} was terminated by an operator.`, {});
        }
      }
    }
    await sleep(pause, undefined, options.signal === undefined ? {} : { signal: options.signal });
  }
}
