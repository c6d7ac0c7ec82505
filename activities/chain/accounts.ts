/** Balances of a wallet's accounts, for readers; a child account that is asked about is followed from then on. */
import type { ChainActivities } from '../../schema/contracts/activities.ts';
import { payerOf } from '../ledger/state.ts';
import type { ChainContext } from './deps.ts';
import { parse } from './inputs.ts';

export const createReadAccounts =
  ({ chains, keyOf }: ChainContext): ChainActivities['readAccounts'] =>
  async (input) => {
    const { walletId, paths, asset = 'native', history } = parse('readAccounts', input);
    const key = await keyOf(walletId);
    const chain = chains.get(key.network);
    const named = paths.map((path) => ({
      path,
      key: payerOf(chains, key, path === 'm' ? {} : { path }).key,
    }));
    const children = named.filter(({ path }) => path !== 'm').map((account) => account.key);
    // Together, so that old blocks are read once for all of them.
    if (children.length > 0) await chain.follow?.(children, key, history);
    const accounts = [];
    for (const { path, key: account } of named) {
      const balance = String(await chain.balance(account.address, asset));
      accounts.push({ path, address: account.address, balance });
    }
    return { accounts };
  };
