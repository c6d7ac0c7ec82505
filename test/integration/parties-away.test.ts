/**
 * Parties that do not run. One of three is not missed: transfers complete and only `health` tells. With two away a
 * transfer waits, names them, and goes on when one is back; or it compensates at its limit and frees all it held.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../../dev/until.ts';
import type { SagaLimits } from '../../schema/contracts/saga.ts';
import { checkLedger } from '../crash/cells.ts';
import { approve } from '../support/parties.ts';
import { type Platform, startPlatform } from '../support/platform.ts';
import { CHAINS, expectEnd, temporalCli, untilStatus, type Wallets, wallets } from './support.ts';

let platform: Platform;
let roomy: Wallets;
/** One coin, one nonce account and funds for one transfer: the next one needs all that the first one held. */
let tight: Wallets;
beforeAll(async () => {
  platform = await startPlatform({ poolSize: 1 });
  [roomy, tight] = await Promise.all([
    wallets(platform, 'roomy'),
    wallets(platform, 'tight', {
      bitcoin: { coins: 1, each: 100_000n },
      solana: { coins: 1, each: 3_000_000n },
    }),
  ]);
}, 300_000);
afterAll(() => platform?.close());

/** Alpha is the first choice of every saga, until the ledger has seen it fail. */
const AWAY = ['alpha', 'beta'] as const;
const states = async (): Promise<Record<string, string>> =>
  Object.fromEntries(
    (await platform.client.parties(2_000)).map(({ party, state }) => [party, state]),
  );

describe('parties away', () => {
  it('completes transfers with one party stopped, which only health shows', {
    timeout: 180_000,
  }, async () => {
    await platform.hold('alpha');
    expect(await states()).toEqual({ alpha: 'down', beta: 'up', gamma: 'up' });
    const intents = CHAINS.map((chain) => platform.intent(roomy[chain]));
    await Promise.all(intents.map((intent) => platform.startApproved(intent)));
    for (const intent of intents) {
      const status = await expectEnd(platform, intent, 'Completed');
      expect(status.failure).toBeUndefined();
      expect(status.parties.map(({ party }) => party)).toEqual(['beta', 'gamma']);
    }
    // The ledger's ranking has learnt: the next one does not even try the absent.
    const next = platform.intent(roomy.solana);
    await platform.startApproved(next);
    expect((await expectEnd(platform, next, 'Completed')).attempts).toBe(1);
    await checkLedger(platform);
  });

  it('waits visibly with two stopped, compensates at the limit, and goes on when one is back', {
    timeout: 240_000,
  }, async () => {
    const { client, cast } = platform;
    const cli = await temporalCli(platform);
    await platform.hold('beta');

    const start = (from: Wallets, limits?: SagaLimits) =>
      Promise.all(
        CHAINS.map(async (chain) => {
          const intent = platform.intent(
            from[chain],
            chain === 'solana' ? { amount: '2000000' } : {},
          );
          await client.transfer(intent, limits === undefined ? {} : { limits });
          for (const who of cast.approvers.slice(0, cast.policy.quorum))
            await client.signalDecision(intent.requestId, approve(intent, who));
          return intent;
        }),
      );
    const [patient, impatient] = await Promise.all([
      start(roomy),
      start(tight, { waitForParties: 2 }),
    ]);

    for (const { requestId } of patient) {
      const status = await untilStatus(
        platform,
        requestId,
        ({ waitingFor }) =>
          waitingFor.startsWith('parties') && AWAY.every((name) => waitingFor.includes(name)),
        'it says for whom it waits',
      );
      expect(status.pivotPassed).toBe(false);
      expect(status.transactionId).toBeUndefined();
    }

    for (const intent of impatient) {
      const status = await expectEnd(platform, intent, 'Failed');
      expect(status.failure?.code).toBe('PartyUnavailable');
      expect(status.failure?.message).toContain('2 s');
      // What the party that was there did is undone; what the others are owed is written down for their return.
      const undone = status.undos.filter(({ state }) => state !== 'not-needed');
      expect(undone.map(({ step }) => step)).toEqual(
        expect.arrayContaining(['release the reservation', 'release the lease']),
      );
      for (const undo of undone) expect(['done', 'owed']).toContain(undo.state);
    }

    // The others are still waiting, and one party's return is enough for them.
    for (const { requestId } of patient)
      expect((await client.status(requestId)).phase).toBe('Preparing');
    await platform.resume('beta');
    for (const intent of patient) await expectEnd(platform, intent, 'Completed');

    // Reservation, coin and nonce account are free again: there is enough of each for one transfer only.
    const later = await start(tight);
    for (const intent of later) await expectEnd(platform, intent, 'Completed');
    await checkLedger(platform);

    await platform.resume('alpha');
    await until(async () => Object.values(await states()).every((state) => state === 'up'), {
      deadlineMs: 60_000,
      what: 'every party is up',
    });
    // Undos that were owed to the absent are delivered.
    await until(
      async () =>
        (
          await cli.run(
            'workflow',
            'count',
            '--query',
            "WorkflowType = 'deliverUndo' AND ExecutionStatus = 'Running'",
          )
        ).trim() === 'Total: 0',
      { deadlineMs: 60_000, intervalMs: 200, what: 'owed undos are delivered' },
    );
    expect(
      (await cli.run('workflow', 'count', '--query', "WorkflowType = 'deliverUndo'")).trim(),
    ).not.toBe('Total: 0');
  });
});
