/** The one data converter: every Temporal client and every worker of keysaga uses it. */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { DataConverter } from '@temporalio/common';
import { createPayloadCodec, type PayloadKeys } from './codec.ts';
import { createFileStorage, type FileStorageOptions } from './external-storage.ts';

/** Absolute paths, because worker and bundler load these modules by path. */
export const failureConverterPath = fileURLToPath(
  new URL('./failure-converter.ts', import.meta.url),
);
export const payloadConverterPath = fileURLToPath(
  new URL('./payload-converter.ts', import.meta.url),
);

/** The SDK loads converters with `require`, which reads TypeScript only when tsx's CommonJS hook is there. */
async function readTypeScript(): Promise<void> {
  const { extensions } = createRequire(import.meta.url);
  if (extensions !== undefined && Object.hasOwn(extensions, '.ts')) return;
  const { register } = await import('tsx/cjs/api');
  register();
}
await readTypeScript();

export type DataConverterOptions = {
  readonly keys: PayloadKeys;
  /** Absent: large payloads stay inline, and Temporal's limits apply. */
  readonly externalStorage?: FileStorageOptions;
};

export const createDataConverter = (options: DataConverterOptions): DataConverter => ({
  payloadConverterPath,
  failureConverterPath,
  payloadCodecs: [createPayloadCodec(options.keys)],
  ...(options.externalStorage === undefined
    ? {}
    : { externalStorage: createFileStorage(options.externalStorage) }),
});
