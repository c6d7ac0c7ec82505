/**
 * Configuration files of the processes, JSON, mode 0600 since they name databases with their passwords. Keys are never
 * inside: a config names the file that holds one, so that a secret store can mount it. Relative paths are taken from
 * the configuration file's own folder.
 */
import * as z from 'zod';
import {
  AdministratorId,
  ApproverId,
  Caip2,
  Ed25519PublicKey,
  PartyId,
  PolicyId,
  WalletId,
} from './primitives.ts';

const Path = z.string().min(1).max(4096);

/** Where Temporal is: host:port of the gRPC front end. */
export const TemporalAddress = z.strictObject({
  address: z.string().min(1),
  namespace: z.string().min(2).max(64),
});
/** Payload keys, 64 hex digits in each file; new payloads are sealed under the first one. */
export const PayloadKeyFiles = z
  .array(z.strictObject({ id: z.string().regex(/^[A-Za-z0-9._-]{1,64}$/), file: Path }))
  .min(1)
  .max(16);
/**
 * A folder that all workers and clients share, for payloads too large for Temporal (2 MB each, 4 MB a message). What lands
 * there is encrypted under the payload keys; nobody deletes it but the operator, once the sagas' retention is over.
 * Needed for ECDSA: a pair of signers exchanges some 80 kB a signature (hex).
 */
export const PayloadStorage = z.strictObject({
  directory: Path,
  /** Smaller payloads stay in Temporal; default 131,072. */
  thresholdBytes: z.int().min(1_024).max(1_500_000).exactOptional(),
});
export type PayloadStorage = z.infer<typeof PayloadStorage>;
/** Pinned identity keys of the parties. Never taken from the coordinator. */
export const PartyDirectory = z
  .array(z.strictObject({ party: PartyId, publicKey: Ed25519PublicKey }))
  .min(2)
  .max(16);
export const Administrators = z
  .array(z.strictObject({ name: AdministratorId, publicKey: Ed25519PublicKey }))
  .min(1)
  .max(64);

const shared = {
  temporal: TemporalAddress,
  payloadKeys: PayloadKeyFiles,
  payloadStorage: PayloadStorage.exactOptional(),
  databaseUrl: z.string().min(1),
  directory: PartyDirectory,
  administrators: Administrators,
  /** Administrators that must sign a policy. */
  administratorQuorum: z.int().min(1).max(64),
  /**
   * Signed policies (JSON of `SignedPolicy`) that the process takes when it starts, in order, after verifying them as any
   * other delivery; one that it has already is passed over.
   */
  initialPolicies: z.array(Path).max(64),
  /** Tells several processes of one role apart in logs and in Temporal; default: pid@host. */
  instance: z.string().min(1).max(64).exactOptional(),
};

/** `workers/party.ts --config <file>`. */
export const PartyConfig = z.strictObject({
  ...shared,
  party: PartyId,
  /** 32 bytes of hex: the seed of the party's Ed25519 identity. */
  identityKeyFile: Path,
  /** CAIP-2 ids this party signs for; it refuses every other. */
  networks: z.array(Caip2).min(1).max(64),
  keyStoreDirectory: Path,
  /** 32 bytes of hex. Needed without `--unlock`, and not looked at with it. */
  keyStoreMasterKeyFile: Path.exactOptional(),
  /** With `--unlock`: the master key wrapped under a passphrase and a device secret. `workers/unlock.ts` makes both files. */
  unlock: z
    .strictObject({
      file: Path,
      /** 32 bytes of hex. Keep it on another medium than the file: both and the passphrase are needed. */
      deviceSecretFile: Path,
    })
    .exactOptional(),
  /** Head of the release chain; on storage that all instances share. Default: `.release-head` in the key store. */
  headFile: Path.exactOptional(),
  backupDirectory: Path,
  /** 32 bytes of hex, unrelated to the master key. */
  backupKeyFile: Path,
});
export type PartyConfig = z.infer<typeof PartyConfig>;

