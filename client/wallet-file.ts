/** A wallet as a file: key and certificates, to be checked by anybody who pins the parties' keys, without a server. */
import * as z from 'zod';
import { parseWith } from '../core/parse.ts';
import { PartyDirectory } from '../schema/contracts/config.ts';
import { KeysagaError } from '../schema/contracts/errors.ts';
import { KeyDescriptor, SignedCertificate } from '../schema/contracts/key.ts';
import { PartyId } from '../schema/contracts/primitives.ts';
import { type AddressCodecs, addressCodecs } from './addresses.ts';
import { type CertifiedWallet, type Committees, verifyKey, type Wallet } from './wallet.ts';

export const WalletFile = z.strictObject({
  type: z.literal('keysaga/wallet/v1'),
  key: KeyDescriptor,
  certificates: z.array(SignedCertificate).max(16),
});
export type WalletFile = z.infer<typeof WalletFile>;

export const walletFile = ({
  key,
  certificates,
}: Pick<Wallet, 'key' | 'certificates'>): WalletFile => ({
  type: 'keysaga/wallet/v1',
  key,
  certificates: [...certificates],
});

/** One line of what was found true. `by`: who or what makes it so. */
export type WalletCheck = { readonly what: string; readonly value: string; readonly by: string };
export type VerifiedWallet = CertifiedWallet & { readonly checks: readonly WalletCheck[] };

/**
 * Checks a wallet file as `verifyWallet` checks a ledger's answer, and says what was checked. Throws `InvalidInput` for
 * what is no wallet file and `CertificateInvalid` (`field`, `party`) for one that does not hold.
 */
export function verifyWalletFile(
  walletId: string,
  file: unknown,
  identityKeys: ReadonlyMap<PartyId, string>,
  options: Committees & { readonly codecs?: AddressCodecs } = {},
): VerifiedWallet {
  const { key, certificates } = parseWith(WalletFile, file, 'wallet file');
  const wallet = verifyKey(
    walletId,
    key,
    certificates,
    options.codecs ?? addressCodecs,
    identityKeys,
    options,
  );
  const n = key.parties.length;
  const sworn = `certified by all ${n} parties`;
  const attempt = certificates[0]?.certificate.attempt ?? '';
  return {
    ...wallet,
    checks: [
      { what: 'wallet', value: walletId, by: sworn },
      { what: 'network', value: key.network, by: sworn },
      { what: 'public key', value: key.publicKey, by: sworn },
      { what: 'address', value: wallet.address, by: `${sworn}; derived from the public key here` },
      { what: 'threshold', value: `${key.threshold} of ${n}`, by: sworn },
      { what: 'protocol', value: key.protocol, by: sworn },
      { what: 'epoch', value: `${key.epoch}`, by: sworn },
      { what: 'policy hash', value: key.policyHash, by: sworn },
      { what: 'transcript', value: key.transcriptHash, by: sworn },
      { what: 'ceremony', value: attempt, by: sworn },
      ...key.parties.map((party) => ({
        what: `party ${party}`,
        value: identityKeys.get(party) ?? '',
        by: 'its signature verifies under this pinned key',
      })),
    ],
  };
}

/**
 * Pinned keys from JSON: an array of `{ party, publicKey }`, or an object that has one as `directory`, such as a client's
 * configuration. Throws `InvalidInput`, also for a party or a key that is named twice.
 */
export function pinnedKeys(json: unknown): ReadonlyMap<PartyId, string> {
  const list =
    typeof json === 'object' && json !== null && 'directory' in json ? json.directory : json;
  const directory = parseWith(PartyDirectory, list, 'directory');
  const twice = (field: string): never => {
    throw new KeysagaError('InvalidInput', `directory: a ${field} is named twice`, { field });
  };
  const pinned = new Map(directory.map(({ party, publicKey }) => [party, publicKey]));
  if (pinned.size !== directory.length) twice('party');
  if (new Set(pinned.values()).size !== directory.length) twice('publicKey');
  return pinned;
}

/** Member lists beside the keys: `committees` of a client's configuration. Throws `InvalidInput`. */
export function pinnedCommittees(json: unknown): Required<Committees> {
  const lists =
    typeof json === 'object' && json !== null && 'committees' in json ? json.committees : [];
  return { committees: parseWith(z.array(z.array(PartyId)).max(64), lists, 'committees') };
}
