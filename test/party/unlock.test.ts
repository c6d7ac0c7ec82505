/** The key store's master key under passphrase and device secret: both are needed, and guessing is slow. */
import { spawn } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, type Writable } from 'node:stream';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { repoRoot } from '../../dev/paths.ts';
import { PartyId } from '../../schema/contracts/primitives.ts';
import { hexSecret, readSecretFile } from '../../storage/party/secret-file.ts';
import { readUnlockFile, unwrapMasterKey, wrapMasterKey } from '../../storage/party/unlock.ts';
import {
  addUnlockFailure,
  failuresFile,
  readUnlockFailures,
} from '../../storage/party/unlock-failures.ts';
import { askPassphrase, passphrasesFromFd } from '../../workers/support/passphrase.ts';
import { passphraseSource, pauseAfter, unlockMasterKey } from '../../workers/support/unlock.ts';

const party = PartyId.parse('alpha');
const PASSPHRASE = 'correct horse battery staple';
const bytes = (text: string) => new TextEncoder().encode(text);
const masterKey = new Uint8Array(randomBytes(32));
const deviceSecret = new Uint8Array(randomBytes(32));
const wrapped = await wrapMasterKey(masterKey, {
  party,
  passphrase: bytes(PASSPHRASE),
  deviceSecret,
});
const open = (
  text: string,
  passphrase = PASSPHRASE,
  device: Uint8Array = deviceSecret,
  who = party,
) =>
  unwrapMasterKey(readUnlockFile(text, { party: who, deviceSecret: device }), {
    passphrase: bytes(passphrase),
    deviceSecret: device,
  });
const refused = (code: string, field: string) =>
  expect.objectContaining({ code, details: expect.objectContaining({ field }) });

let folder = '';
const folders: string[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'keysaga-unlock-'));
  folders.push(folder);
});
afterAll(() => {
  for (const path of folders) rmSync(path, { recursive: true, force: true });
});
const file = (name: string, content: string | Uint8Array, mode = 0o600): string => {
  const path = join(folder, name);
  writeFileSync(path, content, { mode });
  return path;
};
/** An open descriptor that gives `text`; the reader closes it. */
const fdOf = (text: string): number => openSync(file(`in-${randomInt(1e9)}`, text), 'r');

