/**
 * Nonces and shares of repeated runs are independent of each other and of the other parties', and the same with the same
 * seeds. The seeds are fixed, so the outcome is: the bounds, five standard deviations, are met or are not. What a bias would look
 * like is tested on samples that have one.
 */
import { describe, expect, it } from 'vitest';
import type { OutgoingMessage, RoundMachine } from '../../core/ports/protocol.ts';
import { dkls23 } from '../../mpc/dkls23/adapter.ts';
import { createKeygen } from '../../mpc/dkls23/keygen.ts';
import { Q, scalarBytes } from '../../mpc/dkls23/scalars.ts';
import { zeroShare } from '../../mpc/dkls23/zero-sharing.ts';
import { held } from '../../mpc/faults.ts';
import { frostBip340, frostEd25519 } from '../../mpc/frost/adapter.ts';
import { createRun } from '../../mpc/runner.ts';
import { dealKey } from '../support/dkls23.ts';
import { hex, inboxFor, keygenAll, outputOf, range, runAll, seedOf } from '../support/mpc.ts';

/** Standard deviations. */
const BOUND = 5;
/** One value of each run, in their order. */
type Series = readonly Uint8Array[];

/** How far the counts of byte values are from equal ones: χ² with 255 degrees of freedom, as standard deviations. */
function byteBias(series: Series): number {
  const counts = new Array<number>(256).fill(0);
  let total = 0;
  for (const value of series)
    for (const byte of value) {
      counts[byte] = held(counts[byte]) + 1;
      total += 1;
    }
  const expected = total / 256;
  const chi = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
  return (chi - 255) / Math.sqrt(2 * 255);
}

/** Correlation of two series, byte by byte and bit by bit, as standard deviations; the larger one. */
function correlation(a: Series, b: Series): number {
  const left = a.flatMap((value) => [...value]);
  const right = b.flatMap((value) => [...value]);
  const mean = (values: readonly number[]) => values.reduce((x, y) => x + y, 0) / values.length;
  const [ma, mb] = [mean(left), mean(right)];
  let [ab, aa, bb, equal] = [0, 0, 0, 0];
  left.forEach((x, i) => {
    const y = held(right[i]);
    ab += (x - ma) * (y - mb);
    aa += (x - ma) ** 2;
    bb += (y - mb) ** 2;
    for (let bits = x ^ y, n = 0; n < 8; n++, bits >>= 1) equal += 1 - (bits & 1);
  });
  const bits = 8 * left.length;
  const bytes = (Math.abs(ab) / Math.sqrt(aa * bb)) * Math.sqrt(left.length);
  return Math.max(bytes, Math.abs(equal - bits / 2) / Math.sqrt(bits / 4));
}
/** Of each value with the one of the run before. */
const serial = (series: Series): number => correlation(series.slice(1), series.slice(0, -1));

/** All that is asked of what several parties drew or got in repeated runs. Values: as many bytes each. */
function expectIndependent(named: Readonly<Record<string, Series>>): void {
  const all = Object.entries(named);
  expect(new Set(all.flatMap(([, series]) => series.map(hex))).size).toBe(
    all.reduce((sum, [, series]) => sum + series.length, 0),
  );
  all.forEach(([name, series], i) => {
    // Enough for each byte value to be expected ten times.
    expect(series.length * held(series[0]).length, name).toBeGreaterThan(2560);
    expect(Math.abs(byteBias(series)), `bytes of ${name}`).toBeLessThan(BOUND);
    expect(serial(series), `${name}, run by run`).toBeLessThan(BOUND);
    for (const [other, theirs] of all.slice(i + 1))
      expect(correlation(series, theirs), `${name} and ${other}`).toBeLessThan(BOUND);
  });
}

