/** The coordinator's `Key` aggregate: n certificates, t activations, and no way back after its pivot. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { decideKey as decide, KEY_MACHINE, type KeyState, keyFold } from '../../core/key/index.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { SignedCertificate } from '../../schema/contracts/key.ts';
import type { PartyId } from '../../schema/contracts/primitives.ts';
import { HASH, key, keyRequest } from '../storage/coordinator/fixtures.ts';

const data = {
  request: keyRequest,
  workflowId: 'keygen/w1',
  protocol: 'frost-ed25519',
  policyHash: HASH,
};
const certificate = (party: string) =>
  ({ certificate: { party }, signature: '' }) as unknown as SignedCertificate;
const all = ['alpha', 'beta', 'gamma'];
const failure = { code: 'TimeLimit', message: 'x', at: '2026-01-01T00:00:00.000Z' };

it('is Active only with n certificates and t activations, under any sequence of commands', () => {
  const party = fc.constantFrom('alpha', 'beta', 'gamma', 'mallory');
  const command = fc.oneof(
    fc
      .subarray(all, { minLength: 1 })
      .map(
        (parties) => (s: KeyState) =>
          decide.certify(decide.existingKey(s, 'w1'), key, parties.map(certificate)),
      ),
    fc.constant((s: KeyState) =>
      decide.certify(decide.existingKey(s, 'w1'), { ...key, threshold: 3 }, all.map(certificate)),
    ),
    party.map(
      (p) => (s: KeyState) => decide.partyActivated(decide.existingKey(s, 'w1'), p as PartyId),
    ),
    fc
      .array(party, { maxLength: 4 })
      .map((ps) => (s: KeyState) => decide.activate(decide.existingKey(s, 'w1'), ps as PartyId[])),
    fc.constant((s: KeyState) => decide.fail(decide.existingKey(s, 'w1'), failure)),
    fc.constant((s: KeyState) => decide.request(s, data)),
  );
  const reached = new Set<string>();
  fc.assert(
    fc.property(fc.array(command, { maxLength: 25, size: 'max' }), (commands) => {
      let state = decide.request(null, data).reduce<KeyState>(keyFold.apply, null);
      for (const run of commands) {
        const before = state;
        try {
          state = run(state).reduce<KeyState>(keyFold.apply, state);
        } catch (error) {
          expect(error).toBeInstanceOf(KeysagaError);
        }
        if (state === null || before === null) throw new Error('the key is gone');
        reached.add(state.phase);
        if (state.phase !== before.phase)
          expect(Object.values(KEY_MACHINE.transitions[before.phase])).toContain(state.phase);
        const certified = state.phase === 'Certified' || state.phase === 'Active';
        expect(state.certificates.length).toBe(certified ? 3 : 0);
        expect(new Set(state.activated).size).toBe(state.activated.length);
        expect(state.activated.every((p) => all.includes(p))).toBe(true);
        if (state.phase === 'Active') expect(state.activated.length).toBeGreaterThanOrEqual(2);
        if (!certified) expect(state.activated).toEqual([]);
      }
    }),
    { numRuns: 500, seed: 11 },
  );
  expect([...reached].sort()).toEqual(['Active', 'Certified', 'Failed', 'Requested']);
});

it.each([
  [{ threshold: 1 }, 'threshold'],
  [{ threshold: 4 }, 'threshold'],
  [{ parties: ['alpha', 'alpha', 'beta'] }, 'parties'],
  [{ parties: ['alpha', 'beta', 'gamma', 'delta'] }, 'threshold'],
])('refuses a request with %j', (change, field) => {
  expect(() =>
    decide.request(null, { ...data, request: { ...keyRequest, ...change } as never }),
  ).toThrow(expect.objectContaining({ code: 'InvalidInput', details: { field } }));
});
