/** A Bitcoin node that can do regtest with Taproot. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Progress } from '../progress.ts';
import {
  cached,
  compareVersions,
  firstLine,
  missing,
  onPath,
  output,
  type Part,
  runLoud,
} from './part.ts';

export type BitcoinFlavour = 'bitcoind' | 'btcd';
export type BitcoinPart = Part & { readonly flavour: BitcoinFlavour };

const btcdVersion = '0.26.2';
/** Taproot is active on regtest from Bitcoin Core 22 on. */
const bitcoindMinimum = '22.0.0';

/**
 * `bitcoind` on PATH, else btcd built by Go's own tool chain (the module's hash is checked against Go's checksum database).
 * @throws KeysagaError `PartMissing` with the remedy.
 */
export async function ensureBitcoin(progress: Progress): Promise<BitcoinPart> {
  const core = onPath('bitcoind');
  let why = 'no bitcoind on PATH';
  if (core) {
    const version = /v(\d+\.\d+(?:\.\d+)?)/.exec(
      await output(core, ['--version']).catch(() => ''),
    )?.[1];
    if (version && compareVersions(version, bitcoindMinimum) >= 0)
      return { path: core, version, flavour: 'bitcoind' };
    why = `${core} is ${version ?? 'of an unknown version'}, older than ${bitcoindMinimum}`;
  }
  const program = process.platform === 'win32' ? 'btcd.exe' : 'btcd';
  try {
    const folder = await cached(
      `btcd-${btcdVersion}`,
      async (target) => {
        const go = onPath('go');
        if (!go) throw new Error('no Go tool chain on PATH');
        progress({
          part: 'bitcoin',
          phase: 'install',
          message: `building btcd ${btcdVersion} (about half a minute, once)`,
        });
        await runLoud(go, ['install', `github.com/btcsuite/btcd@v${btcdVersion}`], {
          cwd: target,
          // A user's own GOFLAGS (-mod=vendor) or target platform would break or misplace the build.
          env: { ...process.env, GOBIN: target, GOFLAGS: '', GOOS: '', GOARCH: '', GOWORK: 'off' },
          onLine: (line) =>
            progress({ part: 'bitcoin', phase: 'install', message: line.slice(0, 120) }),
        });
        if (!existsSync(join(target, program))) throw new Error('go install left no program');
      },
      { progress, part: 'bitcoin' },
    );
    return { path: join(folder, program), version: btcdVersion, flavour: 'btcd' };
  } catch (error) {
    throw missing(
      'Bitcoin node',
      `${why}, and btcd could not be built (${firstLine(error)})`,
      'Install bitcoind (https://bitcoincore.org) or Go (https://go.dev/dl), or set BITCOIN_RPC_URL to a regtest node.',
      error,
    );
  }
}
