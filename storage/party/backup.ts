/**
 * Backup copies of shares on a second path under a key hierarchy of their own, so that neither the database nor
 * the key store is needed to restore one. Written, fsynced and read back before a party certifies a key.
 */

import { createSecretKey, timingSafeEqual } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { readdir, readFile, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { ShareBackup } from '../../core/ports/sealing.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { contextText, openBytes, sealBytes, syncDirectory, writeDurably } from './key-store.ts';

/** `backupKey`: 32 bytes, unrelated to the key store's master key; the caller may wipe them afterwards. */
export function createShareBackup(directory: string, backupKey: Uint8Array): ShareBackup {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const key = createSecretKey(backupKey);
  const path = (name: string) => {
    if (!/^[a-z0-9][a-z0-9._-]{0,200}$/.test(name))
      throw new KeysagaError('InvalidInput', 'Not a backup name.', { field: 'name' });
    return join(directory, name);
  };
  const read: ShareBackup['read'] = async (name, context) => {
    let sealed: Uint8Array;
    try {
      sealed = await readFile(path(name));
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause;
      throw new KeysagaError('SealBroken', 'There is no such backup.', { field: 'name' });
    }
    return openBytes(key, sealed, contextText(context));
  };
  return {
    read,
    async write(name, plaintext, context) {
      path(name);
      await writeDurably(directory, name, sealBytes(key, plaintext, contextText(context)));
      const back = await read(name, context);
      const same = back.length === plaintext.length && timingSafeEqual(back, plaintext);
      back.fill(0);
      if (!same) throw new KeysagaError('SealBroken', 'The backup does not read back as written.');
    },
    async remove(name) {
      path(name);
      // With the copies that a crash in the middle of a write left.
      const copies = (await readdir(directory)).filter(
        (f) => f === name || f.startsWith(`.${name}.`),
      );
      for (const copy of copies)
        await unlink(join(directory, copy)).catch((cause: NodeJS.ErrnoException) => {
          if (cause.code !== 'ENOENT') throw cause;
        });
      await syncDirectory(directory);
    },
  };
}
