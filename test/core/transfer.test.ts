/** The `Transfer` aggregate: no sequence of commands breaks what it holds up. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decideTransfer as decide,
  everApproved,
  lineOver,
  type Transfer,
  type TransferState,
  transferFold,
} from '../../core/transfer/index.ts';
import { SIGNATURE_LIFE_CYCLE } from '../../core/transfer/life-cycle.ts';
import { DEFAULT_LIMITS, STEP_LIMITS } from '../../core/transfer/limits.ts';
import { reportedPhase, TRANSFER_MACHINE } from '../../core/transfer/machine.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { DomainEvent } from '../../schema/contracts/events.ts';
import { TransferPhase } from '../../schema/contracts/saga.ts';
import { partyProfile, profiles } from '../../workflows/profiles.ts';
import { approvalBy, HASH, initiated, intent, NETWORK } from '../storage/coordinator/fixtures.ts';

const ATTEMPTS = [0, 1, 2].map((i) => `2b1f1f5e-5a43-4b0c-9d55-0d8a4b1c9d1${i}`);
const unsigned = (bytes: string) =>
  ({ network: NETWORK, format: 'solana-message', bytes }) as const;
const signedTx = (id: string) => ({ network: NETWORK, id, bytes: 'ff' });
const failure = { code: 'Cancelled', message: 'x', at: '2026-01-01T00:00:00.000Z' };

/** What the ledger's transaction holds: the stream and the lease row, as the activities change them. */
class Ledger {
  state: TransferState = null;
  events: DomainEvent[] = [];
  lease: 'none' | 'held' | 'pivoted' | 'released' | 'consumed' = 'none';
  apply(events: readonly DomainEvent[]): boolean {
    for (const event of events) {
      this.state = transferFold.apply(this.state, event);
      this.events.push(event);
    }
    return events.length > 0;
  }
  get transfer(): Transfer {
    return decide.existing(this.state, 'r1');
  }
  leases = () => (this.lease === 'none' ? [] : [{ resource: 'lease', state: this.lease }]);
}

type Command = { name: string; run: (l: Ledger) => void };
const purpose = fc.constantFrom('payment' as const, 'void' as const);
const attempt = fc.constantFrom(...ATTEMPTS.slice(0, 2));
const often = (arbitrary: fc.Arbitrary<Command>) => ({ weight: 6, arbitrary });
const commands: fc.Arbitrary<Command> = fc.oneof(
  fc.constantFrom('a', 'b').map((bytes) => ({
    name: 'initiate',
    run: (l: Ledger) =>
      void l.apply(
        decide.initiate(l.state, {
          ...(initiated('r1').data as never as Record<string, unknown>),
          intentDigest: bytes === 'a' ? HASH : 'cd'.repeat(32),
        } as never),
      ),
  })),
  often(
    fc
      .tuple(purpose, fc.constantFrom('01', '02'), fc.integer({ min: 0, max: 60 }))
      .map(([p, bytes, fee]) => ({
        name: `build ${p}`,
        run: (l: Ledger) => {
          const tx = { unsigned: unsigned(bytes), fee: BigInt(fee), leases: ['lease'] };
          if (l.apply(decide.built(l.transfer, p, tx, 50n)) && l.lease !== 'pivoted')
            l.lease = 'held';
        },
      })),
  ),
  often(
    fc.tuple(purpose, attempt).map(([p, a]) => ({
      name: `pivot ${p}`,
      run: (l: Ledger) => {
        if (l.apply(decide.passPivot(l.transfer, p, a, l.leases()))) l.lease = 'pivoted';
      },
    })),
  ),
  often(
    fc.tuple(purpose, attempt, fc.constantFrom('id1', 'id2')).map(([p, a, id]) => ({
      name: `sign ${p}`,
      run: (l: Ledger) =>
        void l.apply(
          decide.signed(l.transfer, p, { attempt: a, signers: [], signed: signedTx(`${p}-${id}`) }),
        ),
    })),
  ),
  fc
    .tuple(purpose, fc.constantFrom('accepted' as const, 'already-known' as const))
    .map(([p, status]) => ({
      name: `broadcast ${p}`,
      run: (l: Ledger) => void l.apply(decide.broadcast(l.transfer, p, { status })),
    })),
  often(
    fc
      .tuple(
        purpose,
        fc.constantFrom('included' as const, 'failed' as const, 'conflicted' as const),
      )
      .map(([p, outcome]) => ({
        name: `final ${p} ${outcome}`,
        run: (l: Ledger) =>
          void l.apply(decide.finalized(l.transfer, p, { outcome, confirmations: 1 })),
      })),
  ),
  fc.constantFrom(...TransferPhase.options).map((phase) => ({
    name: `phase ${phase}`,
    run: (l: Ledger) => void l.apply(decide.phase(l.transfer, phase)),
  })),
  fc.constant({
    name: 'release',
    run: (l: Ledger) => {
      if (l.apply(decide.leaseReleased(l.transfer, ['lease']))) l.lease = 'released';
    },
  }),
  fc.constant({
    name: 'keep the nonce',
    run: (l: Ledger) => {
      // As the activity does: only what is held can be kept.
      if (l.lease === 'held') l.apply(decide.gapClaimed(l.transfer, 'lease'));
    },
  }),
  fc.constantFrom('id1', 'id2').map((id) => ({
    name: 'complete',
    run: (l: Ledger) => void l.apply(decide.complete(l.transfer, `payment-${id}`, 1)),
  })),
  fc.boolean().map((voided) => ({
    name: 'fail',
    run: (l: Ledger) =>
      void l.apply(decide.fail(l.transfer, failure, voided ? 'void-id1' : undefined)),
  })),
);

