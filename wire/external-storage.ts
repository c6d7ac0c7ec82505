/**
 * External storage for large payloads: a folder that all workers and clients share (a volume, a network mount;
 * object stores come as further drivers). The SDK runs codecs first and storage after them, so what lands here is
 * ciphertext already; the driver refuses anything else. Files are content-addressed: SHA-256 of the encoded
 * payload is the name, checked again when read, so a changed file is noticed and a repeat costs nothing.
 */
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Payload } from '@temporalio/common';
import {
  ExternalStorage,
  type StorageDriver,
  StorageDriverClaim,
} from '@temporalio/common/lib/converter/extstore.js';
import { KeysagaError } from '../schema/contracts/errors.ts';
import { isEncrypted } from './codec.ts';
import { PayloadMessage } from './proto.ts';

export const FILE_DRIVER = 'keysaga-files';

export type FileStorageOptions = {
  readonly directory: string;
  /**
   * Payloads of at least this many bytes are moved out; default 131,072. Lower keeps histories smaller and costs
   * a file read and write per payload; higher risks the server's 2 MB limit per payload and 50 MB per history.
   */
  readonly thresholdBytes?: number;
};

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
/** Two levels, so that no folder grows without bound. */
const pathOf = (directory: string, hash: string): string => join(directory, hash.slice(0, 2), hash);

async function put(directory: string, bytes: Uint8Array, hash: string): Promise<void> {
  const path = pathOf(directory, hash);
  if (await stat(path).catch(() => undefined)) return;
  await mkdir(join(directory, hash.slice(0, 2)), { recursive: true, mode: 0o700 });
  const scratch = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    const file = await open(scratch, 'wx', 0o600);
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(scratch, path);
  } catch (error) {
    await rm(scratch, { force: true });
    throw error;
  }
}

async function get(directory: string, claim: StorageDriverClaim): Promise<Payload> {
  const hash = claim.claimData.sha256 ?? '';
  if (!/^[0-9a-f]{64}$/.test(hash))
    throw new KeysagaError('InvalidInput', 'A storage reference must name a SHA-256.', {
      field: 'sha256',
    });
  let bytes: Uint8Array;
  try {
    bytes = await readFile(pathOf(directory, hash));
  } catch (cause) {
    throw new KeysagaError(
      'NotFound',
      'A stored payload is not there.',
      { sha256: hash },
      { cause },
    );
  }
  if (sha256(bytes) !== hash)
    throw new KeysagaError('SealBroken', 'A stored payload was changed.', { sha256: hash });
  return PayloadMessage.decode(bytes);
}

export function createFileDriver(directory: string): StorageDriver {
  return {
    name: FILE_DRIVER,
    type: 'keysaga.files',
    store: async (_context, payloads) =>
      Promise.all(
        payloads.map(async (payload) => {
          if (!isEncrypted(payload))
            throw new KeysagaError('InvalidInput', 'Only encrypted payloads are stored outside.', {
              field: 'encoding',
            });
          const bytes = PayloadMessage.encode(payload).finish();
          const hash = sha256(bytes);
          await put(directory, bytes, hash);
          return new StorageDriverClaim({ sha256: hash });
        }),
      ),
    retrieve: async (_context, claims) => Promise.all(claims.map((claim) => get(directory, claim))),
  };
}

export const createFileStorage = (options: FileStorageOptions): ExternalStorage =>
  new ExternalStorage({
    drivers: [createFileDriver(options.directory)],
    payloadSizeThreshold: options.thresholdBytes ?? 131_072,
  });
