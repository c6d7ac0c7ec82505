/**
 * RFC 9591, appendix E: the curve library's FROST, on which the machines stand, makes the vectors' nonces,
 * commitments and shares from the vectors' randomness, and our own aggregation combines them.
 */

import type { FROST } from '@noble/curves/abstract/frost.js';
import { ed25519 } from '@noble/curves/ed25519.js';
import { secp256k1, secp256k1_FROST } from '@noble/curves/secp256k1.js';
import { describe, expect, it } from 'vitest';
import { frostEd25519 } from '../../mpc/frost/adapter.ts';
import { bip340Suite } from '../../mpc/frost/bip340.ts';
import { ed25519Suite } from '../../mpc/frost/ed25519.ts';
import { encodePublicPackage } from '../../mpc/frost/encoding.ts';
import {
  encodeNonceCommitments,
  encodeSignatureShares,
  seenHash,
} from '../../mpc/frost/messages.ts';
import { signingBase } from '../../mpc/frost/sign-context.ts';
import { hex, seedOf, unhex } from '../support/mpc.ts';
import { opensslEd25519 } from '../support/schnorr-verifiers.ts';
import ed25519Vectors from '../vectors/rfc9591-frost-ed25519.json' with { type: 'json' };
import secp256k1Vectors from '../vectors/rfc9591-frost-secp256k1.json' with { type: 'json' };
import taprootVectors from '../vectors/zf-frost-secp256k1-tr.json' with { type: 'json' };

const bytes = (text: string) => Uint8Array.from(unhex(text));
type Vectors = {
  readonly inputs: Pick<
    (typeof ed25519Vectors)['inputs'],
    | 'participant_list'
    | 'verifying_key_key'
    | 'message'
    | 'share_polynomial_coefficients'
    | 'participant_shares'
  >;
  readonly round_one_outputs: (typeof ed25519Vectors)['round_one_outputs'];
  readonly round_two_outputs: (typeof ed25519Vectors)['round_two_outputs'];
  readonly final_output: { readonly sig: string };
};

const suites: {
  name: string;
  frost: FROST;
  base: (scalar: Uint8Array) => Uint8Array;
  vectors: Vectors;
}[] = [
  {
    name: 'E.1, FROST(Ed25519, SHA-512)',
    frost: ed25519Suite.frost,
    base: (s) => ed25519.Point.BASE.multiply(ed25519.Point.Fn.fromBytes(s)).toBytes(),
    vectors: ed25519Vectors,
  },
  {
    name: 'E.5, FROST(secp256k1, SHA-256)',
    frost: secp256k1_FROST,
    base: (s) => secp256k1.Point.BASE.multiply(secp256k1.Point.Fn.fromBytes(s)).toBytes(),
    vectors: secp256k1Vectors,
  },
  {
    name: "frost-secp256k1-tr's own, BIP-340",
    frost: bip340Suite.frost,
    base: (s) => secp256k1.Point.BASE.multiply(secp256k1.Point.Fn.fromBytes(s)).toBytes(),
    vectors: taprootVectors,
  },
];

/** What the vectors lead to, step by step. */
function follow({ frost, base, vectors }: (typeof suites)[number]) {
  const { inputs } = vectors;
  const id = (n: number) => frost.Identifier.fromNumber(n);
  const groupKey = bytes(inputs.verifying_key_key);
  const shareOf = (n: number) =>
    bytes(
      inputs.participant_shares.find(({ identifier }) => identifier === n)?.participant_share ?? '',
    );
  const pub = {
    signers: { min: 2, max: 3 },
    commitments: [
      groupKey,
      Uint8Array.from(base(bytes(inputs.share_polynomial_coefficients[0] ?? ''))),
    ],
    verifyingShares: Object.fromEntries(
      [1, 2, 3].map((n) => [id(n), Uint8Array.from(base(shareOf(n)))]),
    ),
  };
  const outputs = vectors.round_one_outputs.outputs;
  const nonces = outputs.map((o) => {
    const random = [o.hiding_nonce_randomness, o.binding_nonce_randomness].map(bytes);
    return frost.commit(
      { identifier: id(o.identifier), signingShare: shareOf(o.identifier) },
      () => random.shift() ?? bytes(''),
    );
  });
  return { inputs, id, shareOf, pub, outputs, nonces, message: bytes(inputs.message) };
}