describe('the statistics', () => {
  const sound = range(192).map((i) => seedOf('sound', i));
  it('pass what is uniform and see a bit that is missing, a repetition and a copy', () => {
    expectIndependent({ sound, other: range(192).map((i) => seedOf('other', i)) });
    expect(
      byteBias(sound.map((v) => v.map((byte, i) => (i % 4 ? byte : byte & 127)))),
    ).toBeGreaterThan(BOUND);
    // A quarter of each value is that of the run before, or of the other party.
    const partly = sound.map((v, i) =>
      i % 2 ? Uint8Array.from([...held(sound[i - 1]).slice(0, 8), ...v.slice(8)]) : v,
    );
    expect(serial(partly)).toBeGreaterThan(BOUND);
    expect(
      correlation(
        sound,
        sound.map((v) => v.map((byte, i) => byte ^ (i < 8 ? 0 : held(seedOf('x', hex(v))[i])))),
      ),
    ).toBeGreaterThan(BOUND);
    expect(() => expectIndependent({ sound, again: sound })).toThrow();
  });
});

const both = [1, 2];
const shape = { threshold: 2, parties: 2 };

describe('presignatures', () => {
  const key = dealKey(shape, 'statistics');
  const made = (label: string, session = label, count = 24) =>
    runAll(
      both,
      (index) =>
        held(dkls23.presigning).presign({
          ...shape,
          index,
          sessionId: seedOf('session', session),
          share: outputOf(key, index).share,
          publicPackage: outputOf(key, index).publicPackage,
          signers: both,
          count,
        }),
      (index) => seedOf('presign', label, index),
    );
  type Run = ReturnType<typeof made>;
  type Part = readonly [from: number, to?: number];
  const of = (runs: readonly Run[], index: number, [from, to]: Part): Series =>
    runs.flatMap((run) => outputOf(run, index).presignatures.map((bytes) => bytes.slice(from, to)));
  /** R's x, then u, v and φ at the end of a presignature. */
  const parts = { R: [-160, -128], u: [-96, -64], v: [-64, -32], phi: [-32] } satisfies Record<
    string,
    Part
  >;

  it('of repeated runs are independent, each from its neighbours and from the other party’s', () => {
    const runs = range(8).map((i) => made(`run/${i}`));
    const series: Record<string, Series> = { R: of(runs, 1, parts.R) };
    for (const index of both)
      for (const part of ['u', 'v', 'phi'] as const)
        series[`${part} of ${index}`] = of(runs, index, parts[part]);
    expectIndependent(series);
  });

  it('are the same with the same seeds and session, and others with either changed', () => {
    const first = made('same', 'same', 2);
    expect(made('same', 'same', 2).outputs).toEqual(first.outputs);
    for (const other of [made('same', 'another', 2), made('another', 'same', 2)])
      for (const index of both)
        for (const part of Object.values(parts))
          expect(of([other], index, part)).not.toEqual(of([first], index, part));
  });
});

/** What the parties send in round r of runs of a machine, of which no more is run than that. */
function said(
  r: number,
  senders: readonly number[],
  machine: (index: number) => RoundMachine<unknown>,
  seed: (index: number) => Uint8Array,
): Map<number, readonly OutgoingMessage[]> {
  const runs = new Map(both.map((m) => [m, createRun(() => machine(m), seed(m))]));
  let last = new Map<number, readonly OutgoingMessage[]>();
  for (let round = 1; round <= r; round++)
    last = new Map(
      [...runs]
        .filter(([m]) => round < r || senders.includes(m))
        .map(([m, run]) => [m, run.round(round, inboxFor(m, last)).outbox]),
    );
  for (const run of runs.values()) run.dispose();
  return last;
}
const bodyTo = (outbox: readonly OutgoingMessage[] | undefined, to: number | 'all'): Uint8Array =>
  held(outbox?.find((message) => message.to === to)).body;

