/**
 * Sending. The node simulates first: without that, a transaction whose nonce it does not know gets a signature in answer
 * and never lands, and one that would fail is paid for. A node that is behind may refuse a good transaction; that
 * refusal is `unclear`, and the same bytes are sent again after a look-up.
 */

import type { BroadcastOutcome } from '../../schema/contracts/transaction.ts';
import type { SendAnswer } from './rpc.ts';

export function outcomeOf(answer: SendAnswer): BroadcastOutcome {
  if (answer.ok) return { status: 'accepted' };
  const { reason } = answer;
  if (/already been processed|AlreadyProcessed/i.test(reason)) return { status: 'already-known' };
  // "Blockhash not found" is what a moved nonce looks like, be it that this transaction landed long ago, that another
  // took its nonce, or that the node has not seen the value yet. A bare "Internal error" is about the node; with more
  // behind it, surfpool 1.5.0 says what is wrong with the transaction.
  if (
    /blockhash not found|BlockhashNotFound|node is (behind|unhealthy)|minimum context slot|rate limit|too many|^internal error\W*$|timed out/i.test(
      reason,
    )
  ) {
    return { status: 'unclear', reason };
  }
  return { status: 'rejected', reason };
}
