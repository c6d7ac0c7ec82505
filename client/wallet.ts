/** A wallet as a client may show it: certified by every party, its address derived here. */
import { verifyCertificates } from '../core/certificates.ts';
import { parseWith } from '../core/parse.ts';
import { hexToBytes } from '../core/signed.ts';
import { KeysagaError } from '../schema/contracts/errors.ts';
import type { KeyDescriptor, SignedCertificate } from '../schema/contracts/key.ts';
import type { PartyId } from '../schema/contracts/primitives.ts';
import { KeygenOutcome } from '../schema/contracts/saga.ts';
import type { AddressCodecs } from './addresses.ts';

/** Every field was checked against the pinned party keys. */
export type Wallet = {
  readonly walletId: string;
  /** CAIP-2. */
  readonly network: string;
  readonly address: string;
  readonly key: KeyDescriptor;
  readonly certificates: readonly SignedCertificate[];
  /** Parties whose share was active when the key generation ended. */
  readonly activated: readonly PartyId[];
};

/**
 * Whoever runs Temporal or the coordinator could answer with an address of his own. So: n certificates under the
 * pinned keys, about this wallet, and the address that its public key gives. Throws `CertificateInvalid` (`field`).
 */
export function verifyWallet(
  walletId: string,
  answer: unknown,
  identityKeys: ReadonlyMap<PartyId, string>,
  codecs: AddressCodecs,
): Wallet {
  const outcome = parseWith(KeygenOutcome, answer, 'key generation');
  const { key, certificates, activated } = outcome;
  const refuse = (field: string, message: string): never => {
    throw new KeysagaError('CertificateInvalid', message, { field });
  };
  if (key.walletId !== walletId) refuse('walletId', `The key is that of wallet ${key.walletId}.`);
  if (`${key.keyId}` !== walletId) refuse('keyId', 'The key id is not the wallet id.');
  verifyCertificates({ certificates, key, identityKeys });
  const address = codecs.address(key.network, hexToBytes(key.publicKey));
  if (address !== key.address)
    refuse('address', 'The certified address does not belong to the public key.');
  return { walletId, network: key.network, address, key, certificates, activated };
}
