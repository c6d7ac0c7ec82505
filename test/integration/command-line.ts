/** `keysaga` against a test's platform, in this process, with the key files of the first two approvers. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { Io } from '../../cli/io.ts';
import { sealKey } from '../../cli/keyfile.ts';
import { buildProgram } from '../../cli/program.ts';
import { CoordinatorConfig } from '../../schema/contracts/config.ts';
import type { Platform } from '../support/platform.ts';

const PASSPHRASE = 'correct horse battery';

export type CommandLine = {
  /** What a command prints for people. Throws what it fails with. */
  text(...args: string[]): Promise<string>;
  /** What it prints with `--json`. */
  json(...args: string[]): Promise<Record<string, unknown>>;
};

export async function commandLine({ dataDir, cast }: Platform): Promise<CommandLine> {
  const file = (name: string, text: string): string => {
    const path = join(dataDir, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };
  const { temporal, payloadKeys, directory } = CoordinatorConfig.parse(
    JSON.parse(readFileSync(join(dataDir, 'coordinator.json'), 'utf8')),
  );
  const approvers = await Promise.all(
    cast.approvers.slice(0, 2).map(async ({ name, secretKey }) => {
      const sealed = await sealKey({ role: 'approver', name }, secretKey, PASSPHRASE);
      return { name, keyFile: file(`${name}.key.json`, sealed) };
    }),
  );
  const config = file(
    'command-line.json',
    JSON.stringify({ temporal, payloadKeys, directory, approvers }),
  );
  const text = async (...args: string[]): Promise<string> => {
    let stdout = '';
    const write = (more: string): void => {
      stdout += more;
    };
    const io: Io = {
      env: { KEYSAGA_CONFIG: config, KEYSAGA_PASSPHRASE: PASSPHRASE, NO_COLOR: '1' },
      stdin: Readable.from([]),
      stdout: { write },
      stderr: { write: () => true },
    };
    await buildProgram(io).parseAsync(args, { from: 'user' });
    return stdout;
  };
  return { text, json: async (...args) => JSON.parse(await text(...args, '--json')) };
}