describe('an unlock file', { timeout: 180_000 }, () => {
  it('gives the master key to passphrase and device secret together, to neither alone', async () => {
    expect(await open(wrapped)).toEqual(masterKey);
    await expect(open(wrapped, `${PASSPHRASE} `)).rejects.toEqual(
      refused('SealBroken', 'passphrase'),
    );
    await expect((async () => open(wrapped, PASSPHRASE, randomBytes(32)))()).rejects.toEqual(
      refused('SealBroken', 'unlock.deviceSecretFile'),
    );
    // Past the early check: the device secret is in the key, not only in front of it.
    const parsed = readUnlockFile(wrapped, { party, deviceSecret });
    await expect(
      unwrapMasterKey(parsed, { passphrase: bytes(PASSPHRASE), deviceSecret: randomBytes(32) }),
    ).rejects.toEqual(refused('SealBroken', 'passphrase'));
  });
  it('holds neither secret, and other salts each time', async () => {
    const again = await wrapMasterKey(masterKey, {
      party,
      passphrase: bytes(PASSPHRASE),
      deviceSecret,
    });
    for (const secret of [masterKey, deviceSecret]) {
      const hex = Buffer.from(secret).toString('hex');
      expect(wrapped).not.toContain(hex.slice(0, 16));
      expect(wrapped).not.toContain(hex.slice(-16));
    }
    const [a, b] = [wrapped, again].map((text) => JSON.parse(text));
    expect(a.kdf.salt).not.toBe(b.kdf.salt);
    expect(a.sealed).not.toBe(b.sealed);
    expect(a.kdf).toMatchObject({ name: 'scrypt', log2N: 17, r: 8, p: 1 });
  });
  it('is the same passphrase however its characters are composed', async () => {
    const composed = 'größe überall'.normalize('NFC');
    const text = await wrapMasterKey(masterKey, {
      party,
      passphrase: bytes(composed),
      deviceSecret,
    });
    expect(bytes(composed)).not.toEqual(bytes(composed.normalize('NFD')));
    expect(await open(text, composed.normalize('NFD'))).toEqual(masterKey);
  });
  it('is refused when any field was changed', async () => {
    const parsed = JSON.parse(wrapped);
    const flip = (hex: string) => {
      const at = randomInt(hex.length);
      const digit = (Number.parseInt(hex[at] as string, 16) ^ (1 + randomInt(15))).toString(16);
      return hex.slice(0, at) + digit + hex.slice(at + 1);
    };
    const changes: [object, string][] = [
      [{ sealed: flip(parsed.sealed) }, 'passphrase'],
      [{ kdf: { ...parsed.kdf, salt: flip(parsed.kdf.salt) } }, 'passphrase'],
      [{ kdf: { ...parsed.kdf, p: 2 } }, 'passphrase'],
      [{ cipher: { ...parsed.cipher, iv: flip(parsed.cipher.iv) } }, 'passphrase'],
      [{ deviceCheck: flip(parsed.deviceCheck) }, 'unlock.deviceSecretFile'],
      [{ kdf: { ...parsed.kdf, log2N: 10 } }, 'unlock.file'],
      [{ kdf: { ...parsed.kdf, log2N: 40 } }, 'unlock.file'],
      [{ party: 'beta' }, 'unlock.file'],
      [{ extra: 1 }, 'unlock.file'],
    ];
    for (const [change, field] of changes)
      await expect(
        (async () => open(JSON.stringify({ ...parsed, ...change })))(),
        JSON.stringify(change),
      ).rejects.toMatchObject({ details: { field } });
    await expect((async () => open('{'))()).rejects.toEqual(refused('InvalidInput', 'unlock.file'));
    const beta = PartyId.parse('beta');
    await expect(
      (async () =>
        open(JSON.stringify({ ...parsed, party: 'beta' }), PASSPHRASE, deviceSecret, beta))(),
    ).rejects.toMatchObject({ code: 'SealBroken' });
  });
  it('takes no short passphrase, counted in characters', async () => {
    for (const short of ['', 'elevenchars', 'ööööööööööö'])
      await expect(
        wrapMasterKey(masterKey, { party, passphrase: bytes(short), deviceSecret }),
      ).rejects.toEqual(refused('InvalidInput', 'passphrase'));
    const bad = wrapMasterKey(masterKey, {
      party,
      passphrase: Uint8Array.from({ length: 14 }, () => 0xff),
      deviceSecret,
    });
    await expect(bad).rejects.toEqual(refused('InvalidInput', 'passphrase'));
  });
  it('keeps its cost in the file, so that it can grow', async () => {
    const dear = await wrapMasterKey(
      masterKey,
      { party, passphrase: bytes(PASSPHRASE), deviceSecret },
      { log2N: 18, p: 2 },
    );
    expect(JSON.parse(dear).kdf).toMatchObject({ log2N: 18, p: 2 });
    expect(await open(dear)).toEqual(masterKey);
  });
});

