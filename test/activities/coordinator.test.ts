/** The ledger's and the chains' activities: idempotent, exclusive where it matters, and typed in their refusals. */
import { MockActivityEnvironment } from '@temporalio/testing';
import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { CHAIN_FAIL_POINTS } from '../../activities/chain/index.ts';
import { LEDGER_FAIL_POINTS } from '../../activities/ledger/index.ts';
import { signApproval } from '../../core/approvals.ts';
import { transferFold } from '../../core/transfer/index.ts';
import { walletFold } from '../../core/wallet/index.ts';
import type { TransactionStatus } from '../../schema/contracts/transaction.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import {
  ATTEMPT,
  ATTEMPT_2,
  approvers,
  ceremony,
  certificatesFor,
  createWorld,
  keyOf,
  keyRequest,
  PARTIES,
  resign,
  signedPolicy,
  verifies,
  type World,
} from './world.ts';

let postgres: TestPostgres;
let world: World;
beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres?.stop());
beforeEach(async () => {
  world = await createWorld(postgres);
});

const r1 = 'r1' as never;
const failure = { code: 'Cancelled', message: 'x', at: '2026-03-01T12:00:00.000Z' };
const included = (confirmations: number, final = false): TransactionStatus => ({
  status: 'included',
  confirmations,
  block: 'b',
  final,
});
const state = async (id = 'r1') =>
  (await world.uow.events.load(`transfer-${id}`, transferFold)).state;
const wallet = async () => (await world.uow.events.load('wallet-w1', walletFold)).state;
const eventCount = async () =>
  (await world.database.db.execute<{ n: number }>(sql`select count(*)::int as n from events`))[0]
    ?.n;
/** Runs twice; the second answers the same and writes nothing. */
async function twice<T>(work: () => Promise<T>): Promise<T> {
  const first = await work();
  const before = await eventCount();
  expect(await work()).toEqual(first);
  expect(await eventCount()).toBe(before);
  return first;
}
const pivot = (attempt = ATTEMPT, purpose: 'payment' | 'void' = 'payment') =>
  world.ledger.passPivot({ requestId: r1, attempt, purpose, reports: [] });
const attach = (unsigned: never, attempt = ATTEMPT, purpose: 'payment' | 'void' = 'payment') =>
  world.chain.attach({
    requestId: r1,
    purpose,
    attempt,
    unsigned,
    signers: PARTIES.slice(0, 2),
    rounds: ceremony(unsigned, `${attempt} ${purpose}`),
  });
const confirm = (ids: string[], untilConfirmations: number) =>
  new MockActivityEnvironment().run(world.chain.confirm, {
    requestId: r1,
    transactionIds: ids,
    untilConfirmations,
  });
/** Reserved and built. */
async function begun() {
  await world.wallet();
  await world.ledger.reserve(world.asked(world.intent('r1')));
  return world.chain.build({ intent: world.intent('r1') });
}
async function signed() {
  const built = await begun();
  await pivot();
  return { built, tx: await attach(built.unsigned as never) };
}

