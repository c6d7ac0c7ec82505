/** The board of a presignature pool, in the style of `board.ts`. */
import type { PoolStatus } from '../schema/contracts/pool.ts';
import type { PartyProgress } from '../schema/contracts/saga.ts';
import { plain } from '../schema/contracts/summaries.ts';
import { progressTable } from './board.ts';

export function poolBoard(status: PoolStatus, progress: readonly PartyProgress[]): string {
  const { phase, waitingFor, walletId, signers, marks, stock, packs } = status;
  return [
    `**Phase** ${phase}${waitingFor === '' ? '' : ` – ${plain(waitingFor, 400)}`}`,
    '',
    `**Pool** of wallet ${walletId}, signed by ${signers.join(', ')}`,
    '',
    `**Marks** filled below ${marks.low} up to ${marks.high}, ${marks.batch} at a time; each lives ${marks.lifeSeconds} s`,
    '',
    stock === undefined
      ? '**Stock** not counted yet'
      : `**Stock** ${stock.available} available, ${stock.leased} lent, ${stock.spent} spent, ${stock.dropped} dropped` +
        (stock.expiresAt === undefined ? '' : `; the next one ends ${stock.expiresAt}`),
    '',
    `**Packs made by this run** ${packs}`,
    ...(progress.length === 0 ? [] : ['', '**Latest pack**', '', progressTable(progress)]),
  ].join('\n');
}