describe('wrong passphrases', { timeout: 180_000 }, () => {
  let clock = Date.parse('2026-11-23T10:00:00.000Z');
  const slept: number[] = [];
  const attempt = (passphrase: string) =>
    unlockMasterKey({
      party,
      unlockFile: join(folder, 'unlock.json'),
      deviceSecretFile: join(folder, 'device'),
      source: { kind: 'fd', fd: fdOf(`${passphrase}\n`) },
      now: () => clock,
      sleep: async (ms) => {
        slept.push(ms);
        clock += ms;
      },
    });
  beforeEach(() => {
    slept.length = 0;
    file('unlock.json', wrapped);
    file('device', `${Buffer.from(deviceSecret).toString('hex')}\n`);
  });

  it('wait longer each time, then lock before a passphrase is tried; the right one starts anew', async () => {
    const unlockFile = join(folder, 'unlock.json');
    for (let i = 0; i < 5; i++)
      await expect(attempt('wrong passphrase')).rejects.toEqual(
        refused('SealBroken', 'passphrase'),
      );
    expect(slept).toEqual([1000, 2000, 4000, 8000]);
    expect(await readUnlockFailures(unlockFile)).toEqual({ count: 5, lastAt: clock });
    expect(statSync(failuresFile(unlockFile)).mode & 0o777).toBe(0o600);

    for (const seconds of [30, 60]) {
      const retryAt = new Date(clock + seconds * 1000).toISOString();
      // The right one too: what is locked is not tried.
      await expect(attempt(PASSPHRASE)).rejects.toMatchObject({
        code: 'KeyLocked',
        details: { field: 'passphrase', retryAt },
      });
      clock += seconds * 1000;
      if (seconds === 30) await expect(attempt('wrong once more')).rejects.toThrow();
    }
    expect(await attempt(PASSPHRASE)).toEqual(masterKey);
    expect(await readUnlockFailures(unlockFile)).toEqual({ count: 0, lastAt: 0 });
    expect(pauseAfter(100)).toBe(3_600_000);
  });

  it('are all that counts: neither a missing file, a wrong device secret nor a broken unlock file does', async () => {
    file('device', `${randomBytes(32).toString('hex')}\n`);
    await expect(attempt(PASSPHRASE)).rejects.toEqual(
      refused('SealBroken', 'unlock.deviceSecretFile'),
    );
    unlinkSync(join(folder, 'device'));
    await expect(attempt(PASSPHRASE)).rejects.toEqual(
      refused('PartMissing', 'unlock.deviceSecretFile'),
    );
    file('device', `${Buffer.from(deviceSecret).toString('hex')}\n`);
    file('unlock.json', 'not json');
    await expect(attempt(PASSPHRASE)).rejects.toEqual(refused('InvalidInput', 'unlock.file'));
    unlinkSync(join(folder, 'unlock.json'));
    await expect(attempt(PASSPHRASE)).rejects.toEqual(refused('PartMissing', 'unlock.file'));
    expect((await readUnlockFailures(join(folder, 'unlock.json'))).count).toBe(0);
  });

  it('of two processes at once are all counted', async () => {
    const path = join(folder, 'unlock.json');
    await Promise.all(Array.from({ length: 8 }, (_, i) => addUnlockFailure(path, clock + i)));
    expect(await readUnlockFailures(path)).toEqual({ count: 8, lastAt: clock + 7 });
  });
});

class FakeTerminal extends PassThrough {
  readonly isTTY = true;
  readonly raw: boolean[] = [];
  setRawMode(raw: boolean) {
    this.raw.push(raw);
    return this;
  }
}
const typed = (...keys: (string | number[])[]) => {
  const input = new FakeTerminal();
  let shown = '';
  const output = { write: (text: string) => (shown += text) };
  const asked = askPassphrase({ input, output }, 'Passphrase: ');
  for (const key of keys) input.write(typeof key === 'string' ? key : Buffer.from(key));
  return { input, asked, shown: () => shown };
};

