/** The one message besides approved transactions that a party signs: the test of a fresh key. */
import { utf8ToBytes } from '@noble/hashes/utils.js';
import { KeysagaError } from '../schema/contracts/errors.ts';

const TAG = utf8ToBytes('keysaga/activation/v1');

/**
 * 0xff ‖ UTF-8 `keysaga/activation/v1` ‖ u16 length ‖ UTF-8 key id ‖ u32 epoch ‖ 32-byte transcript hash; integers
 * big-endian. 0xff is no first byte of a Solana legacy or v0 message or of a transaction, so the test can never be
 * one. Each party computes it from its own ceremony and only while its share is Generating; it is never received.
 * Throws `InvalidInput` (`keyId`, `epoch`, `transcriptHash`).
 */
export function activationBytes(
  keyId: string,
  epoch: number,
  transcriptHash: Uint8Array,
): Uint8Array {
  const id = utf8ToBytes(keyId);
  const refuse = (field: string): never => {
    throw new KeysagaError('InvalidInput', `activation message: ${field} is out of range`, {
      field,
    });
  };
  if (id.length === 0 || id.length > 0xffff) refuse('keyId');
  if (!Number.isInteger(epoch) || epoch < 0 || epoch > 0xffffffff) refuse('epoch');
  if (transcriptHash.length !== 32) refuse('transcriptHash');
  const out = new Uint8Array(1 + TAG.length + 2 + id.length + 4 + 32);
  const view = new DataView(out.buffer);
  out[0] = 0xff;
  out.set(TAG, 1);
  let at = 1 + TAG.length;
  view.setUint16(at, id.length);
  out.set(id, at + 2);
  at += 2 + id.length;
  view.setUint32(at, epoch);
  out.set(transcriptHash, at + 4);
  return out;
}
