/**
 * What never leaves a party: its share and its seeds, in plain, are in no file of the platform, in no table and in no
 * payload, not even in one that the payload key opens. And what Temporal holds of a payment, the memo among it, is
 * ciphertext. Each search also looks for something that must be there, so that a search that sees nothing fails.
 */
import { readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { ed25519 } from '@noble/curves/ed25519.js';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { Client, Connection } from '@temporalio/client';
import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Wallet } from '../../client/index.ts';
import { bytesToHex } from '../../core/signed.ts';
import { postgresFolder } from '../../dev/stack/postgres.ts';
import { until } from '../../dev/until.ts';
import { createPayloadCodec } from '../../wire/codec.ts';
import { type Platform, startPlatform } from '../support/platform.ts';
import {
  filesUnder,
  found,
  type PartyRoom,
  presignatures,
  roomsOf,
  type Secret,
  seedsDuring,
  shares,
} from './secrets-support.ts';
import { CHAINS, expectEnd, wallets } from './support.ts';

const MEMO = 'Rent of the lighthouse at Kullen, winter quarter, second reminder';

let platform: Platform;
let rooms: PartyRoom[];
beforeAll(async () => {
  platform = await startPlatform({ instances: 2, coordinators: 2 });
  rooms = await roomsOf(platform);
}, 300_000);
afterAll(async () => {
  await Promise.all((rooms ?? []).map(({ sql }) => sql.end({ timeout: 5 })));
  await platform?.close();
});

/** Two shares make the key (Lagrange at 0 for indices 1 and 2: 2·s₁ − s₂): these are the secrets and nothing else. */
function publicKeyFrom(wallet: Wallet, all: Awaited<ReturnType<typeof shares>>): string {
  const of = (index: number): Uint8Array => {
    const share = all.find((s) => s.keyId === wallet.key.keyId && s.index === index);
    if (share === undefined) throw new Error(`no share ${index} of ${wallet.key.keyId}`);
    return share.bytes;
  };
  if (wallet.key.protocol.includes('ed25519')) {
    const { Fn, BASE } = { Fn: ed25519.Point.Fn, BASE: ed25519.Point.BASE };
    const secret = Fn.sub(Fn.mul(2n, Fn.fromBytes(of(1))), Fn.fromBytes(of(2)));
    return bytesToHex(BASE.multiply(secret).toBytes());
  }
  const { Fn, BASE } = { Fn: secp256k1.Point.Fn, BASE: secp256k1.Point.BASE };
  const secret = Fn.sub(Fn.mul(2n, Fn.fromBytes(of(1))), Fn.fromBytes(of(2)));
  return bytesToHex(BASE.multiply(secret).toBytes(true).slice(1));
}

/** Every row of every table as text; bytea is hex. */
async function dump(url: string): Promise<Buffer> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  try {
    const tables = await sql<{ name: string }[]>`
      select format('%I.%I', schemaname, tablename) as name from pg_tables
      where schemaname not in ('pg_catalog', 'information_schema')`;
    const rows: string[] = [];
    for (const { name } of tables)
      for (const { row } of await sql.unsafe<{ row: string }[]>(
        `select t::text as row from ${name} t`,
      ))
        rows.push(row);
    return Buffer.from(rows.join('\n'));
  } finally {
    await sql.end();
  }
}

/** Every payload in every history, opened with the payload key. */
async function openedPayloads(): Promise<Buffer> {
  const { address, namespace } = platform.stack.temporal;
  const codec = createPayloadCodec({
    current: 'test',
    keys: { test: Buffer.from(platform.payloadKey, 'hex') },
  });
  const connection = await Connection.connect({ address });
  const opened: Uint8Array[] = [];
  const walk = async (value: unknown): Promise<void> => {
    if (value === null || typeof value !== 'object' || value instanceof Uint8Array) return;
    const payload = value as { metadata?: Record<string, Uint8Array>; data?: Uint8Array };
    if (payload.data instanceof Uint8Array && payload.metadata?.encoding) {
      const [plain] = await codec.decode([payload]);
      if (plain?.data) opened.push(Uint8Array.from(plain.data));
      return;
    }
    for (const inner of Object.values(value)) await walk(inner);
  };
  try {
    const client = new Client({ connection, namespace });
    const { executions } = await connection.workflowService.listWorkflowExecutions({
      namespace,
      pageSize: 200,
    });
    for (const { execution } of executions ?? []) {
      if (!execution?.workflowId || !execution.runId) continue;
      const handle = client.workflow.getHandle(execution.workflowId, execution.runId);
      await walk(await handle.fetchHistory());
    }
  } finally {
    await connection.close();
  }
  return Buffer.concat(opened.flatMap((data) => [data, Buffer.from('\n')]));
}