describe('a transfer', () => {
  it('goes from reservation to settlement, each step repeatable', async () => {
    const key = await world.wallet();
    const intent = world.intent('r1');
    const reservation = await twice(() => world.ledger.reserve(world.asked(intent)));
    expect(reservation).toMatchObject({
      key,
      signRounds: 2,
      pivotPassed: false,
      policy: signedPolicy,
    });
    expect([...reservation.ranking].sort()).toEqual([...PARTIES]);
    await twice(() => world.ledger.recordPhase({ requestId: r1, phase: 'AwaitingApprovals' }));
    for (const { name, secretKey } of approvers)
      await twice(() =>
        world.ledger.recordDecision({
          requestId: r1,
          signed: signApproval(
            {
              intentDigest: world.asked(intent).intentDigest,
              approver: name as never,
              decision: 'approve',
              at: '2026-03-01T11:30:00.000Z',
              validUntil: '2026-03-02T11:30:00.000Z',
            },
            secretKey,
          ),
        }),
      );
    const built = await twice(() => world.chain.build({ intent }));
    expect(built.fee).toBe('5000');
    await twice(() => pivot());
    // After a reset the saga learns of the pivot, and gets the very same bytes.
    const known = await world.ledger.reserve(world.asked(intent));
    expect(known).toMatchObject({ pivotPassed: true, earlier: { sent: false } });
    expect(known.earlier?.decisions.map(({ approval }) => approval.approver)).toEqual(
      approvers.map(({ name }) => name),
    );
    expect(known.earlier).not.toHaveProperty('signed');
    world.node.fee = { units: 2000, microLamports: 1n };
    expect((await world.chain.build({ intent })).unsigned).toEqual(built.unsigned);
    const tx = await twice(() => attach(built.unsigned as never));
    expect(verifies(tx, built.unsigned)).toBe(true);
    expect(await world.chain.build({ intent })).toMatchObject({ signed: tx });
    expect(await twice(() => world.chain.broadcast({ requestId: r1, purpose: 'payment' }))).toEqual(
      { status: 'accepted' },
    );
    world.node.statuses.set(tx.id, [{ status: 'pending' }, included(1), included(3, true)]);
    expect(await confirm([tx.id], 1)).toMatchObject({ id: tx.id, status: { confirmations: 1 } });
    await expect(
      world.ledger.settle({ requestId: r1, transactionId: tx.id, confirmations: 1 }),
    ).rejects.toMatchObject({ code: 'StateConflict' });
    expect(await twice(() => confirm([tx.id], 2))).toMatchObject({ status: { final: true } });
    await twice(() =>
      world.ledger.settle({ requestId: r1, transactionId: tx.id, confirmations: 3 }),
    );
    expect(new Set(world.node.sent)).toEqual(new Set([tx.bytes]));
    expect(await state()).toMatchObject({ phase: 'Completed', signature: 'Confirmed' });
    expect(await world.leases()).toEqual([{ owner: 'r1', state: 'consumed' }]);
    expect(await wallet()).toMatchObject({ open: {}, ended: [{ how: 'spent', amount: '100000' }] });
    // A reset saga of a completed transfer walks to the same end, and a failed report cannot undo it.
    expect(await world.ledger.reserve(world.asked(intent))).toMatchObject({
      pivotPassed: true,
      earlier: { signed: tx, sent: true, paid: { transactionId: tx.id, confirmations: 3 } },
    });
    await expect(world.ledger.release({ requestId: r1, reason: 'x' })).rejects.toMatchObject({
      code: 'PivotPassed',
    });
    await expect(world.ledger.fail({ requestId: r1, failure })).rejects.toMatchObject({
      code: 'StateConflict',
    });
    await world.ledger.recordPhase({ requestId: r1, phase: 'Compensating' });
    expect(await state()).toMatchObject({ phase: 'Completed' });
  });

  it('is reserved once by many that ask at once, and never again with another body', async () => {
    await world.wallet();
    const intent = world.intent('r1');
    const answers = await Promise.all(
      Array.from({ length: 6 }, () => world.ledger.reserve(world.asked(intent))),
    );
    expect(new Set(answers.map((a) => JSON.stringify(a))).size).toBe(1);
    expect(Object.keys((await wallet()).open)).toEqual(['r1']);
    const other = world.asked(world.intent('r1', { amount: '1' }));
    await expect(world.ledger.reserve(other)).rejects.toMatchObject({
      code: 'RequestConflict',
      details: { field: 'intentDigest' },
    });
    await expect(
      world.ledger.reserve({ ...world.asked(intent), workflowId: 'transfer/x' }),
    ).rejects.toMatchObject({ code: 'RequestConflict' });
    await expect(world.chain.build({ intent: other.intent })).rejects.toMatchObject({
      code: 'RequestConflict',
    });
  });

  it('never reserves more than balance or limit, however many ask at once', async () => {
    await world.wallet();
    world.node.funds = 350_000n;
    const ask = (i: number) =>
      world.ledger.reserve(world.asked(world.intent(`r${i}`))).then(
        () => 'ok',
        (e) => e.code,
      );
    const answers = await Promise.all(Array.from({ length: 8 }, (_, i) => ask(i)));
    expect(answers.filter((a) => a === 'ok')).toHaveLength(3);
    expect(new Set(answers)).toEqual(new Set(['ok', 'InsufficientFunds']));
    world.node.funds = 10_000_000n;
    const more = await Promise.all(Array.from({ length: 8 }, (_, i) => ask(i + 100)));
    expect(more.filter((a) => a === 'ok')).toHaveLength(4);
    expect(new Set(more)).toEqual(new Set(['ok', 'LimitExceeded']));
  });

  it('compensates before the pivot: lease and funds go back, and nothing of it can be done again', async () => {
    const built = await begun();
    await twice(() => world.chain.releaseLease({ requestId: r1 }));
    await twice(() => world.ledger.release({ requestId: r1, reason: 'cancelled' }));
    await twice(() => world.ledger.fail({ requestId: r1, failure }));
    expect(await world.leases()).toEqual([{ owner: 'r1', state: 'released' }]);
    expect((await wallet()).open).toEqual({});
    expect(await state()).toMatchObject({ phase: 'Failed' });
    await expect(pivot()).rejects.toMatchObject({ code: 'PivotRefused' });
    await expect(world.chain.build({ intent: world.intent('r1') })).rejects.toMatchObject({
      code: 'StateConflict',
    });
    await expect(attach(built.unsigned as never)).rejects.toMatchObject({ code: 'StateConflict' });
    await expect(world.ledger.reserve(world.asked(world.intent('r1')))).rejects.toMatchObject({
      code: 'StateConflict',
      details: { failure: 'Cancelled' },
    });
    // The next transfer gets the lease.
    await world.ledger.reserve(world.asked(world.intent('r2')));
    await world.chain.build({ intent: world.intent('r2') });
    expect(await world.leases()).toEqual([{ owner: 'r2', state: 'held' }]);
  });

  it('undone before it was reserved stays undone when the reservation comes late', async () => {
    await world.wallet();
    await twice(() => world.ledger.release({ requestId: r1, reason: 'timed out' }));
    await twice(() => world.ledger.fail({ requestId: r1, failure }));
    await expect(world.ledger.reserve(world.asked(world.intent('r1')))).rejects.toMatchObject({
      code: 'RequestConflict',
    });
    expect((await wallet()).open).toEqual({});
  });

  it('passes its pivot or gives its lease back, never both, however they race', async () => {
    await world.wallet();
    let pivots = 0;
    for (let i = 0; i < 12; i++) {
      const requestId = `race${i}` as never;
      const intent = world.intent(requestId, { amount: '1000' });
      await world.ledger.reserve(world.asked(intent));
      await world.chain.build({ intent });
      const [passed, released] = await Promise.allSettled([
        world.ledger.passPivot({ requestId, attempt: ATTEMPT, purpose: 'payment', reports: [] }),
        world.chain.releaseLease({ requestId }),
      ]);
      expect([passed.status, released.status].sort()).toEqual(['fulfilled', 'rejected']);
      const [row] = (await world.database.db.execute<{ state: string }>(
        sql`select state from leases where owner = ${requestId}`,
      )) as { state: string }[];
      if (passed.status === 'fulfilled') {
        pivots += 1;
        expect((released as PromiseRejectedResult).reason).toMatchObject({ code: 'PivotPassed' });
        expect(row?.state).toBe('pivoted');
        await expect(world.ledger.release({ requestId, reason: 'x' })).rejects.toMatchObject({
          code: 'PivotPassed',
        });
        await expect(world.ledger.fail({ requestId, failure })).rejects.toMatchObject({
          code: 'PivotPassed',
        });
        break;
      }
      expect((passed as PromiseRejectedResult).reason).toMatchObject({ code: 'PivotRefused' });
      expect(row?.state).toBe('released');
    }
    expect(pivots).toBeLessThanOrEqual(1);
  });

  it('takes no lease after everything was given back, even by a build that was under way', async () => {
    await world.wallet();
    await world.ledger.reserve(world.asked(world.intent('r1')));
    world.node.midBuild = async () => {
      world.node.midBuild = async () => {};
      await world.chain.releaseLease({ requestId: r1 });
      await world.ledger.release({ requestId: r1, reason: 'x' });
    };
    await expect(world.chain.build({ intent: world.intent('r1') })).rejects.toMatchObject({
      code: 'StateConflict',
    });
    expect(await world.leases()).toEqual([{ owner: 'r1', state: 'released' }]);
  });

  it('gives back what a build took before it failed, and what a crash left behind', async () => {
    await world.wallet();
    await world.ledger.reserve(world.asked(world.intent('r1')));
    world.node.fee = { units: 1000, microLamports: 100_000_000n };
    await expect(world.chain.build({ intent: world.intent('r1') })).rejects.toMatchObject({
      code: 'FeeAboveCap',
      details: { field: 'feeCap', cap: '9000' },
    });
    expect(await world.leases()).toEqual([{ owner: 'r1', state: 'released' }]);
    // A crash between taking and building: the row is held, no event names it.
    await world.uow.transaction((tx) =>
      tx.leases.tryTake('r1', 'w1', 'n', { resource: 'stray', detail: {} }),
    );
    world.node.fee = { units: 1000, microLamports: 0n };
    await world.chain.build({ intent: world.intent('r1') });
    const rows = await world.database.db.execute<{ resource: string; state: string }>(
      sql`select resource, state from leases order by resource = 'stray'`,
    );
    expect(rows.map((r) => r.state)).toEqual(['held', 'released']);
  });
});

