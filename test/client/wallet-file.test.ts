/** A wallet's file is believed for its certificates alone, and so is a ledger's answer. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  addressCodecs,
  pinnedKeys,
  requireAsRequested,
  verifyWallet,
  verifyWalletFile,
  walletFile,
} from '../../client/index.ts';
import { GenerateKeyRequest } from '../../schema/contracts/key.ts';
import { type Answer, directory, honest, LIES, pinned } from '../support/lying-ledger.ts';
import { BITCOIN } from '../support/parties.ts';

const fileOf = (answer: unknown) => walletFile(answer as Answer);
const invalid = (field: string) =>
  expect.objectContaining({
    code: 'CertificateInvalid',
    details: expect.objectContaining({ field }),
  });

describe('a wallet file', () => {
  const truth = honest('w');
  it('holds for its own wallet, and says what was checked', () => {
    const { address, checks } = verifyWalletFile(
      'w',
      JSON.parse(JSON.stringify(fileOf(truth))),
      pinned,
    );
    expect(address).toBe(truth.key.address);
    expect(checks.map(({ what }) => what)).toEqual([
      'wallet',
      'network',
      'public key',
      'address',
      'threshold',
      'protocol',
      'epoch',
      'policy hash',
      'transcript',
      'ceremony',
      'party alpha',
      'party beta',
      'party gamma',
    ]);
    expect(checks.find(({ what }) => what === 'party beta')?.value).toBe(directory[1]?.publicKey);
  });
  it.each(Object.entries(LIES))('is refused with %s, as is the answer', (_, { field, tell }) => {
    const lie = tell(truth);
    expect(() => verifyWalletFile('w', fileOf(lie), pinned)).toThrow(invalid(field));
    expect(() => verifyWallet('w', lie, addressCodecs, pinned)).toThrow(invalid(field));
  });
  it('is refused under other pinned keys, and when two parties are pinned with one', () => {
    const others = pinnedKeys(
      directory.map(({ party }, i) => ({ party, publicKey: directory[(i + 1) % 3]?.publicKey })),
    );
    expect(() => verifyWalletFile('w', fileOf(truth), others)).toThrow(invalid('signature'));
    const one = new Map([...pinned].map(([party]) => [party, directory[0]?.publicKey as string]));
    expect(() => verifyWalletFile('w', fileOf(truth), one)).toThrow(invalid('parties'));
    expect(() => verifyWalletFile('w', fileOf(truth), new Map())).toThrow(invalid('parties'));
  });
  it('is refused when it is none', () => {
    for (const file of [
      null,
      {},
      truth,
      { ...fileOf(truth), type: 'x' },
      { ...fileOf(truth), more: 1 },
    ])
      expect(() => verifyWalletFile('w', file, pinned)).toThrow(
        expect.objectContaining({ code: 'InvalidInput' }),
      );
  });

  type Json = null | number | string | boolean | Json[] | { [name: string]: Json };
  const leaves = (value: Json, path: (string | number)[] = []): (string | number)[][] =>
    typeof value !== 'object' || value === null
      ? [path]
      : Object.entries(value).flatMap(([name, inner]) => leaves(inner, [...path, name]));
  it('does not survive a change anywhere but in the name of the policy, which its hash stands for', () => {
    const file = JSON.parse(JSON.stringify(fileOf(truth))) as Json;
    const places = leaves(file).filter((path) => path.join('.') !== 'key.policyId');
    fc.assert(
      fc.property(
        fc.constantFrom(...places),
        fc.nat(),
        fc.integer({ min: 1, max: 15 }),
        (path, n, d) => {
          const copy = structuredClone(file) as Record<string, Json>;
          let at = copy as Record<string | number, Json>;
          for (const step of path.slice(0, -1)) at = at[step] as Record<string | number, Json>;
          const last = path.at(-1) as string | number;
          const old = at[last];
          if (typeof old === 'number') at[last] = old + d;
          else {
            const text = `${old}`;
            const i = n % text.length;
            const changed = (Number.parseInt(text[i] as string, 36) + d) % 16;
            const digit = Number.isNaN(changed) ? '0' : changed.toString(16);
            at[last] = text.slice(0, i) + digit + text.slice(i + 1);
            fc.pre(at[last] !== text);
          }
          expect(() => verifyWalletFile('w', copy, pinned)).toThrow(
            expect.objectContaining({
              code: expect.stringMatching(/^(CertificateInvalid|InvalidInput)$/),
            }),
          );
        },
      ),
      { numRuns: 400 },
    );
    expect(() => verifyWalletFile('w', file, pinned)).not.toThrow();
  });
});

describe('pinned keys', () => {
  it('are a list, or what a configuration has as its directory', () => {
    expect(pinnedKeys(directory)).toEqual(pinned);
    expect(pinnedKeys({ directory, temporal: {} })).toEqual(pinned);
  });
  it('are refused when malformed or named twice', () => {
    const [first, second] = directory;
    for (const bad of [
      null,
      [],
      [first],
      [first, { party: 'beta' }],
      [first, second, { ...second, publicKey: directory[2]?.publicKey }],
      [first, { ...second, publicKey: first?.publicKey }],
      { parties: directory },
    ])
      expect(() => pinnedKeys(bad)).toThrow(expect.objectContaining({ code: 'InvalidInput' }));
  });
});

describe('a generated key', () => {
  const wallet = verifyWallet('w', honest('w'), addressCodecs, pinned);
  const request = (change: object = {}) =>
    GenerateKeyRequest.parse({
      requestId: 'w',
      network: BITCOIN,
      threshold: 2,
      parties: ['gamma', 'beta', 'alpha'],
      policyId: 'treasury',
      ...change,
    });
  it('is the one that was asked for', () => {
    expect(() => requireAsRequested(wallet, request())).not.toThrow();
    expect(() => requireAsRequested(wallet, request({ protocol: 'frost-bip340' }))).not.toThrow();
  });
  it.each([
    ['network', 'solana:surfnet-local'],
    ['threshold', 3],
    ['parties', ['alpha', 'beta']],
    ['parties', ['alpha', 'beta', 'delta']],
    ['protocol', 'frost-ed25519'],
    ['policyId', 'petty-cash'],
  ])('is refused with another %s, certified as it is', (field, value) => {
    expect(() => requireAsRequested(wallet, request({ [field]: value }))).toThrow(invalid(field));
  });
});
