/**
 * A person's key on disk: the Ed25519 seed under AES-256-GCM with a key from the passphrase by scrypt (RFC 7914,
 * N = 2^17, r = 8, p = 1: 128 MiB and a fraction of a second for each guess). Everything else in the file is
 * authenticated as associated data, so nobody can swap name or role or weaken the parameters unnoticed. Approvers and
 * administrators are different people with different keys: a file says whose it is, and is opened for nothing else.
 */
import { createCipheriv, createDecipheriv, randomBytes, scrypt } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import * as z from 'zod';
import { parseWith } from '../core/parse.ts';
import { publicKeyOf } from '../core/signed.ts';
import { canonicalJson } from '../schema/contracts/canonical.ts';
import { KeysagaError } from '../schema/contracts/errors.ts';
import { AdministratorId, ApproverId, Hex32, hexOf } from '../schema/contracts/primitives.ts';

const LOG2_N = 17;
export const MIN_PASSPHRASE = 12;

const sealing = {
  publicKey: Hex32,
  // A ceiling too: a file from elsewhere must not be able to take the machine's memory.
  kdf: z.strictObject({
    name: z.literal('scrypt'),
    log2N: z.int().min(LOG2_N).max(20),
    r: z.literal(8),
    p: z.int().min(1).max(4),
    salt: Hex32,
  }),
  cipher: z.strictObject({ name: z.literal('aes-256-gcm'), iv: hexOf(12) }),
  /** Ciphertext of the 32-byte seed and the 16-byte tag. */
  sealed: hexOf(48),
};
const KeyFile = z.discriminatedUnion('type', [
  // Of the first version, when there were approvers' files only.
  z.strictObject({
    type: z.literal('keysaga/approver-key/v1'),
    approver: ApproverId,
    ...sealing,
  }),
  z.strictObject({
    type: z.literal('keysaga/key/v2'),
    role: z.enum(['approver', 'administrator']),
    name: z.union([ApproverId, AdministratorId]),
    ...sealing,
  }),
]);
type KeyFile = z.infer<typeof KeyFile>;

export type KeyRole = 'approver' | 'administrator';
/** Whose key a file holds. */
export type KeyOwner = {
  readonly role: KeyRole;
  readonly name: string;
  readonly publicKey: string;
};
/** An opened key. `seed`: 32 bytes; whoever uses it overwrites it afterwards. */
export type OpenKey = KeyOwner & { readonly seed: Uint8Array };

function derive(passphrase: string, kdf: KeyFile['kdf']): Promise<Buffer> {
  const N = 2 ** kdf.log2N;
  const options = { N, r: kdf.r, p: kdf.p, maxmem: 256 * N * kdf.r };
  return new Promise((resolve, reject) => {
    // NFKC, so that the same passphrase typed on another keyboard is the same bytes.
    scrypt(passphrase.normalize('NFKC'), Buffer.from(kdf.salt, 'hex'), 32, options, (error, key) =>
      error ? reject(error) : resolve(key),
    );
  });
}
const associated = ({ sealed: _, ...rest }: KeyFile): Buffer => Buffer.from(canonicalJson(rest));

/**
 * Text of a key file. Throws `InvalidInput` (`passphrase`) for one shorter than 12 characters, and for a name that is
 * none (field: the role).
 */
