/** What a node's answer to `sendrawtransaction` means. The table is in README.md; the words are bitcoind's and btcd's. */
import type { BroadcastOutcome } from '../../schema/contracts/transaction.ts';
import type { RpcAnswer } from './rpc.ts';

/** bitcoind RPC_VERIFY_ALREADY_IN_UTXO_SET ("Transaction already in block chain"). */
const ALREADY_IN_CHAIN = -27;

const alreadyKnown = [
  'txn-already-in-mempool',
  'txn-already-known',
  'already in block chain',
  'already in utxo set',
  'already have transaction', // btcd, mempool
  'transaction already exists', // btcd, chain
];

/**
 * The transaction may be mined, may have lost against another, or its input may come back with a reorganisation or a
 * node that lags: only a look-up can tell. `txn-same-nonwitness-data-in-mempool` is our own with another witness.
 */
const unclear = [
  'missing inputs',
  'missingorspent',
  'orphan transaction', // btcd
  'unknown or fully-spent', // btcd
  'txn-mempool-conflict',
  'already spent in mempool', // btcd
  'txn-same-nonwitness-data-in-mempool',
  'immature',
  'too-long-mempool-chain',
  'mempool full',
];

export function outcomeOf(answer: RpcAnswer, txid: string): BroadcastOutcome {
  if (answer.ok) {
    return answer.result === txid
      ? { status: 'accepted' }
      : { status: 'unclear', reason: 'the node answered with another transaction id' };
  }
  const words = answer.message.toLowerCase();
  const reason = `${answer.message} (${answer.code})`;
  if (answer.code === ALREADY_IN_CHAIN) return { status: 'already-known' };
  if (alreadyKnown.some((known) => words.includes(known))) return { status: 'already-known' };
  if (unclear.some((known) => words.includes(known))) return { status: 'unclear', reason };
  // -22 does not decode, -26 refused by rules or policy; btcd says -25 "TX rejected" for a bad signature, while
  // bitcoind's -25 and codes outside this family prove nothing.
  const refused =
    answer.code === -22 ||
    answer.code === -26 ||
    (answer.code === -25 && words.startsWith('tx rejected'));
  return { status: refused ? 'rejected' : 'unclear', reason };
}