function invariants(ledger: Ledger): void {
  const { state, events } = ledger;
  if (state === null) return;
  const types = events.map((e) => e.type.replace(/^keysaga\.transfer\.|\.v1$/g, ''));
  // One signed transaction per purpose, never a different one.
  for (const p of ['payment', 'void'] as const) {
    const signed = events.filter(
      (e) => e.type === 'keysaga.transfer.transaction-signed.v1' && e.data.purpose === p,
    );
    expect(signed.length).toBeLessThanOrEqual(1);
    const pivot = events.findIndex(
      (e) => e.type === 'keysaga.transfer.pivot-passed.v1' && e.data.purpose === p,
    );
    const lastBuilt = events.findLastIndex(
      (e) => e.type === 'keysaga.transfer.transaction-built.v1' && e.data.purpose === p,
    );
    // From the pivot on the bytes are fixed.
    if (pivot >= 0) expect(lastBuilt).toBeLessThan(pivot);
  }
  const pivotAt = types.indexOf('pivot-passed');
  const releaseAt = types.indexOf('lease-released');
  // A release and a pivot exclude each other.
  expect(pivotAt >= 0 && releaseAt >= 0).toBe(false);
  if (pivotAt >= 0) expect(ledger.lease).toBe('pivoted');
  // A nonce that is kept for the void was in no payment's last round, and never is from then on.
  const keptAt = types.indexOf('gap-claimed');
  if (keptAt >= 0) {
    expect(state.pivots.payment).toEqual([]);
    expect(releaseAt).toBe(-1);
    expect(state.end?.kind).not.toBe('completed');
    if (state.end?.kind === 'failed') expect(lineOver(state)).toBe(true);
  }
  // After the end nothing.
  const end = types.findIndex((t) => t === 'completed' || t === 'failed');
  if (end >= 0) expect(types.slice(end + 1)).toEqual([]);
  // A void without a payment's pivot fills a nonce, and nothing else.
  if (state.pivots.void.length > 0 && state.pivots.payment.length === 0)
    expect(keptAt).toBeGreaterThanOrEqual(0);
  // After the pivot it fails only when the line is over on chain, and it completes only with what is final.
  if (state.end?.kind === 'failed' && pivotAt >= 0) expect(lineOver(state)).toBe(true);
  if (state.end?.kind === 'completed')
    expect(state.finality.payment).toMatchObject({
      outcome: 'included',
      id: state.end.transactionId,
    });
  expect(
    state.finality.payment?.outcome === 'included' && state.finality.void?.outcome === 'included',
  ).toBe(false);
  // No fee above its cap.
  for (const b of Object.values(state.built))
    if (b !== null) expect(BigInt(b.fee)).toBeLessThanOrEqual(50n);
  // JSON, and phases only along the table's states.
  expect(JSON.parse(JSON.stringify(state))).toEqual(state);
  expect(TransferPhase.options).toContain(state.phase);
}

