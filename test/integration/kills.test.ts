/**
 * SIGKILL in mid-saga, at whatever line the process happens to be (the named points are the crash matrix's business):
 * each saga completes, its destination is paid exactly once, and nothing stays leased. Killed workers are restarted by
 * the supervisor; after a kill of Temporal or PostgreSQL nobody helps the workers.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../../dev/until.ts';
import type { TransferIntent } from '../../schema/contracts/intent.ts';
import type { TransferPhase, TransferStatus } from '../../schema/contracts/saga.ts';
import { checkLedger } from '../crash/cells.ts';
import { type Platform, startPlatform } from '../support/platform.ts';
import { CHAINS, expectEnd, type Wallets, wallets } from './support.ts';

let platform: Platform;
let funded: Wallets;
beforeAll(async () => {
  platform = await startPlatform();
  funded = await wallets(platform, 'kills', { bitcoin: { coins: 12, each: 300_000n } });
}, 300_000);
afterAll(() => platform?.close());

const IN_FLIGHT: readonly TransferPhase[] = ['Preparing', 'Signing', 'Broadcasting'];
const BEFORE: readonly TransferPhase[] = ['Initiated', 'AwaitingApprovals'];

/** A transfer on each chain, caught while at least one is between build and broadcast. */
async function inFlight(): Promise<{ intents: TransferIntent[]; caught: TransferStatus }> {
  const intents: TransferIntent[] = [];
  for (let tries = 1; tries <= 5; tries++) {
    const pair = CHAINS.map((chain) => platform.intent(funded[chain]));
    intents.push(...pair);
    await Promise.all(pair.map((intent) => platform.startApproved(intent)));
    // Sagas take some hundred milliseconds: the look must not cost them the phase.
    const caught = await until(
      async () => {
        const seen = await Promise.all(pair.map((i) => platform.client.status(i.requestId)));
        const flying = seen.find(({ phase }) => IN_FLIGHT.includes(phase));
        if (flying !== undefined) return { flying };
        return seen.some(({ phase }) => BEFORE.includes(phase)) ? undefined : { flying };
      },
      { deadlineMs: 60_000, intervalMs: 1, what: 'a transfer is in flight' },
    );
    if (caught.flying !== undefined) return { intents, caught: caught.flying };
  }
  throw new Error('five pairs of transfers went by unseen');
}

const killWorker = async (name: string): Promise<void> => {
  const worker = platform.workers.get(name);
  if (worker?.pid === undefined) throw new Error(`${name} does not run`);
  await worker.kill('SIGKILL');
};
/** A party that works on the caught transfer, or the first one before signers were chosen. */
const signerOf = (caught: TransferStatus): string =>
  caught.parties[0]?.party ?? (platform.cast.parties[0] as string);
const restartPart = async (part: 'temporal' | 'postgres'): Promise<void> => {
  await platform.stack.kill(part);
  await platform.stack.restart(part);
};

const VICTIMS: readonly [string, (caught: TransferStatus) => Promise<unknown>][] = [
  ['a party that signs', (caught) => killWorker(signerOf(caught))],
  ['the coordinator', () => killWorker('coordinator')],
  [
    'a party and the coordinator at once',
    (caught) => Promise.all([killWorker(signerOf(caught)), killWorker('coordinator')]),
  ],
  ['Temporal', () => restartPart('temporal')],
  ['PostgreSQL', () => restartPart('postgres')],
];

describe('SIGKILL in mid-saga', () => {
  it.each(VICTIMS)('%s', { timeout: 240_000 }, async (_name, kill) => {
    const { intents, caught } = await inFlight();
    expect(IN_FLIGHT).toContain(caught.phase);
    await kill(caught);
    for (const intent of intents) await expectEnd(platform, intent, 'Completed', 180_000);
    await checkLedger(platform);
  });

  it('leaves every worker able to go on', { timeout: 120_000 }, async () => {
    await until(
      async () => (await platform.client.parties()).every(({ state }) => state === 'up'),
      { deadlineMs: 60_000, intervalMs: 200, what: 'all parties answer' },
    );
    const intents = CHAINS.map((chain) => platform.intent(funded[chain]));
    await Promise.all(intents.map((intent) => platform.startApproved(intent)));
    for (const intent of intents) await expectEnd(platform, intent, 'Completed');
    await checkLedger(platform);
  });
});
