/**
 * One party against random sequences of valid, stale and forged requests, at two instances, with a clock that runs on.
 * After every step: at most one outbox a round, no two released transactions of a line that could both be on chain, the
 * limit never exceeded, at most one open session a line, at most one transaction a nonce. The party crashes at its fail
 * points and takes new policy versions meanwhile. Fast-check prints seed and path of a failure.
 */
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PARTY_FAIL_POINTS, type PartyFailPoint } from '../../activities/party/deps.ts';
import { policyHash as policyHashOf } from '../../core/policy.ts';
import { digestHex } from '../../core/signed.ts';
import { isKeysagaError } from '../../schema/contracts/errors.ts';
import type {
  PrepareSign,
  RoundAnswer,
  RoundRequest,
  SignedPrepareAnswer,
} from '../../schema/contracts/party.ts';
import type { Policy } from '../../schema/contracts/policy.ts';
import type { PartyId } from '../../schema/contracts/primitives.ts';
import { approve, castOf, SOLANA, signPolicy } from '../support/parties.ts';
import { voidOf } from '../support/solana-plans.ts';
import { nextRound, type Payment, type Rig, startRig } from './rig.ts';

const PER_DAY = 250n;
const AMOUNT = 100n;
const LINES = 4;

let rig: Rig;
let alpha: PartyId;
let beta: PartyId;
let ahead = 0;
class ProcessDeath extends Error {
  readonly instance: number;
  constructor(instance: number) {
    super('dead');
    this.instance = instance;
  }
}
/** Where an instance of alpha dies next; once. */
let armed: PartyFailPoint | undefined;
let deaths = 0;
/** The version in force. */
let policy: Policy;
beforeAll(async () => {
  const limits = [
    { network: SOLANA, asset: 'native', perTransfer: `${AMOUNT}`, perDay: `${PER_DAY}` },
  ];
  rig = await startRig({
    instances: 2,
    orphanMs: 60_000,
    now: () => Date.now() + ahead,
    failPoints: (party, instance) => ({
      at(point) {
        if (party !== 'alpha' || point !== armed) return;
        armed = undefined;
        deaths += 1;
        throw new ProcessDeath(instance);
      },
    }),
    cast: castOf(3, { limits, voidFeeCaps: [{ network: SOLANA, cap: '100000' }] }),
  });
  [alpha, beta] = rig.parties;
  policy = rig.cast.policy;
});
afterAll(() => rig?.stop());

/** An attempt as the adversary knows it: what was asked, and what both parties have answered so far. */
type Attempt = {
  readonly request: PrepareSign;
  readonly line: number;
  prepared: Map<PartyId, SignedPrepareAnswer>;
  answers: Map<string, RoundAnswer>;
};

type Step =
  | { kind: 'new'; line: number; what: 'same' | 'rival' | 'void' }
  | { kind: 'sign'; line: number; what: 'same' | 'rival' | 'void' }
  | { kind: 'prepare'; at: number; body: 'same' | 'other' }
  | {
      kind: 'round';
      at: number;
      round: 1 | 2;
      inbox: 'right' | 'forged' | 'foreign' | 'empty';
      twice: boolean;
    }
  | { kind: 'peer'; at: number }
  | { kind: 'abort'; at: number }
  | { kind: 'destroy'; at: number }
  | { kind: 'reject'; line: number }
  | { kind: 'sweep' }
  | { kind: 'restart' }
  | { kind: 'crash'; at: PartyFailPoint }
  | { kind: 'policy' }
  | { kind: 'wait'; seconds: number };

const index = fc.nat({ max: 7 });
const line = fc.nat({ max: LINES - 1 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('sign' as const),
      line,
      what: fc.constantFrom('same' as const, 'same' as const, 'rival' as const, 'void' as const),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('new' as const),
      line,
      what: fc.constantFrom('same', 'same', 'rival', 'void'),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('prepare' as const),
      at: index,
      body: fc.constantFrom('same', 'other'),
    }),
  },
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant('round' as const),
      at: index,
      round: fc.constantFrom(1, 2),
      inbox: fc.constantFrom('right', 'right', 'right', 'forged', 'foreign', 'empty'),
      twice: fc.boolean(),
    }),
  },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('peer' as const), at: index }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('abort' as const), at: index }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('destroy' as const), at: index }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('reject' as const), line }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'sweep' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'restart' as const }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('crash' as const),
      at: fc.constantFrom(
        ...PARTY_FAIL_POINTS.filter((p) => /^party\.(prepare|round|head|release|policy):/.test(p)),
      ),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'policy' as const }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('wait' as const),
      seconds: fc.integer({ min: 1, max: 70 }),
    }),
  },
) as fc.Arbitrary<Step>;

/** Hex digits before the commitments in a message of round 1: four bytes, the context of the session, their number. */
const HEADER = 2 * (4 + 32 + 2);
/** What each nonce commitment that alpha sent was for, in all games. */
const nonces = new Map<string, string>();

class Game {
  readonly payments: Payment[] = [];
  readonly attempts: Attempt[] = [];
  /** Lines of which a share of a payment was seen to leave. */
  readonly paid = new Set<number>();
  turn = 0;
  released = 0;

