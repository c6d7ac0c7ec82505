/** Unlocking a party's key store: passphrase and device secret give its master key; wrong passphrases wait longer each time. */
import { readFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { FREE_FAILURES, lockAfter, requireUnlocked } from '../../core/rules/access.ts';
import { isKeysagaError, KeysagaError } from '../../schema/contracts/errors.ts';
import type { PartyId } from '../../schema/contracts/primitives.ts';
import { readSecretFile } from '../../storage/party/secret-file.ts';
import { readUnlockFile, unwrapMasterKey } from '../../storage/party/unlock.ts';
import {
  addUnlockFailure,
  clearUnlockFailures,
  readUnlockFailures,
} from '../../storage/party/unlock-failures.ts';
import { askPassphrase, passphrasesFromFd, type Terminal } from './passphrase.ts';

/** Where the passphrase comes from. `fd` names an open descriptor. */
export type PassphraseSource =
  | { readonly kind: 'terminal'; readonly terminal: Terminal }
  | { readonly kind: 'fd'; readonly fd: number }
  /** Wiped when it has been tried. */
  | { readonly kind: 'given'; readonly passphrase: Uint8Array };

export type UnlockOptions = {
  readonly party: PartyId;
  readonly unlockFile: string;
  readonly deviceSecretFile: string;
  readonly source: PassphraseSource;
  readonly now?: () => number;
  readonly sleep?: (milliseconds: number) => Promise<unknown>;
};

/** Asked on a terminal before the program gives up. */
const TRIES = 3;

/** Milliseconds after the n-th wrong passphrase in a row: 1, 2, 4, 8 s, then the locks of `core/rules/access.ts`. */
export const pauseAfter = (failures: number): number =>
  failures === 0 ? 0 : failures < FREE_FAILURES ? 1000 * 2 ** (failures - 1) : lockAfter(failures);

/** The source that `--unlock` or `--unlock-fd <n>` names. Throws `InvalidInput` (`unlock-fd`). */
export function passphraseSource(
  fd: unknown,
): Exclude<PassphraseSource, { readonly kind: 'given' }> {
  if (fd === undefined)
    return {
      kind: 'terminal',
      terminal: { input: process.stdin, output: process.stderr },
    };
  if (typeof fd !== 'string' || !/^\d{1,4}$/.test(fd) || fd === '1' || fd === '2')
    throw new KeysagaError('InvalidInput', 'unlock-fd: 0, or a descriptor from 3 on.', {
      field: 'unlock-fd',
    });
  return { kind: 'fd', fd: Number(fd) };
}

export function readUnlockText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new KeysagaError(
      'PartMissing',
      'unlock.file: it cannot be read; make it with `workers/unlock.ts init`.',
      { field: 'unlock.file' },
      { cause },
    );
  }
}

/**
 * The key store's master key; the caller wipes it. Throws `KeyLocked` (`retryAt`) after five wrong passphrases in a row,
 * before a passphrase is even asked for; `SealBroken` (`passphrase`, `unlock.deviceSecretFile`), `PartMissing`,
 * `InvalidInput`. Only a wrong passphrase counts.
 */
export async function unlockMasterKey(options: UnlockOptions): Promise<Uint8Array> {
  const { party, unlockFile, source } = options;
  const now = options.now ?? Date.now;
  const sleep = options.sleep ?? wait;
  const deviceSecret = readSecretFile(options.deviceSecretFile, 'unlock.deviceSecretFile');
  try {
    const file = readUnlockFile(readUnlockText(unlockFile), { party, deviceSecret });
    const tries = source.kind === 'terminal' ? TRIES : 1;
    for (let left = tries - 1; ; left--) {
      await pause();
      const passphrase = await ask();
      try {
        const masterKey = await unwrapMasterKey(file, { passphrase, deviceSecret });
        await clearUnlockFailures(unlockFile);
        return masterKey;
      } catch (error) {
        if (!isKeysagaError(error, 'SealBroken')) throw error;
        await addUnlockFailure(unlockFile, now());
        const { count } = await readUnlockFailures(unlockFile);
        if (source.kind !== 'terminal' || left === 0 || count >= FREE_FAILURES) throw error;
        source.terminal.output.write(`Wrong (${count} in a row).\n`);
      } finally {
        passphrase.fill(0);
      }
    }
  } finally {
    deviceSecret.fill(0);
  }

  /** A short pause is waited out; a lock is refused with its end. */
  async function pause(): Promise<void> {
    const { count, lastAt } = await readUnlockFailures(unlockFile);
    const until = lastAt + pauseAfter(count);
    requireUnlocked(
      { failures: count, lockedUntil: count < FREE_FAILURES ? null : until },
      now(),
      'passphrase',
    );
    const left = Math.min(until - now(), pauseAfter(count));
    if (left > 0 && count < FREE_FAILURES) await sleep(left);
  }
  async function ask(): Promise<Uint8Array> {
    if (source.kind === 'terminal')
      return askPassphrase(source.terminal, `Passphrase of party ${party}: `);
    if (source.kind === 'given') return source.passphrase;
    const [passphrase] = await passphrasesFromFd(source.fd);
    return passphrase ?? new Uint8Array(0);
  }
}
