/**
 * Anchored transfers and voids on the whole platform, on both chains: leased before anyone approves, spent by the one
 * transaction that pays, given back when none will, and after the pivot excluded by a void on the same anchor.
 */
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { anchoredOn, anchorRequestFor } from '../../client/index.ts';
import { until } from '../../dev/until.ts';
import { CoordinatorConfig } from '../../schema/contracts/config.ts';
import type { Anchor, TransferIntent } from '../../schema/contracts/intent.ts';
import { armFailPoint } from '../../workers/support/fail-points.ts';
import { checkLedger } from '../crash/cells.ts';
import { approve, BITCOIN, castOf, SOLANA } from '../support/parties.ts';
import { type Platform, startPlatform } from '../support/platform.ts';
import {
  CHAINS,
  type Chain,
  expectEnd,
  untilPhase,
  untilStatus,
  type Wallets,
  wallets,
} from './support.ts';

const FROM: Readonly<Record<Chain, string>> = { bitcoin: '40000', solana: '3000000' };
let platform: Platform;
let funded: Wallets;
beforeAll(async () => {
  const limit = (network: string, anchorFrom: string) => ({
    network,
    asset: 'native',
    perTransfer: '10000000000',
    perDay: '20000000000',
    anchorFrom,
  });
  platform = await startPlatform({
    // A party that dies stays away until a test brings it back.
    supervise: false,
    instances: 2,
    coordinators: 2,
    cast: castOf(3, { limits: [limit(BITCOIN, FROM.bitcoin), limit(SOLANA, FROM.solana)] }),
  });
  funded = await wallets(platform, 'anchored', { bitcoin: { coins: 6, each: 300_000n } });
}, 300_000);
afterAll(() => platform?.close());

async function anchoredIntent(chain: Chain, change: Partial<TransferIntent> = {}) {
  const draft = platform.intent(funded[chain], change);
  const leased = await platform.client.anchor(anchorRequestFor(draft));
  return { intent: anchoredOn(draft, leased), leased };
}
/** The resource as it stands in the bytes of a transaction that spends it. */
const inBytes = (anchor: Anchor): string => {
  if (anchor.kind === 'bitcoin-outpoint')
    return Buffer.from(anchor.txid, 'hex').reverse().toString('hex');
  if (anchor.kind === 'solana-nonce') return anchor.value;
  throw new Error('no such chain here');
};

describe('an anchored transfer', () => {
  it.each(CHAINS)('on %s spends what its approvers saw', { timeout: 120_000 }, async (chain) => {
    const { intent, leased } = await anchoredIntent(chain, { amount: FROM[chain] });
    // The same wish again is the same anchor.
    expect(await platform.client.anchor(anchorRequestFor(intent))).toEqual(leased);
    await platform.startApproved(intent);
    const status = await expectEnd(platform, intent, 'Completed');
    expect(status.intent.anchor).toEqual(leased.anchor);
    expect(status.transaction?.bytes).toContain(inBytes(leased.anchor));
    // What a final transaction has spent anchors nobody else.
    const next = await anchoredIntent(chain);
    expect(next.leased.anchor).not.toEqual(leased.anchor);
    expect(await platform.client.giveAnchorBack(next.intent.requestId)).toMatchObject({
      accepted: true,
    });
    await expect(platform.client.anchor(anchorRequestFor(next.intent))).rejects.toMatchObject({
      code: 'StateConflict',
      details: { field: 'anchor' },
    });
    expect(await platform.client.giveAnchorBack(intent.requestId)).toMatchObject({
      accepted: false,
      path: 'too-late',
    });
  });

  it('is demanded from an amount on; below it is not', { timeout: 120_000 }, async () => {
    for (const chain of CHAINS) {
      const intent = platform.intent(funded[chain], { amount: FROM[chain] });
      await platform.startApproved(intent);
      const status = await expectEnd(platform, intent, 'Failed');
      expect(status.failure).toMatchObject({
        code: 'PolicyViolation',
        field: 'anchor',
        message: expect.stringContaining('--anchor'),
      });
    }
    const below = platform.intent(funded.solana, { amount: `${BigInt(FROM.solana) - 1n}` });
    await platform.startApproved(below);
    await expectEnd(platform, below, 'Completed');
  });

  it('gives its anchor back when it is rejected, and when it cannot begin', {
    timeout: 120_000,
  }, async () => {
    const one = await platform.wallet('one-coin', 'bitcoin', { coins: 1 });
    const lease = (intent: TransferIntent) => platform.client.anchor(anchorRequestFor(intent));
    const first = platform.intent(one);
    const { anchor } = await lease(first);
    const intent = anchoredOn(first, { anchor, until: first.expiresAt });
    await platform.client.transfer(intent);
    const [, ben] = platform.cast.approvers;
    await platform.client.signalDecision(
      intent.requestId,
      approve(intent, ben as NonNullable<typeof ben>, 'reject'),
    );
    await expectEnd(platform, intent, 'Failed');
    const second = platform.intent(one, { amount: '400000' });
    expect((await lease(second)).anchor).toEqual(anchor);
    const broke = anchoredOn({ ...second, amount: '9000000' }, { anchor, until: second.expiresAt });
    await platform.startApproved(broke);
    expect((await expectEnd(platform, broke, 'Failed')).failure?.code).toBe('InsufficientFunds');
    const third = platform.intent(one);
    expect((await lease(third)).anchor).toEqual(anchor);
    // Somebody else's anchor is none of this request's.
    const thief = anchoredOn(platform.intent(one), { anchor, until: third.expiresAt });
    await platform.startApproved(thief);
    expect((await expectEnd(platform, thief, 'Failed')).failure).toMatchObject({
      code: 'StateConflict',
      field: 'anchor',
    });
    await platform.startApproved(anchoredOn(third, { anchor, until: third.expiresAt }));
    await expectEnd(platform, anchoredOn(third, { anchor, until: third.expiresAt }), 'Completed');
  });

  it('is one command: keysaga transfer leases it unasked where the policy wants it', {
    timeout: 120_000,
  }, async () => {
    const { temporal, payloadKeys, directory } = CoordinatorConfig.parse(
      JSON.parse(readFileSync(join(platform.dataDir, 'coordinator.json'), 'utf8')),
    );
    const config = join(platform.dataDir, 'anchors-client.json');
    writeFileSync(config, JSON.stringify({ temporal, payloadKeys, directory }), { mode: 0o600 });
    const to = platform.freshDestination('solana');
    const run = async (...extra: string[]) => {
      const { stdout } = await promisify(execFile)(
        process.execPath,
        [
          ...['--import', 'tsx', 'cli/main.ts', 'transfer', '--wallet', 'anchored-solana'],
          ...['--to', to, '--amount', FROM.solana, '--fee-cap', '50000', '--json', ...extra],
        ],
        { env: { ...process.env, KEYSAGA_CONFIG: config }, timeout: 90_000 },
      );
      return JSON.parse(stdout) as { fresh: boolean; intent: TransferIntent };
    };
    // Unasked: the policy demands one for this amount.
    const { intent } = await run('--request-id', 'cli-anchored');
    expect(intent.anchor?.kind).toBe('solana-nonce');
    // Called again with the same id it is the same transfer.
    expect(await run('--anchor', '--request-id', 'cli-anchored')).toMatchObject({
      fresh: false,
      intent,
    });
    for (const who of platform.cast.approvers.slice(0, 2))
      await platform.client.signalDecision(intent.requestId, approve(intent, who));
    await expectEnd(platform, intent, 'Completed');
  });
});

