/** What one signing is about, hashed. */
import { domainHash, u16, utf8ToBytes } from '../bytes.ts';
import { packageHash } from './encoding.ts';
import type { FrostSuite } from './suite.ts';

export const signVersion = (suite: FrostSuite): string => `${suite.id}/sign/1`;

/** Making nonces ahead of time, and signing with them. */
export const presignVersion = (suite: FrostSuite): string => `${suite.id}/presign/1`;
export const onlineVersion = (suite: FrostSuite): string => `${suite.id}/online/1`;

export type Signing = {
  readonly threshold: number;
  readonly parties: number;
  readonly publicPackage: Uint8Array;
  readonly signers: readonly number[];
  readonly messages: readonly Uint8Array[];
};

/**
 * Everything but the session: who only aggregates can compute it. Base of the hashes of what each signer saw.
 * `version`: of the machine that makes the shares.
 */
export const signingBase = (
  suite: FrostSuite,
  signing: Signing,
  version: string = signVersion(suite),
): Uint8Array =>
  domainHash(
    'keysaga/frost/signing/v1',
    utf8ToBytes(version),
    Uint8Array.of(signing.threshold, signing.parties),
    packageHash(signing.publicPackage),
    Uint8Array.from(signing.signers),
    ...signing.messages,
  );

/** With the session: stands in every message's header, and hedges the nonces. */
export const signingContext = (base: Uint8Array, sessionId: Uint8Array): Uint8Array =>
  domainHash('keysaga/frost/sign/v1', base, sessionId);

/** What a pack of nonces is about; there is no message yet. Stands in the header of its only message. */
export const presigningContext = (
  suite: FrostSuite,
  pack: Omit<Signing, 'messages'> & { readonly count: number; readonly sessionId: Uint8Array },
): Uint8Array =>
  domainHash(
    'keysaga/frost/presigning/v1',
    utf8ToBytes(presignVersion(suite)),
    Uint8Array.of(pack.threshold, pack.parties),
    packageHash(pack.publicPackage),
    Uint8Array.from(pack.signers),
    u16(pack.count),
    pack.sessionId,
  );
