/**
 * What every protocol that signs in two parts must do, presignatures ahead of time and one part with the message. Run by
 * `protocolSuite` for each adapter whose metadata says so; the others must have none.
 */
import { beforeAll, describe, expect, it } from 'vitest';
import type {
  KeygenOutput,
  Presigning,
  PresignOutput,
  ThresholdProtocol,
} from '../../core/ports/protocol.ts';
import { replayRun } from '../../mpc/runner.ts';
import {
  hex,
  keygenAll,
  outputOf,
  type Recording,
  range,
  runAll,
  runVictim,
  seedOf,
} from '../support/mpc.ts';
import type { SuiteOptions } from './protocol-suite.ts';
import { attacks, expectFault, flipped, positions, signerSets } from './suite-attacks.ts';

export function presigningSuite(protocol: ThresholdProtocol, options: SuiteOptions): void {
  const { id } = protocol.metadata;
  const part = protocol.presigning;
  if (part === undefined) {
    it(`${id} has no presigning, and says so`, () => {
      expect(protocol.metadata.presigning).toBe(false);
    });
    return;
  }
  describe(`${id}, presigning`, () => {
    it('is stated', () => {
      expect(protocol.metadata.presigning).toBe(true);
      const { versions } = protocol.metadata;
      expect(new Set([...Object.values(versions), ...Object.values(part.versions)]).size).toBe(
        Object.keys(versions).length + 2,
      );
    });
    twoParts(protocol, part, options);
  });
}

