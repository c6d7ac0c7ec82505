/** A workflow whose way depends on when a task began: the one that finds its timer late writes a memo first. */
import {
  condition,
  defineQuery,
  defineSignal,
  setHandler,
  sleep,
  upsertMemo,
} from '@temporalio/workflow';
import { MESSAGES } from '../../../schema/contracts/temporal.ts';

const LATE_MS = 5_000;

export async function punctual(afterMs: number): Promise<string> {
  let state = 'waits';
  let left = false;
  setHandler(defineQuery<string>(MESSAGES.status), () => state);
  setHandler(defineSignal('leave'), () => {
    left = true;
  });
  const due = Date.now() + afterMs;
  await sleep(afterMs);
  if (Date.now() < due + LATE_MS) state = 'on time';
  else {
    upsertMemo({ late: true });
    state = 'late';
  }
  await condition(() => left);
  return state;
}
