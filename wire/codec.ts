/**
 * Payload codec: AES-256-GCM (NIST SP 800-38D) over the whole payload, its metadata included, with a random
 * 96-bit IV. Temporal, its database and whoever reads either see ciphertext and the id of the key.
 * Decoding passes plaintext through, so that `temporal workflow signal` works for an operator: confidentiality
 * comes from here, authenticity never does (an approval counts by its signature alone).
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import type { Payload, PayloadCodec } from '@temporalio/common';
import { KeysagaError } from '../schema/contracts/errors.ts';
import { PayloadMessage } from './proto.ts';

/**
 * Keys by id, 32 bytes each. New payloads are encrypted under `current`; the others only decrypt, so a rotation
 * adds a key everywhere, then makes it current, then drops the old one after the namespace's retention.
 */
export type PayloadKeys = {
  readonly current: string;
  readonly keys: Readonly<Record<string, Uint8Array>>;
};

export const ENCRYPTED = 'binary/encrypted';
const IV_BYTES = 12;
const TAG_BYTES = 16;
const utf8 = new TextEncoder();
const text = new TextDecoder();
const encrypted = utf8.encode(ENCRYPTED);
/** The key id is authenticated, so that a ciphertext cannot be relabelled. */
const associated = (keyId: string): Uint8Array => utf8.encode(`keysaga/payload/v1\n${keyId}`);

export const isEncrypted = (payload: Payload): boolean => {
  const encoding = payload.metadata?.encoding;
  return encoding != null && text.decode(encoding) === ENCRYPTED;
};

/** Throws `InvalidInput` when a key is not 32 bytes, or `current` names none. */
export function checkPayloadKeys(keys: PayloadKeys): PayloadKeys {
  for (const [id, key] of Object.entries(keys.keys)) {
    if (key.length !== 32)
      throw new KeysagaError('InvalidInput', `Payload key ${id} must have 32 bytes.`, {
        field: `keys.${id}`,
      });
  }
  if (!Object.hasOwn(keys.keys, keys.current))
    throw new KeysagaError('InvalidInput', 'The current payload key is not among the keys.', {
      field: 'current',
    });
  return keys;
}

/**
 * Keys from text `id:64 hex digits`, several separated by commas, the first is current (`KEYSAGA_PAYLOAD_KEYS`).
 * Throws `InvalidInput`; the message never repeats a key.
 */
export function parsePayloadKeys(value: string): PayloadKeys {
  const keys: Record<string, Uint8Array> = Object.create(null);
  let current: string | undefined;
  for (const entry of value.split(',').map((part) => part.trim())) {
    const match = /^([A-Za-z0-9._-]{1,64}):([0-9a-f]{64})$/.exec(entry);
    const [, id, hex] = match ?? [];
    if (id === undefined || hex === undefined || Object.hasOwn(keys, id))
      throw new KeysagaError(
        'InvalidInput',
        'Payload keys are `id:64 hex digits`, separated by commas, each id once.',
        { field: 'KEYSAGA_PAYLOAD_KEYS' },
      );
    current ??= id;
    keys[id] = Uint8Array.from(Buffer.from(hex, 'hex'));
  }
  return checkPayloadKeys({ current: current ?? '', keys });
}

export function createPayloadCodec(payloadKeys: PayloadKeys): PayloadCodec {
  const { current, keys } = checkPayloadKeys(payloadKeys);

  const seal = (payload: Payload): Payload => {
    // A repeat (a payload read in one place and handed on in another) is not wrapped twice.
    if (isEncrypted(payload)) return payload;
    const iv = randomBytes(IV_BYTES);
    const cipher = createCipheriv('aes-256-gcm', keys[current] as Uint8Array, iv);
    cipher.setAAD(associated(current));
    const body = cipher.update(PayloadMessage.encode(payload).finish());
    cipher.final();
    return {
      metadata: { encoding: encrypted, 'encryption-key-id': utf8.encode(current) },
      data: new Uint8Array(Buffer.concat([iv, body, cipher.getAuthTag()])),
    };
  };

  const open = (payload: Payload): Payload => {
    if (!isEncrypted(payload)) return payload;
    const named = payload.metadata?.['encryption-key-id'];
    const keyId = named == null ? '' : text.decode(named);
    const key = Object.hasOwn(keys, keyId) ? keys[keyId] : undefined;
    if (key === undefined)
      throw new KeysagaError('NotFound', 'No such payload key here; add it to the key list.', {
        field: 'encryption-key-id',
        keyId: keyId.slice(0, 64),
      });
    const data = payload.data ?? new Uint8Array();
    try {
      const decipher = createDecipheriv('aes-256-gcm', key, data.subarray(0, IV_BYTES), {
        authTagLength: TAG_BYTES,
      });
      decipher.setAAD(associated(keyId));
      decipher.setAuthTag(data.subarray(data.length - TAG_BYTES));
      const body = decipher.update(data.subarray(IV_BYTES, data.length - TAG_BYTES));
      decipher.final();
      return PayloadMessage.decode(new Uint8Array(body));
    } catch {
      throw new KeysagaError('SealBroken', 'A payload does not open under its key.', {
        field: 'data',
        keyId,
      });
    }
  };

  return {
    encode: async (payloads) => payloads.map(seal),
    decode: async (payloads) => payloads.map(open),
  };
}
