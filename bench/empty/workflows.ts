/**
 * The yardstick: a saga of the transfer's shape whose activities do nothing. Same queues in number, same hops, same
 * signals, same parallelism, same payload sizes as JSON; what is left is Temporal and the network.
 */
import { condition, defineSignal, proxyActivities, setHandler } from '@temporalio/workflow';

export type Empty = { step(payload: string): Promise<string> };
export type Shape = {
  readonly parties: readonly string[];
  readonly approvals: number;
  /** Characters that each party's message of the preparation carries. */
  readonly prepare: number;
  /** The same of each round. */
  readonly rounds: readonly number[];
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
  setHandler(emptyApprove, () => {
    approvals += 1;
    recorded.push(ledger.step('decision'));
  });
  await ledger.step('reserve');
  await condition(() => approvals >= shape.approvals);
  await chain.step('build');
  const all = (characters: number) => {
    const payload = 'x'.repeat(characters);
    return Promise.all(shape.parties.map((party) => on(emptyPartyQueue(party)).step(payload)));
  };
  await all(shape.prepare);
  for (const [i, characters] of shape.rounds.entries()) {
    if (i === shape.rounds.length - 1) {
      await Promise.all(recorded);
      await ledger.step('pivot');
    }
    await all(characters);
  }
  await chain.step('attach');
  await chain.step('broadcast');
  await chain.step('confirm');
  await ledger.step('settle');
}
