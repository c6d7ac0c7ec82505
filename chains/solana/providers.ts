/**
 * Several Solana nodes read as one. Candidates for a nonce's preimage prove themselves by their hash, so all that anybody has
 * are taken; amounts, and whether an account exists, are what enough of those who answer see.
 */

import { supported } from '../agreement.ts';
import type { Providers } from '../providers.ts';
import type { AccountReading, SolanaRpc } from './rpc.ts';

/** What is not about one transaction's standing, which each node is asked by itself. */
export type SolanaReader = Pick<
  SolanaRpc,
  | 'network'
  | 'slot'
  | 'minimumBalance'
  | 'accounts'
  | 'account'
  | 'signaturesFor'
  | 'blockhashOf'
  | 'blockhashes'
  | 'recentBlockhashes'
  | 'latestBlockhash'
  | 'priorityFees'
  | 'send'
>;

type Reading = Awaited<ReturnType<SolanaRpc['accounts']>>;

/** One reading out of several: as old as enough of them allow, of the node that read at that slot. */
function together(readings: readonly Reading[], agreement: number): Reading {
  const support = Math.min(agreement, readings.length);
  const slot = Number(
    supported(
      readings.map((reading) => BigInt(reading.slot)),
      support,
    ),
  );
  const base = readings.find((reading) => reading.slot === slot) ?? (readings[0] as Reading);
  const accounts = base.accounts.map((own, i): AccountReading | undefined => {
    const all = readings.map((reading) => reading.accounts[i]);
    if (all.filter((account) => account === undefined).length >= support) return undefined;
    const account = own ?? all.find((one) => one !== undefined);
    if (account === undefined) return undefined;
    const lamports = all.map((one) => one?.lamports ?? 0n);
    return { ...account, lamports: supported(lamports, support) };
  });
  return { slot, accounts };
}

export function createPool(
  network: SolanaRpc['network'],
  providers: Providers<SolanaRpc>,
): SolanaReader {
  const { first, views, agreement } = providers;
  const accounts: SolanaReader['accounts'] = async (keys, commitment) =>
    together(await views((node) => node.accounts(keys, commitment)), agreement);
  return {
    network,
    async slot(commitment) {
      const slots = await views(async (node) => BigInt(await node.slot(commitment)));
      return Number(supported(slots, agreement));
    },
    minimumBalance: (bytes) => first((node) => node.minimumBalance(bytes)),
    accounts,
    account: async (key, commitment) => (await accounts([key], commitment)).accounts[0],
    async signaturesFor(key, limit) {
      const lists = await views((node) => node.signaturesFor(key, limit));
      const byId = new Map(lists.flat().map((one) => [one.id, one]));
      return [...byId.values()].sort((a, b) => b.slot - a.slot);
    },
    blockhashOf: async (id) =>
      (await views((node) => node.blockhashOf(id))).find((field) => field !== undefined),
    blockhashes: async (slot) => [
      ...new Set((await views((node) => node.blockhashes(slot))).flat()),
    ],
    recentBlockhashes: async () => (await views((node) => node.recentBlockhashes())).flat(),
    latestBlockhash: () => first((node) => node.latestBlockhash()),
    priorityFees: (keys) => first((node) => node.priorityFees(keys)),
    async send(bytes) {
      const answers = await views((node) => node.send(bytes));
      return answers.find(({ ok }) => ok) ?? (answers[0] as (typeof answers)[number]);
    },
  };
}
