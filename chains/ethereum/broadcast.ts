/** What a node's answer to `eth_sendRawTransaction` means. The words are geth's, reth's, Nethermind's, Erigon's and Anvil's. */
import type { BroadcastOutcome } from '../../schema/contracts/transaction.ts';
import type { RpcAnswer } from './rpc.ts';

const alreadyKnown = ['already known', 'already imported', 'alreadyknown', 'known transaction'];

/**
 * The nonce may be taken by this very transaction, which is mined; a replacement may be refused since ours is there
 * already; a node may lag, be full, or ask for more until blocks get cheaper. Only a look-up can tell.
 */
const unclear = [
  'nonce too low',
  'nonce is too low',
  'oldnonce',
  'nonce too high',
  'nonce gap',
  'underpriced',
  'feetoolow',
  'fee too low',
  'less than block base fee',
  'pool is full',
  'txpool',
  'future transaction',
  'rate limit',
  'too many',
  'timeout',
  'already reserved',
  'in-flight transaction limit',
];

export function outcomeOf(answer: RpcAnswer, id: string): BroadcastOutcome {
  if (answer.ok) {
    return typeof answer.result === 'string' && answer.result.toLowerCase() === id
      ? { status: 'accepted' }
      : { status: 'unclear', reason: 'the node answered with another transaction id' };
  }
  const words = answer.reason.toLowerCase();
  const reason = `${answer.reason} (${answer.code})`;
  if (alreadyKnown.some((known) => words.includes(known))) return { status: 'already-known' };
  if (unclear.some((known) => words.includes(known))) return { status: 'unclear', reason };
  // -32000 and -32003: the node judged the transaction; -32602: its bytes. Other codes say nothing about it.
  const refused = [-32000, -32003, -32602].includes(answer.code);
  return { status: refused ? 'rejected' : 'unclear', reason };
}
