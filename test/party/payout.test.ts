/**
 * Payouts at real parties: one transaction pays an approved list, each line once, or nothing of it is signed. What is
 * shown to the parties here is what whoever controls Temporal, coordinator and API could show them.
 */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createBitcoinCodec } from '../../chains/bitcoin/codec.ts';
import { accountOf } from '../../core/account.ts';
import { sumOf } from '../../core/payout.ts';
import { hexToBytes } from '../../core/signed.ts';
import type { KeyDescriptor } from '../../schema/contracts/key.ts';
import type { PreparePayout, PrepareSign } from '../../schema/contracts/party.ts';
import type { PayoutIntent, PayoutLine } from '../../schema/contracts/payout.ts';
import type { PartyId } from '../../schema/contracts/primitives.ts';
import {
  type Coin,
  coin,
  someBitcoinAddress,
  spend,
  spendInOrder,
} from '../support/bitcoin-plans.ts';
import {
  approve,
  BITCOIN,
  castOf,
  ETHEREUM,
  generateKey,
  intentFor,
  keygenRequest,
  payoutFor,
  payoutRequest,
  route,
  signRequest,
} from '../support/parties.ts';
import { type Rig, startRig } from './rig.ts';

/** The policy allows these destinations and no other. */
const PAYEES = Array.from({ length: 8 }, () => someBitcoinAddress(BITCOIN));
const PER_DAY = 400_000n;
let rig: Rig;
let key: KeyDescriptor;
let alpha: PartyId;
let beta: PartyId;
const ahead = 0;
beforeAll(async () => {
  const { policy } = castOf(3);
  const cast = castOf(3, {
    allowList: PAYEES.map((destination) => ({ network: BITCOIN, destination })),
    limits: policy.limits.map((limit) =>
      limit.network === BITCOIN ? { ...limit, perTransfer: '100000', perDay: `${PER_DAY}` } : limit,
    ),
  });
  rig = await startRig({ cast, now: () => Date.now() + ahead });
  [alpha, beta] = rig.parties;
  ({ key } = await generateKey(
    rig.table,
    keygenRequest(cast, 'btc-payouts', BITCOIN, 'frost-bip340'),
  ));
});
afterAll(() => rig?.stop());

const line = (i: number, amount = 1_000 + i): PayoutLine => ({
  destination: PAYEES[i] as string,
  amount: `${amount}`,
});
const LIST = Array.from({ length: 6 }, (_, i) => line(i));
const pays = (lines: readonly PayoutLine[]) =>
  lines.map(({ destination, amount }) => ({ to: destination, amount: BigInt(amount) }));

type Shown = {
  readonly coins?: readonly Coin[];
  /** What the bytes pay; the list by default. */
  readonly paid?: readonly PayoutLine[];
  readonly fee?: bigint;
  readonly changeTo?: string;
  readonly account?: KeyDescriptor;
};
const bytes = (intent: PayoutIntent, { coins, paid, account, ...options }: Shown = {}) =>
  spendInOrder(account ?? key, coins ?? [coin()], pays(paid ?? intent.lines), options);
const asked = (
  intent: PayoutIntent,
  shown: Shown = {},
  change: Partial<PreparePayout> = {},
): PreparePayout =>
  payoutRequest(rig.cast, key, intent, bytes(intent, shown), [alpha, beta], change);
const payout = (lines: readonly PayoutLine[] = LIST, change: Partial<PayoutIntent> = {}) =>
  payoutFor(key, lines, change);

async function refused(
  request: PreparePayout | PrepareSign,
  code: string,
  field?: string,
): Promise<void> {
  for (const instance of [0, 1])
    await expect(rig.party(alpha, instance).prepare(request)).rejects.toMatchObject({
      code,
      details: field === undefined ? {} : { field },
    });
  // What is refused leaves no session, no line's transaction and no reserved limit.
  const left = await rig.sql(
    alpha,
    `select 1 from sessions where attempt = '${request.attempt}'
     union all select 1 from line_transactions where attempt = '${request.attempt}'`,
  );
  expect(left).toEqual([]);
}

