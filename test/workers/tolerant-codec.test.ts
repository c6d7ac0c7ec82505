/** A message that nobody sealed stops no saga; a wrong or an unknown key still stops the worker. */
import { randomBytes } from 'node:crypto';
import { defaultPayloadConverter, type Payload } from '@temporalio/common';
import { describe, expect, it } from 'vitest';
import { createPayloadCodec } from '../../wire/codec.ts';
import { payloadConverter } from '../../wire/payload-converter.ts';
import { tolerantCodec } from '../../workers/support/tolerant-codec.ts';

const codecWith = (id: string, key: Uint8Array = randomBytes(32)) =>
  createPayloadCodec({ current: id, keys: { [id]: key } });
const plain = (value: unknown): Payload => defaultPayloadConverter.toPayload(value) as Payload;
const claiming = (keyId?: string): Payload => ({
  metadata: {
    encoding: Buffer.from('binary/encrypted'),
    ...(keyId === undefined ? {} : { 'encryption-key-id': Buffer.from(keyId) }),
  },
  data: randomBytes(64),
});

describe('the codec of the worker that runs sagas', () => {
  it('opens what was sealed, and hands on what the proven key does not open', async () => {
    const codec = codecWith('now');
    const tolerant = tolerantCodec(codec);
    const [sealed] = (await codec.encode([plain({ a: 1 })])) as [Payload];
    const nonsense = claiming('now');
    const [opened, handed] = (await tolerant.decode([sealed, nonsense])) as [Payload, Payload];
    expect(payloadConverter.fromPayload(opened)).toEqual({ a: 1 });
    expect(handed).toBe(nonsense);
    expect(payloadConverter.fromPayload(handed)).toMatchObject({ keysagaUndecodable: true });
  });

  it('hands on what names no key', async () => {
    const nonsense = claiming();
    expect(await tolerantCodec(codecWith('now')).decode([nonsense])).toEqual([nonsense]);
  });

  it('throws while its key has opened nothing: it may be the wrong one', async () => {
    const [theirs] = (await codecWith('now').encode([plain('x')])) as [Payload];
    const wrong = tolerantCodec(codecWith('now'));
    await expect(wrong.decode([theirs])).rejects.toMatchObject({ code: 'SealBroken' });
    // What it seals itself proves nothing about what others sealed.
    await wrong.encode([plain('y')]);
    await expect(wrong.decode([theirs])).rejects.toMatchObject({ code: 'SealBroken' });
  });

  it('throws for a key that is not configured, since an operator can add it', async () => {
    const codec = codecWith('now');
    const tolerant = tolerantCodec(codec);
    await tolerant.decode(await codec.encode([plain('x')]));
    await expect(tolerant.decode([claiming('next')])).rejects.toMatchObject({ code: 'NotFound' });
  });
});
