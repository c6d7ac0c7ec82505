/**
 * Presignature pools: packs that the signers of one set made ahead of any message, and what the coordinator lends of them.
 * Nothing here is secret; what a party holds of a presignature never leaves it. See docs/pools.md.
 */
import * as z from 'zod';
import {
  AttemptId,
  Epoch,
  Hex32,
  IsoTime,
  KeyId,
  PartyId,
  RequestId,
  WalletId,
} from './primitives.ts';

/** Presignatures that one session makes; they share one OT extension. */
export const MAX_PACK = 64;
/** A pack is named by the id of the session that made it, which its signers compute themselves. */
export const PackId = Hex32;
/** One presignature. */
export const PooledPresignature = z.strictObject({
  packId: PackId,
  index: z
    .int()
    .min(0)
    .max(MAX_PACK - 1),
});
export type PooledPresignature = z.infer<typeof PooledPresignature>;
/** One a digest, in order. */
export const PooledPresignatures = z.array(PooledPresignature).min(1).max(1_024);

const Signers = z.array(PartyId).min(2).max(16);

/**
 * Makes a pack. No intent, no message, no approval: nothing is signed with it but what a later `PrepareSign` is approved
 * for.
 */
export const PreparePresign = z.strictObject({
  kind: z.literal('presign'),
  requestId: RequestId,
  attempt: AttemptId,
  keyId: KeyId,
  epoch: Epoch,
  /** The t that will sign, in the order of the key's party list: a pack serves this set only. */
  signers: Signers,
  /** How many presignatures. */
  count: z.int().min(1).max(MAX_PACK),
  /** After this no signer takes one from the pack. At most `PACK_LIFE_MS` from now by each signer's clock. */
  packExpiresAt: IsoTime,
  /** That of the key's descriptor: a pack is under no version of the policy, since nothing is signed. */
  policyHash: Hex32,
});
export type PreparePresign = z.infer<typeof PreparePresign>;

/** Longest life of a pack. */
export const PACK_LIFE_MS = 7 * 24 * 3_600_000;

/** `available` → `leased` → `spent`; or `dropped`. Nothing goes back to `available`. */
export const StockState = z.enum(['available', 'leased', 'spent', 'dropped']);
export type StockState = z.infer<typeof StockState>;

/** A pool: one key, one epoch, one signer set. */
export const PoolRef = z.strictObject({ keyId: KeyId, epoch: Epoch, signers: Signers });
export type PoolRef = z.infer<typeof PoolRef>;

/** What the coordinator's ledger counts of a pool. */
export const PoolStock = z.strictObject({
  keyId: KeyId,
  epoch: Epoch,
  signers: Signers,
  available: z.int().nonnegative(),
  leased: z.int().nonnegative(),
  spent: z.int().nonnegative(),
  dropped: z.int().nonnegative(),
  /** When the next of the available ones expires. */
  expiresAt: IsoTime.exactOptional(),
});
export type PoolStock = z.infer<typeof PoolStock>;

/** A pack that all its signers hold. */
export const StockPackInput = z.strictObject({
  pool: PoolRef,
  packId: PackId,
  count: z.int().min(1).max(MAX_PACK),
  expiresAt: IsoTime,
});
export type StockPackInput = z.infer<typeof StockPackInput>;

/** `packId`: that pack only. */
export const DropPoolInput = z.strictObject({
  keyId: KeyId,
  signers: Signers.exactOptional(),
  packId: PackId.exactOptional(),
  reason: z.string().max(200),
});
export type DropPoolInput = z.infer<typeof DropPoolInput>;

export const PoolQuery = z.strictObject({ keyId: KeyId.exactOptional() });
export type PoolQuery = z.infer<typeof PoolQuery>;
export const PoolView = z.strictObject({ pools: z.array(PoolStock) });
export type PoolView = z.infer<typeof PoolView>;

/** How full a pool is kept. Marks count presignatures. */
export const PoolMarks = z
  .strictObject({
    /** Filled when fewer than this are available. */
    low: z.int().min(1).max(10_000),
    /** Filled up to at least this. */
    high: z.int().min(1).max(10_000),
    /** Presignatures of one session. */
    batch: z.int().min(1).max(MAX_PACK),
    /** Life of a pack, in seconds. */
    lifeSeconds: z
      .int()
      .min(60)
      .max(PACK_LIFE_MS / 1_000),
  })
  .refine(({ low, high }) => low <= high, { message: 'low is at most high', path: ['low'] });
export type PoolMarks = z.infer<typeof PoolMarks>;
export const DEFAULT_MARKS: PoolMarks = { low: 32, high: 64, batch: 32, lifeSeconds: 86_400 };

/** Which pool, as people name it: a wallet has its key's id. */
export const PoolName = z.strictObject({ walletId: KeyId, signers: Signers });

/** Input of workflow `presignaturePool`. `cycle` counts the runs that continue it. */
export const PoolInput = z.strictObject({
  walletId: WalletId,
  signers: Signers,
  marks: PoolMarks,
  cycle: z.int().nonnegative().exactOptional(),
});
export type PoolInput = z.infer<typeof PoolInput>;

/** `Waiting`: parties do not answer or refuse; it tries again. */
export const PoolPhase = z.enum(['Starting', 'Stocked', 'Filling', 'Waiting', 'Closed']);
export type PoolPhase = z.infer<typeof PoolPhase>;

/** Answer of query `status`. */
export const PoolStatus = z.strictObject({
  phase: PoolPhase,
  walletId: WalletId,
  signers: Signers,
  marks: PoolMarks,
  stock: PoolStock.exactOptional(),
  /** Packs made by this run of the workflow. */
  packs: z.int().nonnegative(),
  waitingFor: z.string(),
});
export type PoolStatus = z.infer<typeof PoolStatus>;
