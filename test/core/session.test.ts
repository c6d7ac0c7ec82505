import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  apply,
  decideAbort,
  decidePrepare,
  decideRound,
  newSession,
  SESSION_MACHINE,
  type Session,
  type SessionEvent,
} from '../../core/session/session.ts';
import { isKeysagaError } from '../../schema/contracts/errors.ts';
import { ATTEMPT, forAll, hex32, MINUTE, NOW, refusal } from './rules-fixtures.ts';

const fresh = (rounds = 2): Session =>
  newSession({ attempt: ATTEMPT, requestHash: hex32(1), rounds, expiresAt: NOW + MINUTE });
const committed = (round: number): SessionEvent => ({
  type: 'InboxCommitted',
  round,
  inboxHash: hex32(round),
});
const answered = (round: number): SessionEvent => ({
  type: 'RoundAnswered',
  round,
  outboxHash: hex32(100 + round),
});
const closed = (by: 'fail' | 'abort' | 'expire' | 'supersede'): SessionEvent => ({
  type: 'SessionClosed',
  by,
});
const go = (...events: SessionEvent[]): Session => events.reduce(apply, fresh());
const ask = (session: Session, round: number, inboxHash = hex32(round), now = NOW) =>
  decideRound(session, { round, inboxHash, now });

describe('the round contract', () => {
  const running = go(committed(1), answered(1));
  const half = go(committed(1));
  const released = go(committed(1), answered(1), committed(2), answered(2));
  it('computes the next round, once', () => {
    expect(ask(fresh(), 1)).toEqual({ kind: 'compute' });
    expect(ask(running, 2)).toEqual({ kind: 'compute' });
  });
  it('gives the stored answer again, also after the release and past the time', () => {
    expect(ask(running, 1)).toEqual({ kind: 'answer-stored' });
    expect(ask(running, 1, hex32(1), NOW + 2 * MINUTE)).toEqual({ kind: 'answer-stored' });
    for (const round of [1, 2]) expect(ask(released, round)).toEqual({ kind: 'answer-stored' });
  });
  it('resumes on the committed inbox, and on no other', () => {
    expect(ask(half, 1)).toEqual({ kind: 'resume' });
    refusal(() => ask(half, 1, hex32(9)), 'RoundConflict');
  });
  it('refuses another inbox for an answered round, whatever the state allows else', () => {
    refusal(() => ask(running, 1, hex32(9)), 'RoundConflict');
    refusal(() => ask(released, 2, hex32(9)), 'RoundConflict');
    expect(
      refusal(() => ask(running, 1, hex32(9), NOW + 2 * MINUTE), 'RoundConflict').retryable,
    ).toBe(false);
  });
  it('goes in order', () => {
    refusal(() => ask(fresh(), 2), 'RoundOutOfOrder');
    refusal(() => ask(fresh(), 0), 'RoundOutOfOrder');
    refusal(() => ask(half, 2), 'RoundOutOfOrder');
    refusal(() => ask(running, 3), 'RoundOutOfOrder');
    refusal(() => ask(released, 3), 'RoundOutOfOrder');
  });
  it('computes nothing past the session’s time', () => {
    refusal(() => ask(fresh(), 1, hex32(1), NOW + MINUTE), 'SessionExpired');
    refusal(() => ask(half, 1, hex32(1), NOW + MINUTE), 'SessionExpired');
    expect(ask(fresh(), 1, hex32(1), NOW + MINUTE - 1)).toEqual({ kind: 'compute' });
  });
  it.each([
    ['fail', 'SessionFailed'],
    ['abort', 'SessionSuperseded'],
    ['supersede', 'SessionSuperseded'],
    ['expire', 'SessionExpired'],
  ] as const)('a session closed by %s answers nothing and never reopens', (by, code) => {
    const session = go(committed(1), answered(1), closed(by));
    for (const round of [1, 2]) refusal(() => ask(session, round), code);
    refusal(() => decidePrepare(session, { requestHash: hex32(1), now: NOW }), code);
    expect(decideAbort(session)).toBe('already-closed');
    for (const event of [committed(2), answered(1), closed('fail'), closed('abort')])
      refusal(() => apply(session, event), 'StateConflict');
  });
});

