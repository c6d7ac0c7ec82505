/** `node --import tsx dev/parts/install.ts`: installs every part that the tests and the stack need, with progress on stderr. */
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { Progress } from '../progress.ts';
import { ensureBitcoin } from './bitcoin.ts';
import type { Part } from './part.ts';
import { ensurePostgres } from './postgres.ts';
import { ensureSolana } from './solana.ts';
import { ensureTemporal, ensureTemporalTestServer } from './temporal.ts';

const installers: Readonly<Record<string, (progress: Progress) => Promise<Part>>> = {
  temporal: ensureTemporal,
  'temporal-test-server': ensureTemporalTestServer,
  postgres: ensurePostgres,
  bitcoin: ensureBitcoin,
  solana: ensureSolana,
};
/** An address of the user's own makes the part needless. */
const replacedBy: Readonly<Record<string, string>> = {
  temporal: 'TEMPORAL_ADDRESS',
  postgres: 'DATABASE_URL',
  bitcoin: 'BITCOIN_RPC_URL',
  solana: 'SOLANA_RPC_URL',
};

const started = Date.now();
const failures: string[] = [];
await Promise.all(
  Object.entries(installers).map(async ([name, ensure]) => {
    if (process.env[replacedBy[name] ?? '']) return;
    try {
      const part = await ensure((event) => process.stderr.write(`  ${name}: ${event.message}\n`));
      process.stderr.write(`  ${name} ${part.version}: ${part.path}\n`);
    } catch (error) {
      if (!(error instanceof KeysagaError)) throw error;
      failures.push(error.message);
    }
  }),
);
for (const failure of failures) process.stderr.write(`keysaga: ${failure}\n`);
process.stderr.write(`  parts checked in ${((Date.now() - started) / 1000).toFixed(1)} s\n`);
process.exitCode = failures.length === 0 ? 0 : 1;
