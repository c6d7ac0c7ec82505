/** The board of `watch`: redrawn in place on a terminal, a line for each change elsewhere, JSON lines with --json. */
import type { TransferStatus } from '../schema/contracts/saga.ts';
import { type Io, styleOf, writeLine } from './io.ts';
import { transferBoard, transferLine } from './words.ts';

export type LiveBoard = {
  show(status: TransferStatus): void;
  notice(text: string): void;
  close(): void;
};

// biome-ignore lint/suspicious/noControlCharactersInRegex: the escape character is what is looked for
const SGR = /\u001b\[[0-9;]*m/g;
/** Terminal rows that a text takes, since long lines wrap. */
export const rowsOf = (text: string, columns: number): number =>
  text
    .split('\n')
    .reduce((sum, line) => sum + Math.max(1, Math.ceil(line.replace(SGR, '').length / columns)), 0);

export function liveBoard(io: Io, json: boolean): LiveBoard {
  const style = styleOf(io.stdout, io.env);
  const started = Date.now();
  if (json)
    return {
      show: (status) => writeLine(io.stdout, JSON.stringify(status)),
      notice: (text) => writeLine(io.stderr, text),
      close: () => {},
    };
  const elapsed = (status: TransferStatus): number =>
    Math.max(
      Date.now() - started,
      Object.values(status.phasesMs).reduce((sum, ms) => sum + ms, 0),
    );
  if (io.stdout.isTTY !== true) {
    let last = '';
    return {
      show: (status) => {
        const line = transferLine(status);
        if (line !== last) writeLine(io.stdout, line);
        last = line;
      },
      notice: (text) => writeLine(io.stderr, text),
      close: () => {},
    };
  }
  let drawn = 0;
  let current: TransferStatus | undefined;
  let noticed = '';
  const draw = (): void => {
    if (current === undefined && noticed === '') return;
    const text = [
      ...(current === undefined ? [] : [transferBoard(current, elapsed(current), style)]),
      ...(noticed === '' ? [] : [style.yellow(noticed)]),
    ].join('\n');
    io.stdout.write(`${drawn > 0 ? `\u001b[${drawn}A\u001b[0J` : ''}${text}\n`);
    drawn = rowsOf(text, io.stdout.columns ?? 80);
  };
  // The clock in the title goes on while nothing happens.
  const clock = setInterval(draw, 1_000);
  return {
    show: (status) => {
      current = status;
      noticed = '';
      draw();
    },
    notice: (text) => {
      noticed = text;
      draw();
    },
    close: () => clearInterval(clock),
  };
}
