/** Public facts about a threshold key. */
import * as z from 'zod';
import {
  AttemptId,
  Caip2,
  Ed25519Signature,
  Epoch,
  Hex,
  Hex32,
  IsoTime,
  KeyId,
  PartyId,
  PolicyId,
  RequestId,
  WalletId,
} from './primitives.ts';

export const Curve = z.enum(['ed25519', 'secp256k1']);
export type Curve = z.infer<typeof Curve>;
export const Scheme = z.enum(['eddsa', 'bip340', 'ecdsa']);
export type Scheme = z.infer<typeof Scheme>;
/** Registry name of a protocol and the scheme it signs, e.g. `frost-ed25519`, `frost-bip340`, `dkls23`. */
export const ProtocolId = z
  .string()
  .regex(/^[a-z0-9-]{2,32}$/)
  .brand<'ProtocolId'>();
export type ProtocolId = z.infer<typeof ProtocolId>;

/** Everything public about an active key. `parties` is ordered: a party's protocol index is its position + 1. */
export const KeyDescriptor = z.strictObject({
  keyId: KeyId,
  walletId: WalletId,
  epoch: Epoch,
  network: Caip2,
  protocol: ProtocolId,
  threshold: z.int().min(2).max(16),
  parties: z.array(PartyId).min(2).max(16),
  /** Key the chain sees: 32 bytes Ed25519, 32 bytes x-only BIP-340 output key, 33 bytes compressed ECDSA. */
  publicKey: Hex,
  /** Protocol's own public package (verification shares), opaque outside `mpc`. */
  publicPackage: Hex,
  address: z.string(),
  policyId: PolicyId,
  policyHash: Hex32,
  transcriptHash: Hex32,
});
export type KeyDescriptor = z.infer<typeof KeyDescriptor>;

/** Signed form `keysaga/certificate/v1`. A party activates only on n valid ones; clients check them before showing an address. */
export const ActivationCertificate = z.strictObject({
  party: PartyId,
  attempt: AttemptId,
  keyId: KeyId,
  walletId: WalletId,
  publicKey: Hex,
  epoch: Epoch,
  network: Caip2,
  address: z.string(),
  protocol: ProtocolId,
  threshold: z.int(),
  parties: z.array(PartyId),
  publicPackageHash: Hex32,
  policyHash: Hex32,
  transcriptHash: Hex32,
});
export type ActivationCertificate = z.infer<typeof ActivationCertificate>;
export const SignedCertificate = z.strictObject({
  certificate: ActivationCertificate,
  signature: Ed25519Signature,
});
export type SignedCertificate = z.infer<typeof SignedCertificate>;

/** Signed form `keysaga/never/v1`: this party will never certify that ceremony. A row holds one or the other. */
export const Never = z.strictObject({
  party: PartyId,
  attempt: AttemptId,
  keyId: KeyId,
  at: IsoTime,
});
export const SignedNever = z.strictObject({ never: Never, signature: Ed25519Signature });
export type SignedNever = z.infer<typeof SignedNever>;

/** Start of a key generation; its request id becomes the wallet's and the key's id. */
export const GenerateKeyRequest = z.strictObject({
  requestId: RequestId,
  network: Caip2,
  /** Absent: the registry's rule chooses by the network's scheme and the number of parties. */
  protocol: ProtocolId.exactOptional(),
  threshold: z.int().min(2).max(16),
  parties: z.array(PartyId).min(2).max(16),
  policyId: PolicyId,
});
export type GenerateKeyRequest = z.infer<typeof GenerateKeyRequest>;
