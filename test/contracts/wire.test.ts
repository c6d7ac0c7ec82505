/** The wire format: what a stored history, a peer of another version and a foreign client rely on. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { canonicalJson, signedBytes } from '../../schema/contracts/canonical.ts';
import { isKeysagaError } from '../../schema/contracts/errors.ts';
import { EVENTS, streams } from '../../schema/contracts/events.ts';
import {
  AttemptId,
  Caip2,
  Decimal,
  Hex,
  IsoTime,
  PartyId,
  RequestId,
} from '../../schema/contracts/primitives.ts';
import {
  MESSAGES,
  parseWorkflowId,
  partyQueue,
  SEARCH_ATTRIBUTES,
  TASK_QUEUES,
  WORKFLOWS,
  workflowId,
} from '../../schema/contracts/temporal.ts';
import { EXAMPLES } from './examples.ts';

const names = Object.keys(EXAMPLES);
const entry = (name: string): readonly [z.ZodType, unknown] => {
  const found = EXAMPLES[name];
  if (found === undefined) expect.unreachable();
  return found;
};

describe('payloads', () => {
  it.each(names)('%s keeps its wire format', (name) => {
    const [schema, example] = entry(name);
    const parsed = schema.parse(JSON.parse(JSON.stringify(example)));
    expect(parsed).toEqual(example);
    expect(canonicalJson(parsed)).toMatchSnapshot('example');
    expect(z.toJSONSchema(schema, { unrepresentable: 'any' })).toMatchSnapshot('schema');
  });
  it.each(names)('%s takes no field that it does not know, at any depth', (name) => {
    const [schema, example] = entry(name);
    let objects = 0;
    const poison = (value: unknown, put: (changed: unknown) => unknown): void => {
      if (typeof value !== 'object' || value === null) return;
      if (Array.isArray(value)) {
        for (const [i, item] of value.entries()) poison(item, (c) => put(value.with(i, c)));
        return;
      }
      // A map from phase to milliseconds has no fixed fields.
      if (
        Object.values(value).every((v) => typeof v === 'number') &&
        Object.keys(value).every((k) => /^[A-Z]/.test(k)) &&
        Object.keys(value).length > 0
      )
        return;
      objects += 1;
      expect(schema.safeParse(put({ ...value, surprise: 'x' })).success).toBe(false);
      for (const [k, v] of Object.entries(value)) poison(v, (c) => put({ ...value, [k]: c }));
    };
    poison(example, (c) => c);
    expect(objects).toBeGreaterThan(0);
  });
  it.each(names)('%s is JSON that comes back as it went', (name) => {
    const [, example] = entry(name);
    const leaves = (v: unknown): unknown[] =>
      typeof v === 'object' && v !== null ? Object.values(v).flatMap(leaves) : [v];
    for (const leaf of leaves(example)) {
      expect(['string', 'number', 'boolean']).toContain(typeof leaf);
      if (typeof leaf === 'number') expect(Number.isSafeInteger(leaf)).toBe(true);
    }
  });
});

describe('events', () => {
  it('keep their types and shapes', () => {
    expect(Object.keys(EVENTS)).toMatchSnapshot('types');
    for (const [type, schema] of Object.entries(EVENTS)) {
      expect(type).toMatch(/^keysaga\.[a-z]+\.[a-z-]+\.v[1-9]$/);
      expect(Object.keys(schema.shape).sort()).toMatchSnapshot(type);
    }
  });
  it('have their streams', () => {
    const id = RequestId.parse('r-1');
    expect([
      streams.transfer(id),
      streams.wallet('w' as never),
      streams.key('k'),
      streams.policy('p'),
      streams.message(id),
    ]).toEqual(['transfer-r-1', 'wallet-w', 'key-k', 'policy-p', 'message-r-1']);
  });
});

describe('names in Temporal', () => {
  it('do not change', () => {
    expect({
      TASK_QUEUES,
      WORKFLOWS,
      SEARCH_ATTRIBUTES,
      MESSAGES,
      party: partyQueue(PartyId.parse('alpha')),
    }).toMatchSnapshot();
  });
  const slug = fc.stringMatching(/^[a-z0-9][a-z0-9._-]{0,63}$/).map((s) => RequestId.parse(s));
  const party = fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,31}$/).map((s) => PartyId.parse(s));
  it('workflow ids come back as they were built', () => {
    void fc.assert(
      fc.property(slug, party, fc.uuid(), (requestId, p, attempt) => {
        expect(parseWorkflowId(workflowId.transfer(requestId))).toEqual({
          kind: 'transfer',
          requestId,
        });
        expect(parseWorkflowId(workflowId.policy(requestId as never, 7))).toEqual({
          kind: 'policy',
          policyId: requestId,
          version: 7,
        });
        expect(parseWorkflowId(workflowId.keygen(requestId))).toEqual({
          kind: 'keygen',
          requestId,
        });
        expect(parseWorkflowId(workflowId.anchor(requestId))).toEqual({
          kind: 'anchor',
          requestId,
        });
        expect(parseWorkflowId(workflowId.message(requestId))).toEqual({
          kind: 'message',
          requestId,
        });
        expect(parseWorkflowId(workflowId.payout(requestId))).toEqual({
          kind: 'payout',
          requestId,
        });
        expect(parseWorkflowId(workflowId.undo(requestId, p, attempt))).toEqual({
          kind: 'undo',
          requestId,
          party: p,
          attempt,
        });
      }),
    );
  });
  it('nothing else is taken for one', () => {
    for (const id of [
      '',
      'transfer',
      'transfer/',
      'transfer/A',
      'transfer/a/b',
      'x/a',
      'undo/a',
      'undo/a/p',
      'undo/a/P/1',
      'undo/a/p/1/2',
      'keygen/a/',
    ])
      expect(() => parseWorkflowId(id), id).toThrowError(
        expect.objectContaining({ code: 'InvalidInput', details: { field: 'workflowId' } }),
      );
  });
});

describe('the signed form', () => {
  it('is the tag, a line feed and RFC 8785', () => {
    expect(new TextDecoder().decode(signedBytes('intent', { b: '2', a: '€', 10: '1' }))).toBe(
      'keysaga/intent/v1\n{"10":"1","a":"€","b":"2"}',
    );
    // RFC 8785, section 3.2.3: members sort by UTF-16 code units.
    const rfc = {
      '\u20ac': 'Euro Sign',
      '\r': 'Carriage Return',
      '\ufb33': 'Hebrew Letter Dalet With Dagesh',
      1: 'One',
      '\ud83d\ude00': 'Emoji: Grinning Face',
      '\u0080': 'Control',
      '\u00f6': 'Latin Small Letter O With Diaeresis',
    };
    expect(canonicalJson(rfc)).toBe(
      '{"\\r":"Carriage Return","1":"One","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis",' +
        '"\u20ac":"Euro Sign","\ud83d\ude00":"Emoji: Grinning Face","\ufb33":"Hebrew Letter Dalet With Dagesh"}',
    );
  });
  it('does not depend on the order of fields, and refuses what JSON cannot hold', () => {
    expect(canonicalJson({ a: '1', b: { d: '2', c: '3' } })).toBe(
      canonicalJson({ b: { c: '3', d: '2' }, a: '1' }),
    );
    for (const bad of [undefined, Number.NaN, Number.POSITIVE_INFINITY, { a: 1n }, () => 1]) {
      let error: unknown;
      try {
        canonicalJson(bad);
      } catch (e) {
        error = e;
      }
      expect(isKeysagaError(error, 'InvalidInput'), String(typeof bad)).toBe(true);
    }
  });
  it('keeps types apart', () => {
    expect(signedBytes('intent', { a: '1' })).not.toEqual(signedBytes('approval', { a: '1' }));
  });
});

describe('leaf types take one spelling of each value', () => {
  it.each([
    [Hex, ['', '00', 'abff'], ['0', 'AB', '0xab', 'zz', ' ab', 'ab\n']],
    [
      Decimal,
      ['0', '1', '78'.repeat(39)],
      ['', '-1', '+1', '01', '1.0', '1e3', '7'.repeat(79), '1\n'],
    ],
    [
      IsoTime,
      ['2024-02-29T00:00:00.000Z'],
      [
        '2025-02-29T00:00:00.000Z',
        '2025-01-01T00:00:00Z',
        '2025-01-01T24:00:00.000Z',
        '2025-01-01T00:00:00.000+00:00',
        '2025-01-01',
      ],
    ],
    [
      Caip2,
      ['eip155:1', 'bip122:0f9188f13cb7b2c71f2a335e3a4fc328'],
      ['eip155', 'eip155:', 'EIP155:1', 'eip155:1:2', `eip155:${'1'.repeat(33)}`],
    ],
    [RequestId, ['a', '0.x_y-z'], ['', 'A', '-a', 'a/b', 'a b', 'a'.repeat(65), 'a\n']],
    [PartyId, ['alpha', 'p-1'], ['', 'Alpha', 'a.b', '*', 'a'.repeat(33)]],
    [
      AttemptId,
      ['6f1c1f1a-3c50-4c55-9b51-0d4a2b7f3a10'],
      ['', '6f1c1f1a3c504c559b510d4a2b7f3a10', '6f1c1f1a-3c50-4c55-9b51-0d4a2b7f3a1'],
    ],
  ] as const)('%#', (schema, good, bad) => {
    for (const g of good) expect(schema.safeParse(g).success, g).toBe(true);
    for (const b of bad) expect(schema.safeParse(b).success, b).toBe(false);
  });
});
