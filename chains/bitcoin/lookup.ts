/** Where a transaction stands. */
import type { BitcoinOutputs } from '../../core/ports/bitcoin-outputs.ts';
import type { TransactionStatus } from '../../schema/contracts/transaction.ts';
import { followedAt } from './follower.ts';
import type { BitcoinNode } from './node.ts';
import type { Psbt } from './psbt.ts';

/** The followed block in which one of the inputs was spent, and by which transaction. */
export type Spent = { readonly by: string; readonly height: number; readonly block: string };

/**
 * What the follower's rows say: they need no transaction index of a node, and also say who else spent the inputs. The
 * transaction itself before others, of those the lowest.
 */
export async function spentIn(psbt: Psbt, outputs: BitcoinOutputs): Promise<Spent | undefined> {
  let rival: Spent | undefined;
  for (const input of psbt.inputs) {
    const output = await outputs.at(input);
    if (output === undefined || output.spentBy === null || output.spentHeight === null) continue;
    const block = await followedAt(outputs, output.spentHeight);
    // Gone when another follower rolled it back between the two reads; the nodes know better then.
    if (block === undefined) continue;
    const spent = { by: output.spentBy, height: output.spentHeight, block: block.hash };
    if (spent.by === psbt.txid) return spent;
    if (rival === undefined || spent.height < rival.height) rival = spent;
  }
  return rival;
}

/**
 * One node's view. Rows count as far as the node has their block in its chain, as deep as it has it there; what they do not
 * know it is asked: the mempool, the index if there is one, and a rival in the mempool.
 */
export async function lookUp(
  psbt: Psbt,
  spent: Spent | undefined,
  { node, finality }: { node: BitcoinNode; finality: number },
): Promise<TransactionStatus> {
  if (spent !== undefined) {
    const [tip, hash] = await Promise.all([node.tip(), node.blockHash(spent.height)]);
    if (hash === spent.block) {
      const confirmations = Math.max(0, tip.height - spent.height + 1);
      const final = confirmations >= finality;
      return spent.by === psbt.txid
        ? { status: 'included', confirmations, block: spent.block, final }
        : { status: 'conflicted', by: spent.by, final };
    }
  }
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
