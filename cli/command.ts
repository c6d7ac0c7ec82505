/** What all commands share. */
import { Command } from 'commander';
import type { KeysagaClient } from '../client/index.ts';
import { type Settings, withClient } from './context.ts';
import { type Io, printJson, type Style, styleOf } from './io.ts';

export type Context = {
  readonly io: Io;
  readonly json: boolean;
  /** Of stdout. */
  readonly style: Style;
  withClient<T>(work: (client: KeysagaClient, settings: Settings) => Promise<T>): Promise<T>;
  /** One result: the value as JSON, or the text. */
  print(value: unknown, text: string): void;
};

export const contextOf = (io: Io, options: { readonly json?: boolean }): Context => {
  const json = options.json === true;
  return {
    io,
    json,
    style: styleOf(io.stdout, json ? { NO_COLOR: '1' } : io.env),
    withClient: (work) => withClient(io.env, work),
    print: (value, text) => {
      if (json) printJson(io, value);
      else io.stdout.write(`${text}\n`);
    },
  };
};

/** A leaf command with `--json`. */
export const leaf = (name: string, description: string): Command =>
  new Command(name).description(description).option('--json', 'print one JSON document on stdout');
