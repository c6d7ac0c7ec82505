/**
 * What every threshold protocol must do, whatever its mathematics. Run for each adapter and each (t, n). Machines
 * are deterministic, so each attack is one party run against a recording of the others.
 */
import { beforeAll, describe, expect, it } from 'vitest';
import { chainCodeOf, childKey } from '../../core/account.ts';
import type { KeygenOutput, ThresholdProtocol } from '../../core/ports/protocol.ts';
import {
  type ActivationOutput,
  activationBytes,
  activationCeremony,
  ceremonyRounds,
} from '../../mpc/activation.ts';
import { createRun, outboxHash, replayRun } from '../../mpc/runner.ts';
import { KeyId } from '../../schema/contracts/primitives.ts';
import { childKeyOf } from '../support/children.ts';
import {
  ceremonyAll,
  hex,
  inboxFor,
  keygenAll,
  outputOf,
  type Recording,
  range,
  runAll,
  runVictim,
  type Shape,
  seedOf,
  signAll,
  signingOf,
} from '../support/mpc.ts';
import { BITCOIN } from '../support/parties.ts';
import { presigningSuite } from './presigning-suite.ts';
import { attacks, expectFault, flipped, positions, signerSets } from './suite-attacks.ts';

export type SuiteOptions = {
  /** Verifiers that had no part in making the signature; all must agree. */
  readonly verifiers: readonly ((
    publicKey: Uint8Array,
    message: Uint8Array,
    signature: Uint8Array,
  ) => boolean)[];
  /** A message that the scheme can sign. */
  readonly message: (label: string) => Uint8Array;
  /** Messages that it must refuse to sign. */
  readonly unsignable: readonly Uint8Array[];
  /** For protocols whose key generation takes seconds: fewer shapes and attacks than the default. */
  readonly economy?: {
    /** `each` 0: no attacks on this shape's key generation. */
    readonly shapes: readonly (Shape & { readonly flips: number; readonly each: number })[];
    /** Rounds before which a crash is tried. */
    readonly cuts: readonly number[];
    /** Every so many of the attacks on the ceremony. */
    readonly each: number;
  };
};

