/**
 * A copy of every block that the stack mines. Both nodes write their block index minutes later (btcd after 5 minutes,
 * Bitcoin Core after an hour or so): killed before that, they come back without the newest blocks, and a regtest node has
 * no peer to ask for them. The journal hands them back at the next start.
 */
import { appendFileSync, readFileSync, truncateSync } from 'node:fs';
import { type BitcoinRpc, BitcoinRpcError } from './rpc.ts';

export interface BlockJournal {
  /** Writes down what the node has above the newest known block. */
  catchUp(): Promise<void>;
  /** Gives the node what it lost; returns the number of blocks handed over. */
  replay(): Promise<number>;
}

/** One line a block: its hash, a blank, its bytes in hex. Duplicates and stale branches do no harm. */
export function blockJournal(file: string, rpc: BitcoinRpc): BlockJournal {
  const read = (): [hash: string, hex: string][] => {
    try {
      const text = readFileSync(file, 'utf8');
      const whole = text.slice(0, text.lastIndexOf('\n') + 1);
      // What a crash cut short would swallow the next line.
      if (whole.length < text.length) truncateSync(file, Buffer.byteLength(whole));
      return whole
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => line.split(' ') as [string, string]);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    }
  };
  let known: Set<string> | undefined;

  const knows = (hash: string): Promise<boolean> =>
    rpc.call('getblock', hash, 0).then(
      () => true,
      (error) => {
        if (error instanceof BitcoinRpcError) return false;
        throw error;
      },
    );

  return {
    async catchUp() {
      known ??= new Set(read().map(([hash]) => hash));
      const fresh: string[] = [];
      let hash = await rpc.call<string>('getbestblockhash');
      while (!known.has(hash)) {
        const { height, previousblockhash } = await rpc.call<{
          height: number;
          previousblockhash?: string;
        }>('getblock', hash, 1);
        if (height === 0 || previousblockhash === undefined) break;
        fresh.unshift(`${hash} ${await rpc.call<string>('getblock', hash, 0)}\n`);
        known.add(hash);
        hash = previousblockhash;
      }
      if (fresh.length > 0) appendFileSync(file, fresh.join(''), { mode: 0o600 });
    },
    async replay() {
      const lines = read();
      const last = lines.at(-1);
      if (!last || (await knows(last[0]))) return 0;
      let given = 0;
      for (const [hash, hex] of lines) {
        if (await knows(hash)) continue;
        await rpc.call('submitblock', hex);
        given++;
      }
      return given;
    },
  };
}
