import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeKeyFile, openKey, readKeyFile, requireRole, sealKey } from '../../cli/keyfile.ts';
import { publicKeyOf } from '../../core/signed.ts';

type RawKeyFile = { readonly sealed: string; readonly kdf: object; readonly cipher: object };
const PASSPHRASE = 'correct horse battery staple';
/** As version 0.1.0 wrote it; its seed is 32 times 07. */
const FIRST_FORMAT = {
  type: 'keysaga/approver-key/v1',
  approver: 'alice',
  publicKey: 'ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c',
  kdf: {
    name: 'scrypt',
    log2N: 17,
    r: 8,
    p: 1,
    salt: 'dfd928dae1fd1289b9b872b226e091059a6c4dc73e9b34a7125f62540cf1ef20',
  },
  cipher: {
    name: 'aes-256-gcm',
    iv: '4de72aa713c430c640e23395',
  },
  sealed:
    'bac94fa8e06c4a1801d418f0b105212046fbb9977f984bd02fc7199fdc69cced24797153d55f8ae7fe97e05fad07060d',
};
const seed = randomBytes(32);
const sealApproverKey = (name: string, secret: Uint8Array, passphrase: string) =>
  sealKey({ role: 'approver', name }, secret, passphrase);
const openApproverKey = (file: string, passphrase: string) => openKey(file, passphrase, 'approver');
let text: string;
const folder = mkdtempSync(join(tmpdir(), 'keysaga-keyfile-'));
beforeAll(async () => {
  text = await sealApproverKey('alice', seed, PASSPHRASE);
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('an approver’s key file', () => {
  it('opens with its passphrase, however that was typed, and gives the seed back', async () => {
    const key = await openApproverKey(text, PASSPHRASE);
    expect(Buffer.from(key.seed)).toEqual(seed);
    expect(key).toMatchObject({ role: 'approver', name: 'alice', publicKey: publicKeyOf(seed) });
    const accented = await sealApproverKey('alice', seed, 'caf\u00e9 caf\u00e9 caf\u00e9');
    expect((await openApproverKey(accented, 'cafe\u0301 cafe\u0301 cafe\u0301')).publicKey).toBe(
      key.publicKey,
    );
  });

  it('holds no seed in the clear, and the scrypt cost that was promised', () => {
    expect(text).not.toContain(seed.toString('hex'));
    expect(JSON.parse(text).kdf).toMatchObject({ name: 'scrypt', log2N: 17, r: 8, p: 1 });
    expect(describeKeyFile(text)).toEqual({
      role: 'approver',
      name: 'alice',
      publicKey: publicKeyOf(seed),
    });
  });

  it('refuses a wrong passphrase', async () => {
    await expect(openApproverKey(text, `${PASSPHRASE} `)).rejects.toMatchObject({
      code: 'SealBroken',
    });
  });

  const changed: Record<string, (file: RawKeyFile) => object> = {
    'another name': (file) => ({ ...file, name: 'mallory' }),
    'another public key': (file) => ({ ...file, publicKey: publicKeyOf(randomBytes(32)) }),
    'a flipped bit of the ciphertext': (file) => ({
      ...file,
      sealed: `${flip(file.sealed)}`,
    }),
    'another salt': (file) => ({
      ...file,
      kdf: { ...file.kdf, salt: randomBytes(32).toString('hex') },
    }),
    'another nonce': (file) => ({
      ...file,
      cipher: { ...file.cipher, iv: randomBytes(12).toString('hex') },
    }),
  };
  it.each(Object.entries(changed))('refuses %s', async (_, change) => {
    const tampered = JSON.stringify(change(JSON.parse(text)));
    expect(tampered).not.toBe(JSON.stringify(JSON.parse(text)));
    await expect(openApproverKey(tampered, PASSPHRASE)).rejects.toMatchObject({
      code: 'SealBroken',
    });
  });

  it.each([
    ['a cheaper derivation', { log2N: 10 }],
    ['one that would take the machine’s memory', { log2N: 30 }],
  ])('refuses %s before deriving anything', async (_, kdf) => {
    const file = JSON.parse(text);
    const begun = performance.now();
    await expect(
      openApproverKey(JSON.stringify({ ...file, kdf: { ...file.kdf, ...kdf } }), PASSPHRASE),
    ).rejects.toMatchObject({ code: 'InvalidInput', details: { field: 'kdf.log2N' } });
    expect(performance.now() - begun).toBeLessThan(100);
  });

  it('refuses a short passphrase and a name that is no name', async () => {
    await expect(sealApproverKey('alice', seed, 'short')).rejects.toMatchObject({
      details: { field: 'passphrase' },
    });
    await expect(sealApproverKey('Al ice', seed, PASSPHRASE)).rejects.toMatchObject({
      details: { field: 'approver' },
    });
  });

  it('of the first format, without a role, opens as an approver’s', async () => {
    const key = await openKey(JSON.stringify(FIRST_FORMAT), PASSPHRASE, 'approver');
    expect(key).toMatchObject({ role: 'approver', name: 'alice' });
    expect(Buffer.from(key.seed)).toEqual(Buffer.alloc(32, 7));
    expect(() => requireRole(JSON.stringify(FIRST_FORMAT), 'administrator')).toThrow(
      expect.objectContaining({
        code: 'InvalidInput',
        details: expect.objectContaining({ field: 'keyFile' }),
      }),
    );
  });

  it('of one role opens for no other, also when its role was rewritten', async () => {
    const administrator = await sealKey({ role: 'administrator', name: 'ada' }, seed, PASSPHRASE);
    expect(describeKeyFile(administrator)).toMatchObject({ role: 'administrator', name: 'ada' });
    expect((await openKey(administrator, PASSPHRASE, 'administrator')).name).toBe('ada');
    await expect(openKey(administrator, PASSPHRASE, 'approver')).rejects.toMatchObject({
      code: 'InvalidInput',
      details: { field: 'keyFile' },
    });
    await expect(openKey(text, PASSPHRASE, 'administrator')).rejects.toMatchObject({
      code: 'InvalidInput',
    });
    const rewritten = JSON.stringify({ ...JSON.parse(administrator), role: 'approver' });
    await expect(openKey(rewritten, PASSPHRASE, 'approver')).rejects.toMatchObject({
      code: 'SealBroken',
    });
  });

  it('is not read while others may read it', () => {
    const path = join(folder, 'alice.json');
    writeFileSync(path, text, { mode: 0o600 });
    expect(readKeyFile(path)).toBe(text);
    chmodSync(path, 0o640);
    expect(() => readKeyFile(path)).toThrow(expect.objectContaining({ code: 'InvalidInput' }));
    expect(() => readKeyFile(join(folder, 'absent.json'))).toThrow(
      expect.objectContaining({ code: 'NotFound' }),
    );
  });
});

const flip = (hex: string): string =>
  `${(Number.parseInt(hex.slice(0, 2), 16) ^ 1).toString(16).padStart(2, '0')}${hex.slice(2)}`;
