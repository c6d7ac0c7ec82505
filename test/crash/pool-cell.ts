/**
 * The cell of the presignature pools: a pool is filled, transfers take from it until the point is reached, and it is dropped.
 * Beside what holds for every transfer, no presignature may have signed for two sessions at any party.
 */
import postgres from 'postgres';
import type { Wallet } from '../../client/index.ts';
import { until } from '../../dev/until.ts';
import type { Platform, PlatformChain } from '../support/platform.ts';

const patiently = { deadlineMs: 180_000, intervalMs: 100 };
/** One a chain: a transfer of the other cells must not sign with what this one wants to see used, nor in its one round. */
const wallets = new WeakMap<Platform, Map<PlatformChain, Promise<Wallet>>>();

export function poolWallet(platform: Platform, chain: PlatformChain): Promise<Wallet> {
  const known = wallets.get(platform) ?? new Map<PlatformChain, Promise<Wallet>>();
  wallets.set(platform, known);
  const wallet =
    known.get(chain) ?? platform.wallet(`pool-${chain}-${Date.now().toString(36)}`, chain);
  known.set(chain, wallet);
  return wallet;
}

/** `reached`: the fail point has fired. */
export async function pool(
  platform: Platform,
  chain: PlatformChain,
  reached: () => boolean,
): Promise<string> {
  const { client } = platform;
  const wallet = await poolWallet(platform, chain);
  const again = <T>(what: string, ask: () => Promise<T | undefined>) =>
    until(() => ask().catch(() => undefined), { ...patiently, what });
  const available = async (): Promise<number> => {
    const pools = await client.pools(wallet.walletId);
    return pools.reduce((sum, one) => sum + one.available, 0);
  };
  const marks = { low: 2, high: 3, batch: 3, lifeSeconds: 3_600 };
  const fill = () => again('the pool is begun', () => client.fillPool(wallet, { marks }));
  // While other cells kill its signers a payment may sign without the pool: then another one tries.
  for (let payments = 0; payments === 0 || (!reached() && payments < 10); payments++) {
    const { signers } = await fill();
    await again('the pool is filled', async () => (await available()) >= marks.low || undefined);
    const intent = platform.intent(wallet);
    await again('the payment begins', () => platform.startApproved(intent).then(() => true));
    const { phase } = await platform.ended(intent.requestId);
    if (phase !== 'Completed') throw new Error(`a pooled transfer ended ${phase}`);
    const received = await platform.received(chain, intent.destination);
    if (received !== BigInt(intent.amount)) throw new Error(`paid ${received}`);
    await again('the pool is dropped', () =>
      client.dropPool(wallet.walletId, signers, 'cell').then(
        () => true,
        // A client that gave up waiting asks again; the pool may have ended meanwhile.
        async () =>
          (await client.poolStatus(wallet.walletId, signers)).phase === 'Closed' || undefined,
      ),
    );
    if ((await available()) > 0) throw new Error('a dropped pool lends presignatures');
  }
  await checkPresignatures(platform);
  return 'Pooled';
}

/** From outside, in every party's own database: each presignature one session, one message, the same at all signers. */
export async function checkPresignatures(platform: Platform): Promise<number> {
  const shown = new Map<string, Set<string>>();
  for (const party of platform.cast.parties) {
    const sql = postgres(await platform.stack.postgres.createDatabase(`party_${party}`), {
      max: 1,
      onnotice: () => {},
    });
    try {
      const rows = await sql<{ name: string; attempt: string; message: string }[]>`
        select p.pack_id || '/' || p.index as name, p.attempt::text as attempt,
          p.message_hash as message
        from presignatures p where p.attempt is not null`;
      for (const { name, attempt, message } of rows)
        shown.set(name, (shown.get(name) ?? new Set()).add(`${attempt} ${message}`));
      // What the sessions themselves say, against the rows: a session that answered and is not the row's is a second use.
      const strangers = await sql`
        select s.attempt from sessions s, json_array_elements(s.request -> 'pooled') u
        left join presignatures p on p.pack_id = u ->> 'packId' and p.index = (u ->> 'index')::int
        where s.state = 'released' and p.attempt is distinct from s.attempt`;
      if (strangers.length > 0) throw new Error(`${party} has signed twice with a presignature`);
    } finally {
      await sql.end();
    }
  }
  for (const [name, uses] of shown)
    if (uses.size > 1) throw new Error(`presignature ${name} was shown ${[...uses].join('; ')}`);
  return shown.size;
}
