/** Asking: passphrases without echo, and yes or no. Questions go to stderr, so that stdout stays the result's. */
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { KeysagaError } from '../schema/contracts/errors.ts';
import type { Io } from './io.ts';

async function ask(io: Io, question: string, echo: boolean): Promise<string> {
  let muted = false;
  const output = new Writable({
    write(chunk: Buffer, _encoding, done) {
      if (!muted) io.stderr.write(chunk.toString());
      done();
    },
  });
  const lines = createInterface({ input: io.stdin, output, terminal: true });
  try {
    const answer = lines.question(question);
    muted = !echo;
    return await new Promise<string>((resolve, reject) => {
      lines.once('SIGINT', () => reject(new KeysagaError('Cancelled', 'Broken off.')));
      lines.once('close', () => reject(new KeysagaError('Cancelled', 'No answer.')));
      answer.then(resolve, reject);
    });
  } finally {
    if (!echo) io.stderr.write('\n');
    lines.close();
  }
}

/**
 * From `--passphrase-file`, else `KEYSAGA_PASSPHRASE`, else a prompt. A trailing line feed is not part of it. Throws
 * `InvalidInput` when there is none and nobody to ask.
 */
export async function passphraseFor(io: Io, whose: string, file?: string): Promise<string> {
  if (file !== undefined) {
    try {
      return readFileSync(file, 'utf8').replace(/\r?\n$/, '');
    } catch (cause) {
      throw new KeysagaError(
        'NotFound',
        `The passphrase file ${file} cannot be read.`,
        { field: 'passphrase-file' },
        { cause },
      );
    }
  }
  if (io.env.KEYSAGA_PASSPHRASE) return io.env.KEYSAGA_PASSPHRASE;
  if (io.stdin.isTTY !== true)
    throw new KeysagaError('InvalidInput', 'A passphrase is needed and nobody is there to ask.', {
      field: 'passphrase',
      remedy: 'Use --passphrase-file or KEYSAGA_PASSPHRASE.',
    });
  return ask(io, `Passphrase of ${whose}: `, false);
}

/** Yes only for `y` or `yes`. Throws `InvalidInput` when nobody is there to ask. */
export async function confirmed(io: Io, question: string): Promise<boolean> {
  if (io.stdin.isTTY !== true)
    throw new KeysagaError('InvalidInput', 'Nobody is there to confirm.', {
      field: 'yes',
      remedy: 'Add --yes if you have read what is to be signed.',
    });
  return /^y(es)?$/i.test((await ask(io, `${question} [y/N] `, true)).trim());
}
