/** What one signing is about, hashed. */
import { domainHash, utf8ToBytes } from '../bytes.ts';
import { packageHash } from './encoding.ts';
import type { FrostSuite } from './suite.ts';

export const signVersion = (suite: FrostSuite): string => `${suite.id}/sign/1`;

export type Signing = {
  readonly threshold: number;
  readonly parties: number;
  readonly publicPackage: Uint8Array;
  readonly signers: readonly number[];
  readonly messages: readonly Uint8Array[];
};

/** Everything but the session: who only aggregates can compute it. Base of the hashes of what each signer saw. */
export const signingBase = (suite: FrostSuite, signing: Signing): Uint8Array =>
  domainHash(
    'keysaga/frost/signing/v1',
    utf8ToBytes(signVersion(suite)),
    Uint8Array.of(signing.threshold, signing.parties),
    packageHash(signing.publicPackage),
    Uint8Array.from(signing.signers),
    ...signing.messages,
  );

/** With the session: stands in every message's header, and hedges the nonces. */
export const signingContext = (base: Uint8Array, sessionId: Uint8Array): Uint8Array =>
  domainHash('keysaga/frost/sign/v1', base, sessionId);
