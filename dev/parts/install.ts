/** Installs every part that the tests and the stack need. */
import { isKeysagaError } from '../../schema/contracts/errors.ts';
import type { Progress } from '../progress.ts';
import { ensureBitcoin } from './bitcoin.ts';
import { ensureEthereum } from './ethereum.ts';
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
  ethereum: ensureEthereum,
};
/** An address of the user's own makes the part needless. */
const replacedBy: Readonly<Record<string, string>> = {
  temporal: 'TEMPORAL_ADDRESS',
  postgres: 'DATABASE_URL',
  bitcoin: 'BITCOIN_RPC_URL',
  solana: 'SOLANA_RPC_URL',
  ethereum: 'ETHEREUM_RPC_URL',
};

/**
 * All of them side by side, but those that the environment replaces. Progress and failures go to stderr, a line each;
 * false when a part is missing.
 */
export async function installParts(): Promise<boolean> {
  const started = Date.now();
  const say = (text: string) => process.stderr.write(`keysaga: ${text}\n`);
  const failures: string[] = [];
  const versions: string[] = [];
  await Promise.all(
    Object.entries(installers).map(async ([name, ensure]) => {
      if (process.env[replacedBy[name] ?? '']) return;
      try {
        const part = await ensure((event) => say(`${name}: ${event.message}`));
        versions.push(`${name} ${part.version}`);
      } catch (error) {
        if (!isKeysagaError(error)) throw error;
        failures.push(error.message);
      }
    }),
  );
  const seconds = ((Date.now() - started) / 1000).toFixed(1);
  say(`parts ready in ${seconds} s: ${versions.sort().join(', ')}`);
  for (const failure of failures) say(failure);
  return failures.length === 0;
}
