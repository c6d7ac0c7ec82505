/** The command line as a shell sees it. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CommanderError } from 'commander';
import { afterAll, describe, expect, it } from 'vitest';
import { EXIT, EXIT_CODE_HELP, exitCodeOf } from '../../cli/exit-codes.ts';
import { repoRoot } from '../../dev/paths.ts';
import { ERROR_CODES, type ErrorCode, KeysagaError } from '../../schema/contracts/errors.ts';

const folder = mkdtempSync(join(tmpdir(), 'keysaga-cli-'));
afterAll(() => rmSync(folder, { recursive: true }));

type Run = { code: number | null; stdout: string; stderr: string };
function run(args: readonly string[], env: Record<string, string> = {}): Promise<Run> {
  return new Promise((resolve) => {
    const child = spawn(join(repoRoot, 'cli/keysaga'), [...args], {
      cwd: folder,
      env: { PATH: process.env.PATH, HOME: folder, KEYSAGA_DATA: join(folder, 'none'), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const result: Run = { code: null, stdout: '', stderr: '' };
    child.stdout.on('data', (chunk) => {
      result.stdout += chunk;
    });
    child.stderr.on('data', (chunk) => {
      result.stderr += chunk;
    });
    child.once('close', (code) => resolve({ ...result, code }));
  });
}

describe('exit codes', () => {
  it('each error code has one, and the help lists every one', () => {
    const codes = Object.keys(ERROR_CODES).map((code) =>
      exitCodeOf(new KeysagaError(code as ErrorCode, 'x')),
    );
    expect(new Set(codes)).toEqual(new Set(Object.values(EXIT).filter((code) => code !== EXIT.ok)));
    for (const code of Object.values(EXIT))
      expect(EXIT_CODE_HELP).toMatch(new RegExp(`^ {2}${code}  `, 'm'));
  });
  it('tells a wrong call from a call for help', () => {
    expect(exitCodeOf(new CommanderError(1, 'commander.unknownOption', ''))).toBe(EXIT.usage);
    expect(exitCodeOf(new CommanderError(0, 'commander.helpDisplayed', ''))).toBe(EXIT.ok);
    expect(exitCodeOf(new TypeError())).toBe(EXIT.failed);
  });
});

describe('the command line', () => {
  it('helps on stdout with 0, and says the version', async () => {
    const [help, version] = await Promise.all([run(['--help']), run(['--version'])]);
    expect(help).toMatchObject({ code: EXIT.ok, stderr: '' });
    expect(help.stdout).toContain('Exit codes:');
    expect(version.stdout.trim()).toBe(
      JSON.parse(readFileSync(join(repoRoot, 'package.json'), 'utf8')).version,
    );
  });

  it.each([
    [['bogus']],
    [['transfer']],
    [['watch', 'a', 'b']],
    [['wallet', 'create', 'x', '--network', 'bitcoin', '--threshold', 'two']],
  ])('refuses %j with 2 and one line on stderr', async (args) => {
    const result = await run(args);
    expect(result).toMatchObject({ code: EXIT.usage, stdout: '' });
    expect(result.stderr).toMatch(/^error InvalidInput: /);
    expect(result.stderr).not.toContain('    at ');
  });

  it('says that no stack runs with 6, in words and as JSON', async () => {
    const [words, json] = await Promise.all([
      run(['wallet', 'list']),
      run(['wallet', 'list', '--json']),
    ]);
    expect(words).toMatchObject({ code: EXIT.partMissing, stdout: '' });
    expect(words.stderr).toMatch(/^error PartMissing: No stack runs on /);
    expect(json.code).toBe(EXIT.partMissing);
    expect(JSON.parse(json.stdout)).toMatchObject({
      error: { code: 'PartMissing', details: { field: 'KEYSAGA_DATA' } },
    });
  });

  it('doctor ends with 1 while anything is down, and names the remedy', async () => {
    const result = await run(['doctor', '--json']);
    expect(result.code).toBe(EXIT.failed);
    expect(JSON.parse(result.stdout)).toContainEqual(
      expect.objectContaining({
        part: 'local stack',
        up: false,
        remedy: expect.stringContaining('npm start'),
      }),
    );
  });

  it('stop and reset find nothing to do', async () => {
    expect(JSON.parse((await run(['stop', '--json'])).stdout)).toEqual({ stopped: false });
    expect(JSON.parse((await run(['reset', '--json'])).stdout)).toEqual({ cleared: false });
  });

  it('makes an approver’s key file that only its owner reads, and never overwrites one', async () => {
    const path = join(folder, 'dave.json');
    const args = ['approver-key', 'dave', '--key-file', path, '--json'];
    const env = { KEYSAGA_PASSPHRASE: 'correct horse battery staple' };
    const made = await run(args, env);
    expect(made.code).toBe(EXIT.ok);
    expect(JSON.parse(made.stdout)).toEqual({
      approver: 'dave',
      role: 'approver',
      publicKey: expect.stringMatching(/^[0-9a-f]{64}$/),
      keyFile: path,
    });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const before = readFileSync(path, 'utf8');
    expect((await run(args, env)).code).toBe(EXIT.usage);
    expect(readFileSync(path, 'utf8')).toBe(before);
    expect((await run(['approver-key', 'eve', '--key-file', join(folder, 'eve.json')])).code).toBe(
      EXIT.usage,
    );
  });
});
