/**
 * An approver's key on disk: the Ed25519 seed under AES-256-GCM with a key from the passphrase by scrypt (RFC 7914,
 * N = 2^17, r = 8, p = 1: 128 MiB and a fraction of a second for each guess). Everything else in the file is
 * authenticated as associated data, so nobody can swap the name or weaken the parameters unnoticed.
 */
import { createCipheriv, createDecipheriv, randomBytes, scrypt } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import * as z from 'zod';
import { parseWith } from '../core/parse.ts';
import { publicKeyOf } from '../core/signed.ts';
import { canonicalJson } from '../schema/contracts/canonical.ts';
import { KeysagaError } from '../schema/contracts/errors.ts';
import { ApproverId, Hex32, hexOf } from '../schema/contracts/primitives.ts';

const LOG2_N = 17;
export const MIN_PASSPHRASE = 12;

const KeyFile = z.strictObject({
  type: z.literal('keysaga/approver-key/v1'),
  approver: ApproverId,
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
});
type KeyFile = z.infer<typeof KeyFile>;

export type ApproverKey = {
  readonly approver: ApproverId;
  readonly publicKey: string;
  /** 32 bytes; whoever uses it overwrites it afterwards. */
  readonly seed: Uint8Array;
};

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

/** Text of a key file. Throws `InvalidInput` (`passphrase`) for one shorter than 12 characters. */
export async function sealApproverKey(
  approver: string,
  seed: Uint8Array,
  passphrase: string,
): Promise<string> {
  if (passphrase.length < MIN_PASSPHRASE)
    throw new KeysagaError('InvalidInput', `passphrase: at least ${MIN_PASSPHRASE} characters`, {
      field: 'passphrase',
    });
  const named = ApproverId.safeParse(approver);
  if (!named.success)
    throw new KeysagaError('InvalidInput', 'approver: 1 to 64 of a-z 0-9 . _ -', {
      field: 'approver',
    });
  const iv = randomBytes(12);
  const draft: KeyFile = {
    type: 'keysaga/approver-key/v1',
    approver: named.data,
    publicKey: publicKeyOf(seed),
    kdf: { name: 'scrypt', log2N: LOG2_N, r: 8, p: 1, salt: randomBytes(32).toString('hex') },
    cipher: { name: 'aes-256-gcm', iv: iv.toString('hex') },
    sealed: '00'.repeat(48),
  };
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
export const describeKeyFile = (text: string): { approver: ApproverId; publicKey: string } => {
  const { approver, publicKey } = parse(text);
  return { approver, publicKey };
};

/** Throws `SealBroken` for a wrong passphrase or a changed file (the two cannot be told apart), `InvalidInput`. */
export async function openApproverKey(text: string, passphrase: string): Promise<ApproverKey> {
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
    return { approver: file.approver, publicKey: file.publicKey, seed };
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