  start() {
    for (let i = 0; i < LINES; i++) this.payments.push(rig.pay(AMOUNT));
  }
  party(id: PartyId) {
    this.turn += 1;
    return rig.party(id, this.turn % 2);
  }
  /** The party refuses, answers or dies; anything else is a defect. */
  async ask<T>(work: Promise<T>): Promise<T | undefined> {
    try {
      return await work;
    } catch (error) {
      if (error instanceof ProcessDeath) {
        await rig.seat(alpha).replace(error.instance);
        return undefined;
      }
      if (isKeysagaError(error) && !error.retryable) return undefined;
      throw error;
    }
  }
  pick(at: number): Attempt | undefined {
    return this.attempts.length === 0 ? undefined : this.attempts[at % this.attempts.length];
  }

  inbox(attempt: Attempt, party: PartyId, round: 1 | 2, kind: string): RoundRequest {
    const { request } = attempt;
    const source = kind === 'foreign' ? (this.attempts[0] ?? attempt) : attempt;
    const prepared = [...source.prepared.values()];
    if (round === 1) {
      const { keyId } = request;
      const asked: RoundRequest = {
        keyId,
        attempt: request.attempt,
        round: 1,
        prepared,
        inbox: [],
      };
      if (kind === 'empty') delete (asked as { prepared?: unknown }).prepared;
      if (kind === 'forged')
        return {
          ...asked,
          prepared: prepared.map((p) => ({
            ...p,
            answer: { ...p.answer, nonce: '11'.repeat(32) },
          })),
        };
      return asked;
    }
    const before = [alpha, beta].flatMap((p) => source.answers.get(`${p} 1`) ?? []);
    const asked = { ...nextRound(party, request, before), round: 2 };
    if (kind === 'empty') return { ...asked, inbox: [] };
    if (kind === 'forged')
      return {
        ...asked,
        inbox: asked.inbox.map((e) => ({ ...e, body: `${e.body.slice(0, -2)}00` })),
      };
    return asked;
  }

  async round(attempt: Attempt, party: PartyId, asked: RoundRequest) {
    const answer = await this.ask(this.party(party).round(asked));
    if (answer === undefined) return;
    const place = `${party} ${asked.round}`;
    const earlier = attempt.answers.get(place);
    // At most one outbox per (session, round), for ever, byte for byte.
    if (earlier !== undefined) expect(JSON.stringify(answer)).toBe(JSON.stringify(earlier));
    attempt.answers.set(place, answer);
    if (answer.done && party === alpha) {
      this.released += 1;
      if (attempt.request.purpose === 'payment') this.paid.add(attempt.line);
    }
  }

  async play(s: Step) {
    switch (s.kind) {
      case 'new': {
        const payment = this.payments[s.line] as Payment;
        const policyHash = policyHashOf(policy) as PrepareSign['policyHash'];
        const request =
          s.what === 'void'
            ? rig.again(payment, { purpose: 'void', unsigned: voidOf(rig.key, payment.nonce) })
            : s.what === 'rival'
              ? rig.besides(payment, { policyHash })
              : rig.again(payment, { policyHash });
        const attempt: Attempt = { request, line: s.line, prepared: new Map(), answers: new Map() };
        this.attempts.push(attempt);
        for (const p of [alpha, beta]) {
          const answer = await this.ask(this.party(p).prepare(request));
          if (answer) attempt.prepared.set(p, answer);
        }
        return;
      }
      case 'sign': {
        await this.play({ ...s, kind: 'new' });
        const attempt = this.attempts.at(-1);
        if (attempt === undefined) return;
        await this.round(attempt, beta, this.inbox(attempt, beta, 1, 'right'));
        for (const round of [1, 2] as const)
          await this.round(attempt, alpha, this.inbox(attempt, alpha, round, 'right'));
        return;
      }
      case 'prepare': {
        const attempt = this.pick(s.at);
        if (attempt === undefined) return;
        const body: PrepareSign =
          s.body === 'same' ? attempt.request : { ...attempt.request, approvals: [] };
        const answer = await this.ask(this.party(alpha).prepare(body));
        const earlier = attempt.prepared.get(alpha);
        if (answer && s.body === 'same') {
          if (earlier) expect(JSON.stringify(answer)).toBe(JSON.stringify(earlier));
          attempt.prepared.set(alpha, answer);
        }
        if (s.body === 'other' && earlier) expect(answer).toBeUndefined();
        return;
      }
      case 'round': {
        const attempt = this.pick(s.at);
        if (attempt === undefined) return;
        const asked = this.inbox(attempt, alpha, s.round, s.inbox);
        await Promise.all([
          this.round(attempt, alpha, asked),
          ...(s.twice ? [this.round(attempt, alpha, asked)] : []),
        ]);
        return;
      }
      case 'peer': {
        const attempt = this.pick(s.at);
        if (attempt === undefined) return;
        await this.round(attempt, beta, this.inbox(attempt, beta, 1, 'right'));
        return;
      }
      case 'abort':
      case 'destroy': {
        const request = this.pick(s.at)?.request;
        if (request === undefined) return;
        const { keyId, attempt } = request;
        const asked = { keyId, attempt };
        if (s.kind === 'abort')
          await this.ask(this.party(alpha).abort({ ...asked, reason: 'test' }));
        else await this.ask(this.party(alpha).destroy(asked));
        return;
      }
      case 'reject': {
        const payment = this.payments[s.line] as Payment;
        const rejection = approve(payment.intent, rig.cast.approvers[2] as never, 'reject');
        const approvals = [...payment.request.approvals, rejection];
        await this.ask(this.party(alpha).prepare(rig.again(payment, { approvals })));
        return;
      }
      case 'sweep':
        await rig.seat(alpha).instances[this.turn % 2]?.sweepOnce();
        return;
      case 'restart':
        await rig.seat(alpha).replace(this.turn % 2);
        return;
      case 'crash':
        armed = s.at;
        return;
      case 'policy': {
        const next = { ...policy, version: policy.version + 1, previous: policyHashOf(policy) };
        const signed = signPolicy(rig.cast, next);
        await this.ask(this.party(alpha).receivePolicy({ signed }));
        // Again, in case it died: a repeat changes nothing.
        for (const p of [alpha, beta]) await rig.party(p).receivePolicy({ signed });
        policy = next;
        return;
      }
      case 'wait':
        ahead += s.seconds * 1000;
        return;
    }
  }