describe('past the pivot', () => {
  it('stores one signature, whichever attempt comes first, and names who sent a bad share', async () => {
    const built = await begun();
    await expect(attach(built.unsigned as never)).rejects.toMatchObject({
      code: 'StateConflict',
      details: { field: 'attempt' },
    });
    await pivot();
    await pivot(ATTEMPT_2);
    const rounds = ceremony(built.unsigned, 'bad');
    const last = rounds.at(-1) ?? [];
    const [first, second] = last as [(typeof last)[0], (typeof last)[0]];
    const input = {
      requestId: r1,
      purpose: 'payment' as const,
      attempt: ATTEMPT,
      unsigned: built.unsigned,
      signers: PARTIES.slice(0, 2),
    };
    const swapped = [...rounds.slice(0, -1), [first, resign(second, { body: first.body })]];
    await expect(world.chain.attach({ ...input, rounds: swapped })).rejects.toMatchObject({
      code: 'ProtocolFault',
      details: { culprit: 'beta' },
    });
    const forged = [...rounds.slice(0, -1), [first, { ...second, body: first.body }]];
    await expect(world.chain.attach({ ...input, rounds: forged })).rejects.toMatchObject({
      code: 'EnvelopeInvalid',
      details: { field: 'signature' },
    });
    await expect(
      world.chain.attach({ ...input, unsigned: { ...built.unsigned, bytes: '00' }, rounds }),
    ).rejects.toMatchObject({ code: 'TransactionMismatch', details: { field: 'unsigned' } });
    const answers = await Promise.all([
      attach(built.unsigned as never),
      attach(built.unsigned as never, ATTEMPT_2),
    ]);
    expect(answers[0]).toEqual(answers[1]);
    expect(verifies(answers[0], built.unsigned)).toBe(true);
  });

  it('settles a doubtful broadcast by looking it up, and sends the same bytes only', async () => {
    const { tx } = await signed();
    const send = () => world.chain.broadcast({ requestId: r1, purpose: 'payment' });
    world.node.outcome = { status: 'unclear', reason: 'time-out' };
    expect(await send()).toEqual({ status: 'unclear', reason: 'time-out' });
    // Its answer was lost on the way; the others hear of it a moment later.
    world.node.statuses.set(tx.id, [
      { status: 'unknown' },
      { status: 'unknown' },
      { status: 'pending' },
    ]);
    expect(await send()).toEqual({ status: 'already-known' });
    world.node.outcome = { status: 'rejected', reason: 'nonce too low' };
    expect(await send()).toEqual({ status: 'already-known' });
    world.node.statuses.set(tx.id, [{ status: 'conflicted', final: false }]);
    expect(await send()).toMatchObject({ status: 'rejected' });
    expect(new Set(world.node.sent)).toEqual(new Set([tx.bytes]));
  });

  it('sends a vanished transaction again, and waits out a provider that is away', async () => {
    const { tx } = await signed();
    world.node.statuses.set(tx.id, [{ status: 'unknown' }, { status: 'pending' }, included(2)]);
    const lookup = world.node.lookup;
    let away = 2;
    world.node.lookup = async (id) => {
      if (away-- > 0)
        throw new (await import('../../schema/contracts/errors.ts')).KeysagaError(
          'ChainUnavailable',
          'away',
        );
      return lookup(id);
    };
    expect(await confirm([tx.id], 2)).toMatchObject({ status: { confirmations: 2 } });
    expect(world.node.sent).toEqual([tx.bytes]);
    await expect(confirm(['stranger'], 1)).rejects.toMatchObject({
      code: 'InvalidInput',
      details: { field: 'transactionIds' },
    });
  });

  it('ends by a void that is final, and only then', async () => {
    const { built, tx } = await signed();
    const voided = await twice(() => world.chain.buildVoid({ intent: world.intent('r1') }));
    expect(voided.unsigned).not.toEqual(built.unsigned);
    await twice(() => pivot(ATTEMPT_2, 'void'));
    await expect(pivot(ATTEMPT_2)).rejects.toMatchObject({ code: 'PivotRefused' });
    const voidTx = await twice(() => attach(voided.unsigned as never, ATTEMPT_2, 'void'));
    const before = world.node.sent.length;
    // The payment is not pushed any more once its void is signed.
    expect(await world.chain.broadcast({ requestId: r1, purpose: 'payment' })).toMatchObject({
      status: 'rejected',
    });
    expect(world.node.sent).toHaveLength(before);
    await world.chain.broadcast({ requestId: r1, purpose: 'void' });
    await expect(
      world.ledger.fail({ requestId: r1, failure, voidTransactionId: voidTx.id }),
    ).rejects.toMatchObject({ code: 'PivotPassed' });
    world.node.statuses.set(tx.id, [{ status: 'conflicted', by: voidTx.id, final: true }]);
    world.node.statuses.set(voidTx.id, [{ status: 'pending' }, included(3, true)]);
    expect(await confirm([tx.id, voidTx.id], 1)).toMatchObject({ id: voidTx.id });
    await twice(() => world.ledger.fail({ requestId: r1, failure, voidTransactionId: voidTx.id }));
    expect(await state()).toMatchObject({ phase: 'Failed', end: { voidTransactionId: voidTx.id } });
    expect(await world.leases()).toEqual([{ owner: 'r1', state: 'consumed' }]);
    expect(await wallet()).toMatchObject({ open: {}, ended: [{ how: 'released' }] });
  });

  it('ends by a void that is final though no payment was ever put together', async () => {
    await begun();
    await pivot();
    // Shares may be out, and t of them in other hands: only the void ends it.
    const voided = await world.chain.buildVoid({ intent: world.intent('r1') });
    await pivot(ATTEMPT_2, 'void');
    const voidTx = await attach(voided.unsigned as never, ATTEMPT_2, 'void');
    await expect(
      world.ledger.fail({ requestId: r1, failure, voidTransactionId: voidTx.id }),
    ).rejects.toMatchObject({ code: 'PivotPassed' });
    world.node.statuses.set(voidTx.id, [included(3, true)]);
    expect(await confirm([voidTx.id], 1)).toMatchObject({ id: voidTx.id });
    await twice(() => world.ledger.fail({ requestId: r1, failure, voidTransactionId: voidTx.id }));
    expect(await state()).toMatchObject({ phase: 'Failed', end: { voidTransactionId: voidTx.id } });
    expect(await world.leases()).toEqual([{ owner: 'r1', state: 'consumed' }]);
    expect(await wallet()).toMatchObject({ open: {}, ended: [{ how: 'released' }] });
  });

  it('completes when somebody else put the payment together and it beat the void', async () => {
    await begun();
    await pivot();
    const voided = await world.chain.buildVoid({ intent: world.intent('r1') });
    await pivot(ATTEMPT_2, 'void');
    const voidTx = await attach(voided.unsigned as never, ATTEMPT_2, 'void');
    world.node.statuses.set(voidTx.id, [{ status: 'conflicted', by: 'theirs', final: true }]);
    expect(await confirm([voidTx.id], 1)).toMatchObject({ status: { by: 'theirs' } });
    await expect(world.ledger.fail({ requestId: r1, failure })).rejects.toMatchObject({
      code: 'PivotPassed',
    });
    await world.ledger.settle({ requestId: r1, transactionId: 'theirs', confirmations: 0 });
    expect(await state()).toMatchObject({ phase: 'Completed' });
    expect(await wallet()).toMatchObject({ open: {}, ended: [{ how: 'spent' }] });
  });

  it('completes when the payment wins against its void', async () => {
    const { tx } = await signed();
    const voided = await world.chain.buildVoid({ intent: world.intent('r1') });
    await pivot(ATTEMPT_2, 'void');
    const voidTx = await attach(voided.unsigned as never, ATTEMPT_2, 'void');
    world.node.statuses.set(tx.id, [included(3, true)]);
    world.node.statuses.set(voidTx.id, [{ status: 'conflicted', by: tx.id, final: true }]);
    expect(await confirm([tx.id, voidTx.id], 1)).toMatchObject({ id: tx.id });
    await expect(world.ledger.fail({ requestId: r1, failure })).rejects.toMatchObject({
      code: 'PivotPassed',
    });
    await world.ledger.settle({ requestId: r1, transactionId: tx.id, confirmations: 3 });
    expect(await state()).toMatchObject({ phase: 'Completed' });
  });

  it('counts funds as spent when something unknown took the nonce', async () => {
    const { tx } = await signed();
    world.node.statuses.set(tx.id, [{ status: 'conflicted', final: true }]);
    expect(await confirm([tx.id], 1)).toMatchObject({ status: { status: 'conflicted' } });
    await world.ledger.fail({ requestId: r1, failure });
    expect(await wallet()).toMatchObject({ open: {}, ended: [{ how: 'spent' }] });
  });
});

