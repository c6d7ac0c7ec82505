import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  ActivityFailure,
  ApplicationFailure,
  CancelledFailure,
  defaultPayloadConverter,
  type Payload,
  TimeoutFailure,
} from '@temporalio/common';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CodecServer, startCodecServer } from '../../api/codec-server.ts';
import { ERROR_CODES, isKeysagaError, KeysagaError } from '../../schema/contracts/errors.ts';
import { createPayloadCodec, ENCRYPTED, isEncrypted, parsePayloadKeys } from '../../wire/codec.ts';
import { connectionFromEnv } from '../../wire/connection.ts';
import { createFileDriver } from '../../wire/external-storage.ts';
import { failureConverter } from '../../wire/failure-converter.ts';
import { fromFailure, toApplicationFailure } from '../../wire/failures.ts';
import { payloadConverter } from '../../wire/payload-converter.ts';
import { convertActivityError } from '../../workers/support/activity-failures.ts';

const a = new Uint8Array(32).fill(1);
const b = new Uint8Array(32).fill(2);
const utf8 = new TextEncoder();
const plain = (value: unknown): Payload => defaultPayloadConverter.toPayload(value) as Payload;
const first = (payloads: Payload[]): Payload => payloads[0] as Payload;
const codeOf = async (promise: Promise<unknown>): Promise<string | undefined> => {
  try {
    await promise;
  } catch (error) {
    return isKeysagaError(error) ? error.code : String(error);
  }
  return undefined;
};

describe('payload codec', () => {
  const old = createPayloadCodec({ current: 'a', keys: { a } });
  const rotated = createPayloadCodec({ current: 'b', keys: { a, b } });

  it('encrypts payload and metadata, never twice alike', async () => {
    const secret = plain({ amount: '123456789' });
    const [one, two] = [first(await old.encode([secret])), first(await old.encode([secret]))];
    expect(Buffer.from(one.data ?? []).includes('123456789')).toBe(false);
    expect(Buffer.compare(Buffer.from(one.data ?? []), Buffer.from(two.data ?? []))).not.toBe(0);
    expect(new TextDecoder().decode(one.metadata?.encoding ?? undefined)).toBe(ENCRYPTED);
    expect(new TextDecoder().decode(one.metadata?.['encryption-key-id'] ?? undefined)).toBe('a');
    expect(defaultPayloadConverter.fromPayload(first(await old.decode([one])))).toEqual({
      amount: '123456789',
    });
  });
  it('rotates: the old key still opens, the new one seals', async () => {
    const before = first(await old.encode([plain(1)]));
    expect(defaultPayloadConverter.fromPayload(first(await rotated.decode([before])))).toBe(1);
    const after = first(await rotated.encode([plain(2)]));
    expect(new TextDecoder().decode(after.metadata?.['encryption-key-id'] ?? undefined)).toBe('b');
    expect(await codeOf(old.decode([after]))).toBe('NotFound');
  });
  it('passes plaintext through when it decodes', async () => {
    expect(await old.decode([plain('hello')])).toEqual([plain('hello')]);
  });
  it('refuses a changed byte anywhere, a truncated one, and another key id', async () => {
    const sealed = first(await rotated.encode([plain('hello')]));
    const data = sealed.data as Uint8Array;
    for (let i = 0; i < data.length; i++) {
      const changed = Uint8Array.from(data);
      changed[i] = (changed[i] as number) ^ 1;
      expect(await codeOf(rotated.decode([{ ...sealed, data: changed }])), `byte ${i}`).toBe(
        'SealBroken',
      );
    }
    for (const length of [0, 5, 12, 27, data.length - 1])
      expect(await codeOf(rotated.decode([{ ...sealed, data: data.subarray(0, length) }]))).toBe(
        'SealBroken',
      );
    const relabelled = {
      ...sealed,
      metadata: { ...sealed.metadata, 'encryption-key-id': utf8.encode('a') },
    };
    expect(await codeOf(rotated.decode([relabelled as Payload]))).toBe('SealBroken');
    expect(
      await codeOf(
        rotated.decode([
          {
            ...sealed,
            metadata: {
              encoding: utf8.encode(ENCRYPTED),
              'encryption-key-id': utf8.encode('__proto__'),
            },
          },
        ]),
      ),
    ).toBe('NotFound');
  });
  it('reads keys from text and says which variable is wrong', () => {
    const hex = (n: string) => n.repeat(32);
    expect(parsePayloadKeys(`x:${hex('0a')},y:${hex('0b')}`)).toMatchObject({ current: 'x' });
    for (const bad of ['', 'x', 'x:00', `x:${hex('0a')},x:${hex('0b')}`, `x:${hex('ZZ')}`])
      expect(() => parsePayloadKeys(bad)).toThrow(
        expect.objectContaining({ code: 'InvalidInput' }),
      );
    expect(() => createPayloadCodec({ current: 'x', keys: { y: a } })).toThrow(
      expect.objectContaining({ code: 'InvalidInput' }),
    );
    expect(() => createPayloadCodec({ current: 'x', keys: { x: a.subarray(1) } })).toThrow(
      expect.objectContaining({ code: 'InvalidInput' }),
    );
  });
});

