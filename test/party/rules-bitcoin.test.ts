/**
 * The rules about Bitcoin transactions at real parties, two instances of each on one database: what a party signs for an
 * intent excludes everything else that it may have signed for it.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createBitcoinCodec } from '../../chains/bitcoin/codec.ts';
import { accountOf } from '../../core/account.ts';
import type { TransferIntent } from '../../schema/contracts/intent.ts';
import type { KeyDescriptor } from '../../schema/contracts/key.ts';
import type { PrepareSign } from '../../schema/contracts/party.ts';
import type { PartyId } from '../../schema/contracts/primitives.ts';
import type { UnsignedTransaction } from '../../schema/contracts/transaction.ts';
import { anchorOf, type Coin, coin, someBitcoinAddress, spend } from '../support/bitcoin-plans.ts';
import {
  approve,
  BITCOIN,
  generateKey,
  intentFor,
  keygenRequest,
  route,
  signRequest,
} from '../support/parties.ts';
import { type Rig, startRig } from './rig.ts';

const MAINNET = 'bip122:000000000019d6689c085ae165831e93';
let rig: Rig;
let key: KeyDescriptor;
let alpha: PartyId;
let beta: PartyId;
let gamma: PartyId;
let ahead = 0;
beforeAll(async () => {
  rig = await startRig({ instances: 2, now: () => Date.now() + ahead });
  [alpha, beta, gamma] = rig.parties;
  const request = keygenRequest(rig.cast, 'btc-main', BITCOIN, 'frost-bip340');
  ({ key } = await generateKey(rig.table, request));
});
afterAll(() => rig?.stop());

type Case = {
  readonly intent: TransferIntent;
  readonly coins: readonly Coin[];
  readonly request: PrepareSign;
};
const AMOUNT = 20_000n;
const intended = (change: Partial<TransferIntent> = {}): TransferIntent =>
  intentFor(key, someBitcoinAddress(BITCOIN), `${AMOUNT}`, change);
const paying = (intent: TransferIntent, coins: readonly Coin[], fee?: bigint) =>
  spend(key, coins, [{ to: intent.destination, amount: BigInt(intent.amount) }], fee);
/** An approved intent and its payment. */
function pay(coins: readonly Coin[] = [coin()], change: Partial<TransferIntent> = {}): Case {
  const intent = intended(change);
  return { intent, coins, request: asked(intent, paying(intent, coins)) };
}
const asked = (
  intent: TransferIntent,
  unsigned: UnsignedTransaction,
  change: Partial<PrepareSign> = {},
  signers: readonly PartyId[] = [alpha, beta],
): PrepareSign => signRequest(rig.cast, key, intent, unsigned, signers, change);
const voiding = (
  of: Case,
  coins: readonly Coin[],
  change: Partial<PrepareSign> = {},
  fee = 2_000n,
) =>
  asked(of.intent, spend(key, coins, [], fee), {
    purpose: 'void',
    approvals: of.request.approvals,
    ...change,
  });
const refused = async (
  request: PrepareSign,
  code: string,
  details: Record<string, unknown> = {},
  party: PartyId = alpha,
): Promise<void> => {
  for (const instance of [0, 1])
    await expect(rig.party(party, instance).prepare(request)).rejects.toMatchObject({
      code,
      details,
    });
};