export function protocolSuite(protocol: ThresholdProtocol, options: SuiteOptions): void {
  const { id } = protocol.metadata;
  /** `each`: only every so many of the attacks: those on many parties take long, and the small shapes run all. */
  const shapes: readonly (Shape & { flips: number; each: number })[] = options.economy?.shapes ?? [
    { threshold: 2, parties: 2, flips: 6, each: 1 },
    { threshold: 2, parties: 3, flips: 12, each: 1 },
    { threshold: 3, parties: 5, flips: 3, each: 2 },
    { threshold: 5, parties: 7, flips: 2, each: 4 },
  ];

  describe.each(shapes)(`${id}, $threshold of $parties`, ({ flips, each, ...shape }) => {
    const { threshold, parties } = shape;
    const label = `${id}/${threshold}/${parties}`;
    let live: Recording<ActivationOutput>;
    /** The same key generation without the test signature around it: other draws, so another key. */
    let recorded: Recording<KeygenOutput> | undefined;
    const bareOf = (): Recording<KeygenOutput> => {
      recorded ??= keygenAll(protocol, shape, label);
      return recorded;
    };
    let keys: Recording<KeygenOutput>;
    beforeAll(() => {
      live = ceremonyAll(protocol, shape, label);
      keys = live;
    }, 120_000);
    const messages = (count: number) => range(count).map((i) => options.message(`${label}/${i}`));
    const aggregateOf = (
      rounds: readonly ReadonlyMap<number, Uint8Array>[],
      signers: readonly number[],
      signed: readonly Uint8Array[],
    ) =>
      protocol.aggregate({
        ...shape,
        publicPackage: outputOf(keys, 1).publicPackage,
        signers,
        messages: signed,
        rounds,
      });
    const ceremonyOf = (index: number) =>
      activationCeremony(protocol, {
        params: { ...shape, index, sessionId: seedOf('session', label) },
        keyId: 'vault',
        epoch: 0,
      });

    it('gives all parties one key, each its own share, and a test signature by all', () => {
      const first = outputOf(live, 1);
      const shares = new Set<string>();
      for (const member of range(parties)) {
        const output = outputOf(live, member);
        expect(hex(output.publicKey)).toBe(hex(first.publicKey));
        expect(hex(output.publicPackage)).toBe(hex(first.publicPackage));
        expect(hex(output.transcriptHash)).toBe(hex(first.transcriptHash));
        expect(hex(output.testSignature)).toBe(hex(first.testSignature));
        shares.add(hex(output.share));
      }
      expect(shares.size).toBe(parties);
      expect(hex(protocol.publicKey(first.publicPackage))).toBe(hex(first.publicKey));
      const message = protocol.activationMessage(activationBytes('vault', 0, first.transcriptHash));
      expect(protocol.verify(first.publicKey, message, first.testSignature)).toBe(true);
      for (const verify of options.verifiers)
        expect(verify(first.publicKey, message, first.testSignature)).toBe(true);
      const other = protocol.activationMessage(activationBytes('vault', 1, first.transcriptHash));
      expect(protocol.verify(first.publicKey, other, first.testSignature)).toBe(false);
    });

    if (protocol.metadata.curve === 'secp256k1')
      it('signs for a child of the key, that BIP-32 and BIP-341 give, and for no other key', () => {
        const { publicKey } = outputOf(keys, 1);
        const [signers = []] = signerSets(shape);
        const signed = messages(2);
        const network = BITCOIN;
        const root = { keyId: KeyId.parse('vault'), network, publicKey: hex(publicKey) };
        // Both parities of the child's own y come up among these.
        for (const path of ['m/0/1', 'm/0/2', 'm/7/0/3']) {
          const child = childKey(root, path);
          const expected = childKeyOf(publicKey, chainCodeOf(root), path);
          expect(hex(child.publicKey)).toBe(hex(expected));
          const run = signAll(
            protocol,
            shape,
            keys,
            signers,
            signed,
            `${label}/${path}`,
            child.tweak,
          );
          const aggregate = (tweak: Uint8Array) =>
            protocol.aggregate({
              ...shape,
              publicPackage: outputOf(keys, 1).publicPackage,
              signers,
              messages: signed,
              rounds: run.broadcasts,
              tweak,
            });
          aggregate(child.tweak).forEach((signature, at) => {
            const message = signed[at] ?? new Uint8Array();
            for (const verify of options.verifiers)
              expect(verify(child.publicKey, message, signature)).toBe(true);
            expect(protocol.verify(publicKey, message, signature)).toBe(false);
          });
          // Who aggregates for another key than was signed for convicts nobody.
          const fault = expect.objectContaining({ code: 'ProtocolFault' });
          expect(() => aggregate(seedOf('another child'))).toThrowError(fault);
          expect(() => aggregateOf(run.broadcasts, signers, signed)).toThrowError(fault);
        }
        for (const bad of [new Uint8Array(31), new Uint8Array(32).fill(0xff)])
          expect(() => signAll(protocol, shape, keys, signers, signed, label, bad)).toThrowError(
            expect.objectContaining({ code: 'InvalidInput', details: { field: 'tweak' } }),
          );
      });

    it('says nothing in the last round of a ceremony, and states its rounds', () => {
      expect(ceremonyOf(1).rounds).toBe(ceremonyRounds(protocol));
      for (const member of range(parties)) expect(live.outboxes.get(member)?.at(-1)).toEqual([]);
    });

    it('signs with each signer set, alone and in a batch', () => {
      const { publicKey } = outputOf(keys, 1);
      for (const [i, signers] of signerSets(shape).entries()) {
        const signed = messages(i === 0 ? 3 : 1);
        const run = signAll(protocol, shape, keys, signers, signed, `${label}/sign/${i}`);
        expect(run.broadcasts.length).toBe(protocol.metadata.rounds.sign);
        for (const signer of signers) expect(outputOf(run, signer)).toEqual({ released: true });
        const signatures = aggregateOf(run.broadcasts, signers, signed);
        expect(signatures.length).toBe(signed.length);
        signatures.forEach((signature, at) => {
          const message = signed[at] ?? new Uint8Array();
          expect(protocol.verify(publicKey, message, signature)).toBe(true);
          for (const verify of options.verifiers)
            expect(verify(publicKey, message, signature)).toBe(true);
          expect(protocol.verify(publicKey, flipped(message, 0), signature)).toBe(false);
          expect(protocol.verify(publicKey, message, flipped(signature, 40))).toBe(false);
        });
      }
    });

    it('replays from seed and log byte for byte', () => {
      if (options.economy !== undefined && parties > 5) return;
      const logged = live.logs.get(parties) ?? [];
      const seed = seedOf('seed', label, parties);
      // After a crash before each round, the rest of the run is the same.
      const cuts =
        options.economy?.cuts ??
        (parties <= 3 ? range(live.logs.get(1)?.length ?? 0).map((r) => r - 1) : [3]);
      for (const cut of cuts) {
        const run = replayRun(() => ceremonyOf(parties), seed, {
          version: live.version,
          entries: logged.slice(0, cut),
        });
        expect(run.next).toBe(cut + 1);
        let output: ActivationOutput | undefined;
        for (const entry of logged.slice(cut)) {
          const result = run.round(entry.round, entry.inbox);
          expect(hex(result.outboxHash)).toBe(hex(entry.outboxHash));
          expect(result.outbox).toEqual(live.outboxes.get(parties)?.[entry.round - 1]);
          output = result.output;
        }
        expect(output).toEqual(outputOf(live, parties));
      }
    });

    it('replays a signing from seed and log byte for byte, each signer from each round', () => {
      const signers = range(threshold);
      const name = `${label}/sign-again`;
      const signed = messages(2);
      const run = signAll(protocol, shape, keys, signers, signed, name);
      const rounds = protocol.metadata.rounds.sign;
      for (const signer of signers) {
        const logged = run.logs.get(signer) ?? [];
        expect(logged.length).toBe(rounds);
        for (const cut of range(rounds).map((round) => round - 1)) {
          // After a crash before each round, the rest of the run is the same.
          const again = replayRun(
            () => signingOf(protocol, shape, keys, signer, signers, signed, name),
            seedOf('seed', name, signer),
            { version: run.version, entries: logged.slice(0, cut) },
          );
          expect(again.next).toBe(cut + 1);
          for (const entry of logged.slice(cut)) {
            const result = again.round(entry.round, entry.inbox);
            expect(hex(result.outboxHash)).toBe(hex(entry.outboxHash));
            expect(result.outbox).toEqual(run.outboxes.get(signer)?.[entry.round - 1]);
            if (entry.round === rounds) expect(result.output).toEqual(outputOf(run, signer));
          }
        }
      }
    });

    it('equal seeds give equal keys, another seed or session another', () => {
      if (parties > 3 || (options.economy !== undefined && parties > 2)) return;
      const bare = bareOf();
      const again = keygenAll(protocol, shape, label);
      const other = keygenAll(protocol, shape, `${label}/other`);
      const sameSeedsOtherSession = keygenAll(protocol, shape, label, seedOf('session', 'another'));
      for (const member of range(parties)) {
        expect(outputOf(again, member).share).toEqual(outputOf(bare, member).share);
        expect(outputOf(other, member).share).not.toEqual(outputOf(bare, member).share);
        expect(outputOf(sameSeedsOtherSession, member).publicKey).not.toEqual(
          outputOf(bare, member).publicKey,
        );
      }
    });

    it('takes Buffers, and neither changes nor keeps what it was given', () => {
      const signers = range(threshold);
      const message = Buffer.from(options.message(`${label}/buffer`));
      const session = Buffer.from(seedOf('session', 'buffer'));
      const seeds = new Map(signers.map((m) => [m, Buffer.from(seedOf('buffer', m))]));
      const shares = new Map(signers.map((m) => [m, Buffer.from(outputOf(keys, m).share)]));
      const publicPackage = Buffer.from(outputOf(keys, 1).publicPackage);
      const before = [message, session, publicPackage, ...seeds.values(), ...shares.values()].map(
        hex,
      );
      const started = signers.map((index) => {
        const run = createRun(
          () =>
            protocol.sign({
              ...shape,
              index,
              sessionId: session,
              share: shares.get(index) ?? Buffer.alloc(0),
              publicPackage,
              signers,
              messages: [message],
            }),
          seeds.get(index) ?? Buffer.alloc(0),
        );
        run.round(1, []);
        run.dispose();
        return run;
      });
      expect(started.length).toBe(threshold);
      const after = [message, session, publicPackage, ...seeds.values(), ...shares.values()].map(
        hex,
      );
      expect(after).toEqual(before);
      expect(hex(protocol.publicKey(publicPackage))).toBe(hex(outputOf(keys, 1).publicKey));
    });

    it('signs what it was asked to, whatever becomes of the array', () => {
      if (parties > 3) return;
      const signers = range(threshold);
      const message = options.message(`${label}/kept`);
      const handed = new Map(signers.map((m) => [m, message.slice()]));
      const run = runAll(
        signers,
        (index) => {
          const machine = protocol.sign({
            ...shape,
            index,
            sessionId: seedOf('session', 'kept'),
            share: outputOf(keys, index).share,
            publicPackage: outputOf(keys, index).publicPackage,
            signers,
            messages: [handed.get(index) ?? message],
          });
          handed.get(index)?.fill(7);
          return machine;
        },
        (index) => seedOf('kept', index),
      );
      expect(aggregateOf(run.broadcasts, signers, [message]).length).toBe(1);
      // Asked to aggregate it as something else, the caller is wrong, not a signer.
      const wrong = options.message(`${label}/wrong`);
      expect(() => aggregateOf(run.broadcasts, signers, [wrong])).toThrowError(
        expect.objectContaining({
          code: 'ProtocolFault',
          details: expect.not.objectContaining({ culprit: expect.anything() }),
        }),
      );
    });

    it('refuses fewer than t signers, strangers, and messages that the scheme cannot sign', () => {
      const { share, publicPackage } = outputOf(keys, 1);
      const base = {
        ...shape,
        index: 1,
        sessionId: seedOf('session', label),
        share,
        publicPackage,
        signers: range(threshold),
        messages: messages(1),
      };
      const refused = (change: Partial<typeof base>, code = 'InvalidInput') =>
        expect(() => protocol.sign({ ...base, ...change })).toThrowError(
          expect.objectContaining({ code }),
        );
      refused({ signers: range(threshold - 1) });
      refused({ signers: [...range(threshold)].reverse() });
      refused({ signers: [...range(threshold - 1), threshold - 1] });
      refused({ signers: [...range(threshold - 1), parties + 1] });
      refused({ signers: range(parties).slice(parties - threshold), index: parties + 1 });
      refused({ messages: [] });
      refused({ sessionId: new Uint8Array(31) });
      refused({ index: 2 });
      refused({ share: outputOf(keys, 2).share });
      refused({ share: share.slice(0, -1) });
      refused({ threshold: 1 });
      refused({ publicPackage: publicPackage.slice(0, -1) }, 'ProtocolFault');
      for (const message of options.unsignable) refused({ messages: [message] });
      for (const bad of [
        { threshold: 1, parties: 2 },
        { threshold: 2, parties: 4 },
        { threshold: 4, parties: 3 },
        { threshold: 2, parties: 17 },
      ])
        expect(() => protocol.keygen({ ...bad, index: 1, sessionId: seedOf('x') })).toThrowError(
          expect.objectContaining({ code: 'InvalidInput' }),
        );
    });

    it('fewer than t signature shares are never a signature', () => {
      const signers = range(threshold);
      const signed = messages(1);
      const run = signAll(protocol, shape, keys, signers, signed, `${label}/few`);
      const few = run.broadcasts.map((said) => new Map([...said].slice(1)));
      expectFault(() => aggregateOf(few, signers, signed), 1, true, 'a share is missing');
      expect(() => aggregateOf(few, signers.slice(1), signed)).toThrowError(
        expect.objectContaining({ code: 'InvalidInput' }),
      );
    });

    it('key generation: each malformed, swapped or missing message is a fault of its sender', () => {
      if (each === 0) return;
      const bare = bareOf();
      const foreign = keygenAll(protocol, shape, `${label}/foreign`);
      const victim = 1;
      const from = parties;
      const log = bare.logs.get(victim) ?? [];
      for (const { round, inbox } of log.slice(1)) {
        const said = (recording: Recording<unknown>, sender: number, r: number) =>
          inboxFor(victim, new Map([[sender, recording.outboxes.get(sender)?.[r - 1] ?? []]]))[0]
            ?.body;
        // Reflection: what this party itself sent to the other in the round before.
        const own = inboxFor(
          from,
          new Map([[victim, bare.outboxes.get(victim)?.[round - 2] ?? []]]),
        )[0]?.body;
        const all = attacks(
          inbox,
          from,
          own,
          said(foreign, from, round - 1),
          round > 2 ? said(bare, from, round - 2) : undefined,
          flips,
        );
        for (const attack of all.filter((_, i) => i % each === round % each)) {
          expectFault(
            () =>
              runVictim(
                bare,
                victim,
                () =>
                  protocol.keygen({ ...shape, index: victim, sessionId: seedOf('session', label) }),
                seedOf('seed', label, victim),
                { round, inbox: attack.inbox },
              ),
            from,
            attack.blame,
            `${id} keygen round ${round}, ${attack.name}`,
          );
        }
      }
    });

    it('signing: each malformed, swapped or missing message is a fault of its sender', () => {
      const signers = range(threshold);
      const signed = messages(2);
      const run = signAll(protocol, shape, keys, signers, signed, `${label}/attacked`);
      const foreign = signAll(protocol, shape, keys, signers, signed, `${label}/elsewhere`);
      const victim = 1;
      const from = threshold;
      const last = protocol.metadata.rounds.sign;
      for (const { round, inbox } of (run.logs.get(victim) ?? []).slice(1)) {
        const own = run.broadcasts[round - 2]?.get(victim);
        for (const attack of attacks(
          inbox,
          from,
          own,
          foreign.broadcasts[round - 2]?.get(from),
          undefined,
          flips,
        )) {
          expectFault(
            () => {
              const { outboxes } = runVictim(
                run,
                victim,
                () =>
                  protocol.sign({
                    ...shape,
                    index: victim,
                    sessionId: seedOf('session', `${label}/attacked`),
                    share: outputOf(keys, victim).share,
                    publicPackage: outputOf(keys, victim).publicPackage,
                    signers,
                    messages: signed,
                  }),
                seedOf('seed', `${label}/attacked`, victim),
                { round, inbox: attack.inbox },
              );
              // The victim took it for another valid message: then the shares do not fit together.
              aggregateOf(
                run.broadcasts.map((said, i) => {
                  const body = outboxes[i]?.find(({ to }) => to === 'all')?.body;
                  return body === undefined ? said : new Map([...said, [victim, body]]);
                }),
                signers,
                signed,
              );
            },
            from,
            attack.blame,
            `${id} sign round ${round}, ${attack.name}`,
          );
        }
      }
      // The last round's broadcasts go to whoever aggregates; so do the earlier ones.
      for (let round = 1; round <= last; round++) {
        const said = run.broadcasts[round - 1] ?? new Map();
        const body = said.get(from) ?? new Uint8Array();
        const bad = [
          ...positions(body.length, flips).map((p) => flipped(body, p)),
          new Uint8Array(),
          body.slice(0, -1),
          Uint8Array.from([...body, 0]),
          foreign.broadcasts[round - 1]?.get(from) ?? new Uint8Array(),
          said.get(victim) ?? new Uint8Array(),
        ];
        for (const [i, changed] of bad.entries())
          expectFault(
            () =>
              aggregateOf(
                run.broadcasts.map((b, at) =>
                  at === round - 1 ? new Map([...b, [from, changed]]) : b,
                ),
                signers,
                signed,
              ),
            from,
            true,
            `${id} aggregate, round ${round}, change ${i}`,
          );
      }
      expect(aggregateOf(run.broadcasts, signers, signed).length).toBe(2);
    });

    it('a changed public package is a fault, never another key', () => {
      const { publicPackage } = outputOf(keys, 1);
      for (const at of positions(publicPackage.length, Math.max(flips, 4)))
        expect(() => protocol.publicKey(flipped(publicPackage, at))).toThrowError(
          expect.objectContaining({ code: 'ProtocolFault' }),
        );
      for (const bad of [
        new Uint8Array(),
        publicPackage.slice(1),
        Uint8Array.from([...publicPackage, 0]),
      ])
        expect(() => protocol.publicKey(bad)).toThrowError(
          expect.objectContaining({ code: 'ProtocolFault' }),
        );
    });
  });

  presigningSuite(protocol, options);

  describe(`${id}, the ceremony and its log`, () => {
    const shape = { threshold: 2, parties: 3 };
    const label = `${id}/log`;
    let live: Recording<ActivationOutput>;
    beforeAll(() => {
      live = ceremonyAll(protocol, shape, label);
    });
    const ceremonyOf = (index: number, keyId = 'vault') =>
      activationCeremony(protocol, {
        params: { ...shape, index, sessionId: seedOf('session', label) },
        keyId,
        epoch: 0,
      });
    const seed = seedOf('seed', label, 2);
    const entries = () => live.logs.get(2) ?? [];
    const mismatch = expect.objectContaining({ code: 'ReplayMismatch' });

    it('a wrong message in any round of the ceremony ends it with its sender named', () => {
      for (const { round, inbox } of (live.logs.get(1) ?? []).slice(1)) {
        const all = attacks(inbox, 3, undefined, undefined, undefined, 5);
        const every = options.economy?.each ?? 1;
        for (const attack of all.filter((_, i) => i % every === round % every))
          expectFault(
            () =>
              runVictim(live, 1, () => ceremonyOf(1), seedOf('seed', label, 1), {
                round,
                inbox: attack.inbox,
              }),
            3,
            attack.blame,
            `${id} ceremony round ${round}, ${attack.name}`,
          );
      }
    });

    it('a party that signs the activation of another key is named by the others', () => {
      const seedFor = (m: number) => seedOf('seed', label, m);
      const runs = range(3).map((m) =>
        createRun(() => ceremonyOf(m, m === 3 ? 'theirs' : 'vault'), seedFor(m)),
      );
      let last = new Map<number, ReturnType<typeof inboxFor> | undefined>();
      let outboxes = new Map<number, readonly { to: number | 'all'; body: Uint8Array }[]>();
      let thrown: unknown;
      for (let r = 1; r <= ceremonyRounds(protocol) && thrown === undefined; r++) {
        last = new Map(range(3).map((m) => [m, inboxFor(m, outboxes)]));
        const next: typeof outboxes = new Map();
        for (const [i, run] of runs.entries()) {
          try {
            next.set(i + 1, run.round(r, last.get(i + 1) ?? []).outbox);
          } catch (error) {
            if (i === 0) thrown = error;
          }
        }
        outboxes = next;
      }
      expect(thrown).toMatchObject({ code: 'ProtocolFault', details: { culprit: '3' } });
    });

    it('a replay that says something else is a mismatch', () => {
      const replay = (change: {
        version?: string;
        entries?: ReturnType<typeof entries>;
        seed?: Uint8Array;
        keyId?: string;
      }) =>
        replayRun(() => ceremonyOf(2, change.keyId), change.seed ?? seed, {
          version: change.version ?? live.version,
          entries: change.entries ?? entries(),
        });
      expect(replay({}).next).toBe(ceremonyRounds(protocol) + 1);
      expect(() => replay({ version: `${live.version}x` })).toThrowError(mismatch);
      expect(() => replay({ seed: seedOf('another') })).toThrowError(mismatch);
      const changed = entries().map((entry, i) =>
        i === 1 ? { ...entry, outboxHash: flipped(entry.outboxHash, 0) } : entry,
      );
      expect(() => replay({ entries: changed })).toThrowError(mismatch);
      expect(() => replay({ entries: entries().slice(1) })).toThrowError(mismatch);
      expect(() => replay({ entries: [...entries(), ...entries().slice(-1)] })).toThrowError(
        mismatch,
      );
      const tampered = entries().map((entry, i) =>
        i === 1 ? { ...entry, inbox: entry.inbox.slice(1) } : entry,
      );
      expect(() => replay({ entries: tampered })).toThrowError(mismatch);
    });

    it('a run answers each round once, in order, and nothing after a failure', () => {
      const run = createRun(() => ceremonyOf(2), seed);
      const outOfOrder = expect.objectContaining({ code: 'RoundOutOfOrder' });
      expect(() => run.round(2, [])).toThrowError(outOfOrder);
      const first = run.round(1, []);
      expect(first.outboxHash).toEqual(outboxHash(first.outbox));
      expect(() => run.round(1, [])).toThrowError(outOfOrder);
      expect(() => run.round(2, [])).toThrowError(
        expect.objectContaining({ code: 'ProtocolFault' }),
      );
      const inbox = entries()[1]?.inbox ?? [];
      expect(() => run.round(2, inbox)).toThrowError(
        expect.objectContaining({ code: 'SessionFailed' }),
      );
    });
  });
}
