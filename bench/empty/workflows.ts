/**
 * The yardstick: a saga of the transfer's shape whose activities do nothing. Same queues in number, same hops, same
 * signals, same parallelism, same payload sizes as JSON; what is left is Temporal and the network.
 */
import { condition, defineSignal, proxyActivities, setHandler } from '@temporalio/workflow';

export type Empty = { step(payload: string): Promise<string> };
export type Shape = {
  readonly parties: readonly string[];
  readonly approvals: number;
  readonly rounds: number;
  /** Characters that each party message carries. */
  readonly payload: number;
};

export const EMPTY_QUEUES = {
  sagas: 'empty-sagas',
  ledger: 'empty-ledger',
  chain: 'empty-chain',
} as const;
export const emptyPartyQueue = (party: string): string => `empty-${party}`;
export const emptyApprove = defineSignal('approve');

const on = (taskQueue: string) =>
  proxyActivities<Empty>({ taskQueue, startToCloseTimeout: 30_000, retry: { maximumAttempts: 3 } });

export async function emptyTransfer(shape: Shape): Promise<void> {
  let approvals = 0;
  const recorded: Promise<string>[] = [];
  const ledger = on(EMPTY_QUEUES.ledger);
  const chain = on(EMPTY_QUEUES.chain);
  const payload = 'x'.repeat(shape.payload);
  setHandler(emptyApprove, () => {
    approvals += 1;
    recorded.push(ledger.step('decision'));
  });
  await ledger.step('reserve');
  await condition(() => approvals >= shape.approvals);
  await chain.step('build');
  const all = () =>
    Promise.all(shape.parties.map((party) => on(emptyPartyQueue(party)).step(payload)));
  await all();
  for (let round = 1; round <= shape.rounds; round++) {
    if (round === shape.rounds) {
      await Promise.all(recorded);
      await ledger.step('pivot');
    }
    await all();
  }
  await chain.step('attach');
  await chain.step('broadcast');
  await chain.step('confirm');
  await ledger.step('settle');
}