describe('a passphrase', () => {
  it('is read from a terminal in raw mode and never shown', async () => {
    const { asked, input, shown } = typed('se', 'cret\r');
    expect(await asked).toEqual(bytes('secret'));
    expect(input.raw).toEqual([true, false]);
    expect(shown()).toBe('Passphrase: \n');
  });
  it('may be corrected: a character, of several bytes too, or all of it', async () => {
    expect(await typed('aö', [0x7f], 'b\n').asked).toEqual(bytes('ab'));
    expect(await typed('wrong', [0x15], 'right', [0x08], 't\n').asked).toEqual(bytes('right'));
    expect(await typed([0x7f], 'x\n').asked).toEqual(bytes('x'));
  });
  it('is broken off by Ctrl-C, Ctrl-D on nothing and the end, and the terminal is as before', async () => {
    for (const key of [[0x03], [0x04]]) {
      const { asked, input } = typed(key);
      await expect(asked).rejects.toMatchObject({ code: 'Cancelled' });
      expect(input.raw).toEqual([true, false]);
    }
    const { asked, input } = typed('half');
    input.end();
    await expect(asked).rejects.toMatchObject({ code: 'Cancelled' });
    await expect(typed('x'.repeat(1025)).asked).rejects.toMatchObject({ code: 'InvalidInput' });
  });
  it('is not asked where nobody sees the question', async () => {
    const input = new PassThrough();
    const asked = askPassphrase({ input, output: { write: () => {} } }, '?');
    await expect(asked).rejects.toEqual(refused('InvalidInput', 'passphrase'));
  });
  it('is read from a descriptor, a line each', async () => {
    expect(await passphrasesFromFd(fdOf('one\n'))).toEqual([bytes('one')]);
    expect(await passphrasesFromFd(fdOf('one'))).toEqual([bytes('one')]);
    expect(await passphrasesFromFd(fdOf('one\r\ntwo\n'), 2)).toEqual([bytes('one'), bytes('two')]);
    expect(await passphrasesFromFd(fdOf(''))).toEqual([bytes('')]);
    for (const text of ['one\ntwo\n', 'x'.repeat(1100), 'x'.repeat(5000)])
      await expect(passphrasesFromFd(fdOf(text))).rejects.toEqual(
        refused('InvalidInput', 'passphrase'),
      );
    const gone = fdOf('x');
    closeSync(gone);
    await expect(passphrasesFromFd(gone)).rejects.toEqual(refused('InvalidInput', 'passphrase'));
  });
  it('comes from a descriptor that can hold one', () => {
    expect(passphraseSource('0')).toEqual({ kind: 'fd', fd: 0 });
    expect(passphraseSource('17')).toEqual({ kind: 'fd', fd: 17 });
    expect(passphraseSource(undefined).kind).toBe('terminal');
    for (const fd of ['1', '2', '-1', 'x', '3.5', '', 'hunter2', true])
      expect(() => passphraseSource(fd)).toThrow(refused('InvalidInput', 'unlock-fd'));
  });
});

