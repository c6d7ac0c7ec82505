/**
 * `browser/dkls23-…`: the works of `dkls23-work.ts` in a headless Chromium beside Node, in turns on the same machine. Wall
 * time in both, since a page has no clock of CPU; while one works the other waits.
 */
import { suffix, TURNS, WORKS, type WorkName } from '../dkls23-work.ts';
import { type Benchmark, figure, wallMilliseconds } from '../figures.ts';
import { openPage } from './host.ts';

const benchmark = (name: WorkName): Benchmark => ({
  name: `browser/dkls23-${name}`,
  figures: async () => {
    const { prepare, warmUp, signatures } = WORKS[name];
    const page = await openPage();
    try {
      await page.prepare(name);
      const work = prepare();
      const browser: number[] = [];
      const node: number[] = [];
      for (let turn = -warmUp; turn < TURNS; turn++) {
        const there = await page.run(name);
        const here = wallMilliseconds(work);
        if (turn < 0) continue;
        browser.push(there / signatures);
        node.push(here / signatures);
      }
      return [
        figure(`browser/dkls23-${name}${suffix(name)}`, 'ms', browser, {
          name: `Node, against ${page.browser}`,
          samples: node,
        }),
      ];
    } finally {
      await page.close();
    }
  },
});

export const browserKeygen = benchmark('keygen');
export const browserSign = benchmark('sign');
export const browserSignBatch = benchmark('sign-batch');
export const browserOnline = benchmark('online');
