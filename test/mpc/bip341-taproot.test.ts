/** BIP-341: the public key of a key generation is the output key of its address, tweaked exactly once. */
import { schnorr, schnorr_FROST, secp256k1 } from '@noble/curves/secp256k1.js';
import { p2tr } from '@scure/btc-signer';
import { describe, expect, it } from 'vitest';
import { frostBip340 } from '../../mpc/frost/adapter.ts';
import { bip340Suite } from '../../mpc/frost/bip340.ts';
import { encodePublicPackage, encodeShare, fromFrostPublic } from '../../mpc/frost/encoding.ts';
import { identifierOf } from '../../mpc/frost/suite.ts';
import { ceremonyAll, hex, outputOf, range, runAll, seedOf, unhex } from '../support/mpc.ts';
import { affineBip340, affineOutputKey, affineSumX } from '../support/schnorr-verifiers.ts';
import vectors from '../vectors/bip341-wallet.json' with { type: 'json' };

const bytes = (text: string) => Uint8Array.from(unhex(text));
const { Fn } = secp256k1.Point;
/** Header and count come before the first commitment of a round-1 body. */
const CONSTANT = 37;

describe('BIP-341 wallet vectors without a script tree', () => {
  const [output] = vectors.scriptPubKey;
  const spending = vectors.keyPathSpending[0]?.inputSpending[0];
  if (output === undefined || spending === undefined) throw new Error('no vectors');

  it('the tests own tweak gives the output key', () => {
    expect(output.given.scriptTree).toBeNull();
    expect(hex(affineOutputKey(bytes(output.given.internalPubkey)))).toBe(
      output.intermediary.tweakedPubkey,
    );
  });

  it('a key shared by key generation has the output key of the same key held alone, and signs under it', () => {
    expect(spending.given.merkleRoot).toBeNull();
    const members = range(3);
    const signers = { min: 2, max: 3 };
    // Three constant terms that add up to the vector's internal private key.
    const whole = Fn.fromBytes(bytes(spending.given.internalPrivkey));
    const [a, b] = [
      Fn.create(BigInt(`0x${hex(seedOf('a'))}`)),
      Fn.create(BigInt(`0x${hex(seedOf('b'))}`)),
    ];
    const secrets = [a, b, Fn.sub(Fn.sub(whole, a), b)];
    const first = members.map((m, i) =>
      schnorr_FROST.DKG.round1(
        identifierOf(bip340Suite, m),
        signers,
        Uint8Array.from(Fn.toBytes(secrets[i] ?? 0n)),
      ),
    );
    const others = (i: number) => first.filter((_, j) => j !== i).map(({ public: pub }) => pub);
    const second = first.map(({ secret }, i) => schnorr_FROST.DKG.round2(secret, others(i)));
    const keys = first.map(({ secret }, i) =>
      schnorr_FROST.DKG.round3(
        secret,
        others(i),
        second
          .filter((_, j) => j !== i)
          .map((sent) => {
            const mine = sent[identifierOf(bip340Suite, i + 1)];
            if (mine === undefined) throw new Error('no share');
            return mine;
          }),
      ),
    );
    const packages = keys.map((key) =>
      encodePublicPackage(bip340Suite, fromFrostPublic(bip340Suite, key.public)),
    );
    const [publicPackage] = packages;
    if (publicPackage === undefined) throw new Error('no package');
    for (const other of packages) expect(hex(other)).toBe(hex(publicPackage));
    const outputKey = output.intermediary.tweakedPubkey;
    expect(hex(affineOutputKey(bytes(spending.intermediary.internalPubkey)))).toBe(outputKey);
    expect(hex(frostBip340.publicKey(publicPackage))).toBe(outputKey);

    const shape = { threshold: 2, parties: 3 };
    const message = bytes(spending.intermediary.sigHash);
    const run = runAll(
      [1, 3],
      (index) =>
        frostBip340.sign({
          ...shape,
          index,
          sessionId: seedOf('bip341'),
          publicPackage,
          share: encodeShare(
            bip340Suite,
            { ...shape, index, publicPackage },
            keys[index - 1]?.secret.signingShare ?? bytes(''),
          ),
          signers: [1, 3],
          messages: [message],
        }),
      (index) => seedOf('bip341', index),
    );
    const [signature] = frostBip340.aggregate({
      ...shape,
      publicPackage,
      signers: [1, 3],
      messages: [message],
      rounds: run.broadcasts,
    });
    if (signature === undefined) throw new Error('no signature');
    expect(affineBip340(bytes(outputKey), message, signature)).toBe(true);
    // The official witness verifies under the same key: one key, two ways to hold it.
    const witness = bytes(spending.expected.witness[0] ?? '').slice(0, 64);
    expect(frostBip340.verify(bytes(outputKey), message, witness)).toBe(true);
  });
});

describe('a generated key', () => {
  // Several keys, so that both parities of internal and output key occur.
  const labels = range(8).map((i) => `taproot/${i}`);
  const parities = new Set<string>();
  it.each(labels)(
    '%s: the script of the address holds the key that its signatures verify under',
    (label) => {
      const live = ceremonyAll(frostBip340, { threshold: 2, parties: 2 }, label);
      const { publicKey, publicPackage, testSignature, transcriptHash } = outputOf(live, 1);
      const internal = affineSumX(
        [1, 2].map((m) => (live.broadcasts[0]?.get(m) ?? bytes('')).slice(CONSTANT, CONSTANT + 33)),
      );
      expect(hex(publicKey)).toBe(hex(affineOutputKey(internal)));
      expect(hex(publicKey)).not.toBe(hex(internal));
      // What a wallet program makes of the internal key, by itself.
      const script = p2tr(internal).script;
      expect(hex(script)).toBe(`5120${hex(publicKey)}`);
      const id = new TextEncoder().encode('vault');
      const message = schnorr.utils.taggedHash(
        'keysaga/activation/v1',
        Uint8Array.of(0xff),
        new TextEncoder().encode('keysaga/activation/v1'),
        Uint8Array.of(0, id.length),
        id,
        Uint8Array.of(0, 0, 0, 0),
        transcriptHash,
      );
      expect(schnorr.verify(testSignature, message, script.slice(2))).toBe(true);
      parities.add(hex(publicPackage.slice(4, 5)));
    },
  );
  it('were of both parities', () => {
    expect([...parities].sort()).toEqual(['02', '03']);
  });
});
