/**
 * Many transfers of one Ethereum wallet at once, every tenth of them given up when its nonce is leased and it is not signed:
 * what lands has consecutive nonces from the first to the last, each payment arrives once, and a given-up transfer below
 * others fills its nonce itself. `KEYSAGA_TRANSFERS=200` is the full form, `KEYSAGA_SEED` repeats a run; an odd one has them
 * built as EIP-155 transactions, an even one as EIP-1559.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Wallet } from '../../client/index.ts';
import { ethereumRpc } from '../../dev/ethereum/rpc.ts';
import { until } from '../../dev/until.ts';
import type { TransferIntent } from '../../schema/contracts/intent.ts';
import type { TransferStatus } from '../../schema/contracts/saga.ts';
import { checkLedger, seeded } from '../crash/cells.ts';
import { approve } from '../support/parties.ts';
import { type Platform, startPlatform } from '../support/platform.ts';

const MANY = Number(process.env.KEYSAGA_TRANSFERS ?? 30);
const seed = Number(process.env.KEYSAGA_SEED ?? Math.floor(Date.now() % 2 ** 31));
const legacy = seed % 2 === 1;
/** So many are approved and not yet sent at a time: two cores sign three a second, and a party's session lives a minute. */
const AT_ONCE = 20;

let platform: Platform;
let wallet: Wallet;
const rpc = () => ethereumRpc(platform.stack.ethereum.rpcUrl);

beforeAll(async () => {
  platform = await startPlatform({ chains: ['ethereum'], legacy });
  wallet = await platform.wallet('busy', 'ethereum', { each: 100n * 10n ** 18n });
}, 300_000);
afterAll(() => platform?.close());

/** In order, so many at a time. */
async function each<T>(all: readonly T[], work: (one: T) => Promise<unknown>): Promise<void> {
  const waiting = [...all];
  const one = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) await work(next);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, one));
}

/** How a transfer is given up: `expires` is refused by every party, the others are too late once the pivot has passed. */
const WAYS = ['expires', 'cancel', 'reject'] as const;
type Way = (typeof WAYS)[number];

/** As soon as it holds a nonce. */
async function giveUp(intent: TransferIntent, way: Way): Promise<void> {
  const { requestId } = intent;
  const { client, cast } = platform;
  const [first] = cast.approvers;
  if (way === 'expires' || first === undefined) return;
  const patient = { deadlineMs: 300_000, intervalMs: 100, what: `${requestId} is given up` };
  await until(async () => {
    const { attempts, failure } = (await client.status(requestId).catch(() => undefined)) ?? {};
    return attempts !== undefined && (attempts > 0 || failure !== undefined);
  }, patient);
  await until(
    () =>
      (way === 'cancel'
        ? client.cancel(requestId)
        : client.signalDecision(requestId, approve(intent, first, 'reject'))
      ).then(
        () => true,
        () => undefined,
      ),
    patient,
  );
}

/** Sent, or failed: no party has anything to do for its payment any more. */
async function isSigned({ requestId }: TransferIntent): Promise<boolean> {
  const status = await platform.client.status(requestId).catch(() => undefined);
  if (status === undefined) return false;
  return (
    status.failure !== undefined || status.phase === 'Confirming' || status.phase === 'Completed'
  );
}

describe(`one Ethereum wallet, ${MANY} transfers at once, seed ${seed}`, () => {
  it('lands them on consecutive nonces, also when every tenth is given up before it is signed', {
    timeout: 900_000,
  }, async () => {
    const random = seeded(seed);
    const began = Date.now();
    const tell = (what: string): void => {
      process.stderr.write(`${what} after ${((Date.now() - began) / 1000).toFixed(1)} s\n`);
    };
    const ways = new Map<number, Way>();
    for (let ten = 0; ten + 10 <= MANY; ten += 10)
      ways.set(ten + Math.floor(random() * 10), WAYS[(ten / 10) % WAYS.length] as Way);
    const intents = Array.from({ length: MANY }, (_, i) =>
      platform.intent(wallet, { amount: `${1_000_000_000_000_000n + BigInt(i)}` }),
    );
    await each([...intents.keys()], async (i) => {
      if (ways.get(i) !== 'expires') await platform.client.transfer(intents[i] as TransferIntent);
    });
    tell('all have begun');
    await each([...intents.keys()], async (i) => {
      const way = ways.get(i);
      // Less than a signing session lives: parties sign no payment of it, and the ledger has lent it a nonce by then.
      const expiresAt = new Date(Date.now() + 50_000).toISOString();
      if (way === 'expires') intents[i] = { ...(intents[i] as TransferIntent), expiresAt };
      const intent = intents[i] as TransferIntent;
      await platform.startApproved(intent);
      if (way !== undefined) await giveUp(intent, way);
      await until(() => isSigned(intent), {
        deadlineMs: 300_000,
        intervalMs: 1_000,
        what: `${intent.requestId} is sent or undone`,
      });
    });
    tell('all are sent or given up');
    const ends: TransferStatus[] = [];
    for (const { requestId } of intents) ends.push(await platform.ended(requestId, 600_000));
    const attempts = ends.reduce((sum, one) => sum + one.attempts, 0);
    tell(`all have ended, with ${attempts} attempts to sign,`);

    const nonces: number[] = [];
    const counts = { paid: 0, filled: 0, voided: 0, none: 0 };
    for (const [i, intent] of intents.entries()) {
      const status = ends[i] as TransferStatus;
      const { code, message } = status.failure ?? {};
      const paid = status.phase === 'Completed';
      // One that is given up too late is paid or voided, whichever is final first.
      expect(paid || ways.has(i), `${i}: ${code} ${message}`).toBe(true);
      if (ways.get(i) === 'expires') expect(code).toBe('IntentExpired');
      expect(await platform.received('ethereum', intent.destination)).toBe(
        paid ? BigInt(intent.amount) : 0n,
      );
      const id = paid ? status.transactionId : status.voidTransactionId;
      counts[
        paid ? 'paid' : id === undefined ? 'none' : status.pivotPassed ? 'voided' : 'filled'
      ]++;
      if (id === undefined) continue;
      const sent = await rpc().call<{ nonce: string; type: string; blockNumber: string | null }>(
        'eth_getTransactionByHash',
        id,
      );
      expect(sent.blockNumber).not.toBeNull();
      expect(Number(sent.type)).toBe(legacy ? 0 : 2);
      nonces.push(Number(sent.nonce));
    }
    nonces.sort((a, b) => a - b);
    expect(nonces).toEqual(nonces.map((_, n) => n));
    const used = await rpc().call<string>('eth_getTransactionCount', wallet.address, 'latest');
    expect(Number(used)).toBe(counts.paid + counts.filled + counts.voided);
    // Not all of them can have been the highest, nor too late.
    expect(counts.filled).toBeGreaterThan(0);
    await checkLedger(platform);
    const next = platform.intent(wallet);
    await platform.startApproved(next);
    expect((await platform.ended(next.requestId)).phase).toBe('Completed');
    tell(`${JSON.stringify(counts)}, nonces 0 to ${nonces.length - 1},`);
  });
});
