/**
 * Payouts on the whole platform: a list from a file, approved at the command line, is paid by one transaction, whatever
 * is killed meanwhile; each line once, by the node's own word, or none.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { depositAddress, type Wallet } from '../../client/index.ts';
import { eachLine } from '../../core/payout.ts';
import { until } from '../../dev/until.ts';
import type { PayoutIntent, PayoutLine } from '../../schema/contracts/payout.ts';
import type { PayoutStatus } from '../../schema/contracts/payout-saga.ts';
import type { RequestId } from '../../schema/contracts/primitives.ts';
import { armFailPoint, failPointFile } from '../../workers/support/fail-points.ts';
import { checkLedger } from '../crash/cells.ts';
import { approve, BITCOIN, castOf, payoutFor } from '../support/parties.ts';
import { type Platform, startPlatform } from '../support/platform.ts';
import { commandLine } from './command-line.ts';

const LINES = 40;
let platform: Platform;
let treasury: Wallet;
beforeAll(async () => {
  // The void of 500 outputs must be allowed to outbid their fee.
  const { voidFeeCaps } = castOf(3).policy;
  const cast = castOf(3, {
    voidFeeCaps: voidFeeCaps.map((one) =>
      one.network === BITCOIN ? { ...one, cap: '1000000' as never } : one,
    ),
  });
  platform = await startPlatform({ chains: ['bitcoin'], cast });
  treasury = await platform.wallet('treasury', 'bitcoin', { coins: 12, each: 60_000n });
}, 300_000);
afterAll(() => platform?.close());

const list = (count: number, each = 10_000): PayoutLine[] =>
  Array.from({ length: count }, (_, i) => ({
    destination: platform.freshDestination('bitcoin'),
    amount: `${each + i}`,
    reference: `invoice ${i}`,
  }));
const untilPayout = (
  requestId: string,
  wanted: (status: PayoutStatus) => unknown,
  what: string,
): Promise<PayoutStatus> =>
  until(
    async () => {
      const status = await platform.client.payoutStatus(requestId).catch(() => undefined);
      return status !== undefined && wanted(status) ? status : undefined;
    },
    { deadlineMs: 180_000, intervalMs: 200, what: `${requestId}: ${what}` },
  );
const ended = (requestId: string): Promise<PayoutStatus> =>
  untilPayout(requestId, ({ phase }) => phase === 'Completed' || phase === 'Failed', 'ends');

/** Each destination has exactly what its lines say, or nothing, and the status says the same of each. */
async function expectLines(
  { intent, lines }: PayoutStatus,
  fate: 'paid' | 'voided' | 'not-paid',
  { but = -1 }: { but?: number } = {},
): Promise<void> {
  const due = new Map<string, bigint>();
  for (const { line, destination, amount, fate: told } of eachLine(intent, lines)) {
    expect(told).toBe(fate);
    const before = due.get(destination) ?? 0n;
    if (line !== but) due.set(destination, before + (fate === 'paid' ? BigInt(amount) : 0n));
  }
  for (const [destination, amount] of due)
    expect(await platform.received('bitcoin', destination)).toBe(amount);
}
async function startApproved(intent: PayoutIntent): Promise<void> {
  await platform.client.payout(intent);
  for (const who of platform.cast.approvers.slice(0, 2))
    await platform.client.signalPayoutDecision(intent.requestId, approve(intent, who));
}

