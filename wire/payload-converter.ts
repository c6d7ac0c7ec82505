/**
 * JSON payload converter that never throws on what it reads. Anyone who can reach Temporal may send a signal
 * whose payload has an unknown encoding or is no JSON; the default converter throws on it while the activation is
 * applied, which fails the workflow task again and again, so one nonsense message would stop a saga for ever.
 * Here such a payload becomes a value that no schema of ours accepts, and the handler shows it on the board.
 * Loaded by path and bundled into the workflow sandbox: nothing of `node:` may come in here.
 */
import { defaultPayloadConverter, type Payload, type PayloadConverter } from '@temporalio/common';

/** What stands in for a payload that could not be read. */
export type Undecodable = { readonly keysagaUndecodable: true; readonly encoding: string };

function encodingOf(payload: Payload): string {
  const bytes = payload.metadata?.encoding;
  if (bytes === undefined || bytes === null) return '';
  let text = '';
  for (const byte of bytes.slice(0, 64)) text += String.fromCharCode(byte);
  return text;
}

export const payloadConverter: PayloadConverter = {
  toPayload(value) {
    return defaultPayloadConverter.toPayload(value);
  },
  fromPayload<T>(payload: Payload): T {
    try {
      return defaultPayloadConverter.fromPayload<T>(payload);
    } catch {
      const undecodable: Undecodable = { keysagaUndecodable: true, encoding: encodingOf(payload) };
      return undecodable as T;
    }
  },
};
