/** What the fencing tests share: alpha with two instances, restored, fenced, and released by an order. */
import { afterAll, beforeAll, expect } from 'vitest';
import { PARTY_FAIL_POINTS, type PartyFailPoint } from '../../activities/party/deps.ts';
import type { PartyHealth } from '../../schema/contracts/party.ts';
import type { PartyId } from '../../schema/contracts/primitives.ts';
import { keygenRequest, route, SOLANA, signRequest } from '../support/parties.ts';
import { voidOf } from '../support/solana-plans.ts';
import { type DatabaseCopy, orderOf, payAt, putBack } from './restore.ts';
import { type Payment, type Rig, startRig } from './rig.ts';

export const DAY = 86_400_000;
export class ProcessDeath extends Error {}

/** Set up before the tests of a file and taken down after them. */
export type Scene = {
  readonly rig: Rig;
  readonly alpha: PartyId;
  readonly beta: PartyId;
  readonly gamma: PartyId;
  /** What happens when an instance of alpha comes to this point; once. */
  armed: { readonly at: PartyFailPoint; readonly run: () => Promise<unknown> } | undefined;
  /** Milliseconds by which the parties' clock is ahead. */
  ahead: number;
  clock(): number;
  pay(options?: Parameters<typeof payAt>[2]): Payment;
  /** A payment by alpha and beta, to its end. */
  complete(what?: Payment): Promise<Payment>;
  /** Of alpha's instances. */
  healths(): Promise<PartyHealth[]>;
  /** Transactions that alpha has released shares for. */
  released(): Promise<number>;
  restore(copy: DatabaseCopy): Promise<void>;
  /** Fenced at both instances; nothing of theirs signs: neither payment, round, void nor a repeat. Answers with the epoch. */
  isFenced(before?: readonly Payment[]): Promise<number>;
  /** The order; then nothing older than it is paid, and newer intents only when a day has passed. */
  unfences(chainEpoch: number, before?: readonly Payment[]): Promise<void>;
};

export const code = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'answered',
    (error) => String(error.code ?? error),
  );
export const points = (...kinds: string[]): PartyFailPoint[] =>
  PARTY_FAIL_POINTS.filter((p) => kinds.some((k) => p.startsWith(`party.${k}:`)));

/** Its fields may be read once the tests run. */
export function scene(): Scene {
  let rig: Rig | undefined;
  const there = (): Rig => {
    if (rig === undefined) throw new Error('not set up yet');
    return rig;
  };
  const party = (index: 0 | 1 | 2) => there().parties[index];
  const self: Scene = {
    get rig() {
      return there();
    },
    get alpha() {
      return party(0);
    },
    get beta() {
      return party(1);
    },
    get gamma() {
      return party(2);
    },
    armed: undefined,
    ahead: 0,
    clock: () => Date.now() + self.ahead,
    pay: (options) => payAt(there(), self.clock(), options),
    async complete(what = self.pay()) {
      const { rounds } = await route(there().table, what.request);
      expect(rounds.at(-1)?.map((a) => a.done)).toEqual([true, true]);
      return what;
    },
    healths: () => Promise.all([0, 1].map((i) => there().party(self.alpha, i).health())),
    async released() {
      const [row] = await there().sql<{ n: number }>(
        self.alpha,
        "select count(*)::int as n from line_transactions where state = 'released'",
      );
      return row?.n ?? 0;
    },
    restore(copy) {
      const seat = there().seat(self.alpha);
      return seat.restart(() => putBack(seat.databaseUrl, copy));
    },
    isFenced: (before = []) => isFenced(self, before),
    unfences: (chainEpoch, before = []) => unfences(self, chainEpoch, before),
  };
  beforeAll(async () => {
    rig = await startRig({
      instances: 2,
      orphanMs: 0,
      now: self.clock,
      failPoints: (who) => ({
        async at(point) {
          if (who !== 'alpha' || point !== self.armed?.at) return;
          const { run } = self.armed;
          self.armed = undefined;
          await run();
        },
      }),
    });
  });
  afterAll(() => rig?.stop());
  return self;
}

const voiding = ({ rig }: Scene, { request, intent, nonce }: Payment) =>
  signRequest(rig.cast, rig.key, intent, voidOf(rig.key, nonce), request.signers, {
    purpose: 'void',
    approvals: request.approvals,
  });

async function isFenced(on: Scene, before: readonly Payment[]): Promise<number> {
  const { rig, alpha } = on;
  const signed = await on.released();
  const [first, second] = await on.healths();
  expect([first?.fenced, second?.fenced]).toEqual([true, true]);
  expect(first?.openSessions).toBe(0);
  const fresh = on.pay();
  const early = on.pay({ issuedAt: on.clock() + 200_000 });
  const asked = [0, 1].flatMap((instance) => {
    const party = rig.party(alpha, instance);
    const keygen = keygenRequest(rig.cast, `k-${instance}`, SOLANA, 'frost-ed25519');
    return [
      ...[fresh.request, early.request, keygen].map((request) => code(party.prepare(request))),
      ...before.flatMap((payment) => {
        const { keyId, attempt } = payment.request;
        return [
          code(party.prepare(payment.request)),
          code(party.prepare(rig.again(payment))),
          code(party.prepare(voiding(on, payment))),
          code(party.round({ keyId, attempt, round: 2, inbox: [] })),
        ];
      }),
    ];
  });
  expect(new Set(await Promise.all(asked))).toEqual(new Set(['PartyFenced']));
  expect(await on.released()).toBe(signed);
  return first?.fence?.chainEpoch ?? Number.NaN;
}

async function unfences(on: Scene, chainEpoch: number, before: readonly Payment[]): Promise<void> {
  const { rig, alpha } = on;
  on.ahead += 360_000;
  const issuedBefore = on.pay({ issuedAt: on.clock() - 1_000 });
  const signed = orderOf(rig, on.clock(), { kind: 'unfence', party: alpha, chainEpoch });
  const { receipt } = await rig.party(alpha, 1).order({ signed });
  expect(receipt).toMatchObject({ kind: 'unfence', chainEpoch: chainEpoch + 1 });
  for (const health of await on.healths())
    expect(health).toMatchObject({ fenced: false, chainEpoch: chainEpoch + 1, headSequence: 0 });
  const paid = await on.released();
  const old = [issuedBefore, ...before];
  const refusals = async () =>
    new Set(
      await Promise.all(
        old.flatMap((what) =>
          [0, 1].map((instance) => code(rig.party(alpha, instance).prepare(rig.again(what)))),
        ),
      ),
    );
  expect(await refusals()).toEqual(new Set(['PartyFenced']));
  on.ahead += 1_000;
  // The limit of the day counts as spent.
  const fresh = on.pay({ issuedAt: on.clock() });
  await expect(rig.party(alpha).prepare(fresh.request)).rejects.toMatchObject({
    code: 'LimitExceeded',
    details: { rule: 'unfenced' },
  });
  on.ahead += DAY;
  expect(await refusals()).toEqual(new Set(['PartyFenced']));
  expect(await on.released()).toBe(paid);
  // A void of an older intent is signed all the same: an undo must be possible.
  for (const payment of before.slice(0, 1)) {
    const { rounds } = await route(rig.table, voiding(on, payment));
    expect(rounds.at(-1)?.map((a) => a.done)).toEqual([true, true]);
  }
  await on.complete(on.pay({ issuedAt: on.clock() }));
}