describe('key generation', () => {
  it('goes from request to active wallet, each step repeatable, and only forward from its pivot', async () => {
    const answer = await twice(() => world.ledger.reserveKey(keyRequest('w1')));
    expect(answer).toMatchObject({ protocol: 'frost-ed25519' });
    expect(answer).not.toHaveProperty('certified');
    const key = keyOf('w1');
    const certificates = certificatesFor(key);
    const certify = (change: object = {}, given = certificates) =>
      world.ledger.certifyKey({
        requestId: 'w1' as never,
        key: { ...key, ...change } as never,
        certificates: given,
      });
    await expect(certify({}, certificates.slice(0, 2))).rejects.toMatchObject({
      code: 'CertificateInvalid',
      details: { field: 'certificates' },
    });
    await expect(certify({ address: 'Elsewhere' })).rejects.toMatchObject({
      code: 'CertificateInvalid',
      details: { field: 'address' },
    });
    const elsewhere = { ...key, address: '11111111111111111111111111111112' };
    await expect(certify(elsewhere, certificatesFor(elsewhere))).rejects.toMatchObject({
      details: { field: 'key.address' },
    });
    const [first, ...rest] = certificates as [(typeof certificates)[0], ...typeof certificates];
    await expect(
      certify({}, [{ ...first, signature: rest[0]?.signature ?? '' }, ...rest]),
    ).rejects.toMatchObject({ details: { field: 'signature', party: 'alpha' } });
    await expect(world.chain.provision({ key })).rejects.toMatchObject({ code: 'StateConflict' });
    await twice(() => certify({}, [...certificates].reverse()));
    expect(await world.ledger.reserveKey(keyRequest('w1'))).toEqual({
      ...answer,
      certified: { key, certificates },
    });
    await twice(() => world.chain.provision({ key }));
    await expect(world.ledger.failKey({ requestId: 'w1' as never, failure })).rejects.toMatchObject(
      { code: 'PivotPassed' },
    );
    await expect(
      world.ledger.activateWallet({ requestId: 'w1' as never, activated: ['alpha'] as never }),
    ).rejects.toMatchObject({ code: 'StateConflict' });
    await expect(world.ledger.reserve(world.asked(world.intent('r1')))).rejects.toMatchObject({
      code: 'WalletNotActive',
    });
    await twice(() =>
      world.ledger.activateWallet({ requestId: 'w1' as never, activated: PARTIES.slice(0, 2) }),
    );
    await twice(() =>
      world.ledger.recordActivation({ requestId: 'w1' as never, party: 'gamma' as never }),
    );
    expect((await wallet()).key).toEqual(key);
  });

  it('refuses another body, unknown parties and thresholds without a common party; a failed id stays failed', async () => {
    const { request, workflowId } = keyRequest('w2');
    const ask = (change: object) =>
      world.ledger.reserveKey({
        request: { ...(request as object), ...change } as never,
        workflowId,
      });
    await expect(ask({ parties: ['alpha', 'beta', 'mallory'] })).rejects.toMatchObject({
      code: 'InvalidInput',
      details: { field: 'parties' },
    });
    await expect(ask({ protocol: 'frost-bip340' })).rejects.toMatchObject({
      code: 'ProtocolUnsupported',
    });
    await expect(ask({ policyId: 'none' })).rejects.toMatchObject({ code: 'PolicyUnknown' });
    await ask({});
    await expect(ask({ threshold: 3 })).rejects.toMatchObject({ code: 'RequestConflict' });
    await twice(() => world.ledger.failKey({ requestId: 'w2' as never, failure }));
    await expect(ask({})).rejects.toMatchObject({ code: 'StateConflict' });
    await twice(() => world.ledger.failKey({ requestId: 'w3' as never, failure }));
    await expect(world.ledger.reserveKey(keyRequest('w3'))).rejects.toMatchObject({
      code: 'RequestConflict',
    });
  });
});

