/** The `Wallet` aggregate: reservations, spends, limits. */
export * from './wallet.ts';
