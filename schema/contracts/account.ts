/** Balances of a wallet's accounts, read on demand (docs/deposits.md). */
import * as z from 'zod';
import { AccountPath, Decimal, WalletId } from './primitives.ts';

/** `m` is the wallet's own account. */
export const AccountName = z.union([z.literal('m'), AccountPath]);

export const AccountsQuery = z.strictObject({
  walletId: WalletId,
  paths: z.array(AccountName).min(1).max(100),
  /** As in an intent; default `native`. */
  asset: z.string().min(3).max(128).exactOptional(),
  /**
   * Bitcoin: what is read for an address that is not followed yet. Absent: all blocks since the wallet was made. `none`: the
   * address was given to nobody yet, so nothing is read. `all`: the old blocks once more, also for one that is followed.
   */
  history: z.enum(['none', 'all']).exactOptional(),
});
export type AccountsQuery = z.infer<typeof AccountsQuery>;

/** The coordinator's word, in the order of the query; clients derive the addresses themselves. */
export const AccountsView = z.object({
  accounts: z
    .array(z.object({ path: AccountName, address: z.string(), balance: Decimal }))
    .max(100),
});
export type AccountsView = z.infer<typeof AccountsView>;