describe.each(suites)('RFC 9591 $name', (suite) => {
  const { vectors, frost } = suite;
  const { id, shareOf, pub, outputs, nonces, message } = follow(suite);
  const list = nonces.map(({ commitments }) => commitments);

  it('dealer shares lie on the committed polynomial', () => {
    for (const n of [1, 2, 3])
      expect(() =>
        frost.validateSecret({ identifier: id(n), signingShare: shareOf(n) }, pub),
      ).not.toThrow();
  });
  it('round one: nonces and commitments', () => {
    nonces.forEach(({ nonces: pair, commitments }, i) => {
      expect(hex(pair.hiding)).toBe(outputs[i]?.hiding_nonce);
      expect(hex(pair.binding)).toBe(outputs[i]?.binding_nonce);
      expect(hex(commitments.hiding)).toBe(outputs[i]?.hiding_nonce_commitment);
      expect(hex(commitments.binding)).toBe(outputs[i]?.binding_nonce_commitment);
    });
  });
  it('round two: signature shares; aggregate: the signature', () => {
    const shares = Object.fromEntries(
      outputs.map(({ identifier }, i) => {
        const pair = nonces[i]?.nonces;
        if (pair === undefined) throw new Error('no nonces');
        const secret = { identifier: id(identifier), signingShare: shareOf(identifier) };
        return [id(identifier), frost.signShare(secret, pub, { ...pair }, list, message)];
      }),
    );
    expect(Object.values(shares).map(hex)).toEqual(
      vectors.round_two_outputs.outputs.map(({ sig_share }) => sig_share),
    );
    const signature = hex(frost.aggregate(pub, list, message, shares));
    expect(signature).toBe(vectors.final_output.sig);
  });
});

describe('our aggregation of appendix E.1', () => {
  const suite = suites[0];
  if (suite === undefined) throw new Error('no suite');
  const { pub, outputs, message, id } = follow(suite);
  const signing = {
    threshold: 2,
    parties: 3,
    publicPackage: encodePublicPackage(ed25519Suite, {
      threshold: 2,
      parties: 3,
      commitments: pub.commitments,
      verificationShares: [1, 2, 3].map((n) => pub.verifyingShares[id(n)] ?? bytes('')),
    }),
    signers: [1, 3],
    messages: [message],
  };
  const context = seedOf('context');
  const first = new Map(
    outputs.map((o): [number, Uint8Array] => [
      o.identifier,
      encodeNonceCommitments({ from: o.identifier, to: 0, context }, [
        { hiding: bytes(o.hiding_nonce_commitment), binding: bytes(o.binding_nonce_commitment) },
      ]),
    ]),
  );
  const base = signingBase(ed25519Suite, signing);
  const seen = [...first].map(([from, body]) => seenHash(base, from, body));
  const second = new Map(
    ed25519Vectors.round_two_outputs.outputs.map((o): [number, Uint8Array] => [
      o.identifier,
      encodeSignatureShares(
        { from: o.identifier, to: 0, context },
        { seen, shares: [bytes(o.sig_share)] },
      ),
    ]),
  );

  it('gives the signature of the vector, which OpenSSL verifies under its key', () => {
    const [signature] = frostEd25519.aggregate({
      ...signing,
      rounds: [first, second],
      proveEachShare: true,
    });
    expect(hex(signature ?? bytes(''))).toBe(ed25519Vectors.final_output.sig);
    expect(hex(frostEd25519.publicKey(signing.publicPackage))).toBe(
      ed25519Vectors.inputs.verifying_key_key,
    );
    expect(
      opensslEd25519(
        bytes(ed25519Vectors.inputs.verifying_key_key),
        message,
        signature ?? bytes(''),
      ),
    ).toBe(true);
  });
});