describe('converters', () => {
  it('what cannot be read becomes a value that no schema accepts', () => {
    const odd = (encoding: string, data: string): Payload => ({
      metadata: { encoding: utf8.encode(encoding) },
      data: utf8.encode(data),
    });
    for (const payload of [
      odd('json/plain', '{'),
      odd('made/up', 'x'),
      { data: utf8.encode('1') } as Payload,
    ])
      expect(payloadConverter.fromPayload(payload)).toMatchObject({ keysagaUndecodable: true });
    expect(payloadConverter.fromPayload(odd('json/plain', '{"a":1}'))).toEqual({ a: 1 });
  });
  it('failures hide message and stack in a payload, and come back', () => {
    const failure = failureConverter.errorToFailure(
      ApplicationFailure.nonRetryable('a secret word', 'LineClosed'),
      defaultPayloadConverter,
    );
    expect(JSON.stringify({ ...failure, encodedAttributes: null })).not.toContain('secret');
    expect(failure.applicationFailureInfo?.type).toBe('LineClosed');
    expect(failureConverter.failureToError(failure, defaultPayloadConverter).message).toBe(
      'a secret word',
    );
  });
});

describe('failures', () => {
  it('every code survives the way there and back, with its details', () => {
    for (const code of Object.keys(ERROR_CODES) as (keyof typeof ERROR_CODES)[]) {
      const error = new KeysagaError(code, 'why', { field: 'x', parties: ['a', 'b'] });
      const failure = toApplicationFailure(error);
      expect(failure.nonRetryable).toBe(!ERROR_CODES[code][0]);
      const wire = failureConverter.failureToError(
        failureConverter.errorToFailure(failure, defaultPayloadConverter),
        defaultPayloadConverter,
      );
      expect(
        fromFailure(new ActivityFailure('m', 'prepare', '1', 'NON_RETRYABLE_FAILURE', 'w', wire)),
      ).toMatchObject({
        code,
        message: 'why',
        details: { field: 'x', parties: ['a', 'b'] },
        retryable: error.retryable,
      });
    }
  });
  it('time-outs are the absent party, or what the caller says', () => {
    for (const type of [
      'SCHEDULE_TO_START',
      'SCHEDULE_TO_CLOSE',
      'START_TO_CLOSE',
      'HEARTBEAT',
    ] as const) {
      const wrapped = new ActivityFailure(
        'm',
        'prepare',
        '1',
        'TIMEOUT',
        'w',
        new TimeoutFailure('t', undefined, type),
      );
      expect(fromFailure(wrapped)).toMatchObject({
        code: 'PartyUnavailable',
        details: { timeout: type },
      });
      expect(fromFailure(wrapped, { timeout: 'ChainUnavailable' }).code).toBe('ChainUnavailable');
    }
    expect(
      fromFailure(
        new ActivityFailure('m', 'a', '1', 'CANCEL_REQUESTED', 'w', new CancelledFailure('c')),
      ).code,
    ).toBe('Cancelled');
  });
  it('an unknown failure keeps its message to itself', () => {
    for (const error of [
      new Error('password=1'),
      ApplicationFailure.create({ type: 'TypeError', message: 'password=1' }),
      'password=1',
      undefined,
    ])
      expect(fromFailure(error)).toMatchObject({
        code: 'Internal',
        message: expect.not.stringContaining('password'),
      });
  });
  it('an activity’s own error is logged and leaves as Internal, without cause', () => {
    let logged = 0;
    const left = convertActivityError(
      new Error('connect postgres://user:pw@h'),
      () => logged++,
    ) as ApplicationFailure;
    expect(left).toMatchObject({ type: 'Internal', nonRetryable: false });
    expect(
      JSON.stringify(failureConverter.errorToFailure(left, defaultPayloadConverter)),
    ).not.toContain(Buffer.from('postgres').toString('base64').slice(0, 8));
    expect(left.message).not.toContain('pw');
    expect(left.cause).toBeUndefined();
    expect(logged).toBe(1);
    const typed = convertActivityError(
      new KeysagaError('LineClosed', 'm', {}, { cause: new Error('pw') }),
      () => logged++,
    ) as ApplicationFailure;
    expect(typed).toMatchObject({ type: 'LineClosed', nonRetryable: true });
    expect(typed.cause).toBeUndefined();
    expect(logged).toBe(1);
  });
});

