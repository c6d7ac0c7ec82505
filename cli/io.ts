/** Where a command reads and writes, and how it looks there. Passed in, so that tests see the same as people. */
import type { Readable } from 'node:stream';
import Table from 'cli-table3';
import { isKeysagaError, KeysagaError } from '../schema/contracts/errors.ts';

export type Env = Readonly<Record<string, string | undefined>>;
export type Sink = {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
};
export type Io = {
  readonly env: Env;
  readonly stdin: Readable & { readonly isTTY?: boolean };
  /** Results. */
  readonly stdout: Sink;
  /** Progress, questions, errors. */
  readonly stderr: Sink;
};

export type Style = Readonly<
  Record<'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan', (text: string) => string>
>;
const SGR = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
} as const;

/** Colour only for a terminal, never with `NO_COLOR` (no-color.org), always with `FORCE_COLOR`. */
export function styleOf(sink: Sink, env: Env): Style {
  const wanted = env.NO_COLOR
    ? false
    : env.FORCE_COLOR
      ? env.FORCE_COLOR !== '0'
      : sink.isTTY === true && env.TERM !== 'dumb';
  const paint =
    ([on, off]: readonly [number, number]) =>
    (text: string) =>
      wanted && text !== '' ? `\u001b[${on}m${text}\u001b[${off}m` : text;
  return {
    bold: paint(SGR.bold),
    dim: paint(SGR.dim),
    red: paint(SGR.red),
    green: paint(SGR.green),
    yellow: paint(SGR.yellow),
    cyan: paint(SGR.cyan),
  };
}

const none = '';
const CHARS = {
  top: none,
  'top-mid': none,
  'top-left': none,
  'top-right': none,
  bottom: none,
  'bottom-mid': none,
  'bottom-left': none,
  'bottom-right': none,
  left: none,
  'left-mid': none,
  mid: none,
  'mid-mid': none,
  right: none,
  'right-mid': none,
  middle: '  ',
} as const;

/** Columns without rules, so that an address can be copied with a double click. No trailing blanks. */
export function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  style: Style,
): string {
  const drawn = new Table({
    chars: CHARS,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
    ...(head.length === 0 ? {} : { head: head.map((name) => style.bold(name)) }),
  });
  drawn.push(...rows.map((row) => [...row]));
  return drawn
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .filter((line, i, all) => line !== '' || i < all.length - 1)
    .join('\n');
}

export const writeLine = (sink: Sink, text = ''): void => {
  sink.write(`${text}\n`);
};
export const printJson = (io: Io, value: unknown): void =>
  writeLine(io.stdout, JSON.stringify(value, null, 2));

/** An error as a program reads it. */
export function errorJson(error: KeysagaError) {
  const { code, message, details, remedy, docs } = error;
  return { error: { code, message, details, remedy, docs } };
}

/** What is not a `KeysagaError` is a defect: its text may hold anything, so only its kind is shown. */
export const asKeysagaError = (error: unknown): KeysagaError =>
  isKeysagaError(error)
    ? error
    : new KeysagaError(
        'Internal',
        `a defect (${error instanceof Error ? error.name : typeof error}); KEYSAGA_DEBUG=1 shows where`,
        {},
        { cause: error },
      );

/** `error CODE: message`, the remedy, where to read on. Never a stack trace, unless `KEYSAGA_DEBUG` is set. */
export function printError(io: Io, thrown: unknown): void {
  const error = asKeysagaError(thrown);
  const style = styleOf(io.stderr, io.env);
  const { remedy } = error.details;
  const lines = [
    `${style.red(`error ${error.code}:`)} ${error.message.replace(/\s+/g, ' ')}`,
    `  ${typeof remedy === 'string' ? remedy : error.remedy}`,
    style.dim(`  ${error.docs}`),
  ];
  if (io.env.KEYSAGA_DEBUG)
    for (
      let at: unknown = thrown, depth = 0;
      at instanceof Error && depth < 8;
      depth++, at = at.cause
    )
      lines.push(style.dim(at.stack ?? String(at)));
  writeLine(io.stderr, lines.join('\n'));
}