describe('transfer', () => {
  it('keeps its invariants under any sequence of commands', () => {
    let ends = { completed: 0, failed: 0 };
    let filled = 0;
    fc.assert(
      fc.property(fc.array(commands, { minLength: 1, maxLength: 60, size: 'max' }), (sequence) => {
        const ledger = new Ledger();
        ledger.apply([initiated('r1')]);
        for (const { run } of sequence) {
          try {
            run(ledger);
          } catch (error) {
            // Every refusal is typed.
            expect(error).toBeInstanceOf(KeysagaError);
          }
          invariants(ledger);
        }
        const kind = ledger.state?.end?.kind;
        if (kind !== undefined) ends = { ...ends, [kind]: ends[kind] + 1 };
        if (kind === 'failed' && ledger.transfer.fillsGap !== null) filled += 1;
      }),
      { numRuns: 1000, seed: 20260101 },
    );
    // The search gets far enough to mean something.
    expect(ends.completed).toBeGreaterThan(0);
    expect(ends.failed).toBeGreaterThan(10);
    expect(filled).toBeGreaterThan(0);
  });

  it('says the same when a command is repeated', () => {
    const happy: ((l: Ledger) => DomainEvent[])[] = [
      (l) => decide.initiate(l.state, initiated('r1').data as never),
      (l) => decide.recordDecision(l.transfer, approvalBy('ann')),
      (l) =>
        decide.built(
          l.transfer,
          'payment',
          { unsigned: unsigned('01'), fee: 9n, leases: ['lease'] },
          50n,
        ),
      (l) =>
        decide.passPivot(l.transfer, 'payment', ATTEMPTS[0] as string, [
          { resource: 'lease', state: 'held' },
        ]),
      (l) =>
        decide.signed(l.transfer, 'payment', {
          attempt: ATTEMPTS[0] as string,
          signers: [],
          signed: signedTx('p'),
        }),
      (l) => decide.broadcast(l.transfer, 'payment', { status: 'accepted' }),
      (l) => decide.confirmed(l.transfer, 'payment', 3),
      (l) => decide.finalized(l.transfer, 'payment', { outcome: 'included', confirmations: 6 }),
      (l) => decide.complete(l.transfer, 'p', 6),
    ];
    const ledger = new Ledger();
    for (const step of happy) {
      expect(ledger.apply(step(ledger))).toBe(true);
      expect(step(ledger)).toEqual([]);
    }
    expect(ledger.transfer).toMatchObject({ phase: 'Completed', signature: 'Confirmed' });
    const phases = ledger.events.flatMap((e) =>
      e.type === 'keysaga.transfer.phase-changed.v1' ? [e.data.phase] : [],
    );
    expect(phases).toEqual(['Preparing', 'Signing', 'Broadcasting', 'Confirming']);
    // A saga that was reset walks again; the ledger stays where it is.
    for (const step of happy) expect(step(ledger)).toEqual([]);
  });

  it('counts one decision per approver, lets a rejection follow an approval, never the other way', () => {
    const ledger = new Ledger();
    ledger.apply([initiated('r1')]);
    expect(ledger.apply(decide.recordDecision(ledger.transfer, approvalBy('ann')))).toBe(true);
    expect(ledger.apply(decide.recordDecision(ledger.transfer, approvalBy('ann')))).toBe(false);
    expect(ledger.apply(decide.recordDecision(ledger.transfer, approvalBy('ann', 'reject')))).toBe(
      true,
    );
    expect(() => decide.recordDecision(ledger.transfer, approvalBy('ann'))).toThrow(
      expect.objectContaining({ code: 'ApprovalDuplicate' }),
    );
    expect(ledger.transfer.decisions).toHaveLength(1);
    // What was approved once stays evidence for a void.
    expect(everApproved(ledger.transfer)).toEqual([approvalBy('ann')]);
  });

  it('with a nonce to fill ends when its void, or a stranger, has used it, and says what became of it', () => {
    const filling = () => {
      const ledger = new Ledger();
      ledger.apply([initiated('r1')]);
      const tx = (bytes: string) => ({ unsigned: unsigned(bytes), fee: 9n, leases: ['lease'] });
      ledger.apply(decide.built(ledger.transfer, 'payment', tx('01'), 50n));
      expect(() => decide.built(ledger.transfer, 'void', tx('02'), 50n)).toThrow(
        expect.objectContaining({ code: 'StateConflict' }),
      );
      ledger.apply(decide.gapClaimed(ledger.transfer, 'lease'));
      expect(decide.gapClaimed(ledger.transfer, 'lease')).toEqual([]);
      ledger.apply(decide.phase(ledger.transfer, 'Compensating'));
      const live = [{ resource: 'lease', state: 'held' as const }];
      const [attempt = ''] = ATTEMPTS;
      for (const refused of [
        () => decide.built(ledger.transfer, 'payment', tx('03'), 50n),
        () => decide.passPivot(ledger.transfer, 'payment', attempt, live),
        () => decide.fail(ledger.transfer, failure),
      ])
        expect(refused).toThrow(KeysagaError);
      ledger.apply(decide.built(ledger.transfer, 'void', tx('02'), 50n));
      ledger.apply(decide.passPivot(ledger.transfer, 'void', attempt, live));
      const signature = { attempt, signers: [], signed: signedTx('void') };
      ledger.apply(decide.signed(ledger.transfer, 'void', signature));
      expect(() => decide.fail(ledger.transfer, failure)).toThrow(KeysagaError);
      return ledger;
    };
    const included = filling();
    included.apply(
      decide.finalized(included.transfer, 'void', { outcome: 'included', confirmations: 2 }),
    );
    expect(included.apply(decide.fail(included.transfer, failure, 'void'))).toBe(true);
    // Nothing of it was ever out, so what took the nonce is no payment of it.
    const taken = filling();
    const by = { outcome: 'conflicted' as const, confirmations: 0, by: 'stranger' };
    taken.apply(decide.finalized(taken.transfer, 'void', by));
    expect(() => decide.complete(taken.transfer, 'stranger', 1)).toThrow(KeysagaError);
    expect(taken.apply(decide.fail(taken.transfer, failure))).toBe(true);
  });

  it('refuses another body under its id, naming the field', () => {
    const ledger = new Ledger();
    ledger.apply([initiated('r1')]);
    const data = initiated('r1').data as never as Record<string, unknown>;
    expect(() =>
      decide.initiate(ledger.state, { ...data, intentDigest: 'cd'.repeat(32) } as never),
    ).toThrow(
      expect.objectContaining({
        code: 'RequestConflict',
        details: expect.objectContaining({ field: 'intentDigest' }),
      }),
    );
    expect(intent('r1').requestId).toBe('r1');
  });

  it('delivers an owed undo after the end, once', () => {
    const ledger = new Ledger();
    ledger.apply([initiated('r1')]);
    ledger.apply(
      decide.undo(ledger.transfer, { step: 'abort', outcome: 'owed', party: 'beta' as never }),
    );
    ledger.apply(decide.fail(ledger.transfer, failure));
    const delivered = () =>
      decide.undo(ledger.transfer, { step: 'abort', outcome: 'delivered', party: 'beta' as never });
    expect(ledger.apply(delivered())).toBe(true);
    expect(delivered()).toEqual([]);
    expect(
      decide.undo(ledger.transfer, { step: 'abort', outcome: 'owed', party: 'beta' as never }),
    ).toEqual([]);
  });
});