export async function sealKey(
  owner: { readonly role: KeyRole; readonly name: string },
  seed: Uint8Array,
  passphrase: string,
): Promise<string> {
  if (passphrase.length < MIN_PASSPHRASE)
    throw new KeysagaError('InvalidInput', `passphrase: at least ${MIN_PASSPHRASE} characters`, {
      field: 'passphrase',
    });
  const named = (owner.role === 'approver' ? ApproverId : AdministratorId).safeParse(owner.name);
  if (!named.success)
    throw new KeysagaError('InvalidInput', `${owner.role}: 1 to 64 of a-z 0-9 . _ -`, {
      field: owner.role,
    });
  const iv = randomBytes(12);
  const draft = parseWith(
    KeyFile,
    {
      type: 'keysaga/key/v2',
      role: owner.role,
      name: named.data,
      publicKey: publicKeyOf(seed),
      kdf: { name: 'scrypt', log2N: LOG2_N, r: 8, p: 1, salt: randomBytes(32).toString('hex') },
      cipher: { name: 'aes-256-gcm', iv: iv.toString('hex') },
      sealed: '00'.repeat(48),
    },
    'key file',
  );
  const key = await derive(passphrase, draft.kdf);
  const cipher = createCipheriv('aes-256-gcm', key, iv);
  key.fill(0);
  cipher.setAAD(associated(draft));
  const sealed = Buffer.concat([cipher.update(seed), cipher.final(), cipher.getAuthTag()]);
  return `${JSON.stringify({ ...draft, sealed: sealed.toString('hex') }, null, 2)}\n`;
}

const parse = (text: string): KeyFile => {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new KeysagaError('InvalidInput', 'The key file is not JSON.', { field: 'keyFile' });
  }
  return parseWith(KeyFile, json, 'key file');
};

/** Whose key it is, without opening it. */
export function describeKeyFile(text: string): KeyOwner {
  const file = parse(text);
  const { publicKey } = file;
  if (file.type === 'keysaga/approver-key/v1')
    return { role: 'approver', name: file.approver, publicKey };
  return { role: file.role, name: file.name, publicKey };
}

/** The owner, who must have this role. Throws `InvalidInput` (`keyFile`) for the key of another role. */
export function requireRole(text: string, role: KeyRole): KeyOwner {
  const owner = describeKeyFile(text);
  if (owner.role === role) return owner;
  const whose = { approver: 'an approver’s', administrator: 'an administrator’s' };
  throw new KeysagaError(
    'InvalidInput',
    `This is ${whose[owner.role]} key file (${owner.name}); ${whose[role]} is needed.`,
    {
      field: 'keyFile',
      remedy: 'Approvers sign transfers, administrators sign policies and orders; nobody is both.',
    },
  );
}

/**
 * Opens the key of this role. Throws `SealBroken` for a wrong passphrase or a changed file (the two cannot be told
 * apart), `InvalidInput` (`keyFile`) for the key of another role.
 */
export async function openKey(text: string, passphrase: string, role: KeyRole): Promise<OpenKey> {
  const owner = requireRole(text, role);
  const file = parse(text);
  const key = await derive(passphrase, file.kdf);
  const broken = (cause?: unknown) =>
    new KeysagaError(
      'SealBroken',
      'The key file does not open: the passphrase is wrong, or the file was changed.',
      { field: 'passphrase', remedy: 'Try the passphrase again, or use a copy of the key file.' },
      { cause },
    );
  try {
    const sealed = Buffer.from(file.sealed, 'hex');
    const decipher = createDecipheriv('aes-256-gcm', key, Buffer.from(file.cipher.iv, 'hex'));
    decipher.setAAD(associated(file));
    decipher.setAuthTag(sealed.subarray(32));
    const seed = Buffer.concat([decipher.update(sealed.subarray(0, 32)), decipher.final()]);
    if (publicKeyOf(seed) !== file.publicKey) throw broken();
    return { ...owner, seed };
  } catch (error) {
    throw error instanceof KeysagaError ? error : broken(error);
  } finally {
    key.fill(0);
  }
}

/** Reads a key file that only its owner may read. Throws `NotFound`, `InvalidInput` (`keyFile`). */
export function readKeyFile(path: string): string {
  let text: string;
  let mode: number;
  try {
    mode = statSync(path).mode;
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new KeysagaError(
      'NotFound',
      `The key file ${path} cannot be read.`,
      { field: 'keyFile' },
      { cause },
    );
  }
  if (process.platform !== 'win32' && (mode & 0o077) !== 0)
    throw new KeysagaError('InvalidInput', `Others may read the key file ${path}.`, {
      field: 'keyFile',
      remedy: `chmod 600 ${path}`,
    });
  return text;
}