describe('cancel after the pivot', () => {
  it.each(CHAINS)(
    'on %s: signature shares are out, the void is final, nothing is paid',
    {
      timeout: 240_000,
    },
    async (chain) => {
      const { intent, leased } = await anchoredIntent(chain, { amount: FROM[chain] });
      // Two signers are left with one process each, and one dies while it releases: past the pivot, below the threshold.
      for (const name of ['gamma', 'alpha-2', 'beta-2']) await platform.hold(name);
      armFailPoint(platform.failPoints, 'party.release:before-commit');
      await platform.startApproved(intent);
      await untilStatus(platform, intent.requestId, (s) => s.pivotPassed, 'past its pivot');
      await until(
        () => ['alpha', 'beta'].find((name) => platform.workers.get(name)?.pid === undefined),
        { deadlineMs: 60_000, what: 'a signer is gone' },
      );
      expect(await platform.client.cancel(intent.requestId)).toMatchObject({
        accepted: true,
        path: 'void',
      });
      await untilPhase(platform, intent.requestId, 'Voiding');
      await Promise.all(platform.cast.parties.map(platform.resume));
      const status = await expectEnd(platform, intent, 'Failed', 180_000);
      expect(status.failure?.code).toBe('Cancelled');
      expect(status.voidTransactionId).toBeDefined();
      expect(status.transactionId).toBeUndefined();
      // What it was anchored to is spent: nobody could finish the payment any more.
      const offered = await anchoredIntent(chain);
      expect(offered.leased.anchor).not.toEqual(leased.anchor);
      await platform.client.giveAnchorBack(offered.intent.requestId);
    },
  );

  it('on bitcoin after the broadcast: the void replaces the payment, on its anchor', {
    timeout: 120_000,
  }, async () => {
    await platform.mining(false);
    try {
      // More than one output is needed, and the anchor is not the largest of them.
      const { intent, leased } = await anchoredIntent('bitcoin', { amount: '450000' });
      await platform.startApproved(intent);
      await untilPhase(platform, intent.requestId, 'Confirming');
      await platform.client.cancel(intent.requestId);
      const { transaction } = await untilStatus(
        platform,
        intent.requestId,
        (s) => s.voidTransactionId,
        'the void is signed',
        90_000,
      );
      expect(transaction?.bytes).toContain(inBytes(leased.anchor));
      await platform.mining(true);
      const status = await expectEnd(platform, intent, 'Failed');
      expect(status.voidTransactionId).toBeDefined();
    } finally {
      await platform.mining(true);
    }
  });
});

it('leaves nothing leased', async () => {
  await checkLedger(platform);
});
