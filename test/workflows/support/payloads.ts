/** Histories as the test's key opens them, for a replay without keys. */
import { createPayloadCodec } from '../../../wire/codec.ts';
import { KEYS } from './stage.ts';

const codec = createPayloadCodec(KEYS);

/** Every payload inside a protobuf object, decoded in place. */
export async function decodePayloads(value: unknown): Promise<void> {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return;
  const candidate = value as { metadata?: unknown; data?: unknown };
  if (candidate.metadata && candidate.data instanceof Uint8Array) {
    const [decoded] = await codec.decode([value as never]);
    Object.assign(value, decoded);
    return;
  }
  for (const part of Object.values(value)) await decodePayloads(part);
}
