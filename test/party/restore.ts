/**
 * Copies of a party's database and machine, and putting them back. A copy is what a logical backup holds: every row of
 * every table as text, of one snapshot; it can be taken in the middle of a transaction. A machine is that, with the files
 * beside it (key store, head file, backups).
 */
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import postgres from 'postgres';
import { signObject } from '../../core/signed.ts';
import type { AdministratorOrder, SignedOrder } from '../../schema/contracts/order.ts';
import type { PartyId } from '../../schema/contracts/primitives.ts';
import { approve, intentFor, type Person, type Seat, signRequest } from '../support/parties.ts';
import { payment, provenNonce, someAddress } from '../support/solana-plans.ts';
import type { Payment, Rig } from './rig.ts';

export type DatabaseCopy = ReadonlyMap<string, readonly string[]>;

const withSql = async <T>(url: string, work: (sql: postgres.Sql) => Promise<T>): Promise<T> => {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  try {
    return await work(sql);
  } finally {
    await sql.end();
  }
};

export const copyDatabase = (url: string): Promise<DatabaseCopy> =>
  withSql(url, (sql) =>
    sql.begin('isolation level repeatable read', async (tx) => {
      const tables = await tx<{ name: string }[]>`
        select tablename as name from pg_tables where schemaname = 'public' order by 1`;
      const copy = new Map<string, string[]>();
      for (const { name } of tables) {
        const rows = await tx.unsafe<{ row: string }[]>(`select t::text as row from "${name}" t`);
        copy.set(
          name,
          rows.map(({ row }) => row),
        );
      }
      return copy;
    }),
  ) as Promise<DatabaseCopy>;

export const putBack = (url: string, copy: DatabaseCopy): Promise<void> =>
  withSql(url, async (sql) => {
    await sql.begin(async (tx) => {
      await tx`set local lock_timeout = '20s'`;
      for (const [name, rows] of copy) {
        await tx.unsafe(`truncate "${name}"`);
        await tx.unsafe(
          `insert into "${name}" select (x::"${name}").* from json_array_elements_text($1::text::json) as x`,
          [JSON.stringify(rows)],
        );
      }
      // As a dump does, so that new rows do not meet restored ones.
      for (const [table, column] of [
        ['audit_entries', 'position'],
        ['fences', 'id'],
      ])
        await tx.unsafe(
          `select setval(pg_get_serial_sequence('${table}', '${column}'), (select coalesce(max(${column}), 0) + 1 from ${table}))`,
        );
    });
  });

export type MachineCopy = { readonly database: DatabaseCopy; readonly folder: string };

export async function copyMachine(seat: Seat): Promise<MachineCopy> {
  const folder = await mkdtemp(join(tmpdir(), 'keysaga-machine-'));
  await cp(seat.directory, folder, { recursive: true });
  return { database: await copyDatabase(seat.databaseUrl), folder };
}

/** All of it, while no instance runs: the files are as they were, none more and none less. */
export async function putBackMachine(seat: Seat, { database, folder }: MachineCopy): Promise<void> {
  await putBack(seat.databaseUrl, database);
  await rm(seat.directory, { recursive: true });
  await cp(folder, seat.directory, { recursive: true });
}

let serial = 0;
type Wish<T> = T extends unknown
  ? Omit<T, 'orderId' | 'issuedAt' | 'validUntil' | 'reason'>
  : never;
/** An order of the first two administrators, or of those named. */
export function orderOf(
  rig: Rig,
  now: number,
  wish: Wish<AdministratorOrder> & Partial<AdministratorOrder>,
  signers: readonly Person[] = rig.cast.administrators.slice(0, 2),
): SignedOrder {
  const order = {
    orderId: `order-${++serial}-${process.pid}`,
    issuedAt: new Date(now - 1_000).toISOString(),
    validUntil: new Date(now + 3_600_000).toISOString(),
    reason: 'test',
    ...wish,
  } as AdministratorOrder;
  return {
    order,
    signatures: signers.map((a) => ({
      administrator: a.name as never,
      publicKey: a.publicKey,
      signature: signObject('order', order, a.secretKey),
    })),
  };
}

/** An approved payment whose intent and approvals are dated by the parties' clock. */
export function payAt(
  rig: Rig,
  now: number,
  options: { amount?: bigint; issuedAt?: number; signers?: readonly PartyId[] } = {},
): Payment {
  const { amount = 1_000n, issuedAt = now - 1, signers = rig.parties.slice(0, 2) } = options;
  const to = someAddress();
  const nonce = provenNonce();
  const intent = intentFor(rig.key, to, `${amount}`, {
    issuedAt: new Date(issuedAt).toISOString(),
    expiresAt: new Date(now + 40 * 86_400_000).toISOString(),
  });
  const approvals = rig.cast.approvers
    .slice(0, 2)
    .map((a) => approve(intent, a, 'approve', { at: now, validUntil: now + 40 * 86_400_000 }));
  const unsigned = payment(rig.key, nonce, to, amount);
  const request = signRequest(rig.cast, rig.key, intent, unsigned, signers, { approvals });
  return { intent, nonce, request };
}