describe('shares that are dealt in a key generation', () => {
  it('of DKLs23, and the tosses beside them, are independent from run to run', () => {
    // The higher index, which does not choose transfers in this round.
    const of = (label: string, session = label) =>
      bodyTo(
        said(
          2,
          [2],
          (index) => createKeygen({ ...shape, index, sessionId: seedOf('session', session) }),
          (index) => seedOf('dealt', label, index),
        ).get(2),
        1,
      ).slice(36);
    const bodies = range(96).map((i) => of(`run/${i}`));
    const part = (k: number) => bodies.map((body) => body.slice(32 * k, 32 * k + 32));
    expectIndependent({ share: part(0), seed: part(1), blinding: part(2) });
    expect(of('run/1')).toEqual(bodies[0]);
    expect(of('run/1', 'another').slice(0, 32)).not.toEqual(part(0)[0]);
  });

  it.each([frostEd25519, frostBip340])(
    'of $metadata.id are independent from run to run',
    (protocol) => {
      const of = (label: string) => {
        const outbox = said(
          2,
          both,
          (index) => protocol.keygen({ ...shape, index, sessionId: seedOf('session', label) }),
          (index) => seedOf('dealt', label, index),
        );
        // The byte aside that the order of the group does not fill: little-endian in the one, and for both.
        return both.map((from) =>
          bodyTo(outbox.get(from), 3 - from).slice(
            ...(protocol === frostEd25519 ? [-32, -1] : [-31]),
          ),
        );
      };
      const runs = range(96).map((i) => of(`run/${i}`));
      expectIndependent({
        'of 1': runs.map(([first]) => held(first)),
        'of 2': runs.map(([, second]) => held(second)),
      });
      expect(of('run/1')).toEqual(runs[0]);
    },
  );
});

describe('shares of zero', () => {
  it('are independent from session to session and of each other, but for their sum', () => {
    const signers = [1, 3, 4];
    const seeds = (index: number) =>
      new Map(
        signers.map((peer) => [peer, seedOf('zero', Math.min(index, peer), Math.max(index, peer))]),
      );
    const shares = (session: string) =>
      signers.map((index) => zeroShare(seedOf(session), index, signers, seeds(index)));
    const runs = range(512).map((i) => shares(`session/${i}`));
    for (const run of runs) expect(run.reduce((sum, x) => sum + x) % Q).toBe(0n);
    const series = (at: number) => runs.map((run) => scalarBytes(held(run[at])));
    // Any two; the third follows from them.
    expectIndependent({ first: series(0), second: series(1) });
    expectIndependent({ second: series(1), third: series(2) });
    expect(shares('session/1')).toEqual(runs[0]);
  });
});

describe('nonces of FROST', () => {
  it.each([frostEd25519, frostBip340])(
    'of $metadata.id are new with each run, message and party',
    (protocol) => {
      const keys = keygenAll(protocol, shape, 'statistics');
      const pointBytes = protocol === frostEd25519 ? 32 : 33;
      const messages = range(8).map((i) => seedOf('message', i));
      const of = (label: string, session = label) => {
        const outbox = said(
          1,
          both,
          (index) =>
            protocol.sign({
              ...shape,
              index,
              sessionId: seedOf('session', session),
              share: outputOf(keys, index).share,
              publicPackage: outputOf(keys, index).publicPackage,
              signers: both,
              messages,
            }),
          (index) => seedOf('nonces', label, index),
        );
        return both.map((from) => bodyTo(outbox.get(from), 'all'));
      };
      /** Commitments at the end of a body: hiding and binding of each message. */
      const points = (body: Uint8Array, kind: number): Uint8Array[] =>
        messages.map((_, m) => {
          const end = body.length - (2 * (messages.length - m) - kind - 1) * pointBytes;
          return body.slice(end - 32, end);
        });
      const runs = range(16).map((i) => of(`run/${i}`));
      const series: Record<string, Series> = {};
      for (const [i, party] of both.entries())
        for (const [kind, name] of ['hiding', 'binding'].entries())
          series[`${name} of ${party}`] = runs.flatMap((run) => points(held(run[i]), kind));
      expectIndependent(series);
      expect(of('run/1')).toEqual(runs[0]);
      // A seed that is used twice by mistake gives other nonces to another session.
      expect(points(held(of('run/1', 'another')[0]), 0)).not.toEqual(points(held(runs[0]?.[0]), 0));
    },
  );
});