describe('secrets', () => {
  it('of parties are nowhere in plain, and Temporal reads no payment', {
    timeout: 300_000,
  }, async () => {
    const { stack, dataDir } = platform;
    const secrets = new Map<string, Secret>();
    const collect = async <T>(work: Promise<T>): Promise<T> => {
      for (const [name, secret] of await seedsDuring(rooms, work)) secrets.set(name, secret);
      return work;
    };
    const seedsOf = (kind: string) => [...secrets.keys()].filter((name) => name.startsWith(kind));

    const made = await collect(wallets(platform, 'kept'));
    expect(seedsOf('keygen').length).toBeGreaterThan(0);
    const intents = [];
    for (let tries = 1; seedsOf('sign').length === 0 || tries === 1; tries++) {
      expect(tries).toBeLessThan(6);
      const pair = CHAINS.map((chain) => platform.intent(made[chain], { memo: MEMO }));
      intents.push(...pair);
      await collect(
        Promise.all(
          pair.map(async (intent) => {
            await platform.startApproved(intent);
            await platform.ended(intent.requestId);
          }),
        ),
      );
    }
    for (const intent of intents) await expectEnd(platform, intent, 'Completed');

    const plain = await shares(rooms);
    expect(plain).toHaveLength(2 * platform.cast.parties.length);
    for (const chain of CHAINS)
      expect(publicKeyFrom(made[chain], plain)).toBe(made[chain].key.publicKey);
    for (const share of plain) secrets.set(share.name, share);
    // A pool in stock, of which one has been used.
    const { client } = platform;
    await client.fillPool(made.solana, { marks: { low: 2, high: 4, batch: 4 } });
    const full = { deadlineMs: 60_000, what: 'the pool is full' };
    await until(async () => ((await client.pools())[0]?.available ?? 0) >= 4, full);
    const nonces = await presignatures(rooms);
    expect(nonces).toHaveLength(2 * 4 * 3);
    for (const nonce of nonces) secrets.set(nonce.name, nonce);
    const pooled = platform.intent(made.solana, { memo: MEMO });
    await platform.startApproved(pooled);
    await expectEnd(platform, pooled, 'Completed');
    expect((await client.pools())[0]?.spent).toBe(1);
    const all = [...secrets.values()];
    const memo: Secret = { name: 'memo', bytes: Buffer.from(MEMO) };
    // Each wallet's public key is in every place where its secrets could be.
    const publicKeys = CHAINS.map((chain) => ({
      name: chain,
      bytes: Buffer.from(made[chain].key.publicKey, 'hex'),
    }));

    // Tables. The ledger and the parties that signed keep the intent, so that is where the memo must be found.
    const dumpOf = async (name: string): Promise<Buffer> =>
      dump(await stack.postgres.createDatabase(name));
    const ledger = await dumpOf('coordinator');
    const parties = await Promise.all(platform.cast.parties.map((p) => dumpOf(`party_${p}`)));
    for (const tables of [ledger, ...parties]) {
      expect(found(tables, publicKeys)).not.toEqual([]);
      expect(found(tables, all)).toEqual([]);
    }
    expect(ledger.includes(MEMO)).toBe(true);
    expect(parties.filter((tables) => tables.includes(MEMO)).length).toBeGreaterThanOrEqual(2);

    // Histories, opened: the operator of the coordinator can do this.
    const payloads = await openedPayloads();
    expect(found(payloads, publicKeys)).not.toEqual([]);
    expect(payloads.includes(MEMO)).toBe(true);
    expect(found(payloads, all)).toEqual([]);

    // Files, as they are: PostgreSQL's with their log, Temporal's with theirs, key stores, backups, chains, logs.
    const id = readFileSync(join(dataDir, 'stack-id'), 'utf8').trim();
    const cluster = postgresFolder(dataDir, id);
    const own = [...filesUnder(dataDir)].filter((path) => !path.startsWith(join(cluster, '/')));
    const names = own.map((path) => relative(dataDir, path));
    expect(names).toEqual(
      expect.arrayContaining(['temporal/temporal.db', 'temporal/temporal.db-wal']),
    );
    const logs = [...platform.workers.values()].map(({ logFile }) => relative(dataDir, logFile));
    expect(logs).toHaveLength(2 + 2 * platform.cast.parties.length);
    expect(names).toEqual(expect.arrayContaining(logs));
    const first = intents[0]?.requestId as string;
    let named = 0;
    for (const path of own) {
      const bytes = readFileSync(path);
      if (path.includes('temporal.db') && bytes.includes(first)) named += 1;
      expect(found(bytes, [...all, memo]), relative(dataDir, path)).toEqual([]);
    }
    expect(named).toBeGreaterThan(0);

    const admin = postgres(stack.postgres.adminUrl, { max: 1 });
    await admin`checkpoint`;
    await admin.end();
    let kept = 0;
    for (const path of filesUnder(cluster)) {
      const bytes = readFileSync(path);
      if (bytes.includes(MEMO)) kept += 1;
      expect(found(bytes, all), relative(cluster, path)).toEqual([]);
    }
    expect(kept).toBeGreaterThan(0);
  });
});
