/** What the protocol-generic suites do to messages, and the one acceptable answer to it. */
import { expect } from 'vitest';
import type { ProtocolMessage } from '../../core/ports/protocol.ts';
import { isKeysagaError, KeysagaError } from '../../schema/contracts/errors.ts';
import { range, type Shape } from '../support/mpc.ts';

/** All t-subsets for a small n, else a few that differ in every member. */
export function signerSets({ threshold: t, parties: n }: Shape): number[][] {
  const sets: number[][] = [range(t), range(n), range(n).slice(n - t)];
  if (n <= 3) sets.push([1, n]);
  return [...new Map(sets.map((set) => [set.join(), set])).values()];
}

/** `count` positions spread over a body, its first and last byte among them. */
export const positions = (length: number, count: number): number[] => [
  ...new Set(
    Array.from({ length: count }, (_, i) =>
      Math.floor((i * (length - 1)) / Math.max(1, count - 1)),
    ),
  ),
];

export const flipped = (body: Uint8Array, at: number): Uint8Array => {
  const out = body.slice();
  out[at] = (out[at] ?? 0) ^ 1;
  return out;
};

type Attack = {
  readonly name: string;
  readonly inbox: readonly ProtocolMessage[];
  readonly blame: boolean;
};

/** Every way in which the message of `from` can be wrong at its receiver. `blame`: the sender must be named. */
export function attacks(
  inbox: readonly ProtocolMessage[],
  from: number,
  own: Uint8Array | undefined,
  foreign: Uint8Array | undefined,
  earlier: Uint8Array | undefined,
  flips: number,
): Attack[] {
  const at = inbox.findIndex((message) => message.from === from);
  const target = inbox[at];
  if (target === undefined) return [];
  const { body } = target;
  const replaced = (changed: Uint8Array) =>
    inbox.map((m, i) => (i === at ? { from, body: changed } : m));
  const list: Attack[] = [
    ...positions(body.length, flips).map((p) => ({
      name: `byte ${p} flipped`,
      inbox: replaced(flipped(body, p)),
      blame: true,
    })),
    { name: 'empty', inbox: replaced(new Uint8Array()), blame: true },
    { name: 'one byte short', inbox: replaced(body.slice(0, -1)), blame: true },
    { name: 'one byte long', inbox: replaced(Uint8Array.from([...body, 0])), blame: true },
    { name: 'zeros', inbox: replaced(new Uint8Array(body.length)), blame: true },
    { name: 'ones', inbox: replaced(new Uint8Array(body.length).fill(0xff)), blame: true },
    { name: 'missing', inbox: inbox.filter((_, i) => i !== at), blame: true },
    { name: 'twice', inbox: [...inbox, target], blame: true },
    {
      name: 'two different ones',
      inbox: [...inbox, { from, body: flipped(body, body.length - 1) }],
      blame: true,
    },
    { name: 'from nobody', inbox: [...inbox, { from: 99, body }], blame: false },
    { name: 'from index 0', inbox: [...inbox, { from: 0, body }], blame: false },
  ];
  if (own !== undefined)
    list.push({ name: 'own message reflected', inbox: replaced(own), blame: true });
  if (foreign !== undefined)
    list.push({ name: 'of another session', inbox: replaced(foreign), blame: true });
  if (earlier !== undefined)
    list.push({ name: 'of the round before', inbox: replaced(earlier), blame: true });
  const third = inbox.find((message) => message.from !== from);
  if (third !== undefined)
    list.push({ name: 'of another sender', inbox: replaced(third.body), blame: true });
  return list;
}

/** The one acceptable answer to an attack. Whoever is named with certainty must be the attacker. */
export function expectFault(work: () => unknown, from: number, blame: boolean, name: string): void {
  let thrown: unknown;
  try {
    work();
  } catch (error) {
    thrown = error;
  }
  expect(thrown, `${name}: accepted`).toBeInstanceOf(KeysagaError);
  if (!isKeysagaError(thrown)) return;
  expect(thrown.code, `${name}: ${thrown.message}`).toBe('ProtocolFault');
  const { culprit, suspects } = thrown.details;
  if (!blame) expect(culprit, name).toBeUndefined();
  else if (name.endsWith('missing') || name.endsWith('twice')) {
    // Whoever carries the messages could have done it: no proof against anyone.
    expect(culprit, name).toBeUndefined();
    expect(suspects, name).toEqual([String(from)]);
  } else if (culprit !== undefined)
    expect(culprit, `${name}: ${thrown.message}`).toBe(String(from));
  else expect(suspects, `${name}: ${thrown.message}`).toContain(String(from));
}
