/**
 * What is tried on parties in this process: attacks on ECDSA wallets, attacks that need a party's machine as well, and
 * what the adversary gets but only so much of.
 */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { policyHash } from '../../core/policy.ts';
import { RETIRED_VOIDS_A_DAY } from '../../core/rules/limits.ts';
import { publicKeyOf } from '../../core/signed.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import { CASES } from './cases/index.ts';
import { FEE, KITS } from './chains.ts';
import type { Field } from './field.ts';
import { type InProcess, startInProcess } from './in-process.ts';
import {
  again,
  deliver,
  intentOf,
  isRefused,
  isSigned,
  newWallet,
  payment,
  successor,
  underPolicy,
} from './tools.ts';

let server: TestPostgres;
let place: InProcess;
let field: Field;
beforeAll(async () => {
  server = await startTestPostgres();
  place = await startInProcess(server.stack.postgres.adminUrl);
  field = place.field;
});
afterAll(async () => {
  await place?.close();
  await server?.stop();
});

/** What `coordinator.test.ts` has no time or no machines for. */
const attacks = CASES.flatMap((c) =>
  c.chains
    .filter((chain) => c.needs === 'aside' || chain === 'ethereum' || chain === 'segwit')
    .map((chain) => ({ ...c, chain })),
);

describe('a dishonest coordinator never', () => {
  // The first of a chain has a DKLs23 key made.
  it.each(attacks)('$title ($chain)', { timeout: 120_000 }, ({ run, chain }) =>
    run(field, KITS[chain]),
  );
});

describe('retired approvers', () => {
  // A void ignores the policy's version, so that what was approved under an earlier one can be undone by any t parties.
  // Whoever has the keys of a quorum that was voted out can make up intents and have each voided: up to the day's budget.
  it('buy no more than a day’s budget of voids for intents that the parties have never seen', async () => {
    const kit = KITS.bitcoin;
    const { policy } = await underPolicy(field, 'retired', {});
    const wallet = await newWallet(field, kit, 'retired', policy);
    const [first, second, third] = policy.approvers;
    const successors = [third, { name: 'dora', publicKey: publicKeyOf(randomBytes(32)) }];
    const known = await payment(field, wallet, kit);
    await isSigned(field, known);
    const next = successor(policy, {
      approvers: successors as never,
      quorum: 2,
      voidFeeCaps: policy.voidFeeCaps.map((one) => ({ ...one, cap: FEE.toString() })),
    });
    await deliver(field, next);
    const hash = policyHash(next) as never;
    const made = async () => {
      const intent = intentOf(wallet, kit);
      const approvals = await field.people.decide(intent, [first?.name, second?.name] as string[]);
      const paid = await payment(field, wallet, kit, {
        intent,
        change: { approvals, policyHash: hash },
      });
      await isRefused(field, paid, { code: 'QuorumMissing' });
      return again(paid, { purpose: 'void' });
    };
    for (let i = 0n; i < RETIRED_VOIDS_A_DAY; i++) await isSigned(field, await made());
    await isRefused(field, await made(), { code: 'LimitExceeded', field: 'fee' });
    // What was paid under the old version can still be undone.
    await isSigned(field, again(known, { purpose: 'void', policyHash: hash }));
  });
});

describe('the honest side of these tests', () => {
  it('signs', async () => {
    const kit = KITS.bitcoin;
    const wallet = await newWallet(field, kit, 'control');
    await isSigned(field, await payment(field, wallet, kit));
  });
});