export const ChainConfig = z.strictObject({
  network: Caip2,
  kind: z.enum(['bitcoin', 'solana', 'ethereum']),
  /** Address of a provider, or of up to 8 that are asked together, the preferred one in front. May hold user and password. */
  rpcUrl: z.union([z.string().min(1), z.array(z.string().min(1)).min(1).max(8)]),
  /**
   * Providers that must say the same before a transaction counts as in a block, failed, displaced or final. Default: more
   * than half of them.
   */
  agreement: z.int().min(1).max(8).exactOptional(),
  /** Solana: subscriptions. */
  wsUrl: z.string().min(1).exactOptional(),
  /** Bitcoin, Ethereum: confirmations after which a transaction is final. Solana judges by `finalized`. Default by network. */
  finality: z.int().min(1).max(10_000).exactOptional(),
  /** Solana: key pair of the sponsor that pays for nonce accounts, as the Solana CLI writes it. */
  sponsorFile: Path.exactOptional(),
  /** Solana: nonce accounts per wallet, and so transfers under way at once; default 4. Each costs the sponsor its rent. */
  poolSize: z.int().min(1).max(256).exactOptional(),
  /** Ethereum: wallets whose transfers may be anchored to a nonce; everything after one waits for its approvals. */
  serialWallets: z.array(WalletId).max(1000).exactOptional(),
  /** Ethereum: builds EIP-155 transactions with one gas price. Default: only where blocks have no base fee. */
  legacy: z.boolean().exactOptional(),
});
export type ChainConfig = z.infer<typeof ChainConfig>;

/** `workers/coordinator.ts --config <file>`. */
export const CoordinatorConfig = z.strictObject({
  ...shared,
  chains: z.array(ChainConfig).min(1).max(64),
});
export type CoordinatorConfig = z.infer<typeof CoordinatorConfig>;

/** What the SDK and the CLI need (`KEYSAGA_CONFIG`). Holds no secret, but names files that do. */
export const ClientConfig = z.strictObject({
  temporal: TemporalAddress,
  payloadKeys: PayloadKeyFiles,
  payloadStorage: PayloadStorage.exactOptional(),
  directory: PartyDirectory,
  /** Member lists, other than the whole directory, that a wallet may have. */
  committees: z.array(z.array(PartyId).min(2).max(16)).max(64).exactOptional(),
  /** Base of links into the Temporal UI. */
  uiUrl: z.string().exactOptional(),
  /** Default for `wallet create`. */
  policyId: PolicyId.exactOptional(),
  threshold: z.int().min(2).max(16).exactOptional(),
  /** Short names for networks: `bitcoin`, `solana`. */
  networks: z.record(z.string(), Caip2).exactOptional(),
  /** Passphrase-protected key files of approvers on this machine. */
  approvers: z
    .array(z.strictObject({ name: ApproverId, keyFile: Path }))
    .max(64)
    .exactOptional(),
  /**
   * Pinned administrators: policies are shown as theirs, and orders made for them, only under these keys. `keyFile`: a
   * passphrase-protected key file on this machine.
   */
  administrators: z
    .array(
      z.strictObject({
        name: AdministratorId,
        publicKey: Ed25519PublicKey,
        keyFile: Path.exactOptional(),
      }),
    )
    .min(1)
    .max(64)
    .exactOptional(),
  /** Administrators that must sign. */
  administratorQuorum: z.int().min(1).max(64).exactOptional(),
});
export type ClientConfig = z.infer<typeof ClientConfig>;

/** `api/main.ts --config <file>`: the edge is a client, and has what a client has. */
export const ApiConfig = z.strictObject({
  /** A `ClientConfig` file. */
  client: Path,
  /** Decode-only, loopback; the token (in the file) is part of the URL's path. */
  codecServer: z.strictObject({
    port: z.int().min(0).max(65_535),
    tokenFile: Path,
    allowedOrigins: z.array(z.string()).max(16),
  }),
});
export type ApiConfig = z.infer<typeof ApiConfig>;
