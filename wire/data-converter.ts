/** The one data converter: every Temporal client and every worker of keysaga uses it. */
import type { DataConverter } from '@temporalio/common';
import { createPayloadCodec, type PayloadKeys } from './codec.ts';
import { failureConverterPath, payloadConverterPath } from './converter-paths.ts';
import { createFileStorage, type FileStorageOptions } from './external-storage.ts';

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