describe('state machines', () => {
  const facts = { pivotPassed: false, paymentSigned: false, lineOver: false, paymentFinal: false };
  it('lead from every state that is not final to a final one', () => {
    for (const machine of [TRANSFER_MACHINE, SIGNATURE_LIFE_CYCLE]) {
      const table = machine.transitions as Record<string, Record<string, string>>;
      const reach = (s: string, seen = new Set<string>()): Set<string> => {
        for (const to of Object.values(table[s] ?? {})) if (!seen.has(to)) reach(to, seen.add(to));
        return seen;
      };
      for (const state of Object.keys(table)) {
        const final = (machine.final as readonly string[]).includes(state);
        expect(Object.keys(table[state] ?? {}).length === 0).toBe(final);
        if (!final)
          expect((machine.final as readonly string[]).some((f) => reach(state).has(f))).toBe(true);
      }
      const everything = reach(machine.initial).add(machine.initial);
      expect([...everything].sort()).toEqual(Object.keys(table).sort());
    }
  });
  it('take a late report of an earlier phase for what it is', () => {
    expect(
      reportedPhase('Confirming', 'AwaitingApprovals', {
        ...facts,
        pivotPassed: true,
        paymentSigned: true,
      }),
    ).toBeUndefined();
    expect(
      reportedPhase('Signing', 'AwaitingApprovals', { ...facts, pivotPassed: true }),
    ).toBeUndefined();
    expect(reportedPhase('Initiated', 'AwaitingApprovals', facts)).toBe('AwaitingApprovals');
    expect(() => reportedPhase('Signing', 'Compensating', { ...facts, pivotPassed: true })).toThrow(
      expect.objectContaining({ code: 'PivotPassed' }),
    );
    expect(() => reportedPhase('Initiated', 'Voiding', facts)).toThrow(
      expect.objectContaining({ code: 'StateConflict' }),
    );
  });
});

describe('time limits', () => {
  it('of the sagas are those that R7 and the defaults name', () => {
    const { broadcast } = profiles;
    expect(broadcast).toMatchObject({
      startToCloseTimeout: STEP_LIMITS.broadcast.seconds * 1000,
      retry: { maximumAttempts: STEP_LIMITS.broadcast.tries },
    });
    for (const [step, { seconds, tries }] of [
      ['prepare', STEP_LIMITS.prepare],
      ['round', STEP_LIMITS.sign],
    ] as const) {
      expect(partyProfile(step, 'alpha' as never)).toMatchObject({
        startToCloseTimeout: seconds * 1000,
        retry: { maximumAttempts: tries },
      });
      expect(DEFAULT_LIMITS[step]).toBe(seconds);
    }
  });
});
