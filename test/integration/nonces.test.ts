/**
 * Many transfers of one Ethereum wallet at once, some of them given up when their nonces are leased and none is signed: what
 * lands has consecutive nonces from the first to the last, each payment arrives once, and a given-up transfer below others
 * fills its nonce itself. `KEYSAGA_TRANSFERS=200` is the full form, `KEYSAGA_SEED` repeats a run.
 */
import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Wallet } from '../../client/index.ts';
import { ethereumRpc } from '../../dev/ethereum/rpc.ts';
import { until } from '../../dev/until.ts';
import type { TransferStatus } from '../../schema/contracts/saga.ts';
import { openCoordinatorDatabase } from '../../storage/coordinator/index.ts';
import { checkLedger, seeded } from '../crash/cells.ts';
import { approve } from '../support/parties.ts';
import { type Platform, startPlatform } from '../support/platform.ts';

const MANY = Number(process.env.KEYSAGA_TRANSFERS ?? 30);
const seed = Number(process.env.KEYSAGA_SEED ?? Math.floor(Date.now() % 2 ** 31));
const AT_ONCE = 20;

let platform: Platform;
let wallet: Wallet;
const rpc = () => ethereumRpc(platform.stack.ethereum.rpcUrl);

beforeAll(async () => {
  platform = await startPlatform({ chains: ['ethereum'] });
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

async function heldNonces(): Promise<{ owner: string; nonce: number }[]> {
  const url = await platform.stack.postgres.createDatabase('coordinator');
  const { db, close } = openCoordinatorDatabase(url, { max: 1 });
  try {
    const rows = await db.execute<{ owner: string; nonce: string }>(
      sql`select owner, detail ->> 'nonce' as nonce from leases where state = 'held'`,
    );
    return [...rows].map(({ owner, nonce }) => ({ owner, nonce: Number(nonce) }));
  } finally {
    await close();
  }
}

describe(`one Ethereum wallet, ${MANY} transfers at once, seed ${seed}`, () => {
  it('lands them on consecutive nonces, also when every tenth is given up before it is signed', {
    timeout: 900_000,
  }, async () => {
    const random = seeded(seed);
    const [alpha, beta] = platform.cast.parties;
    const away = [alpha, beta].map(String);
    const began = Date.now();
    const phase = (what: string): void => {
      process.stderr.write(`${what} after ${((Date.now() - began) / 1000).toFixed(1)} s\n`);
    };
    // Nothing is signed before the nonces are leased and a tenth of the transfers is given up.
    await Promise.all(away.map((name) => platform.hold(name)));
    const intents = Array.from({ length: MANY }, (_, i) =>
      platform.intent(wallet, { amount: `${1_000_000_000_000_000n + BigInt(i)}` }),
    );
    const tens = Array.from({ length: Math.floor(MANY / 10) }, (_, i) => i * 10);
    const givenUp = tens.map((from) => intents[from + Math.floor(random() * 10)]);
    await each(intents, (intent) => platform.startApproved(intent));
    phase('all are approved');
    const held = await until(
      async () => {
        const leases = await heldNonces();
        return leases.length === MANY ? leases : undefined;
      },
      { deadlineMs: 300_000, intervalMs: 500, what: 'every transfer holds a nonce' },
    );
    expect(held.map(({ nonce }) => nonce).sort((a, b) => a - b)).toEqual(intents.map((_, i) => i));
    phase('all hold a nonce');

    // By a cancel, or by an approver who takes the approval back: parties then sign the void for what was approved once.
    const [first] = platform.cast.approvers;
    await each([...givenUp.entries()], async ([i, intent]) => {
      if (intent === undefined || first === undefined) throw new Error('nothing to give up');
      if (i % 2 === 0) await platform.client.cancel(intent.requestId);
      else await platform.client.signalDecision(intent.requestId, approve(intent, first, 'reject'));
    });
    await until(
      async () => {
        const states = await Promise.all(
          givenUp.map((intent) => platform.client.status(intent?.requestId ?? '')),
        );
        return states.every(({ failure }) => failure !== undefined);
      },
      { deadlineMs: 120_000, intervalMs: 500, what: 'the cancelled ones are undone' },
    );
    phase('every tenth is given up');
    await Promise.all(away.map((name) => platform.resume(name)));

    const ends: TransferStatus[] = [];
    for (const { requestId } of intents) ends.push(await platform.ended(requestId, 600_000));
    phase(`all have ended, in ${ends.reduce((sum, { attempts }) => sum + attempts, 0)} attempts,`);

    const nonces: number[] = [];
    let filled = 0;
    for (const [i, intent] of intents.entries()) {
      const status = ends[i];
      if (status === undefined) throw new Error('a transfer without an end');
      const { code, message } = status.failure ?? {};
      const wanted = !givenUp.includes(intent);
      expect(status.phase, `${i}: ${code} ${message}`).toBe(wanted ? 'Completed' : 'Failed');
      expect(await platform.received('ethereum', intent.destination)).toBe(
        wanted ? BigInt(intent.amount) : 0n,
      );
      if (!wanted) {
        expect(status).toMatchObject({ pivotPassed: false });
        expect(status.transactionId).toBeUndefined();
        expect(['Cancelled', 'IntentRejected']).toContain(code);
      }
      const id = wanted ? status.transactionId : status.voidTransactionId;
      if (id === undefined) continue;
      if (!wanted) filled += 1;
      const sent = await rpc().call<{ nonce: string; blockNumber: string | null }>(
        'eth_getTransactionByHash',
        id,
      );
      expect(sent.blockNumber).not.toBeNull();
      nonces.push(Number(sent.nonce));
    }
    // Who was above none has simply given its nonce back, and nobody came after it.
    const highest = Math.max(...nonces);
    expect(nonces.sort((a, b) => a - b)).toEqual(Array.from({ length: highest + 1 }, (_, n) => n));
    expect(filled).toBeGreaterThanOrEqual(givenUp.length - 1);
    const used = await rpc().call<string>('eth_getTransactionCount', wallet.address, 'latest');
    expect(Number(used)).toBe(MANY - givenUp.length + filled);
    await checkLedger(platform);
    const [next] = [platform.intent(wallet)];
    if (next !== undefined) await platform.startApproved(next);
    expect((await platform.ended(next?.requestId ?? '')).phase).toBe('Completed');
    phase(`${nonces.length} nonces, ${filled} of them filled by voids;`);
  });
});
