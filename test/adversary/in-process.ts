/**
 * The field with the parties in this process: the real party service of `workers/party-service.ts`, two instances of
 * each on one real PostgreSQL. It is what a mutated copy of the sources is tried on, since it starts in seconds.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import postgres from 'postgres';
import { addressCodecs, verifyWallet } from '../../client/index.ts';
import type { PartyId } from '../../schema/contracts/primitives.ts';
import { identityFromSeed } from '../../storage/party/identity.ts';
import { castOf, type Seat, seatParties } from '../support/parties.ts';
import type { Activity, Answer, Field, Way } from './field.ts';
import { peopleOf } from './people.ts';

/** Longer than a signing session lives. */
const SESSION_MS = 61_000;

export type InProcess = {
  readonly field: Field;
  seat(party: PartyId): Seat;
  close(): Promise<void>;
};

/** `adminUrl`: a PostgreSQL server on which databases may be made. */
export async function startInProcess(adminUrl: string, parties = 3): Promise<InProcess> {
  const scratch = mkdtempSync(join(tmpdir(), 'keysaga-adversary-'));
  const cast = castOf(parties);
  const created: string[] = [];
  let ahead = 0;
  const createDatabase = async (name: string): Promise<string> => {
    const database = `${name}_${randomBytes(4).toString('hex')}`;
    await admin(adminUrl, `create database ${database}`);
    created.push(database);
    const url = new URL(adminUrl);
    url.pathname = `/${database}`;
    return url.href;
  };
  const table = await seatParties({
    cast,
    scratch,
    createDatabase,
    instances: 2,
    now: () => Date.now() + ahead,
  });
  const seatOf = (party: PartyId): Seat => {
    const seat = table.seats.get(party);
    if (seat === undefined) throw new Error(`no seat ${party}`);
    return seat;
  };
  let turn = 0;
  const field: Field = {
    parties: cast.parties,
    directory: new Map(
      cast.parties.map((p) => [p, identityFromSeed(seatOf(p).identitySeed).publicKey]),
    ),
    people: peopleOf(cast),
    async ask<A extends Activity>(party: PartyId, activity: A, input: unknown, way: Way = {}) {
      turn += 1;
      const { instances } = seatOf(party);
      const index = (way.instance ?? turn) % instances.length;
      const { activities } = instances[index] ?? seatOf(party).service;
      way.heard?.(party, `${party}/${index}`);
      // As over a wire: nothing but JSON crosses.
      const copy: unknown = input === undefined ? undefined : JSON.parse(JSON.stringify(input));
      const act = activities[activity] as (input: unknown) => Promise<Answer<A>>;
      return act(copy);
    },
    kill: (party, instance) => seatOf(party).replace(instance % seatOf(party).instances.length),
    // Its clock is moved, and one thread serves all: nothing is gained by more.
    atOnce: 1,
    ownTime: true,
    async outlast(condition) {
      ahead += SESSION_MS;
      return condition();
    },
    recentBlockhash: async () => new Uint8Array(randomBytes(32)),
    show: async (walletId, outcome) => [
      verifyWallet(walletId, outcome, addressCodecs, field.directory),
    ],
    async aside() {
      const own = await startInProcess(adminUrl, parties);
      return { field: own.field, seat: own.seat, close: own.close };
    },
  };
  return {
    field,
    seat: seatOf,
    async close() {
      await table.close();
      for (const name of created) await admin(adminUrl, `drop database ${name} with (force)`);
      await rm(scratch, { recursive: true, force: true });
    },
  };
}

async function admin(url: string, statement: string): Promise<void> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  try {
    await sql.unsafe(statement);
  } finally {
    await sql.end();
  }
}
