/**
 * `npm run crash-matrix [-- --point NAME] [--scenario NAME] [--chain bitcoin|solana|ethereum] [--parallel N]`: all cells,
 * and the table for docs/reliability.md.
 */
import { parseArgs } from 'node:util';
import { startPlatform } from '../support/platform.ts';
import { allCells, runCells } from './cells.ts';

const { values } = parseArgs({
  options: {
    point: { type: 'string' },
    scenario: { type: 'string' },
    chain: { type: 'string' },
    parallel: { type: 'string', default: '1' },
  },
});
const cells = allCells().filter(
  (cell) =>
    (values.point === undefined || cell.point.startsWith(values.point)) &&
    (values.scenario === undefined || cell.scenario === values.scenario) &&
    (values.chain === undefined || cell.chain === values.chain),
);
if (cells.length === 0) {
  process.stderr.write('no such cell\n');
  process.exit(2);
}
const platform = await startPlatform({
  chains: ['bitcoin', 'solana', 'ethereum'],
  coordinators: 2,
});
try {
  const wallets = {
    bitcoin: await platform.wallet('crash-btc', 'bitcoin', { coins: 30, each: 300_000n }),
    solana: await platform.wallet('crash-sol', 'solana', { each: 50_000_000_000n }),
    ethereum: await platform.wallet('crash-eth', 'ethereum'),
  };
  process.stdout.write(
    '| fail point | scenario | chain | outcome | seconds |\n| --- | --- | --- | --- | ---: |\n',
  );
  const results = await runCells(platform, wallets, cells, {
    parallel: Number(values.parallel),
    report: (r) =>
      process.stdout.write(
        `| ${r.point} | ${r.scenario} | ${r.chain} | ${r.outcome} | ${r.seconds.toFixed(1)} |\n`,
      ),
  });
  process.stderr.write(`${results.length} cells, every invariant held\n`);
} finally {
  await platform.close();
}