describe('a payout', () => {
  it('of a file is approved at the command line and pays every line once, the coordinator killed twice on the way', {
    timeout: 240_000,
  }, async () => {
    const { json: run } = await commandLine(platform);
    const lines = list(LINES - 1);
    // Somebody is paid twice, on purpose.
    const again = { ...(lines[3] as PayoutLine), reference: 'a second invoice' };
    const file = join(platform.dataDir, 'payroll.csv');
    const rows = [...lines, again].map(
      (one) => `${one.destination},${one.amount},${one.reference}`,
    );
    writeFileSync(file, ['destination,amount,reference', ...rows].join('\n'));
    const id = 'payroll-may';
    const start = ['payout', 'start', file, '--wallet', 'treasury', '--fee-cap', '50000'];
    const asked = [...start, '--request-id', id];
    expect(await run(...asked)).toMatchObject({ fresh: true, workflowId: `payout/${id}` });
    expect(await run(...asked)).toMatchObject({ fresh: false });
    const [first, second] = platform.cast.approvers;
    await until(
      async () => JSON.stringify(await run('approvals', '--as', first?.name ?? '')).includes(id),
      { deadlineMs: 30_000, intervalMs: 200, what: 'the payout is listed' },
    );
    // Another request under its id is refused, a transfer too.
    const rival = platform.intent(treasury, { requestId: id as RequestId });
    await platform.client.transfer(rival);
    await expect(platform.client.result(id)).rejects.toMatchObject({ code: 'RequestConflict' });

    const points = ['passPivot:after-commit', 'broadcast:before-commit'];
    for (const point of points) armFailPoint(platform.failPoints, point);
    for (const who of [first, second]) await run('approve', id, '--as', who?.name ?? '', '--yes');
    const status = await ended(id);
    expect(status.failure).toBeUndefined();
    for (const point of points)
      expect(() => readFileSync(failPointFile(platform.failPoints, point))).toThrow('ENOENT');
    await expectLines(status, 'paid');
    expect(status.intent.lines).toHaveLength(LINES);
    expect(status.lines).toEqual([
      { from: 0, to: LINES - 1, fate: 'paid', transactionId: status.transactionId },
    ]);
    // The inputs, each a digest, were signed in one session: outputs of 60,000 make no list of 400,000 alone.
    expect(status.transaction?.spentOutputs?.length).toBeGreaterThan(6);
    const shown = (await run('payout', 'show', id)) as { eachLine: { fate: string }[] };
    expect(shown.eachLine.map(({ fate }) => fate)).toEqual(Array(LINES).fill('paid'));
    const result = await platform.client.payoutResult(id);
    expect(result.transactionId).toBe(status.transactionId);
    await checkLedger(platform);
  });

  it('whose line cannot be paid is refused by the line’s name, before anybody approves', {
    timeout: 120_000,
  }, async () => {
    const mainnet = 'bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4';
    for (const [field, bad, code] of [
      ['lines[2].destination', { destination: mainnet, amount: '10000' }, 'InvalidInput'],
      [
        'amount',
        { destination: platform.freshDestination('bitcoin'), amount: '90000000' },
        'InsufficientFunds',
      ],
    ] as const) {
      const intent = payoutFor(treasury.key, list(5).with(2, bad));
      await platform.client.payout(intent);
      const status = await ended(intent.requestId);
      expect(status.failure).toMatchObject({ code, field });
      // A foreign address is none that the node could be asked about.
      await expectLines(status, 'not-paid', { but: 2 });
    }
    // Dust shows when the transaction is built; nothing stays leased.
    const dust = payoutFor(
      treasury.key,
      list(5).with(4, { ...(list(1)[0] as PayoutLine), amount: '10' }),
    );
    await startApproved(dust);
    expect((await ended(dust.requestId)).failure).toMatchObject({
      code: 'InvalidInput',
      field: 'lines[4].amount',
    });
    await checkLedger(platform);
  });

  it('that is cancelled while it waits for a block is voided, and no line is paid', {
    timeout: 180_000,
  }, async () => {
    await platform.mining(false);
    try {
      const intent = payoutFor(treasury.key, list(10, 5_000));
      await startApproved(intent);
      const sent = await untilPayout(
        intent.requestId,
        ({ phase }) => phase === 'Confirming',
        'sent',
      );
      expect(sent.lines).toMatchObject([{ from: 0, to: 9, fate: 'sent' }]);
      await platform.client.cancelPayout(intent.requestId);
      await untilPayout(intent.requestId, (s) => s.voidTransactionId, 'the void is signed');
      await platform.mining(true);
      const status = await ended(intent.requestId);
      expect(status).toMatchObject({ phase: 'Failed', failure: { code: 'Cancelled' } });
      await expectLines(status, 'voided');
      await checkLedger(platform);
    } finally {
      await platform.mining(true);
    }
  });

  it('is paid from a deposit address of an ECDSA wallet, 500 lines at once', {
    timeout: 180_000,
  }, async () => {
    const wallet = await platform.wallet('payers', 'bitcoin', { coins: 0, protocol: 'dkls23' });
    const path = 'm/0/3';
    const { address } = depositAddress(wallet, path);
    for (let i = 0; i < 2; i++) await platform.stack.bitcoin.faucet(address, 400_000n);
    await platform.stack.bitcoin.mine(1);
    await until(
      async () => (await platform.client.balances(wallet, [path]))[0]?.balance === '800000',
      { deadlineMs: 60_000, intervalMs: 300, what: 'the deposits are seen' },
    );
    const intent = payoutFor(wallet.key, list(500, 600), {
      path,
      feeCap: '200000',
    });
    await startApproved(intent);
    const status = await ended(intent.requestId);
    expect(status.failure).toBeUndefined();
    await expectLines(status, 'paid');
    await checkLedger(platform);
  });
});