describe('external storage', () => {
  const directory = mkdtempSync(join(tmpdir(), 'keysaga-wire-'));
  afterAll(() => rmSync(directory, { recursive: true }));
  const codec = createPayloadCodec({ current: 'a', keys: { a } });

  it('keeps ciphertext by its hash, and notices a change', async () => {
    const driver = createFileDriver(directory);
    const sealed = await codec.encode([plain('x'.repeat(10_000))]);
    const [claim] = await driver.store({}, sealed);
    const [again] = await driver.store({}, sealed);
    expect(again?.claimData).toEqual(claim?.claimData);
    const [back] = await driver.retrieve({}, claim ? [claim] : []);
    expect(
      defaultPayloadConverter.fromPayload(first(await codec.decode(back ? [back] : []))),
    ).toHaveLength(10_000);
    const hash = claim?.claimData.sha256 as string;
    const path = join(directory, hash.slice(0, 2), hash);
    expect(readdirSync(join(directory, hash.slice(0, 2)))).toEqual([hash]);
    const bytes = readFileSync(path);
    expect(bytes.includes('xxxx')).toBe(false);
    bytes[20] = (bytes[20] as number) ^ 1;
    writeFileSync(path, bytes);
    expect(await codeOf(driver.retrieve({}, claim ? [claim] : []))).toBe('SealBroken');
  });
  it('refuses plaintext, unknown hashes and paths', async () => {
    const driver = createFileDriver(directory);
    expect(await codeOf(driver.store({}, [plain('x')]))).toBe('InvalidInput');
    expect(await codeOf(driver.retrieve({}, [{ claimData: { sha256: '00'.repeat(32) } }]))).toBe(
      'NotFound',
    );
    expect(await codeOf(driver.retrieve({}, [{ claimData: { sha256: '../../etc/passwd' } }]))).toBe(
      'InvalidInput',
    );
  });
});

