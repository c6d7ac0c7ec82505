/**
 * A passphrase from the terminal, without echo, or from a file descriptor. Never from the command line or the environment,
 * which others can read. It stays in bytes that the caller wipes; no string is made of it.
 */
import { closeSync, read as readCallback } from 'node:fs';
import type { Readable } from 'node:stream';
import { setTimeout as wait } from 'node:timers/promises';
import { isatty } from 'node:tty';
import { promisify } from 'node:util';
import { KeysagaError } from '../../schema/contracts/errors.ts';

const read = promisify(readCallback);
/** Bytes. */
const LONGEST = 1024;

export type Terminal = {
  readonly input: Readable & {
    readonly isTTY?: boolean;
    setRawMode?(raw: boolean): unknown;
  };
  /** Questions; never the passphrase. */
  readonly output: { write(text: string): unknown };
};

const invalid = (message: string): KeysagaError =>
  new KeysagaError('InvalidInput', message, { field: 'passphrase' });

/** Asks once. Throws `Cancelled` on Ctrl-C or the end of input, `InvalidInput` when nobody is there to ask. */
export async function askPassphrase(
  { input, output }: Terminal,
  question: string,
): Promise<Uint8Array> {
  if (input.isTTY !== true || input.setRawMode === undefined)
    throw invalid('A passphrase is needed and no terminal is there to ask: use --unlock-fd.');
  const typed = new Uint8Array(LONGEST);
  let length = 0;
  // Raw mode turns the terminal's echo off; what is typed ahead of the question is not shown either.
  input.setRawMode(true);
  output.write(question);
  try {
    return await new Promise<Uint8Array>((resolve, reject) => {
      const settle = (work: () => void) => {
        input.off('data', take);
        input.off('end', ended);
        input.off('error', failed);
        input.pause();
        work();
      };
      const ended = () => settle(() => reject(new KeysagaError('Cancelled', 'No answer.')));
      const failed = (error: Error) => settle(() => reject(error));
      const take = (chunk: Buffer) => {
        const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
        try {
          for (const byte of bytes) {
            if (byte === 0x0d || byte === 0x0a)
              return settle(() => resolve(typed.slice(0, length)));
            if (byte === 0x03 || (byte === 0x04 && length === 0))
              return settle(() => reject(new KeysagaError('Cancelled', 'Broken off.')));
            if (byte === 0x15) length = 0;
            else if (byte === 0x7f || byte === 0x08) {
              // A character may have several bytes: its continuation bytes go with it.
              while (length > 0 && ((typed[length - 1] ?? 0) & 0xc0) === 0x80) length--;
              if (length > 0) length--;
            } else if (length === LONGEST)
              return settle(() => reject(invalid(`passphrase: at most ${LONGEST} bytes`)));
            else typed[length++] = byte;
          }
        } finally {
          bytes.fill(0);
        }
      };
      input.on('data', take);
      input.on('end', ended);
      input.on('error', failed);
      input.resume();
    });
  } finally {
    typed.fill(0);
    input.setRawMode(false);
    output.write('\n');
  }
}

/**
 * The lines of an open file descriptor, e.g. `--unlock-fd 3 3< <(pass show party)`; a line end at the end opens no further
 * line. Closes it, but for standard input. Throws `InvalidInput` for a terminal, which would show what is typed, and for
 * more than `most` lines.
 */
export async function passphrasesFromFd(fd: number, most = 1): Promise<Uint8Array[]> {
  if (isatty(fd)) throw invalid('That descriptor is a terminal, which shows what is typed.');
  const all = new Uint8Array(most * (LONGEST + 2));
  try {
    const length = await readAll(fd, all);
    const lines: Uint8Array[] = [];
    let from = 0;
    for (let i = 0; i <= length; i++) {
      if (i < length && all[i] !== 0x0a) continue;
      if (i === length && from === length && lines.length > 0) break;
      const to = i > from && all[i - 1] === 0x0d ? i - 1 : i;
      lines.push(all.slice(from, to));
      from = i + 1;
    }
    if (lines.length > most || lines.some((line) => line.length > LONGEST)) {
      for (const line of lines) line.fill(0);
      throw invalid(`passphrase: ${most === 1 ? 'one line is' : `${most} lines are`} expected`);
    }
    return lines;
  } catch (cause) {
    if (cause instanceof KeysagaError) throw cause;
    throw new KeysagaError(
      'InvalidInput',
      `passphrase: descriptor ${fd} cannot be read`,
      { field: 'passphrase' },
      { cause },
    );
  } finally {
    all.fill(0);
  }
}

/** Straight into `into`, with no copy on the way; its length when the end is reached. */
async function readAll(fd: number, into: Uint8Array): Promise<number> {
  let length = 0;
  try {
    for (;;) {
      if (length === into.length) throw invalid(`passphrase: at most ${LONGEST} bytes`);
      const { bytesRead } = await read(fd, into, length, into.length - length, null).catch(
        async (error: NodeJS.ErrnoException) => {
          // A pipe that does not block and has nothing yet: whoever holds its other end is still typing.
          if (error.code !== 'EAGAIN') throw error;
          await wait(20);
          return { bytesRead: -1 };
        },
      );
      if (bytesRead === 0) return length;
      if (bytesRead > 0) length += bytesRead;
    }
  } finally {
    if (fd > 2) closeSync(fd);
  }
}
