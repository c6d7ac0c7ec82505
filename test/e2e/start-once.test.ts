/**
 * What a newcomer gets: `npm start -- --once --json` from an empty data folder, and again on the same one. A program that
 * shares no code with keysaga verifies every signature in the output, and refuses the output once anything is changed.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Report } from '../../cli/start/report.ts';
import { repoRoot } from '../../dev/paths.ts';

const dataDir = join(mkdtempSync(join(tmpdir(), 'keysaga-once-')), 'data');
const LIMIT_MS = 300_000;

type Run = { code: number | null; stdout: string; stderr: string };
function run(command: string, args: readonly string[], input = ''): Promise<Run> {
  return new Promise((resolve) => {
    const { NO_COLOR: _, FORCE_COLOR: __, ...env } = process.env;
    const child = spawn(command, [...args], {
      cwd: repoRoot,
      env: { ...env, KEYSAGA_DATA: dataDir },
      stdio: 'pipe',
    });
    const result: Run = { code: null, stdout: '', stderr: '' };
    child.stdout.on('data', (chunk) => {
      result.stdout += chunk;
    });
    child.stderr.on('data', (chunk) => {
      result.stderr += chunk;
    });
    child.once('close', (code) => resolve({ ...result, code }));
    child.stdin.end(input);
  });
}
const start = (): Promise<Run> => run(process.execPath, ['scripts/start.mjs', '--once', '--json']);
const verifier = (document: unknown): Promise<Run> =>
  run(process.execPath, ['test/verify/independent-verifier.mjs'], JSON.stringify(document));

let first: Run;
let report: Report;
beforeAll(async () => {
  first = await start();
  if (first.code === 0) report = JSON.parse(first.stdout);
}, LIMIT_MS);
afterAll(async () => {
  await run(process.execPath, ['scripts/reset.mjs']);
  rmSync(join(dataDir, '..'), { recursive: true, force: true });
}, LIMIT_MS);

describe('npm start -- --once --json', () => {
  it('ends with 0, one document on stdout, and nothing left running', () => {
    expect(first.stderr).not.toContain('error ');
    expect(first.code, first.stderr).toBe(0);
    expect(Object.keys(report)).toEqual(['version', 'wallets', 'transfers']);
    expect(report.wallets.map(({ protocol }) => protocol)).toEqual([
      'frost-ed25519',
      'frost-bip340',
      'dkls23',
    ]);
    expect(existsSync(join(dataDir, 'stack.json'))).toBe(false);
  });

  it('verifies by a program that shares no code with it', async () => {
    const result = await verifier(report);
    expect(result.stderr).toBe('');
    expect(result.code).toBe(0);
    expect(result.stdout.trim().split('\n')).toHaveLength(3);
  });

  const flip = (hex: string): string =>
    `${hex.slice(0, -2)}${(Number.parseInt(hex.slice(-2), 16) ^ 1).toString(16).padStart(2, '0')}`;
  type Transfer = Report['transfers'][number];
  const changes: Record<string, (transfer: Transfer) => Transfer> = {
    'another amount': (t) => ({ ...t, intent: { ...t.intent, amount: '1' } }),
    'another digest': (t) => ({ ...t, intentDigest: flip(t.intentDigest) }),
    'an approval less': (t) => ({ ...t, approvals: t.approvals.slice(1) }),
    'one approval twice': (t) => ({
      ...t,
      approvals: t.approvals.flatMap((a) => [a, a]).slice(0, 2),
    }),
    'a changed approval': (t) => ({
      ...t,
      approvals: t.approvals.map((a) => ({ ...a, signedMessage: flip(a.signedMessage) })),
    }),
    'a changed approval signature': (t) => ({
      ...t,
      approvals: t.approvals.map((a) => ({ ...a, signature: flip(a.signature) })),
    }),
    'changed transaction bytes': (t) => ({ ...t, rawTransaction: flip(t.rawTransaction) }),
    'another public key': (t) => ({ ...t, publicKey: flip(t.publicKey) }),
    'another transaction id': (t) => ({
      ...t,
      transactionId: t.transactionId.replace(/.$/, (c) => (c === '1' ? '2' : '1')),
    }),
  };
  it.each(Object.entries(changes))('does not verify with %s', async (_, change) => {
    for (const index of [0, 1, 2]) {
      const transfers = report.transfers.map((t, i) => (i === index ? change(t) : t));
      const result = await verifier({ ...report, transfers });
      expect(result.stderr).toMatch(/^does not verify: /);
      expect(result.code).toBe(1);
    }
  });
  it('does not verify with another spent output', async () => {
    const transfers = report.transfers.map((t) =>
      t.spentOutputs === undefined
        ? t
        : {
            ...t,
            spentOutputs: t.spentOutputs.map((o) => ({ ...o, amount: `${BigInt(o.amount) + 1n}` })),
          },
    );
    expect(transfers).not.toEqual(report.transfers);
    expect((await verifier({ ...report, transfers })).code).toBe(1);
  });

  it('leaves its secrets readable by their owner only', () => {
    const secrets = [
      'secrets',
      'administrators',
      'approvers',
      'parties/alpha',
      'coordinator',
    ].flatMap((folder) =>
      readdirSync(join(dataDir, folder), { withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(dataDir, folder, entry.name)),
    );
    expect(secrets.length).toBeGreaterThan(10);
    for (const file of secrets) expect([file, statSync(file).mode & 0o077]).toEqual([file, 0]);
  });

  it(
    'a second start reuses the wallets and makes new transfers',
    async () => {
      const second = await start();
      expect(second.code, second.stderr).toBe(0);
      const again: Report = JSON.parse(second.stdout);
      expect(again.wallets).toEqual(report.wallets);
      const ids = [...again.transfers, ...report.transfers].map(
        ({ transactionId }) => transactionId,
      );
      expect(new Set(ids).size).toBe(6);
      expect((await verifier(again)).code).toBe(0);
    },
    LIMIT_MS,
  );
});