describe('inputs', () => {
  it('are refused with the field that is wrong', async () => {
    await world.wallet();
    const reserve = (change: object) =>
      world.ledger.reserve({ ...world.asked(world.intent('r1', change as never)) });
    await expect(reserve({ amount: '-1' })).rejects.toMatchObject({
      code: 'InvalidInput',
      details: { field: 'amount' },
    });
    await expect(reserve({ destination: 'not-an-address' })).rejects.toMatchObject({
      code: 'InvalidInput',
    });
    await expect(reserve({ walletId: 'w9' })).rejects.toMatchObject({
      code: 'WalletUnknown',
      details: { field: 'walletId' },
    });
    await expect(
      world.ledger.reserve({ ...world.asked(world.intent('r1')), intentDigest: 'ab'.repeat(32) }),
    ).rejects.toMatchObject({ details: { field: 'intentDigest' } });
    world.clock.ms += 2 * 86_400_000;
    await expect(reserve({})).rejects.toMatchObject({ code: 'IntentExpired' });
    await expect(
      world.ledger.recordPhase({ requestId: r1, phase: 'Sleeping' as never }),
    ).rejects.toMatchObject({ details: { field: 'phase' } });
    await expect(
      world.ledger.recordPhase({ requestId: r1, phase: 'Signing' }),
    ).rejects.toMatchObject({ code: 'NotFound' });
    await expect(pivot('not-a-uuid')).rejects.toMatchObject({
      code: 'InvalidInput',
      details: { field: 'attempt' },
    });
  });

  it('a decision must be signed by an approver of the policy about this intent', async () => {
    await begun();
    const [ann] = approvers as [(typeof approvers)[0]];
    const approval = {
      intentDigest: world.asked(world.intent('r1')).intentDigest,
      approver: 'ann' as never,
      decision: 'approve' as const,
      at: '2026-03-01T11:30:00.000Z',
      validUntil: '2026-03-02T11:30:00.000Z',
    };
    const good = signApproval(approval, ann.secretKey);
    const record = (signed: object) =>
      world.ledger.recordDecision({ requestId: r1, signed: signed as never });
    await expect(record({ ...good, signature: '00'.repeat(64) })).rejects.toMatchObject({
      code: 'ApprovalInvalid',
      details: { field: 'signature' },
    });
    await expect(
      record(signApproval({ ...approval, approver: 'eve' as never }, ann.secretKey)),
    ).rejects.toMatchObject({ code: 'ApproverUnknown' });
    await expect(
      record(signApproval({ ...approval, intentDigest: 'ab'.repeat(32) }, ann.secretKey)),
    ).rejects.toMatchObject({ details: { field: 'intentDigest' } });
    expect((await state())?.decisions).toEqual([]);
  });

  it('a policy is adopted once, and only by the administrators', async () => {
    await twice(() => world.adopt(signedPolicy));
    const policy = { ...signedPolicy.policy, version: 3 };
    await expect(world.adopt({ ...signedPolicy, policy } as never)).rejects.toMatchObject({
      code: expect.stringMatching(/ApprovalInvalid|InvalidInput/),
    });
  });
});