describe('the set-up program', { timeout: 180_000 }, () => {
  const config = (change: object = {}) => {
    const hex = (digit: string) => digit.repeat(64);
    return file(
      'party.json',
      JSON.stringify({
        temporal: { address: '127.0.0.1:9', namespace: 'keysaga' },
        payloadKeys: [{ id: 'a', file: 'payload.key' }],
        databaseUrl: 'postgres://nowhere',
        directory: ['alpha', 'beta'].map((name, i) => ({ party: name, publicKey: hex(`${i}`) })),
        administrators: [{ name: 'ada', publicKey: hex('3') }],
        administratorQuorum: 1,
        initialPolicies: [],
        party,
        identityKeyFile: 'identity.key',
        networks: ['solana:surfnet-local'],
        keyStoreDirectory: 'keys',
        unlock: { file: 'unlock/alpha.json', deviceSecretFile: 'device/alpha' },
        backupDirectory: 'backup',
        backupKeyFile: 'backup.key',
        ...change,
      }),
    );
  };
  const program = async (command: string, ...lines: string[]) => {
    const child = spawn(
      process.execPath,
      [
        ...['--import', 'tsx', 'workers/unlock.ts', command],
        ...['--config', join(folder, 'party.json'), '--unlock-fd', '3'],
      ],
      { cwd: repoRoot, stdio: ['ignore', 'pipe', 'pipe', 'pipe'] },
    );
    let printed = '';
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (chunk: Buffer) => {
        printed += chunk.toString();
      });
    const input = child.stdio[3] as Writable;
    // A program that has refused already reads no more.
    input.on('error', () => {});
    input.end(lines.map((line) => `${line}\n`).join(''));
    const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
    return { code, printed };
  };
  const other = 'a quite different one';

  it('makes both files, changes the passphrase and keeps the master key', async () => {
    const plain = file('master.key', `${Buffer.from(masterKey).toString('hex')}\n`);
    config({ keyStoreMasterKeyFile: plain });
    expect(await program('--init', 'too short')).toMatchObject({ code: 1 });
    const made = await program('--init', PASSPHRASE);
    expect(made).toMatchObject({ code: 0, printed: expect.stringContaining('is wrapped') });
    for (const name of ['unlock/alpha.json', 'device/alpha'])
      expect(statSync(join(folder, name)).mode & 0o777).toBe(0o600);
    const first = readFileSync(join(folder, 'unlock/alpha.json'), 'utf8');
    const device = readSecretFile(join(folder, 'device/alpha'), 'f');
    expect(await open(first, PASSPHRASE, device)).toEqual(masterKey);

    expect(await program('--init', PASSPHRASE)).toMatchObject({
      code: 1,
      printed: expect.stringContaining('StateConflict'),
    });
    expect(await program('--change', 'not the passphrase', other)).toMatchObject({
      code: 1,
      printed: expect.stringContaining('SealBroken'),
    });
    expect(await program('--change', PASSPHRASE, 'too short')).toMatchObject({ code: 1 });
    expect(readFileSync(join(folder, 'unlock/alpha.json'), 'utf8')).toBe(first);
    expect(await program('--change', PASSPHRASE, other)).toMatchObject({ code: 0 });
    const second = readFileSync(join(folder, 'unlock/alpha.json'), 'utf8');
    expect(await open(second, other, device)).toEqual(masterKey);
    await expect(open(second, PASSPHRASE, device)).rejects.toMatchObject({ code: 'SealBroken' });
    expect(await program('--check', other)).toMatchObject({
      code: 0,
      printed: 'Party alpha unlocks.\n',
    });
  });

  it('makes no new master key for a store that has keys under another one', async () => {
    config();
    mkdirSync(join(folder, 'keys'));
    file('keys/share-1', 'sealed');
    const { code, printed } = await program('--init', PASSPHRASE);
    expect([code, printed]).toEqual([
      1,
      expect.stringMatching(/StateConflict: The key store holds/),
    ]);
    rmSync(join(folder, 'keys'), { recursive: true });
    expect((await program('--init', PASSPHRASE)).code).toBe(0);
    expect((await program('--check', PASSPHRASE)).code).toBe(0);
  });

  it('refuses a configuration that others may read, and repeats nothing of a command line', async () => {
    chmodSync(config(), 0o644);
    expect((await program('--check', PASSPHRASE)).printed).toMatch(
      /PartMissing.*readable by others/,
    );
    const { code, printed } = await program('--passphrase=hunter2 hunter2');
    expect(code).toBe(1);
    expect(printed).toMatch(/^error InvalidInput: Usage/);
    expect(printed).not.toContain('hunter2');
  });
});

describe('a secret file', () => {
  it('is 32 bytes of hex that only its owner may read', () => {
    const hex = randomBytes(32).toString('hex');
    const path = file('key', ` ${hex}\r\n`);
    expect(Buffer.from(readSecretFile(path, 'f')).toString('hex')).toBe(hex);
    const bad = [
      '',
      hex.slice(1),
      `${hex}0`,
      hex.toUpperCase().replace(/[0-9]/g, 'A'),
      `${hex.slice(0, 63)}g`,
      `${hex} `.repeat(9),
    ];
    for (const text of bad)
      expect(() => readSecretFile(file('bad', text), 'f'), text).toThrow(
        refused('PartMissing', 'f'),
      );
    expect(() => readSecretFile(file('open', hex, 0o644), 'f')).toThrow(
      refused('PartMissing', 'f'),
    );
    expect(() => readSecretFile(join(folder, 'none'), 'f')).toThrow(refused('PartMissing', 'f'));
    expect(hexSecret(readFileSync(path), 31)).toBeUndefined();
  });
});