describe('a payout', () => {
  it('is signed in one session, an input a digest, and counts its total against the day', async () => {
    const intent = payout([...LIST, { ...line(2), reference: 'once more' }]);
    const coins = [coin(4_000n), coin(4_000n), coin(4_000n)];
    const request = asked(intent, { coins, fee: 500n });
    const { rounds } = await route(rig.table, request);
    const decoded = createBitcoinCodec(BITCOIN).decode(request.unsigned, hexToBytes(key.publicKey));
    expect(decoded.effects.filter(({ kind }) => kind === 'pay')).toHaveLength(intent.lines.length);
    expect(rounds.at(-1)?.every(({ done }) => done)).toBe(true);
    const spent = await rig.sql<{ amount: string }>(
      alpha,
      `select amount::text from spent where key_id = '${key.keyId}'`,
    );
    expect(spent).toEqual([{ amount: intent.total }]);
    // Another transaction of the list that could be mined beside the first.
    await refused(asked(intent), 'ConflictRule');
    await route(rig.table, asked(intent, { coins, fee: 700n }));
  });

  it('takes a presignature for each input, and none for a deposit address', async () => {
    const attempt = randomUUID();
    const { keyId, epoch, policyHash } = key;
    const made = await route(rig.table, {
      kind: 'presign',
      requestId: attempt,
      attempt,
      keyId,
      epoch,
      signers: [alpha, beta],
      count: 3,
      packExpiresAt: new Date(Date.now() + 3_600_000).toISOString(),
      policyHash,
    } as never);
    const packId = made.rounds.at(-1)?.[0]?.sessionId as string;
    const taken = (...indices: number[]) => ({
      pooled: indices.map((index) => ({ packId, index })),
    });
    const coins = [coin(4_000n), coin(4_000n)];
    await refused(asked(payout(), { coins }, taken(0)), 'InvalidInput', 'pooled');
    const path = 'm/0/7';
    const account = accountOf(key, path, createBitcoinCodec(BITCOIN)).key;
    await refused(
      asked(payout(LIST, { path }), { account, coins }, taken(0, 1)),
      'InvalidInput',
      'pooled',
    );
    const { rounds } = await route(rig.table, asked(payout(), { coins }, taken(0, 1)));
    expect(rounds).toHaveLength(1);
    await refused(asked(payout(), { coins }, taken(1, 2)), 'PresignatureUsed');
  });

  const swapped = LIST.with(2, LIST[3] as PayoutLine).with(3, LIST[2] as PayoutLine);
  it.each<[string, Shown, string, string]>([
    ['two outputs swapped', { paid: swapped }, 'TransactionMismatch', 'lines[2].destination'],
    ['a line dropped', { paid: LIST.toSpliced(4, 1) }, 'TransactionMismatch', 'effects'],
    ['the last line dropped', { paid: LIST.slice(0, -1) }, 'TransactionMismatch', 'effects'],
    ['a line paid twice', { paid: [...LIST, line(0)] }, 'TransactionMismatch', 'effects'],
    [
      'a line paid twice in the place of another',
      { paid: LIST.with(5, line(0)) },
      'TransactionMismatch',
      'lines[5].destination',
    ],
    [
      'a changed amount',
      { paid: LIST.with(1, line(1, 1_002)) },
      'TransactionMismatch',
      'lines[1].amount',
    ],
    ['an output too many', { paid: [...LIST, line(7)] }, 'TransactionMismatch', 'effects'],
    [
      'all lines merged into one output',
      { paid: [line(0, 6_015)] },
      'TransactionMismatch',
      'effects',
    ],
    [
      'another destination',
      { paid: LIST.with(4, line(7, 1_004)) },
      'TransactionMismatch',
      'lines[4].destination',
    ],
    [
      'its change elsewhere',
      { changeTo: someBitcoinAddress(BITCOIN) },
      'TransactionMismatch',
      'effects',
    ],
    [
      'its change at an allowed payee',
      { changeTo: PAYEES[7] as string },
      'TransactionMismatch',
      'effects',
    ],
    ['a fee above the approved cap', { fee: 50_001n }, 'FeeAboveCap', 'fee'],
  ])('is not signed with %s', async (_name, shown, code, field) => {
    await refused(asked(payout(), shown), code, field);
  });

  it('is judged by the policy line by line, and by its total', async () => {
    const stranger = { destination: someBitcoinAddress(BITCOIN), amount: '1000' };
    await refused(asked(payout(LIST.with(3, stranger))), 'PolicyViolation', 'lines[3].destination');
    const own = { destination: key.address, amount: '1000' };
    await refused(asked(payout([...LIST, own])), 'TransactionMismatch');
    // No line is above the limit of one transfer; the list is.
    const heavy = payout([line(0, 50_000), line(1, 50_001)]);
    await refused(asked(heavy, { coins: [coin(200_000n)] }), 'LimitExceeded', 'amount');
  });

  it.each<[string, (intent: PayoutIntent) => PayoutIntent, string]>([
    [
      'a list of 501 lines',
      (intent) => ({
        ...intent,
        lines: Array.from({ length: 501 }, (_, i) => ({ ...line(i % 8), reference: `n${i}` })),
      }),
      'intent.lines',
    ],
    ['an empty list', (intent) => ({ ...intent, lines: [] }), 'intent.lines'],
    [
      'a line that stands twice',
      (intent) => ({
        ...intent,
        lines: [...intent.lines, line(2)],
        total: sumOf([...intent.lines, line(2)]),
      }),
      'lines[6]',
    ],
    ['a total that hides a line', (intent) => ({ ...intent, total: '5000' }), 'total'],
  ])('is not read with %s', async (_name, change, field) => {
    const intent = payout();
    const approvals = asked(intent).approvals;
    const shown = change(intent);
    // Approvals come first nowhere: what cannot be read is refused with whatever it carries.
    await refused(asked(shown, { paid: intent.lines }, { approvals }), 'InvalidInput', field);
  });

  it('needs approvals of this very list', async () => {
    const intent = payout();
    const { approvals } = asked(intent);
    const reordered = { ...intent, lines: intent.lines.toReversed() };
    await refused(asked(reordered, {}, { approvals }), 'QuorumMissing');
    await refused(asked({ ...intent, path: 'm/0/7' }, {}, { approvals }), 'TransactionMalformed');
    await refused(asked(intent, {}, { approvals: approvals.slice(0, 1) }), 'QuorumMissing');
    const rejection = approve(intent, rig.cast.approvers[2] as never, 'reject');
    await refused(asked(intent, {}, { approvals: [...approvals, rejection] }), 'IntentRejected');
    // Kept: it binds this party also when the coordinator shows it no more.
    await refused(asked(intent), 'IntentRejected');
  });

  it('and a transfer are never each other’s: neither approvals nor requests count for both', async () => {
    const single = payout([line(0)]);
    const transfer = intentFor(key, line(0).destination, line(0).amount, {
      requestId: single.requestId,
      issuedAt: single.issuedAt,
      expiresAt: single.expiresAt,
    });
    const coins = [coin()];
    const request = asked(single, { coins });
    const asTransfer = signRequest(
      rig.cast,
      key,
      transfer,
      spend(key, coins, pays(single.lines)),
      [alpha, beta],
      { approvals: request.approvals },
    );
    await refused(asTransfer, 'QuorumMissing');
    const approvals = rig.cast.approvers.slice(0, 2).map((one) => approve(transfer, one));
    await refused({ ...request, attempt: randomUUID() as never, approvals }, 'QuorumMissing');
    await refused({ ...request, kind: 'sign', line: 0 } as never, 'InvalidInput');
    await refused({ ...request, line: 1 } as never, 'InvalidInput');
  });

  it('is made on Bitcoin alone so far', async () => {
    const elsewhere = { ...payout(), chain: ETHEREUM };
    await refused(asked(elsewhere), 'ChainUnsupported', 'chain');
  });

  it('is paid from the deposit address that was approved', async () => {
    const path = 'm/0/7';
    const account = accountOf(key, path, createBitcoinCodec(BITCOIN)).key;
    const intent = payout(LIST, { path });
    await refused(asked(intent), 'TransactionMalformed');
    await refused(
      asked(intent, { account, changeTo: key.address }),
      'TransactionMismatch',
      'effects',
    );
    await route(rig.table, asked(intent, { account }));
  });

  it('is voided as a whole, to the wallet alone, and never paid afterwards', async () => {
    const intent = payout();
    const coins = [coin()];
    const request = asked(intent, { coins });
    await route(rig.table, request);
    const voiding = (shown: Shown) =>
      asked(
        intent,
        { coins, paid: [], fee: 2_000n, ...shown },
        {
          purpose: 'void',
          approvals: request.approvals,
        },
      );
    // Part of the list is no void: it would leave the rest unpaid and call it so.
    await refused(voiding({ paid: LIST.slice(0, 1) }), 'TransactionMismatch', 'effects');
    await refused(voiding({ coins: [coin()] }), 'ConflictRule');
    await route(rig.table, voiding({}));
    await refused(asked(intent, { coins, fee: 3_000n }), 'LineClosed', 'purpose');
  });

  it('leaves no room for another one above the limit of the day', async () => {
    const big = () => payout([line(0, 50_000), line(1, 49_000)]);
    const roomy = { coins: [coin(200_000n)] };
    const room = async () => {
      const [row] = await rig.sql<{ sum: string }>(
        alpha,
        `select coalesce(sum(amount::numeric), 0)::text as sum from spent where key_id = '${key.keyId}'`,
      );
      return PER_DAY - BigInt(row?.sum ?? 0);
    };
    while ((await room()) >= 99_000n) await rig.party(alpha).prepare(asked(big(), roomy));
    await refused(asked(big(), roomy), 'LimitExceeded', 'amount');
  });
});
