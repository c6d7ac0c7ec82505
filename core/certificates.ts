/** Activation certificates: n members swear to the same key, or its address is not shown and its shares do not sign. */
import { sha256 } from '@noble/hashes/sha2.js';
import { type ErrorDetails, KeysagaError } from '../schema/contracts/errors.ts';
import {
  type ActivationCertificate,
  type KeyDescriptor,
  SignedCertificate,
  SignedNever,
} from '../schema/contracts/key.ts';
import type { AttemptId, PartyId } from '../schema/contracts/primitives.ts';
import { parseWith } from './parse.ts';
import { bytesToHex, hexToBytes, type VerifySignature, verifySigned } from './signed.ts';

/** What `party` swears to, unsigned. `publicPackageHash` is the SHA-256 of the package's bytes. */
export function certificateOf(
  party: PartyId,
  attempt: AttemptId,
  key: KeyDescriptor,
): ActivationCertificate {
  return {
    party,
    attempt,
    keyId: key.keyId,
    walletId: key.walletId,
    publicKey: key.publicKey,
    epoch: key.epoch,
    network: key.network,
    address: key.address,
    protocol: key.protocol,
    threshold: key.threshold,
    parties: [...key.parties],
    publicPackageHash: bytesToHex(sha256(hexToBytes(key.publicPackage))),
    policyHash: key.policyHash,
    transcriptHash: key.transcriptHash,
  };
}

const FIELDS = [
  'keyId',
  'walletId',
  'publicKey',
  'epoch',
  'network',
  'address',
  'protocol',
  'threshold',
  'parties',
  'publicPackageHash',
  'policyHash',
  'transcriptHash',
] as const satisfies readonly (keyof ActivationCertificate)[];

export type CertificatesCheck = {
  readonly certificates: readonly SignedCertificate[];
  readonly key: KeyDescriptor;
  /** Pinned by the verifier; the member list of `key` is believed only as far as it is found here. */
  readonly identityKeys: ReadonlyMap<PartyId, string>;
  /** The ceremony the verifier itself took part in. Only then does a signed contradiction convict its signer. */
  readonly attempt?: string | undefined;
  readonly verify?: VerifySignature | undefined;
};

/**
 * Exactly one certificate of each of the n members, every field as in `key`, each under the member's pinned key, all
 * of one ceremony, and 2t > n. Throws `CertificateInvalid` with `field` and `party`; with `culprit` as well when the
 * member provably swore to something else in the verifier's own ceremony. A forged signature convicts nobody.
 */
export function verifyCertificates(check: CertificatesCheck): void {
  const { certificates, key, identityKeys, verify } = check;
  function refuse(field: string, message: string, details: ErrorDetails = {}): never {
    throw new KeysagaError('CertificateInvalid', message, { ...details, field });
  }
  const members = key.parties;
  if (new Set(members).size !== members.length) refuse('parties', 'A member is named twice.');
  if (key.threshold > members.length || 2 * key.threshold <= members.length)
    refuse('threshold', 'Two signer sets could be disjoint.');
  const pinned = members.map(
    (party) =>
      identityKeys.get(party) ?? refuse('parties', `No key is pinned for ${party}.`, { party }),
  );
  if (new Set(pinned).size !== members.length)
    refuse('parties', 'Two members are pinned with one key.');
  if (certificates.length !== members.length)
    refuse('certificates', `${certificates.length} of ${members.length} certificates.`, {
      have: certificates.length,
      need: members.length,
    });
  const attempt = check.attempt ?? certificates[0]?.certificate.attempt;
  const seen = new Set<PartyId>();
  for (const signed of certificates) {
    const shape = SignedCertificate.safeParse(signed);
    if (!shape.success) refuse('certificates', 'A certificate is malformed.');
    const { certificate, signature } = signed;
    const { party } = certificate;
    const identity = members.includes(party) ? identityKeys.get(party) : undefined;
    if (identity === undefined) refuse('party', `${party} is no member.`, { party });
    if (seen.has(party)) refuse('party', `${party} certified twice.`, { party });
    seen.add(party);
    if (!verifySigned('certificate', certificate, identity, signature, verify))
      refuse('signature', `The certificate of ${party} does not verify.`, { party });
    // Another ceremony's certificate is a replay by whoever delivered it, no fault of the signer.
    if (certificate.attempt !== attempt)
      refuse('attempt', `${party} certified another ceremony.`, { party });
    const expected = certificateOf(party, certificate.attempt, key);
    for (const field of FIELDS)
      if (`${certificate[field]}` !== `${expected[field]}`)
        refuse(
          field,
          `${party} certified another ${field}.`,
          check.attempt === undefined ? { party } : { party, culprit: party },
        );
  }
}

/**
 * A member's signed word that it will never certify this ceremony: proof that the key can never become active.
 * Throws `CertificateInvalid` (`field`, `party`).
 */
export function verifyNever(check: {
  readonly signed: SignedNever;
  readonly attempt: string;
  readonly keyId: string;
  readonly members: readonly PartyId[];
  readonly identityKeys: ReadonlyMap<PartyId, string>;
  readonly verify?: VerifySignature | undefined;
}): void {
  const { never, signature } = parseWith(SignedNever, check.signed, 'never');
  const { party } = never;
  function refuse(field: string, message: string): never {
    throw new KeysagaError('CertificateInvalid', message, { field, party });
  }
  const identity = check.members.includes(party) ? check.identityKeys.get(party) : undefined;
  if (identity === undefined) refuse('party', `${party} is no member.`);
  if (never.attempt !== check.attempt) refuse('attempt', 'It is about another ceremony.');
  if (never.keyId !== check.keyId) refuse('keyId', 'It is about another key.');
  if (!verifySigned('never', never, identity, signature, check.verify))
    refuse('signature', `The word of ${party} does not verify.`);
}
