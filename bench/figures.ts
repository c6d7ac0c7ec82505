/** What a benchmark reports, and how its numbers are taken. Also a part of pages, so nothing of `node:`. */

/** One figure beside its yardstick, both measured in the same run on the same machine. */
export type Figure = {
  readonly name: string;
  readonly unit: 'CPU ms' | 'ms' | '1/s' | '1' | '%';
  readonly median: number;
  readonly p99: number;
  readonly yardstick: { readonly name: string; readonly median: number };
  /** median ÷ yardstick's median. */
  readonly ratio: number;
};

/** A named benchmark. Its figures carry its name, and a suffix where it has more than one. */
export type Benchmark = {
  readonly name: string;
  readonly figures: () => Promise<readonly Figure[]>;
};

/** The q-quantile by the nearest rank: a value that was measured, never one between two. */
export function quantile(samples: readonly number[], q: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  const at = Math.min(sorted.length - 1, Math.max(0, Math.ceil(q * sorted.length) - 1));
  const value = sorted[at];
  if (value === undefined) throw new RangeError('a quantile needs a sample');
  return value;
}

export const figure = (
  name: string,
  unit: Figure['unit'],
  samples: readonly number[],
  yardstick: { readonly name: string; readonly samples: readonly number[] },
): Figure => {
  const median = quantile(samples, 0.5);
  const other = quantile(yardstick.samples, 0.5);
  return {
    name,
    unit,
    median,
    p99: quantile(samples, 0.99),
    yardstick: { name: yardstick.name, median: other },
    ratio: median / other,
  };
};

/** CPU milliseconds, user and system, of this process while `work` runs: what other processes do does not count. */
export function cpuMilliseconds(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

/** Wall milliseconds, by the one clock that a page has as well. */
export function wallMilliseconds(work: () => void): number {
  const began = performance.now();
  work();
  return performance.now() - began;
}

/**
 * Samples of several works, taken in turn, so that a machine that slows down slows all of them. The first `warmUp`
 * turns are not counted. `work` may be run `repeat` times a sample where one run is too short for the clock.
 */
export function inTurns<Name extends string>(
  works: Readonly<Record<Name, { readonly work: () => void; readonly repeat?: number }>>,
  turns: number,
  warmUp = 2,
): Record<Name, number[]> {
  const names = Object.keys(works) as Name[];
  const samples = Object.fromEntries(names.map((name) => [name, []])) as unknown as Record<
    Name,
    number[]
  >;
  for (let turn = -warmUp; turn < turns; turn++) {
    for (const name of names) {
      const { work, repeat = 1 } = works[name];
      const milliseconds = cpuMilliseconds(() => {
        for (let i = 0; i < repeat; i++) work();
      });
      if (turn >= 0) samples[name].push(milliseconds / repeat);
    }
  }
  return samples;
}
