/**
 * Sealing of shares and seeds. Each session and each share epoch has a data key of its own, kept outside
 * PostgreSQL; destroying that key is the erasure.
 */

/** Associated data of a seal: what the ciphertext is and where it belongs, so that it opens nowhere else. */
export type SealContext = {
  readonly party: string;
  readonly keyId: string;
  readonly purpose: 'share' | 'seed' | 'backup' | 'hpke' | 'presignature';
  readonly session: string;
  readonly epoch: number;
  readonly row: string;
};

export interface Sealer {
  /**
   * AES-256-GCM under the data key `dataKeyId`; with `create` under a new one of that id, which the caller has never used
   * before. Output: version ‖ nonce ‖ ciphertext ‖ tag.
   */
  seal(
    dataKeyId: string,
    plaintext: Uint8Array,
    context: SealContext,
    options?: { create?: boolean },
  ): Promise<Uint8Array>;
  /** Throws `SealBroken` when the key is gone, the context differs or the bytes were changed. */
  open(dataKeyId: string, sealed: Uint8Array, context: SealContext): Promise<Uint8Array>;
  /** All of them, durably when it returns; one that cannot be destroyed keeps none of the others. Idempotent. */
  destroy(dataKeyIds: readonly string[]): Promise<void>;
  has(dataKeyId: string): Promise<boolean>;
  list(): Promise<readonly string[]>;
}

/** `KeyShareStore`: sealed shares by key and epoch, with the backup copy on a second path under another key hierarchy. */
export interface ShareBackup {
  /** Writes, fsyncs, reads back and compares; throws `SealBroken` when it does not open again. */
  write(name: string, plaintext: Uint8Array, context: SealContext): Promise<void>;
  read(name: string, context: SealContext): Promise<Uint8Array>;
  remove(name: string): Promise<void>;
}
