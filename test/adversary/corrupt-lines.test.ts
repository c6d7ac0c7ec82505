/**
 * How often an approved line is paid when parties are corrupted, where a threshold leaves room for one: 3 of 4 parties, so
 * 2t − n = 2. With one corrupted, any two signer sets still share an honest party; with two they need not.
 */
import { ed25519 } from '@noble/curves/ed25519.js';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PartyId } from '../../schema/contracts/primitives.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import { KITS, type Kit } from './chains.ts';
import { stolenShare } from './corrupt.ts';
import { signBeside } from './corrupt-signing.ts';
import { type InProcess, startInProcess } from './in-process.ts';
import {
  again,
  besides,
  intentOf,
  newWallet,
  type Payment,
  payment,
  type Wallet,
} from './tools.ts';

let server: TestPostgres;
let place: InProcess;
let alpha: PartyId;
let beta: PartyId;
let gamma: PartyId;
let delta: PartyId;
beforeAll(async () => {
  server = await startTestPostgres();
  place = await startInProcess(server.stack.postgres.adminUrl, 4);
  [alpha, beta, gamma, delta] = place.field.parties as [PartyId, PartyId, PartyId, PartyId];
}, 120_000);
afterAll(async () => {
  await place?.close();
  await server?.stop();
});

/** Of these signers, the corrupted ones sign whatever helps. */
const pay = ({ wallet, request, built }: Payment, corrupt: readonly PartyId[]) =>
  signBeside(
    place,
    request.signers.filter((party) => !corrupt.includes(party)),
    request.signers.filter((party) => corrupt.includes(party)),
    wallet,
    request,
    built,
  );

describe.each([KITS.solana, KITS.bitcoin])('3 of 4 parties on $name', (kit: Kit) => {
  let wallet: Wallet;
  beforeAll(async () => {
    wallet = await newWallet(place.field, kit, `lines-${kit.name}`);
    expect(wallet.key).toMatchObject({ threshold: 3, parties: { length: 4 } });
  });
  const by = (signers: PartyId[], options: Parameters<typeof payment>[3] = {}) =>
    payment(place.field, wallet, kit, { ...options, change: { signers } });

  it('an approved line is paid at most once while one is corrupted: every two signer sets share an honest one', async () => {
    const sets = (without: PartyId) => place.field.parties.filter((p) => p !== without);
    const all = place.field.parties;
    for (const corrupt of all)
      for (const left of all.filter((p) => p !== corrupt)) {
        const paid = await by(sets(left));
        expect(await pay(paid, [corrupt])).toHaveLength(1);
        for (const other of all.filter((p) => p !== left))
          await expect(
            pay(besides(paid, { signers: sets(other) }), [corrupt]),
          ).rejects.toMatchObject({ code: 'ConflictRule' });
      }
  }, 60_000);

  it('is paid twice when two are corrupted: alpha and delta know nothing of each other', async () => {
    const paid = await by([alpha, beta, gamma]);
    const twin = besides(paid, { signers: [beta, gamma, delta] });
    // Two valid transactions that do not conflict. This is what SECURITY.md says is not prevented without an anchor.
    expect(await pay(paid, [beta, gamma])).toHaveLength(1);
    expect(await pay(twin, [beta, gamma])).toHaveLength(1);
  });

  it('of an anchored intent is paid at most once, also with two corrupted', async () => {
    const resource = kit.resource(wallet.key);
    const intent = intentOf(wallet, kit, { anchor: resource.anchor });
    const paid = await by([alpha, beta, gamma], { intent, plan: { resource } });
    expect(await pay(paid, [beta, gamma])).toHaveLength(1);
    const signers = [beta, gamma, delta];
    await expect(pay(besides(paid, { signers }), [beta, gamma])).rejects.toMatchObject({
      code: 'TransactionMismatch',
      details: { field: 'anchor' },
    });
    // Over the anchor delta signs as well: that transaction and the first exclude each other on chain.
    expect(await pay(again(paid, { signers }), [beta, gamma])).toHaveLength(1);
  });

  it('two corrupted ones have an honest one sign what was approved, and nothing else', async () => {
    const stolen = await by([alpha, beta, gamma], {
      plan: { payments: [{ to: kit.destination(), amount: 1_000_000n }] },
    });
    await expect(pay(stolen, [beta, gamma])).rejects.toMatchObject({
      code: 'TransactionMismatch',
      details: { field: 'destination' },
    });
    // Their halves are for another message than the honest one's: it stops at the first thing that says so.
    const paid = await by([alpha, beta, gamma]);
    await expect(pay({ ...paid, built: stolen.built }, [beta, gamma])).rejects.toMatchObject({
      code: 'ProtocolFault',
      details: { culprit: beta },
    });
  });

  it('two shares do not make the key', async () => {
    const { Point } = kit.name === 'solana' ? ed25519 : secp256k1;
    const { Fn } = Point;
    const { parties, keyId, publicKey } = wallet.key;
    /** Lagrange at 0. */
    const key = async (members: readonly PartyId[]): Promise<string> => {
      const at = members.map((party) => BigInt(parties.indexOf(party) + 1));
      let sum = 0n;
      for (const [i, party] of members.entries()) {
        const share = (await stolenShare(place.seat(party), keyId)).slice(-32);
        const xi = at[i] as bigint;
        const weight = at
          .filter((x) => x !== xi)
          .reduce((w, x) => Fn.mul(w, Fn.div(x, Fn.sub(x, xi))), 1n);
        sum = Fn.add(sum, Fn.mul(weight, Fn.fromBytes(share)));
      }
      const bytes = Point.BASE.multiply(sum).toBytes(true);
      return Buffer.from(kit.name === 'solana' ? bytes : bytes.slice(1)).toString('hex');
    };
    // The control: the very same arithmetic on three of them.
    expect(await key([alpha, beta, gamma])).toBe(publicKey);
    for (const two of [
      [alpha, beta],
      [beta, gamma],
      [gamma, delta],
    ])
      expect(await key(two)).not.toBe(publicKey);
  });
});