describe('fail points', () => {
  it('stand before and after each commit: a crash before leaves nothing, one after is found done', async () => {
    const hit: string[] = [];
    let armed: string | undefined;
    world = await createWorld(postgres, {
      failPoints: {
        at: (name) => {
          hit.push(name);
          if (name === armed) throw new Error(`crash at ${name}`);
        },
      },
    });
    const crash = async (name: string, work: () => Promise<unknown>) => {
      armed = name;
      await expect(work()).rejects.toThrow('crash');
      armed = undefined;
    };
    await world.wallet();
    const reserve = () => world.ledger.reserve(world.asked(world.intent('r1')));
    await crash('reserve:before-commit', reserve);
    expect(await state()).toBeNull();
    expect((await wallet()).open).toEqual({});
    await crash('reserve:after-commit', reserve);
    expect(Object.keys((await wallet()).open)).toEqual(['r1']);
    await reserve();
    const build = () => world.chain.build({ intent: world.intent('r1') });
    await crash('build:before-commit', build);
    expect((await state())?.built.payment).toBeNull();
    await crash('build:after-commit', build);
    const built = await build();
    await crash('passPivot:before-commit', () => pivot());
    expect((await world.leases()).map((l) => l.state).sort()).not.toContain('pivoted');
    await crash('passPivot:after-commit', () => pivot());
    await pivot();
    await crash('attach:after-commit', () => attach(built.unsigned as never));
    const stored = (await state())?.signed.payment;
    expect(await attach(built.unsigned as never)).toEqual(stored);
    const known = new Set([...LEDGER_FAIL_POINTS, ...CHAIN_FAIL_POINTS]);
    expect(hit.filter((name) => !known.has(name))).toEqual([]);
  });
});