describe('conflict rule on Bitcoin', () => {
  it('a second transaction of the line must share an input with each released one, pair by pair', async () => {
    const [a, b, c] = [coin(), coin(), coin()];
    const first = pay([a, b]);
    await route(rig.table, first.request);
    const next = (coins: readonly Coin[]) => asked(first.intent, paying(first.intent, coins));
    await refused(next([c]), 'ConflictRule');
    const second = next([b, c]);
    await route(rig.table, second);
    // With the newer one it has an input in common, with the first none: both could be mined.
    await refused(next([c]), 'ConflictRule');
    await refused(next([a]), 'ConflictRule');
    await route(rig.table, next([b]));
  });

  it('counts a session that is still open on the other instance', async () => {
    const first = pay();
    await rig.party(alpha, 0).prepare(first.request);
    const rival = asked(first.intent, paying(first.intent, [coin()]));
    await expect(rig.party(alpha, 1).prepare(rival)).rejects.toMatchObject({
      code: 'ConflictRule',
    });
  });

  it('of two racing rivals on two instances at most one is opened', async () => {
    for (let i = 0; i < 5; i++) {
      const intent = intended();
      const answers = await Promise.allSettled(
        [0, 1].map((instance) =>
          rig.party(alpha, instance).prepare(asked(intent, paying(intent, [coin()]))),
        ),
      );
      expect(answers.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
      const [lost] = answers.filter((a) => a.status === 'rejected');
      expect(lost?.reason).toMatchObject({ code: 'ConflictRule' });
    }
  });
});

describe('void on Bitcoin', () => {
  it('pays the wallet alone, spends an input of every released payment, and is the last word', async () => {
    const [a, b] = [coin(), coin()];
    const paid = pay([a, b]);
    await route(rig.table, paid.request);
    await refused(voiding(paid, [coin()]), 'ConflictRule');
    const elsewhere = spend(key, [a], [{ to: someBitcoinAddress(BITCOIN), amount: 50_000n }]);
    await refused({ ...voiding(paid, [a]), unsigned: elsewhere }, 'TransactionMismatch', {
      field: 'effects',
    });
    await route(rig.table, voiding(paid, [a]));
    // After it the intent is never signed again, whatever is shown; a dearer void may follow.
    await refused(asked(paid.intent, paid.request.unsigned), 'LineClosed');
    await refused(asked(paid.intent, paying(paid.intent, [a])), 'LineClosed');
    await route(rig.table, voiding(paid, [a, b], {}, 4_000n));
    // Of the two voids only one can be mined: a third must conflict with both.
    await refused(voiding(paid, [b]), 'ConflictRule');
  });

  it('is prepared before anything was released, and closes the payment’s open session', async () => {
    const paid = pay();
    await route(rig.table, paid.request, { until: 1 });
    await route(rig.table, voiding(paid, paid.coins));
    await expect(
      rig.party(alpha).round({
        keyId: key.keyId,
        attempt: paid.request.attempt,
        round: 2,
        inbox: [],
      }),
    ).rejects.toMatchObject({ code: 'SessionSuperseded' });
    await refused(asked(paid.intent, paid.request.unsigned), 'LineClosed');
  });

  it('keeps to its own cap of the policy; a payment keeps to 80 % of that', async () => {
    // The cap is 100,000 (see `castOf`).
    const rich = coin(1_000_000n);
    const intent = intended({ feeCap: '90000' });
    await refused(asked(intent, paying(intent, [rich], 80_001n)), 'FeeAboveCap', {
      rule: 'voidFeeCap',
    });
    const paid = { intent, coins: [rich], request: asked(intent, paying(intent, [rich], 80_000n)) };
    await route(rig.table, paid.request);
    await refused(voiding(paid, [rich], {}, 100_001n), 'FeeAboveCap', { rule: 'voidFeeCap' });
    await route(rig.table, voiding(paid, [rich], {}, 100_000n));
    // The approved cap of the intent counts as well.
    const modest = intended({ feeCap: '3000' });
    await refused(asked(modest, paying(modest, [coin()], 3_001n)), 'FeeAboveCap', {
      rule: 'feeCap',
    });
  });

  it('is signed for an intent that has expired, and for one that somebody rejected since', async () => {
    const soon = new Date(Date.now() + ahead + 600_000).toISOString();
    const paid = pay([coin()], { expiresAt: soon });
    await route(rig.table, paid.request);
    const rejection = approve(paid.intent, rig.cast.approvers[2] as never, 'reject');
    await refused(
      asked(paid.intent, paid.request.unsigned, {
        approvals: [...paid.request.approvals, rejection],
      }),
      'IntentRejected',
    );
    ahead += 700_000;
    await refused(asked(paid.intent, paid.request.unsigned), 'IntentExpired');
    await route(rig.table, voiding(paid, paid.coins));
  });

  it('is not signed for what was never approved', async () => {
    const intent = intended();
    const never = { intent, coins: [coin()], request: asked(intent, paying(intent, [coin()])) };
    await refused(voiding(never, [coin()], { approvals: [] }), 'QuorumMissing');
    const [one] = never.request.approvals;
    await refused(voiding(never, [coin()], { approvals: [one, one] as never }), 'QuorumMissing');
  });
});

describe('anchor on Bitcoin', () => {
  it('is spent by every payment, at a party that knows nothing of the others', async () => {
    const [anchor, other] = [coin(), coin()];
    const paid = pay([anchor, other], { anchor: anchorOf(anchor) });
    await route(rig.table, paid.request);
    // All signers but one are corrupt, say: they show gamma a transaction that excludes none of theirs. It has no line to
    // judge it by, and needs none.
    const rival = asked(paid.intent, paying(paid.intent, [coin()]), {}, [alpha, gamma]);
    await refused(rival, 'TransactionMismatch', { field: 'anchor' }, gamma);
    const known = await rig.sql(
      gamma,
      `select 1 from line_transactions where attempt = '${rival.attempt}'`,
    );
    expect(known).toEqual([]);
    // What it does sign is on the anchor, and so excludes theirs on chain.
    await route(rig.table, asked(paid.intent, paying(paid.intent, [anchor]), {}, [alpha, gamma]));
  });

  it('without one such a rival is signed: the price of the conflict rule’s assumption', async () => {
    const paid = pay();
    await route(rig.table, paid.request);
    const rival = asked(paid.intent, paying(paid.intent, [coin()]), {}, [beta, gamma]);
    // Gamma alone would; beta, which both signer sets share, does not.
    await rig.party(gamma).prepare(rival);
    await refused(rival, 'ConflictRule', {}, beta);
  });

  it('is spent by the void too', async () => {
    const [anchor, other] = [coin(), coin()];
    const paid = pay([anchor, other], { anchor: anchorOf(anchor) });
    await route(rig.table, paid.request);
    await refused(voiding(paid, [other]), 'TransactionMismatch', { field: 'anchor' });
    await route(rig.table, voiding(paid, [anchor]));
  });

  it('is part of what was approved: another one needs other approvals', async () => {
    const [anchor, other] = [coin(), coin()];
    const paid = pay([anchor], { anchor: anchorOf(anchor) });
    const moved = { ...paid.intent, anchor: anchorOf(other) };
    const request = { ...paid.request, intent: moved, unsigned: paying(moved, [other]) };
    await refused(request, 'QuorumMissing');
    const { anchor: _, ...bare } = paid.intent;
    await refused({ ...request, intent: bare }, 'QuorumMissing');
  });
});

describe('own scripts and network on Bitcoin', () => {
  it('change goes to the share’s own script; another one is a second payment', async () => {
    const intent = intended();
    const [c] = [coin()];
    const to = { to: intent.destination, amount: AMOUNT };
    const stranger = { to: someBitcoinAddress(BITCOIN), amount: 70_000n };
    await refused(asked(intent, spend(key, [c], [to, stranger])), 'TransactionMismatch', {
      field: 'effects',
    });
    await refused(asked(intent, spend(key, [c], [to, to])), 'TransactionMismatch', {
      field: 'effects',
    });
    await refused(asked(intent, spend(key, [c], [stranger])), 'TransactionMismatch');
    // Inputs of another wallet’s script are no business of this key.
    const foreign = { ...key, address: someBitcoinAddress(BITCOIN) };
    await refused(asked(intent, spend(foreign, [c], [to])), 'TransactionMalformed');
    await refused(
      asked({ ...intent, destination: key.address }, spend(key, [c], [])),
      'TransactionMismatch',
    );
  });

  it('one network per key: bytes carry no chain id, so neither intent nor bytes of another one count', async () => {
    const paid = pay();
    const abroad = { ...paid.intent, chain: MAINNET, destination: someBitcoinAddress(MAINNET) };
    await refused(asked(abroad, paid.request.unsigned), 'TransactionMismatch', { field: 'chain' });
    await refused(
      asked(paid.intent, { ...paid.request.unsigned, network: MAINNET }),
      'ChainMismatch',
    );
    const mainnetKey = keygenRequest(rig.cast, 'btc-mainnet', MAINNET, 'frost-bip340');
    await expect(rig.party(alpha).prepare(mainnetKey)).rejects.toMatchObject({
      code: 'ChainUnsupported',
    });
  });
});

describe('a child account', () => {
  const at = (path: string): KeyDescriptor => accountOf(key, path, createBitcoinCodec(BITCOIN)).key;
  const spendFrom = (account: KeyDescriptor, intent: TransferIntent) =>
    spend(account, [coin()], [{ to: intent.destination, amount: BigInt(intent.amount) }]);

  it('pays when the approved path and the bytes agree, and its signature is the child’s', async () => {
    const intent = intended({ path: 'm/0/7' });
    const { rounds } = await route(rig.table, asked(intent, spendFrom(at('m/0/7'), intent)));
    expect(rounds.at(-1)).toHaveLength(2);
  });

  it('never with bytes of another account than the one that was approved', async () => {
    const child = intended({ path: 'm/0/7' });
    const own = intended();
    for (const [intent, account] of [
      [child, key],
      [child, at('m/0/8')],
      [child, at('m/7/0')],
      [own, at('m/0/7')],
    ] as const)
      for (const instance of [0, 1])
        await expect(
          rig.party(alpha, instance).prepare(asked(intent, spendFrom(account, intent))),
        ).rejects.toMatchObject({ code: 'TransactionMalformed' });
  });

  it('not when the coordinator moves the path: the approvals are of another intent', async () => {
    const intent = intended({ path: 'm/0/7' });
    const moved = { ...intent, path: 'm/0/8' };
    await refused(
      {
        ...asked(moved, spendFrom(at('m/0/8'), moved)),
        approvals: asked(intent, spendFrom(at('m/0/7'), intent)).approvals,
      },
      'QuorumMissing',
      expect.anything() as never,
    );
    for (const path of ["m/0'/7", 'm/2147483648', 'm', 'm/0/1/2/3/4/5'])
      await refused(asked({ ...intent, path }, spendFrom(key, intent)), 'InvalidInput', {
        field: 'intent.path',
      });
  });

  it('counts against the wallet’s own limit', async () => {
    const limit = BigInt(
      rig.cast.policy.limits.find(({ network }) => network === BITCOIN)?.perTransfer ?? 0,
    );
    const intent = intended({ path: 'm/0/7', amount: `${limit + 1n}` });
    const account = at('m/0/7');
    const unsigned = spend(
      account,
      [coin(limit * 2n)],
      [{ to: intent.destination, amount: limit + 1n }],
    );
    await expect(rig.party(alpha).prepare(asked(intent, unsigned))).rejects.toMatchObject({
      code: 'LimitExceeded',
    });
  });

  it('is voided to itself and not to the wallet', async () => {
    const intent = intended({ path: 'm/0/7' });
    const coins = [coin()];
    const account = at('m/0/7');
    const payment = asked(
      intent,
      spend(account, coins, [{ to: intent.destination, amount: BigInt(intent.amount) }]),
    );
    await route(rig.table, payment, { until: 1 });
    const voided = (unsigned: UnsignedTransaction) =>
      asked(intent, unsigned, { purpose: 'void', approvals: payment.approvals });
    const elsewhere = spend(account, coins, [{ to: key.address, amount: 50_000n }], 2_000n);
    await expect(rig.party(alpha).prepare(voided(elsewhere))).rejects.toMatchObject({
      code: 'TransactionMismatch',
    });
    await route(rig.table, voided(spend(account, coins, [], 2_000n)));
  });
});
