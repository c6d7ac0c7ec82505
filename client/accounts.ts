/** Deposit addresses: derived here, from a key whose certificates were checked. No server is asked (docs/deposits.md). */
import type { Client } from '@temporalio/client';
import { accountOf, xpubOf as xpub } from '../core/account.ts';
import { parseWith } from '../core/parse.ts';
import { AccountsQuery, AccountsView } from '../schema/contracts/account.ts';
import { KeysagaError } from '../schema/contracts/errors.ts';
import { TASK_QUEUES } from '../schema/contracts/temporal.ts';
import { type AddressCodecs, addressCodecs } from './addresses.ts';
import { askCoordinator } from './ask.ts';
import type { CertifiedWallet } from './wallet.ts';

export type DepositAddress = {
  /** BIP-32 below the wallet's key; what `intent.path` names when it pays. */
  readonly path: string;
  readonly address: string;
};
/** By the coordinator's word, smallest unit: what is spendable at the address, leases not counted. */
export type AccountBalance = DepositAddress & { readonly balance: string };

/**
 * The wallet's extended public key (BIP-32: `xpub…`, on Bitcoin's test networks `tpub…`): other software finds the same
 * addresses with it, as `wpkh(<xpub>/0/*)` or, for a Taproot wallet, `tr(<xpub>/0/*)`. Throws `InvalidInput` (`path`) for an
 * Ed25519 wallet.
 */
export const xpubOf = ({ key }: Pick<CertifiedWallet, 'key'>): string => xpub(key);

/** An index is short for `m/0/<index>`. Throws `InvalidInput` (`path`). */
export function depositAddress(
  { key }: Pick<CertifiedWallet, 'key'>,
  at: number | string,
  codecs: AddressCodecs = addressCodecs,
): DepositAddress {
  const path = typeof at === 'number' ? `m/0/${at}` : at;
  const codec = { address: (publicKey: Uint8Array) => codecs.address(key.network, publicKey) };
  return { path, address: accountOf(key, path, codec).key.address };
}

/** See `KeysagaClient.balances`. */
export async function readBalances(
  client: Client,
  wallet: Pick<CertifiedWallet, 'walletId' | 'address' | 'key'>,
  paths: readonly string[],
  options: Pick<AccountsQuery, 'asset' | 'history'>,
  limitMs: number,
  codecs: AddressCodecs,
): Promise<AccountBalance[]> {
  const query = parseWith(
    AccountsQuery,
    { walletId: wallet.walletId, paths, ...options },
    'balances',
  );
  const own = query.paths.map((path) =>
    path === 'm' ? { path, address: wallet.address } : depositAddress(wallet, path, codecs),
  );
  const answer = await askCoordinator(client, 'readAccounts', {
    taskQueue: TASK_QUEUES.chain,
    query,
    limitMs,
    subject: 'the balances',
  });
  const { accounts } = parseWith(AccountsView, answer, 'balances');
  return own.map(({ path, address }, i) => {
    const found = accounts[i];
    if (found?.path !== path || found.address !== address)
      throw new KeysagaError(
        'CertificateInvalid',
        `The coordinator answers for another address than that of ${path}.`,
        { field: 'address' },
      );
    return { path, address, balance: found.balance };
  });
}
