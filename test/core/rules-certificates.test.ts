import { createHash } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type CertificatesCheck,
  certificateOf,
  verifyCertificates,
  verifyNever,
} from '../../core/certificates.ts';
import { signObject } from '../../core/signed.ts';
import type { SignedCertificate, SignedNever } from '../../schema/contracts/key.ts';
import { PartyId } from '../../schema/contracts/primitives.ts';
import {
  ALPHA,
  ATTEMPT,
  at,
  BETA,
  certify,
  changedLeaves,
  flipBit,
  forAll,
  GAMMA,
  hex32,
  IDENTITIES,
  key,
  OTHER_ATTEMPT,
  PARTIES,
  partySeed,
  refusal,
  seed,
} from './rules-fixtures.ts';

const all = (): SignedCertificate[] => PARTIES.map((p) => certify(p));
const verify = (
  certificates: readonly SignedCertificate[],
  patch: Partial<CertificatesCheck> = {},
) => verifyCertificates({ certificates, key: key(), identityKeys: IDENTITIES, ...patch });
const refused = (
  certificates: readonly SignedCertificate[],
  field: string,
  patch: Partial<CertificatesCheck> = {},
) => refusal(() => verify(certificates, patch), 'CertificateInvalid', field).details;

describe('activation certificates', () => {
  it('are in order when all n members swear to the same key', () => {
    verify(all());
    verify(all().toReversed(), { attempt: ATTEMPT });
    expect(certificateOf(ALPHA, ATTEMPT, key()).publicPackageHash).toBe(
      createHash('sha256').update(Buffer.from('a1b2c3', 'hex')).digest('hex'),
    );
  });
  it('need every member, each once', () => {
    refused(all().slice(1), 'certificates');
    refused([], 'certificates');
    expect(refused([certify(ALPHA), certify(ALPHA), certify(BETA)], 'party')).toMatchObject({
      party: 'alpha',
    });
    refused([...all(), certify(ALPHA)], 'certificates');
    const delta = PartyId.parse('delta');
    const c = { ...certificateOf(delta, ATTEMPT, key()) };
    refused(
      [...all().slice(1), { certificate: c, signature: signObject('certificate', c, seed(77)) }],
      'party',
    );
  });
  it('fall with any change of the shown key, naming the field', () => {
    const named = new Map([['publicPackage', 'publicPackageHash']]);
    const fields = new Set<string>();
    for (const change of changedLeaves(key())) {
      const top = change.path.split('.')[0] ?? '';
      // The policy's id is not sworn to by itself: its hash is, and covers the id.
      if (top === 'policyId') continue;
      const expected =
        top === 'threshold' ? 'threshold' : top === 'parties' ? 'parties' : (named.get(top) ?? top);
      refused(all(), expected, { key: change.value });
      fields.add(top);
    }
    expect(fields.size).toBe(12);
  });
  it('fall with any change of a certificate and any bit of a signature, and convict nobody', () => {
    const [first, ...rest] = all();
    if (first === undefined) expect.unreachable();
    for (const change of changedLeaves(first.certificate)) {
      if (change.path === 'party') continue;
      const { culprit } = refused([{ ...first, certificate: change.value }, ...rest], 'signature', {
        attempt: ATTEMPT,
      });
      expect(culprit).toBeUndefined();
    }
    forAll(
      fc.property(fc.integer({ min: 0, max: 511 }), (bit) => {
        expect(
          refused([{ ...first, signature: flipBit(first.signature, bit) }, ...rest], 'signature'),
        ).not.toHaveProperty('culprit');
      }),
      { numRuns: 40 },
    );
  });
  it('convict the member that swore to another key in the verifier’s own ceremony', () => {
    const other = certify(GAMMA, key({ transcriptHash: hex32(6) }));
    const list = [certify(ALPHA), certify(BETA), other];
    expect(refused(list, 'transcriptHash', { attempt: ATTEMPT })).toMatchObject({
      party: 'gamma',
      culprit: 'gamma',
    });
    // Somebody who was shown the key by others cannot tell who lies.
    expect(refused(list, 'transcriptHash')).not.toHaveProperty('culprit');
  });
  it('are of one ceremony, and an old one convicts nobody', () => {
    const old = certify(GAMMA, key(), OTHER_ATTEMPT);
    expect(refused([certify(ALPHA), certify(BETA), old], 'attempt')).not.toHaveProperty('culprit');
    expect(
      refused([certify(ALPHA), certify(BETA), old], 'attempt', { attempt: ATTEMPT }),
    ).not.toHaveProperty('culprit');
    refused(all(), 'attempt', { attempt: OTHER_ATTEMPT });
  });
  it('count only under pinned keys', () => {
    refused(all(), 'parties', { identityKeys: new Map([...IDENTITIES].slice(1)) });
    const same = IDENTITIES.get(ALPHA) ?? '';
    refused(all(), 'parties', { identityKeys: new Map(PARTIES.map((p) => [p, same])) });
    const swapped = new Map([
      ...IDENTITIES,
      [ALPHA, IDENTITIES.get(BETA) ?? ''],
      [BETA, same],
    ] as const);
    refused(all(), 'signature', { identityKeys: swapped });
  });
  it('are worth nothing for a key whose signer sets could be disjoint', () => {
    const parties = ['a', 'b', 'c', 'd'].map((p) => PartyId.parse(p));
    refused([], 'threshold', { key: key({ parties }) });
    refused([], 'threshold', { key: key({ threshold: 4 }) });
    refused([], 'parties', { key: key({ parties: [ALPHA, ALPHA, BETA] }) });
  });
  it('are refused when malformed', () => {
    refused([{ ...certify(ALPHA), signature: 'zz' }, ...all().slice(1)], 'certificates');
  });
});

describe('a member’s never', () => {
  const never = { party: BETA, attempt: ATTEMPT, keyId: key().keyId, at: at(0) };
  const signed: SignedNever = { never, signature: signObject('never', never, partySeed(BETA)) };
  const check = (s: SignedNever, patch: Record<string, unknown> = {}) =>
    verifyNever({
      signed: s,
      attempt: ATTEMPT,
      keyId: key().keyId,
      members: PARTIES,
      identityKeys: IDENTITIES,
      ...patch,
    });
  it('is believed from a pinned member about this ceremony only', () => {
    check(signed);
    refusal(() => check(signed, { attempt: OTHER_ATTEMPT }), 'CertificateInvalid', 'attempt');
    refusal(() => check(signed, { keyId: 'wallet-2' }), 'CertificateInvalid', 'keyId');
    refusal(() => check(signed, { members: [ALPHA, GAMMA] }), 'CertificateInvalid', 'party');
    refusal(() => check(signed, { identityKeys: new Map() }), 'CertificateInvalid', 'party');
    refusal(() => check({ ...signed, signature: 'zz' }), 'InvalidInput', 'signature');
    refusal(
      () => check({ never, signature: signObject('never', never, partySeed(ALPHA)) }),
      'CertificateInvalid',
      'signature',
    );
    refusal(
      () => check({ ...signed, never: { ...never, at: at(1) } }),
      'CertificateInvalid',
      'signature',
    );
    refusal(
      () => check({ ...signed, never: { ...never, party: ALPHA } }),
      'CertificateInvalid',
      'signature',
    );
    refusal(
      () => check({ ...signed, signature: signObject('certificate', never, partySeed(BETA)) }),
      'CertificateInvalid',
      'signature',
    );
  });
});
