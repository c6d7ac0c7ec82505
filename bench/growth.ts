/**
 * `growth/dkls23`: how key generation, signing and the online round grow with t and n, and a batch with its size. CPU of all
 * parties together. `scripts/growth.mjs` makes the table and the plot of docs/performance.md from its document.
 */
import { singleKey } from './dkls23.ts';
import { checked, type Keys, keygen, online, type Shape, sign, TURNS } from './dkls23-work.ts';
import { type Benchmark, cpuMilliseconds, type Figure, figure, inTurns } from './figures.ts';

const SHAPES: readonly Shape[] = [
  { threshold: 2, parties: 2 },
  { threshold: 2, parties: 3 },
  { threshold: 3, parties: 5 },
  { threshold: 5, parties: 7 },
  { threshold: 8, parties: 15 },
];
const BATCHES = [1, 4, 16, 64, 256];
const WARM_UP = 5;
/** CPU that the turns of one figure may take, about; a first run tells how many that are. */
const BUDGET_MS = 3_000;

/** A work that takes longer than the budget is run once: it varies little, and nothing in it is still to be compiled. */
function timed(name: string, work: () => void, signatures = 1): Figure {
  const first = cpuMilliseconds(work);
  const turns = Math.min(TURNS, Math.floor(BUDGET_MS / first));
  const { ours, single } =
    turns === 0
      ? { ours: [first], ...inTurns({ single: singleKey }, TURNS) }
      : // Short works are warm only after a few.
        inTurns({ ours: { work }, single: singleKey }, turns, turns === TURNS ? WARM_UP : 0);
  return figure(
    `growth/dkls23(${name})`,
    'CPU ms',
    ours.map((ms) => ms / signatures),
    { name: singleKey.name, samples: single },
  );
}

function ofShape(shape: Shape): Figure[] {
  const at = `${shape.threshold},${shape.parties}`;
  let keys: Keys = new Map();
  const figures = [
    timed(`keygen,${at}`, () => {
      keys = keygen(shape);
    }),
  ];
  checked(keys, () => sign(shape, keys, 2));
  // One is checked, one is the first run.
  figures.push(timed(`online,${at}`, checked(keys, online(shape, keys, 2 + WARM_UP + TURNS))));
  for (const count of BATCHES) {
    const batch = timed(`batch of ${count},${at}`, () => void sign(shape, keys, count), count);
    figures.push(batch);
    // The next would take four times as long, and a signature of it what one of this takes.
    if (batch.median * count > BUDGET_MS) break;
  }
  return figures;
}

export const growthDkls23: Benchmark = {
  name: 'growth/dkls23',
  figures: async () => SHAPES.flatMap(ofShape),
};
