/**
 * A party that was unlocked with a passphrase, as the operating system sees it: its secrets are in no command line, no
 * environment, no log and, after it has signed, in no string of its heap. Best effort for the last: a heap snapshot has
 * every string and the shape of every object, but not the bytes of buffers and big integers (SECURITY.md, "Memory").
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { repoRoot } from '../../dev/paths.ts';
import { until } from '../../dev/until.ts';
import { type Platform, startPlatform } from '../support/platform.ts';
import {
  found,
  type PartyRoom,
  roomsOf,
  type Secret,
  search,
  seedsDuring,
  shares,
} from './secrets-support.ts';
import { expectEnd } from './support.ts';

const PASSPHRASE = `tide table ${randomBytes(9).toString('base64url')}`;

let platform: Platform;
let rooms: PartyRoom[];
const own: ChildProcess[] = [];
beforeAll(async () => {
  platform = await startPlatform({
    chains: ['solana', 'ethereum'],
    instances: 2,
    coordinators: 2,
  });
  rooms = await roomsOf(platform);
}, 300_000);
afterAll(async () => {
  for (const child of own) child.kill('SIGKILL');
  await Promise.all((rooms ?? []).map(({ sql }) => sql.end({ timeout: 5 })));
  await platform?.close();
});

type Run = { readonly child: ChildProcess; readonly printed: () => string };
/** A program of this repository with a passphrase on descriptor 3. */
function run(
  script: string,
  args: readonly string[],
  lines: readonly string[],
  node: readonly string[] = [],
): Run {
  const child = spawn(process.execPath, [...node, '--import', 'tsx', script, ...args], {
    cwd: repoRoot,
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
  (child.stdio[3] as Writable).end(lines.map((line) => `${line}\n`).join(''));
  return { child, printed: () => text };
}
const ended = ({ child }: Run): Promise<number | null> =>
  new Promise((resolve) => {
    if (child.exitCode !== null) resolve(child.exitCode);
    else child.once('exit', (code) => resolve(code));
  });

describe('a running party', () => {
  it('shows none of its secrets to the operating system, its logs or its heap', {
    timeout: 300_000,
  }, async () => {
    const { dataDir, stack } = platform;
    const wallets = await Promise.all(
      (['solana', 'ethereum'] as const).map((chain) => platform.wallet(`kept-${chain}`, chain)),
    );
    const plainFile = join(dataDir, 'alpha', 'master.key');
    const hexOf = (name: string) => readFileSync(join(dataDir, 'alpha', name), 'utf8');
    const keys = ['master.key', 'identity.key', 'backup.key'].map((name) => ({
      name,
      bytes: Buffer.from(hexOf(name), 'hex'),
    }));

    // Alpha stops; its master key goes under a passphrase and a device secret; the plain file goes.
    await platform.hold('alpha');
    const config = JSON.parse(readFileSync(join(dataDir, 'alpha.json'), 'utf8'));
    const unlock = { file: 'unlock/alpha.json', deviceSecretFile: 'device/alpha' };
    const file = join(dataDir, 'alpha-unlock.json');
    const save = (value: object) => writeFileSync(file, JSON.stringify(value), { mode: 0o600 });
    save({ ...config, unlock });
    const command = ['--config', file, '--unlock-fd', '3'];
    const init = run('workers/unlock.ts', ['--init', ...command], [PASSPHRASE]);
    expect(await ended(init), init.printed()).toBe(0);
    const { keyStoreMasterKeyFile: _, ...locked } = config;
    save({ ...locked, unlock });
    rmSync(plainFile);

    const wrong = run('workers/party.ts', command, ['not the passphrase']);
    expect(await ended(wrong)).toBe(1);
    expect(wrong.printed()).toMatch(/error SealBroken: The key store does not unlock/);
    expect(wrong.printed()).not.toContain('not the passphrase');
    const bare = run('workers/party.ts', ['--config', file], []);
    expect(await ended(bare)).toBe(1);
    expect(bare.printed()).toMatch(/start with --unlock/);

    const diagnostics = join(dataDir, 'diagnostics');
    mkdirSync(diagnostics);
    const processes = [1, 2].map(() =>
      run(
        'workers/party.ts',
        command,
        [PASSPHRASE],
        ['--heapsnapshot-signal=SIGUSR2', `--diagnostic-dir=${diagnostics}`],
      ),
    );
    own.push(...processes.map(({ child }) => child));
    await until(async () => processes.every(({ printed }) => printed().includes('"ready":true')), {
      deadlineMs: 120_000,
      intervalMs: 50,
      what: 'both processes of alpha are ready',
    });

    // With gamma away, alpha signs: by FROST and by DKLs23.
    await platform.hold('gamma');
    const secrets = new Map<string, Secret>();
    for (
      let tries = 0;
      ![...secrets.keys()].some((name) => /^sign seed of alpha/.test(name));
      tries++
    ) {
      expect(tries).toBeLessThan(6);
      const work = Promise.all(
        wallets.map(async (wallet) => {
          const intent = platform.intent(wallet);
          await platform.startApproved(intent);
          await expectEnd(platform, intent, 'Completed', 120_000);
        }),
      );
      for (const [name, secret] of await seedsDuring(rooms, work)) secrets.set(name, secret);
    }
    const plain = await shares(rooms);
    // A FROST share is one secret, a DKLs23 share five: its scalar, and two for each of two peers.
    expect(plain).toHaveLength((1 + 5) * platform.cast.parties.length);
    expect(new Set(plain.map(({ bytes }) => Buffer.from(bytes).toString('hex'))).size).toBe(
      // Both ends of a pair have its zero-sharing seed.
      plain.length - 3,
    );
    const password = new URL(config.databaseUrl).password;
    const all: Secret[] = [
      ...secrets.values(),
      ...plain,
      ...keys,
      {
        name: 'device secret',
        bytes: Buffer.from(
          readFileSync(join(dataDir, unlock.deviceSecretFile), 'utf8').trim(),
          'hex',
        ),
      },
      { name: 'payload key', bytes: Buffer.from(platform.payloadKey, 'hex') },
      { name: 'passphrase', bytes: Buffer.from(PASSPHRASE) },
    ];
    const withPassword = [...all, { name: 'database password', bytes: Buffer.from(password) }];
    expect(password.length).toBeGreaterThanOrEqual(16);

    // What `ps` and a dump of the environment show, of every process on this machine.
    const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
    const shown = (pid: string | number | undefined, what: string): Buffer => {
      try {
        return readFileSync(`/proc/${pid}/${what}`);
      } catch {
        // It has ended, or is somebody else's.
        return Buffer.alloc(0);
      }
    };
    for (const { pid } of own) {
      expect(shown(pid, 'cmdline').includes('--unlock-fd')).toBe(true);
      expect(shown(pid, 'environ').includes('PATH=')).toBe(true);
    }
    for (const { pid, name } of platform.workers.values())
      if (pid !== undefined) expect(shown(pid, 'cmdline').includes('--config'), name).toBe(true);
    for (const pid of pids)
      for (const what of ['cmdline', 'environ'])
        expect(found(shown(pid, what), withPassword), `${pid} ${what}`).toEqual([]);

    for (const { printed } of processes) {
      expect(printed()).toContain('"ready":true');
      expect(found(Buffer.from(printed()), withPassword)).toEqual([]);
    }

    // Of both: whichever of them had a part in the signature.
    for (const child of own) {
      child.kill('SIGUSR2');
      const snapshot = await until(
        async () => {
          const [name] = readdirSync(diagnostics).filter(
            (n) => n.endsWith('.heapsnapshot') && n.includes(`.${child.pid}.`),
          );
          if (name === undefined) return undefined;
          const bytes = readFileSync(join(diagnostics, name));
          return bytes.subarray(-4).toString().trimEnd().endsWith(']}') ? bytes : undefined;
        },
        { deadlineMs: 120_000, intervalMs: 250, what: 'a whole heap snapshot' },
      );
      // It has strings: the password that the pool connects with, and the public key of each peer.
      expect(snapshot.includes(password)).toBe(true);
      for (const { publicKey } of config.directory) expect(snapshot.includes(publicKey)).toBe(true);
      expect(found(snapshot, all)).toEqual([]);
      expect(search(snapshot, decimals(all))).toEqual([]);
    }
    // The party is as alive as before.
    for (const wallet of wallets) {
      const last = platform.intent(wallet);
      await platform.startApproved(last);
      await expectEnd(platform, last, 'Completed', 120_000);
    }
    expect(stack.temporal.address).toBe(config.temporal.address);
    expect(own.map(({ exitCode }) => exitCode)).toEqual([null, null]);
  });
});

/** Numbers as `String(bigint)` would have them, in either byte order. */
const decimals = (secrets: readonly Secret[]): Secret[] =>
  secrets.flatMap(({ name, bytes }) =>
    [Buffer.from(bytes), Buffer.from(bytes).reverse()].map((raw) => ({
      name,
      bytes: Buffer.from(`${BigInt(`0x${raw.toString('hex')}`)}`),
    })),
  );