describe('codec server', () => {
  const origin = 'http://127.0.0.1:8233';
  const token = 'a-token-of-enough-length';
  let server: CodecServer;
  beforeAll(async () => {
    server = await startCodecServer({
      keys: { current: 'a', keys: { a } },
      token,
      port: 0,
      allowedOrigins: [origin],
    });
  });
  afterAll(() => server.close());
  const json = (payload: Payload) => ({
    metadata: Object.fromEntries(
      Object.entries(payload.metadata ?? {}).map(([k, v]) => [
        k,
        Buffer.from(v).toString('base64'),
      ]),
    ),
    data: Buffer.from(payload.data ?? []).toString('base64'),
  });
  const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
    fetch(`http://127.0.0.1:${server.port}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-namespace': 'keysaga', ...headers },
      body: JSON.stringify(body),
    });

  it('decodes for its token and origin', async () => {
    const [sealed] = await createPayloadCodec({ current: 'a', keys: { a } }).encode([
      plain({ phase: 'Signing' }),
    ]);
    const response = await post(
      `/${token}/decode`,
      { payloads: [json(sealed as Payload), json(plain('as it is'))] },
      { origin },
    );
    expect(response.status).toBe(200);
    expect(response.headers.get('access-control-allow-origin')).toBe(origin);
    const { payloads } = (await response.json()) as {
      payloads: { data: string; metadata: { encoding: string } }[];
    };
    expect(payloads.map(({ data }) => Buffer.from(data, 'base64').toString())).toEqual([
      '{"phase":"Signing"}',
      '"as it is"',
    ]);
    expect(Buffer.from(payloads[0]?.metadata.encoding ?? '', 'base64').toString()).toBe(
      'json/plain',
    );
  });
  it('answers the preflight of the UI and of nobody else', async () => {
    const ask = (from: string) =>
      fetch(`${server.url}/decode`, {
        method: 'OPTIONS',
        headers: {
          origin: from,
          'access-control-request-method': 'POST',
          'access-control-request-headers': 'content-type,x-namespace',
        },
      });
    const ours = await ask(origin);
    expect(ours.status).toBe(204);
    expect(ours.headers.get('access-control-allow-headers')).toBe('content-type,x-namespace');
    expect(
      (await ask('http://evil.example')).headers.get('access-control-allow-origin'),
    ).toBeNull();
  });
  it('knows nothing else: no other token, no encode, no get, no nonsense', async () => {
    const body = { payloads: [] };
    expect((await post('/another-token-of-length/decode', body)).status).toBe(404);
    expect((await post(`/${token}/encode`, body)).status).toBe(404);
    expect((await fetch(`${server.url}/decode`)).status).toBe(404);
    expect((await post(`/${token}/decode`, { nonsense: 1 })).status).toBe(400);
    const broken = {
      metadata: {
        encoding: Buffer.from(ENCRYPTED).toString('base64'),
        'encryption-key-id': Buffer.from('a').toString('base64'),
      },
      data: 'AAAA',
    };
    const refused = await post(`/${token}/decode`, { payloads: [broken] });
    expect(refused.status).toBe(422);
    expect(await refused.json()).toMatchObject({ code: 'SealBroken' });
  });
  it('refuses a weak token', async () => {
    expect(
      await codeOf(
        startCodecServer({
          keys: { current: 'a', keys: { a } },
          token: 'short',
          port: 0,
          allowedOrigins: [],
        }),
      ),
    ).toBe('InvalidInput');
  });
});

describe('connection', () => {
  it('comes from the environment', () => {
    expect(connectionFromEnv({})).toEqual({ address: '127.0.0.1:7233', namespace: 'keysaga' });
    expect(
      connectionFromEnv({
        TEMPORAL_ADDRESS: 'h:1',
        TEMPORAL_NAMESPACE: 'n',
        TEMPORAL_API_KEY: 'k',
      }),
    ).toEqual({ address: 'h:1', namespace: 'n', apiKey: 'k', tls: true });
    expect(() => connectionFromEnv({ TEMPORAL_TLS_CERT: '/nowhere/cert' })).toThrow(
      expect.objectContaining({
        code: 'InvalidInput',
        details: expect.objectContaining({ field: 'TEMPORAL_TLS_CERT' }),
      }),
    );
  });
  it('isEncrypted reads the encoding only', () => {
    expect(isEncrypted({})).toBe(false);
  });
});