function twoParts(protocol: ThresholdProtocol, part: Presigning, options: SuiteOptions): void {
  const { id } = protocol.metadata;
  const shape = { threshold: 2, parties: 3 };
  const label = `${id}/presigning`;
  let keys: Recording<KeygenOutput>;
  let pool: Recording<PresignOutput>;
  const signers = [1, 3];
  beforeAll(() => {
    keys = keygenAll(protocol, shape, label);
    pool = presign(signers, 'pool', 4);
  }, 120_000);
  const messages = (count: number) => range(count).map((i) => options.message(`${label}/${i}`));
  const presignOf = (by: readonly number[], session: string, count: number) => (index: number) =>
    part.presign({
      ...shape,
      index,
      sessionId: seedOf('session', session),
      share: outputOf(keys, index).share,
      publicPackage: outputOf(keys, index).publicPackage,
      signers: by,
      count,
    });
  const presign = (by: readonly number[], name: string, count: number, session = name) =>
    runAll(by, presignOf(by, session, count), (i) => seedOf('presign', name, i));
  const online = (
    by: readonly number[],
    of: (index: number) => readonly Uint8Array[],
    signed: readonly Uint8Array[],
    session: string,
  ) =>
    runAll(
      by,
      (index) =>
        part.online({
          ...shape,
          index,
          sessionId: seedOf('session', session),
          publicPackage: outputOf(keys, index).publicPackage,
          signers: by,
          messages: signed,
          presignatures: of(index),
        }),
      (index) => seedOf('online', session, index),
    );
  const aggregateOf = (
    rounds: readonly ReadonlyMap<number, Uint8Array>[],
    by: readonly number[],
    signed: readonly Uint8Array[],
  ) =>
    part.aggregate({
      ...shape,
      publicPackage: outputOf(keys, 1).publicPackage,
      signers: by,
      messages: signed,
      rounds,
    });
  const stock = (from: number, to: number) => (index: number) =>
    outputOf(pool, index).presignatures.slice(from, to);

  it('each signer set signs with what it made, in the rounds that are stated', () => {
    const { publicKey } = outputOf(keys, 1);
    for (const [i, by] of signerSets(shape).entries()) {
      const made = presign(by, `set/${i}`, 2);
      const first = outputOf(made, by[0] ?? 0);
      expect(new Set(first.ids.map(hex)).size).toBe(2);
      const secrets = by.flatMap((index) => outputOf(made, index).presignatures.map(hex));
      expect(new Set(secrets).size).toBe(2 * by.length);
      for (const index of by) {
        expect(outputOf(made, index).ids).toEqual(first.ids);
        expect(made.outboxes.get(index)?.length).toBe(part.rounds.presign);
        expect(made.outboxes.get(index)?.at(-1)).toEqual([]);
      }
      const signed = messages(2);
      const run = online(by, (index) => outputOf(made, index).presignatures, signed, `set/${i}`);
      expect(run.broadcasts.length).toBe(part.rounds.online);
      for (const index of by) expect(outputOf(run, index)).toEqual({ released: true });
      aggregateOf(run.broadcasts, by, signed).forEach((signature, m) => {
        const message = signed[m] ?? new Uint8Array();
        expect(protocol.verify(publicKey, message, signature)).toBe(true);
        for (const verify of options.verifiers)
          expect(verify(publicKey, message, signature)).toBe(true);
        expect(protocol.verify(publicKey, flipped(message, 0), signature)).toBe(false);
      });
    }
  });

  it('replays from seed and log byte for byte, and equal seeds give equal presignatures', () => {
    const logged = pool.logs.get(3) ?? [];
    for (const cut of range(logged.length - 1)) {
      const run = replayRun(() => presignOf(signers, 'pool', 4)(3), seedOf('presign', 'pool', 3), {
        version: part.versions.presign,
        entries: logged.slice(0, cut),
      });
      let output: PresignOutput | undefined;
      for (const entry of logged.slice(cut)) {
        const result = run.round(entry.round, entry.inbox);
        expect(hex(result.outboxHash)).toBe(hex(entry.outboxHash));
        output = result.output;
      }
      expect(output).toEqual(outputOf(pool, 3));
    }
    expect(presign(signers, 'pool', 4).outputs).toEqual(pool.outputs);
    for (const other of [presign(signers, 'other', 4), presign(signers, 'pool', 4, 'other')])
      for (const index of signers)
        for (const [i, presignature] of outputOf(other, index).presignatures.entries()) {
          expect(presignature).not.toEqual(outputOf(pool, index).presignatures[i]);
          expect(outputOf(other, index).ids[i]).not.toEqual(outputOf(pool, index).ids[i]);
        }
  });

  it('refuses wrong signer sets, counts, foreign or repeated presignatures and unsignable messages', () => {
    const { share, publicPackage } = outputOf(keys, 1);
    const base = { ...shape, index: 1, sessionId: seedOf('session', 'x'), publicPackage, signers };
    const invalid = expect.objectContaining({ code: 'InvalidInput' });
    const sets = [[1], [3, 1], [1, 1], [1, 4], [2, 3]];
    for (const change of [
      ...sets.map((by) => ({ signers: by })),
      { count: 0 },
      { count: 1.5 },
      { share: outputOf(keys, 3).share },
      { sessionId: new Uint8Array(31) },
    ])
      expect(() => part.presign({ ...base, share, count: 1, ...change })).toThrowError(invalid);
    const [first, second] = stock(0, 2)(1) as [Uint8Array, Uint8Array];
    const given = { ...base, messages: messages(1), presignatures: [first] };
    expect(() => part.online(given)).not.toThrow();
    for (const change of [
      ...[...sets, [1, 2], [1, 2, 3]].map((by) => ({ signers: by })),
      { presignatures: [] },
      { presignatures: [first, second] },
      { messages: messages(2), presignatures: [first, first] },
      { presignatures: stock(0, 1)(3) },
      { presignatures: [first.slice(0, -1)] },
      { presignatures: [Uint8Array.from([...first, 0])] },
      { messages: [] },
      ...options.unsignable.map((message) => ({ messages: [message] })),
    ])
      expect(() => part.online({ ...given, ...change })).toThrowError(invalid);
  });

  it('presigning: each malformed, swapped or missing message is a fault of its sender, or useless', () => {
    const foreign = presign(signers, 'elsewhere', 4);
    const [victim, from] = [1, 3];
    for (const { round, inbox } of (pool.logs.get(victim) ?? []).slice(1)) {
      const own = pool.broadcasts[round - 2]?.get(victim);
      const theirs = foreign.broadcasts[round - 2]?.get(from);
      for (const attack of attacks(inbox, from, own, theirs, undefined, 6))
        expectFault(
          () => {
            const { output } = runVictim(
              pool,
              victim,
              () => presignOf(signers, 'pool', 4)(victim),
              seedOf('presign', 'pool', victim),
              { round, inbox: attack.inbox },
            );
            const signed = messages(4);
            const run = online(
              signers,
              (index) => (index === victim ? (output?.presignatures ?? []) : stock(0, 4)(index)),
              signed,
              'spoilt',
            );
            aggregateOf(run.broadcasts, signers, signed);
          },
          from,
          attack.blame,
          `${id} presign round ${round}, ${attack.name}`,
        );
    }
  });

  it('signing online: each malformed or missing share is a fault of its sender, and fewer than t are no signature', () => {
    const signed = messages(2);
    const run = online(signers, stock(0, 2), signed, 'attacked');
    const foreign = online(signers, stock(2, 4), signed, 'elsewhere');
    const [victim, from] = [1, 3];
    run.broadcasts.forEach((said, round) => {
      const body = said.get(from) ?? new Uint8Array();
      const bad = [
        ...positions(body.length, 24).map((p) => flipped(body, p)),
        new Uint8Array(),
        body.slice(0, -1),
        Uint8Array.from([...body, 0]),
        foreign.broadcasts[round]?.get(from) ?? new Uint8Array(),
        said.get(victim) ?? new Uint8Array(),
      ];
      const changed = (next: ReadonlyMap<number, Uint8Array>) =>
        aggregateOf(
          run.broadcasts.map((b, i) => (i === round ? next : b)),
          signers,
          signed,
        );
      for (const [i, b] of bad.entries())
        expectFault(() => changed(new Map([...said, [from, b]])), from, true, `change ${i}`);
      const few = new Map([...said].filter(([sender]) => sender !== from));
      expectFault(() => changed(few), from, true, 'a share is missing');
    });
    expect(() => aggregateOf(run.broadcasts, [1], signed)).toThrowError(
      expect.objectContaining({ code: 'InvalidInput' }),
    );
    expect(aggregateOf(run.broadcasts, signers, signed).length).toBe(2);
  });
}
