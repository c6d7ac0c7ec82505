/**
 * `Sealer` over a directory of data keys, outside PostgreSQL: one file a key, wrapped under the store's master
 * key. A file is written, fsynced, renamed and its directory fsynced before anything is sealed under it; its
 * unlink and the directory's fsync are the erasure of all that was. Several instances of a party share the
 * directory. What a file system or disk keeps of an unlinked file is beyond this program (see SECURITY.md).
 */
import {
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  type KeyObject,
  randomBytes,
} from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { type FileHandle, open, readdir, readFile, rename, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { SealContext, Sealer } from '../../core/ports/sealing.ts';
import { canonicalJson } from '../../schema/contracts/canonical.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';

const VERSION = 1;
const NONCE = 12;
const TAG = 16;

export function sealBytes(
  key: Uint8Array | KeyObject,
  plaintext: Uint8Array,
  aad: string,
): Uint8Array {
  const nonce = randomBytes(NONCE);
  const cipher = createCipheriv('aes-256-gcm', key, nonce);
  cipher.setAAD(Buffer.from(aad));
  return Buffer.concat([
    Buffer.of(VERSION),
    nonce,
    cipher.update(plaintext),
    cipher.final(),
    cipher.getAuthTag(),
  ]);
}

/** The plaintext, of which no other copy is left here; the caller wipes it. Throws `SealBroken`. */
export function openBytes(
  key: Uint8Array | KeyObject,
  sealed: Uint8Array,
  aad: string,
): Uint8Array {
  let plain: Buffer | undefined;
  try {
    if (sealed[0] !== VERSION || sealed.length < 1 + NONCE + TAG) throw new RangeError('length');
    const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(1, 1 + NONCE));
    decipher.setAAD(Buffer.from(aad));
    decipher.setAuthTag(sealed.subarray(sealed.length - TAG));
    plain = decipher.update(sealed.subarray(1 + NONCE, sealed.length - TAG));
    // The tag is checked here; GCM has nothing left to give.
    decipher.final();
    // Not in Node's shared pool, where copies of secrets would lie about.
    return Uint8Array.from(plain);
  } catch {
    throw new KeysagaError(
      'SealBroken',
      'A sealed secret does not open: wrong key, place or bytes.',
    );
  } finally {
    plain?.fill(0);
  }
}

export const contextText = (context: SealContext): string => canonicalJson({ ...context });

export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Writes a file so that after a crash it is there whole or not at all. */
export async function writeDurably(
  directory: string,
  name: string,
  bytes: Uint8Array,
): Promise<void> {
  const temporary = join(directory, `.${name}.${randomBytes(6).toString('hex')}`);
  let handle: FileHandle | undefined;
  try {
    handle = await open(temporary, 'wx', 0o600);
    await handle.writeFile(bytes);
    await handle.sync();
  } finally {
    await handle?.close();
  }
  await rename(temporary, join(directory, name));
  await syncDirectory(directory);
}

const isMissing = (e: unknown) => (e as NodeJS.ErrnoException).code === 'ENOENT';

/** `masterKey`: 32 bytes, which the caller may wipe afterwards. `directory` is created with mode 0700. */
export function createKeyStore(directory: string, masterKey: Uint8Array): Sealer {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  // OpenSSL's copy, outside of what a heap snapshot shows.
  const master = createSecretKey(masterKey);
  const checked = (id: string): string => {
    if (!/^[a-z0-9][a-z0-9._-]{0,200}$/.test(id))
      throw new KeysagaError('InvalidInput', 'Not a data key id.', { field: 'dataKeyId' });
    return id;
  };
  const aad = (id: string) => `keysaga data key ${id}`;

  // Never kept in memory: a key that one instance destroyed must not live on in another.
  async function load(id: string): Promise<Uint8Array> {
    let wrapped: Uint8Array;
    try {
      wrapped = await readFile(join(directory, checked(id)));
    } catch (cause) {
      if (!isMissing(cause)) throw cause;
      throw new KeysagaError(
        'SealBroken',
        'The data key is gone: what it sealed has been erased.',
        { dataKeyId: id },
      );
    }
    return openBytes(master, wrapped, aad(id));
  }

  return {
    async seal(id, plaintext, context, options) {
      let key: Uint8Array | undefined;
      try {
        if (options?.create === true) {
          key = crypto.getRandomValues(new Uint8Array(32));
          await writeDurably(directory, checked(id), sealBytes(master, key, aad(id)));
        } else key = await load(id);
        return sealBytes(key, plaintext, contextText(context));
      } finally {
        key?.fill(0);
      }
    },
    async open(id, sealed, context) {
      const key = await load(id);
      try {
        return openBytes(key, sealed, contextText(context));
      } finally {
        key.fill(0);
      }
    },
    async destroy(ids) {
      if (ids.length === 0) return;
      const ended = await Promise.allSettled(
        ids.map(async (id) => {
          try {
            await unlink(join(directory, checked(id)));
          } catch (cause) {
            if (!isMissing(cause)) throw cause;
          }
        }),
      );
      await syncDirectory(directory);
      for (const end of ended) if (end.status === 'rejected') throw end.reason;
    },
    async has(id) {
      return (await readdir(directory)).includes(checked(id));
    },
    async list() {
      return (await readdir(directory)).filter((name) => !name.startsWith('.'));
    },
  };
}
