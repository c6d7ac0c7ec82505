/**
 * Decoding for the worker that runs the sagas. Anyone who reaches Temporal may send a signal that claims to be
 * encrypted and is not; a codec that throws on it fails the workflow task again and again, so one such message would
 * stop a saga for ever. Here it is handed on as it came, and the payload converter makes a value of it that no schema
 * accepts: the saga shows it, and goes on.
 *
 * A wrong key must still stop a worker instead of turning every payload into nonsense. So this is only for a key that
 * has opened something before: what such a key does not open was never sealed with it. A key id that is not
 * configured stays an error, since an operator can add the key, and then the task succeeds.
 */
import type { DataConverter, Payload, PayloadCodec } from '@temporalio/common';
import { isKeysagaError } from '../../schema/contracts/errors.ts';
import { isEncrypted } from '../../wire/codec.ts';

const text = new TextDecoder();
const keyIdOf = (payload: Payload): string => {
  const id = payload.metadata?.['encryption-key-id'];
  return id == null ? '' : text.decode(id);
};

export function tolerantCodec(codec: PayloadCodec): PayloadCodec {
  const proven = new Set<string>();
  return {
    encode: (payloads, ...rest) => codec.encode(payloads, ...rest),
    decode: (payloads, ...rest) =>
      Promise.all(
        payloads.map(async (payload) => {
          const keyId = keyIdOf(payload);
          try {
            const [opened = payload] = await codec.decode([payload], ...rest);
            if (isEncrypted(payload)) proven.add(keyId);
            return opened;
          } catch (error) {
            const nobodys = keyId === '' && isKeysagaError(error, 'NotFound');
            if (nobodys || (isKeysagaError(error, 'SealBroken') && proven.has(keyId)))
              return payload;
            throw error;
          }
        }),
      ),
  };
}

export const tolerant = (converter: DataConverter): DataConverter => ({
  ...converter,
  ...(converter.payloadCodecs === undefined
    ? {}
    : { payloadCodecs: converter.payloadCodecs.map(tolerantCodec) }),
});
