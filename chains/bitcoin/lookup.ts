/** Where a transaction stands. */
import type { BitcoinOutputs } from '../../core/ports/bitcoin-outputs.ts';
import type { TransactionStatus } from '../../schema/contracts/transaction.ts';
import { followedAt } from './follower.ts';
import type { BitcoinNode, Tip } from './node.ts';
import type { Psbt } from './psbt.ts';

/**
 * The follower's rows first: they need no transaction index of the node, and also say who else spent the inputs. What
 * they do not know is asked of the node: the mempool, the index if there is one, and a rival in the mempool.
 */
export async function lookUp(
  psbt: Psbt,
  tip: Tip,
  { node, outputs, finality }: { node: BitcoinNode; outputs: BitcoinOutputs; finality: number },
): Promise<TransactionStatus> {
  let rival: { by: string; final: boolean } | undefined;
  for (const input of psbt.inputs) {
    const output = await outputs.at(input);
    if (output === undefined || output.spentBy === null || output.spentHeight === null) continue;
    const confirmations = Math.max(0, tip.height - output.spentHeight + 1);
    const final = confirmations >= finality;
    if (output.spentBy === psbt.txid) {
      const block = await followedAt(outputs, output.spentHeight);
      // Gone when another follower rolled it back between the two reads; the node knows better then.
      if (block !== undefined) {
        return { status: 'included', confirmations, block: block.hash, final };
      }
    } else if (rival === undefined || final) {
      rival = { by: output.spentBy, final };
    }
  }
  if (rival !== undefined) return { status: 'conflicted', ...rival };

  const seen = await node.transaction(psbt.txid);
  if (seen !== undefined) {
    const { confirmations, block } = seen;
    if (confirmations === 0 || block === undefined) return { status: 'pending' };
    return { status: 'included', confirmations, block, final: confirmations >= finality };
  }
  for (const { txid, vout } of psbt.inputs) {
    const by = await node.spender(txid, vout);
    if (by !== undefined && by !== psbt.txid) return { status: 'conflicted', by, final: false };
  }
  return { status: 'unknown' };
}