describe('prepare and abort', () => {
  it('a repeated prepare gets the stored answer, another body is refused', () => {
    const now = NOW;
    expect(decidePrepare(undefined, { requestHash: hex32(1), now })).toEqual({ kind: 'new' });
    expect(decidePrepare(fresh(), { requestHash: hex32(1), now })).toEqual({
      kind: 'answer-stored',
    });
    refusal(
      () => decidePrepare(fresh(), { requestHash: hex32(2), now }),
      'RequestConflict',
      'attempt',
    );
    refusal(
      () => decidePrepare(fresh(), { requestHash: hex32(1), now: NOW + MINUTE }),
      'SessionExpired',
    );
  });
  it('nothing is left to abort once shares are out', () => {
    expect(decideAbort(undefined)).toBe('unknown');
    expect(decideAbort(fresh())).toBe('abort');
    expect(decideAbort(go(committed(1)))).toBe('abort');
    expect(decideAbort(go(committed(1), answered(1), committed(2), answered(2)))).toBe('released');
  });
  it('a released session is not closed by anything', () => {
    const session = go(committed(1), answered(1), committed(2), answered(2));
    for (const by of ['fail', 'abort', 'expire', 'supersede'] as const)
      refusal(() => apply(session, closed(by)), 'StateConflict');
  });
});

describe('no sequence of requests breaks an invariant', () => {
  type Step =
    | { do: 'round'; round: number; inbox: number; wait: number; crash: boolean }
    | { do: 'close'; by: 'fail' | 'abort' | 'expire' | 'supersede' }
    | { do: 'raw'; event: SessionEvent };
  const round = fc.constantFrom(1, 1, 2, 2, 3, 3, 0, 4);
  const ordinary = fc.record<Extract<Step, { do: 'round' }>>({
    do: fc.constant('round'),
    round,
    inbox: fc.constantFrom(1, 1, 1, 1, 1, 2),
    wait: fc.constantFrom(0, 0, 0, 0, 1000, 1000, 20_000),
    crash: fc.boolean(),
  });
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 40, arbitrary: ordinary },
    {
      weight: 1,
      arbitrary: fc
        .constantFrom('fail' as const, 'abort' as const, 'expire' as const, 'supersede' as const)
        .map((by): Step => ({ do: 'close', by })),
    },
    {
      weight: 3,
      arbitrary: fc
        .oneof(round.map(committed), round.map(answered))
        .map((event): Step => ({ do: 'raw', event })),
    },
  );
  it('at most one inbox and outbox a round, one release, closed for good', () => {
    let releases = 0;
    forAll(
      fc.property(fc.array(step, { minLength: 10, maxLength: 40, size: 'max' }), (steps) => {
        let session = fresh(3);
        let now = NOW;
        const inboxes = new Map<number, string>();
        const outboxes = new Map<number, string>();
        const states: Session['state'][] = [session.state];
        let serial = 0;
        const take = (event: SessionEvent): void => {
          session = apply(session, event);
          states.push(session.state);
        };
        for (const s of steps) {
          try {
            if (s.do === 'close') take(closed(s.by));
            else if (s.do === 'raw') take(s.event);
            else {
              now += s.wait;
              const inboxHash = hex32(s.inbox);
              const verdict = decideRound(session, { round: s.round, inboxHash, now });
              if (verdict.kind === 'compute')
                take({ type: 'InboxCommitted', round: s.round, inboxHash });
              if (verdict.kind !== 'answer-stored' && !s.crash) {
                serial += 1;
                take({ type: 'RoundAnswered', round: s.round, outboxHash: `outbox ${serial}` });
              }
            }
          } catch (error) {
            if (!isKeysagaError(error)) throw error;
          }
          for (const [i, entry] of session.log.entries()) {
            expect(entry.round).toBe(i + 1);
            expect(inboxes.get(entry.round) ?? entry.inboxHash).toBe(entry.inboxHash);
            inboxes.set(entry.round, entry.inboxHash);
            if (entry.outboxHash === null) continue;
            expect(outboxes.get(entry.round) ?? entry.outboxHash).toBe(entry.outboxHash);
            outboxes.set(entry.round, entry.outboxHash);
          }
          expect(session.state === 'released').toBe(outboxes.size === session.rounds);
        }
        expect(states.filter((s) => s === 'released').length).toBeLessThanOrEqual(1);
        const end = states.findIndex((s) => SESSION_MACHINE.final.includes(s));
        if (end >= 0) expect(end).toBe(states.length - 1);
        if (session.state === 'released') releases += 1;
      }),
      { numRuns: 800 },
    );
    expect(releases).toBeGreaterThan(20);
  });
});
