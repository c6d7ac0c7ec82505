/** A wallet as a client may show it: certified by every party, its address derived here. */
import { verifyCertificates } from '../core/certificates.ts';
import { parseWith } from '../core/parse.ts';
import { hexToBytes } from '../core/signed.ts';
import { KeysagaError } from '../schema/contracts/errors.ts';
import type {
  GenerateKeyRequest,
  KeyDescriptor,
  SignedCertificate,
} from '../schema/contracts/key.ts';
import type { PartyId } from '../schema/contracts/primitives.ts';
import { KeygenOutcome } from '../schema/contracts/saga.ts';
import type { AddressCodecs } from './addresses.ts';

/** Checked against the pinned party keys, every field; of `key` all but `policyId`, which `policyHash` stands for. */
export type CertifiedWallet = {
  readonly walletId: string;
  /** CAIP-2. */
  readonly network: string;
  readonly address: string;
  readonly key: KeyDescriptor;
  readonly certificates: readonly SignedCertificate[];
};
export type Wallet = CertifiedWallet & {
  /** Parties whose share was active when the key generation ended, by the saga's word alone. */
  readonly activated: readonly PartyId[];
};

/**
 * Which of the pinned parties may have a wallet of their own. A wallet's members are the whole directory, unless they are
 * exactly one of these lists.
 */
export type Committees = { readonly committees?: readonly (readonly PartyId[])[] | undefined };

/**
 * Whoever runs Temporal or the coordinator could answer with an address of his own. So: n certificates under the
 * pinned keys, about this wallet, and the address that its public key gives. Throws `CertificateInvalid` (`field`, and
 * `party` where it is one party's), `InvalidInput` for what is no answer at all.
 */
export function verifyWallet(
  walletId: string,
  answer: unknown,
  codecs: AddressCodecs,
  identityKeys: ReadonlyMap<PartyId, string>,
  committees: Committees = {},
): Wallet {
  const outcome = parseWith(KeygenOutcome, answer, 'key generation');
  const { key, certificates, activated } = outcome;
  return { ...verifyKey(walletId, key, certificates, codecs, identityKeys, committees), activated };
}

/** The same for a key and its certificates, wherever they come from. */
export function verifyKey(
  walletId: string,
  key: KeyDescriptor,
  certificates: readonly SignedCertificate[],
  codecs: AddressCodecs,
  identityKeys: ReadonlyMap<PartyId, string>,
  { committees = [] }: Committees = {},
): CertifiedWallet {
  if (key.walletId !== walletId) refuse('walletId', `The key is that of wallet ${key.walletId}.`);
  if (`${key.keyId}` !== walletId) refuse('keyId', 'The key id is not the wallet id.');
  verifyCertificates({ certificates, key, identityKeys });
  // Else some of the pinned parties, fewer than the threshold of every true wallet, could make one of their own.
  const all = key.parties.length === identityKeys.size;
  if (!all && !committees.some((members) => sameMembers(members, key.parties)))
    refuse(
      'parties',
      `Its members are ${key.parties.join(', ')}; pinned are ${[...identityKeys.keys()].join(', ')}. Name them as a committee if that is meant.`,
    );
  const address = codecs.address(key.network, hexToBytes(key.publicKey));
  if (address !== key.address)
    refuse('address', 'The certified address does not belong to the public key.');
  return { walletId, network: key.network, address, key, certificates };
}

/**
 * The key that was made is the one that was asked for: parties certify whichever ceremony they were asked to join, on
 * another network or with another threshold too. Throws `CertificateInvalid` (`field`).
 */
export function requireAsRequested(wallet: CertifiedWallet, request: GenerateKeyRequest): void {
  const { key } = wallet;
  const other = (field: string): never =>
    refuse(field, `The key was generated with another ${field} than asked for.`);
  if (key.network !== request.network) other('network');
  if (key.threshold !== request.threshold) other('threshold');
  if (!sameMembers(key.parties, request.parties)) other('parties');
  if (`${key.policyId}` !== `${request.policyId}`) other('policyId');
  if (request.protocol !== undefined && key.protocol !== request.protocol) other('protocol');
}

const sameMembers = (a: readonly string[], b: readonly string[]): boolean =>
  [...a].sort().join() === [...b].sort().join();

function refuse(field: string, message: string): never {
  throw new KeysagaError('CertificateInvalid', message, { field });
}
