/**
 * Key generation against another implementation's messages (frost-rs): its proofs of knowledge and shares are
 * accepted by our machine, and its polynomials lead to its keys, with BIP-341's tweak for secp256k1.
 */
import type { DKG_Secret } from '@noble/curves/abstract/frost.js';
import { describe, expect, it } from 'vitest';
import { domainHash, utf8ToBytes } from '../../mpc/bytes.ts';
import { frostBip340, frostEd25519 } from '../../mpc/frost/adapter.ts';
import { bip340Suite } from '../../mpc/frost/bip340.ts';
import { ed25519Suite } from '../../mpc/frost/ed25519.ts';
import { encodeKeygenCommitment, encodeKeygenShare } from '../../mpc/frost/messages.ts';
import { identifierOf } from '../../mpc/frost/suite.ts';
import { createRun } from '../../mpc/runner.ts';
import { hex, seedOf, unhex } from '../support/mpc.ts';
import ed25519Vectors from '../vectors/zf-dkg-ed25519.json' with { type: 'json' };
import taprootVectors from '../vectors/zf-dkg-secp256k1-tr.json' with { type: 'json' };

const bytes = (text: string) => Uint8Array.from(unhex(text));
type Party = {
  readonly identifier: number;
  readonly signing_key: string;
  readonly coefficient: string;
  readonly vss_commitments: readonly string[];
  readonly proof_of_knowledge: string;
  /** What this party received, by sender. */
  readonly signing_shares: Readonly<Record<string, string | undefined>>;
  readonly verifying_share: string;
  readonly signing_share: string;
};
type Inputs = {
  readonly verifying_key: string;
  readonly '1': Party;
  readonly '2': Party;
  readonly '3': Party;
};
const cases: { protocol: typeof frostEd25519; suite: typeof ed25519Suite; inputs: Inputs }[] = [
  { protocol: frostEd25519, suite: ed25519Suite, inputs: ed25519Vectors.inputs },
  { protocol: frostBip340, suite: bip340Suite, inputs: taprootVectors.inputs },
];

describe.each(cases)('$protocol.metadata.id', ({ protocol, suite, inputs }) => {
  const parties = [inputs['1'], inputs['2'], inputs['3']];
  const sessionId = seedOf('dkg vectors');
  const shape = { threshold: 2, parties: 3 };

  it("proofs of knowledge and shares of the others' pass each check, and no other", () => {
    for (const party of parties) {
      const points = party.vss_commitments.map(bytes);
      const [constant] = points;
      if (constant === undefined) throw new Error('no commitments');
      const proof = bytes(party.proof_of_knowledge);
      expect(suite.checks.proof(party.identifier, constant, proof)).toBe(true);
      expect(suite.checks.proof((party.identifier % 3) + 1, constant, proof)).toBe(false);
      for (const receiver of parties.filter((p) => p !== party)) {
        const share = bytes(receiver.signing_shares[String(party.identifier)] ?? '');
        expect(suite.checks.share(receiver.identifier, points, share)).toBe(true);
        expect(suite.checks.share((receiver.identifier % 3) + 1, points, share)).toBe(false);
      }
    }
  });

  it('the machine accepts what parties 2 and 3 of the vector say', () => {
    // The context as the machine computes it.
    const context = domainHash(
      'keysaga/frost/keygen/v1',
      utf8ToBytes(protocol.metadata.versions.keygen),
      sessionId,
      Uint8Array.of(shape.threshold, shape.parties),
    );
    const run = createRun(
      () => protocol.keygen({ ...shape, index: 1, sessionId }),
      seedOf('machine'),
    );
    run.round(1, []);
    const others = parties.slice(1);
    run.round(
      2,
      others.map((p) => ({
        from: p.identifier,
        body: encodeKeygenCommitment(
          { from: p.identifier, to: 0, context },
          { commitments: p.vss_commitments.map(bytes), proof: bytes(p.proof_of_knowledge) },
        ),
      })),
    );
    const { outbox } = run.round(
      3,
      others.map((p) => ({
        from: p.identifier,
        body: encodeKeygenShare(
          { from: p.identifier, to: 1, context },
          bytes(inputs['1'].signing_shares[String(p.identifier)] ?? ''),
        ),
      })),
    );
    expect(outbox.length).toBe(1);
  });

  it("the vector's polynomials give the vector's shares and key", () => {
    for (const self of parties) {
      const secret: DKG_Secret = {
        identifier: BigInt(self.identifier),
        coefficients: [self.signing_key, self.coefficient].map((s) =>
          suite.frost.utils.Fn.fromBytes(bytes(s)),
        ),
        commitment: self.vss_commitments.map(bytes),
        signers: { min: 2, max: 3 },
        step: 1,
      };
      const others = parties.filter((p) => p !== self);
      const packages = others.map((p) => ({
        identifier: identifierOf(suite, p.identifier),
        commitment: p.vss_commitments.map(bytes),
        proofOfKnowledge: bytes(p.proof_of_knowledge),
      }));
      suite.frost.DKG.round2(secret, packages);
      const key = suite.frost.DKG.round3(
        secret,
        packages,
        others.map((p) => ({
          identifier: identifierOf(suite, p.identifier),
          signingShare: bytes(self.signing_shares[String(p.identifier)] ?? ''),
        })),
      );
      expect(hex(key.secret.signingShare)).toBe(self.signing_share);
      expect(hex(key.public.commitments[0] ?? bytes(''))).toBe(inputs.verifying_key);
      for (const p of parties)
        expect(
          hex(key.public.verifyingShares[identifierOf(suite, p.identifier)] ?? bytes('')),
        ).toBe(p.verifying_share);
    }
  });
});