  async check() {
    const released = await rig.sql<{ digest: string; keys: string[]; purpose: string }>(
      alpha,
      `select intent_digest as digest, conflict_keys as keys, purpose from line_transactions where state = 'released'`,
    );
    for (const a of released)
      for (const b of released)
        if (a.digest === b.digest) expect(a.keys.some((k) => b.keys.includes(k))).toBe(true);
    const open = await rig.sql(
      alpha,
      `select intent_digest from sessions where state in ('prepared', 'running') and intent_digest is not null group by 1, line having count(*) > 1`,
    );
    expect(open).toEqual([]);
    const [counted] = await rig.sql<{ sum: string }>(
      alpha,
      `select coalesce(sum(amount::numeric), 0)::text as sum from spent
         where state = 'reserved' or at > to_timestamp(${(Date.now() + ahead - 86_400_000) / 1000})`,
    );
    expect(BigInt(counted?.sum ?? '0')).toBeLessThanOrEqual(PER_DAY);
    expect(BigInt(this.paid.size) * AMOUNT).toBeLessThanOrEqual(PER_DAY);
    // At most one transaction a nonce: commitments of round 1 are of one attempt, and so of one transaction, for ever.
    const reused = await rig.sql(
      alpha,
      `select min(attempt::text) from rounds join line_transactions using (attempt)
         where round = 1 and outbox is not null
         group by substr(outbox -> 0 ->> 'body', ${HEADER + 1}) having count(distinct (attempt, unsigned_hash)) > 1`,
    );
    expect(reused).toEqual([]);
    for (const a of this.attempts) {
      const commitments = a.answers.get(`${alpha} 1`)?.outbox[0]?.body.slice(HEADER);
      if (commitments === undefined) continue;
      // Hiding and binding, each a point of 32 bytes.
      expect(commitments).toHaveLength(128);
      const told = `${a.request.attempt} ${digestHex('unsigned', a.request.unsigned)}`;
      expect(nonces.get(commitments) ?? told).toBe(told);
      nonces.set(commitments, told);
    }
    // Every share that left is on record as released.
    const seen = this.attempts.filter((a) => a.answers.get(`${alpha} 2`)?.done);
    if (seen.length > 0) {
      const list = seen.map((a) => `'${a.request.attempt}'`).join(',');
      const rows = await rig.sql(
        alpha,
        `select 1 from line_transactions where state = 'released' and attempt in (${list})`,
      );
      expect(rows).toHaveLength(seen.length);
    }
  }
}

describe('random requests', () => {
  it('break no rule of the party', async () => {
    let released = 0;
    let games = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 35 }), async (steps) => {
        games += 1;
        // A game's limit is its own: what earlier games released is moved out of the window.
        await rig.sql(
          alpha,
          `update spent set at = at - interval '2 days' where state = 'spent' returning 1`,
        );
        await rig.sql(
          beta,
          `update spent set at = at - interval '2 days' where state = 'spent' returning 1`,
        );
        const game = new Game();
        game.start();
        for (const s of steps) {
          await game.play(s);
          await game.check();
        }
        armed = undefined;
        for (const { request } of game.attempts)
          for (const p of [alpha, beta])
            await rig
              .party(p)
              .abort({ keyId: request.keyId, attempt: request.attempt, reason: 'over' });
        released += game.released;
      }),
      { numRuns: 10, endOnFailure: true },
    );
    // Sequences in which nothing ever happens would prove nothing.
    expect(released).toBeGreaterThan(games);
    expect(deaths).toBeGreaterThan(0);
    expect(nonces.size).toBeGreaterThan(games);
  }, 240_000);
});
