/**
 * The leaf types of every payload. Payloads carry hex and decimal strings only: JSON has no bigint, and the
 * default Temporal converter mangles Date, Map and nested Uint8Array without a word.
 */
import * as z from 'zod';

/** Lower-case hex, whole bytes, no prefix. */
export const Hex = z.string().regex(/^(?:[0-9a-f]{2})*$/, 'lower-case hex without prefix');
export type Hex = string;
/** Hex of exactly `bytes` bytes. */
export const hexOf = (bytes: number) =>
  z.string().regex(new RegExp(`^[0-9a-f]{${bytes * 2}}$`), `${bytes} bytes of lower-case hex`);
export const Hex32 = hexOf(32);
export const Hex64 = hexOf(64);

/** Non-negative integer in decimal, no sign, no leading zero, at most 78 digits (2^256). */
export const Decimal = z
  .string()
  .regex(/^(?:0|[1-9][0-9]{0,77})$/, 'a non-negative decimal integer');
export type Decimal = string;
/** Positive integer in decimal. */
export const PositiveDecimal = z.string().regex(/^[1-9][0-9]{0,77}$/, 'a positive decimal integer');

/** A UTC instant, milliseconds, exactly as `Date.toISOString()` prints it, so that one instant has one encoding. */
export const IsoTime = z
  .string()
  .regex(/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/, 'an ISO 8601 UTC time with milliseconds')
  .refine((s) => !Number.isNaN(Date.parse(s)) && new Date(s).toISOString() === s, 'a real date');
export type IsoTime = string;

/** CAIP-2 chain id, e.g. `bip122:0f9188f13cb7b2c71f2a335e3a4fc328`. */
export const Caip2 = z.string().regex(/^[-a-z0-9]{3,8}:[-_a-zA-Z0-9]{1,32}$/, 'a CAIP-2 chain id');
export type Caip2 = string;

const slug = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9._-]{0,63}$/,
    '1 to 64 of a-z 0-9 . _ -, beginning with a letter or digit',
  );

/** The caller's own id of a request; the same id is the same request for ever. */
export const RequestId = slug.brand<'RequestId'>();
export type RequestId = z.infer<typeof RequestId>;
export const WalletId = slug.brand<'WalletId'>();
export type WalletId = z.infer<typeof WalletId>;
/** A key belongs to one wallet and one CAIP-2 network; its id equals its wallet's id. */
export const KeyId = slug.brand<'KeyId'>();
export type KeyId = z.infer<typeof KeyId>;
export const PartyId = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,31}$/, '1 to 32 of a-z 0-9 -')
  .brand<'PartyId'>();
export type PartyId = z.infer<typeof PartyId>;
export const ApproverId = slug.brand<'ApproverId'>();
export type ApproverId = z.infer<typeof ApproverId>;
export const AdministratorId = slug.brand<'AdministratorId'>();
export type AdministratorId = z.infer<typeof AdministratorId>;
export const PolicyId = slug.brand<'PolicyId'>();
export type PolicyId = z.infer<typeof PolicyId>;
/**
 * A child of a wallet's key: BIP-32 without hardened steps, one to five of them, e.g. `m/0/7`. The wallet's own account has
 * no path, so that every account has one spelling.
 */
export const AccountPath = z
  .string()
  .regex(/^m(?:\/(?:0|[1-9]\d{0,9})){1,5}$/, 'a path such as m/0/7: 1 to 5 steps, none hardened')
  .refine(
    (path) =>
      path
        .split('/')
        .slice(1)
        .every((step) => Number(step) < 0x8000_0000),
    'steps are 0 to 2147483647',
  );
export type AccountPath = string;
/** One try at a ceremony: a version 4 UUID from the workflow's own generator. */
export const AttemptId = z.uuid().brand<'AttemptId'>();
export type AttemptId = z.infer<typeof AttemptId>;
/** Ed25519 public key and signature. */
export const Ed25519PublicKey = Hex32;
export const Ed25519Signature = Hex64;

/** Share epoch: 0 at key generation, one more with each refresh. */
export const Epoch = z.int().nonnegative();
export type Epoch = number;
/** Round number, from 1. */
export const Round = z.int().min(1).max(32);
/** The line of a payout; a plain transfer has line 0. */
export const Line = z.int().min(0).max(499);
