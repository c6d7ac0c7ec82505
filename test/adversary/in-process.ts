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
import { type Cast, castOf, seatParties, type Table } from '../support/parties.ts';
import type { Activity, Answer, Field } from './field.ts';
import { peopleOf } from './people.ts';

/** Longer than a signing session lives. */
const SESSION_MS = 61_000;

export type InProcess = {
  readonly field: Field;
  readonly table: Table;
  readonly cast: Cast;
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
  const seatOf = (party: PartyId) => {
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
    async ask<A extends Activity>(party: PartyId, activity: A, input: unknown, instance?: number) {
      turn += 1;
      const { instances } = seatOf(party);
      const { activities } =
        instances[(instance ?? turn) % instances.length] ?? seatOf(party).service;
      // As over a wire: nothing but JSON crosses.
      const copy: unknown = input === undefined ? undefined : JSON.parse(JSON.stringify(input));
      const act = activities[activity] as (input: unknown) => Promise<Answer<A>>;
      return act(copy);
    },
    kill: (party) => seatOf(party).replace(0),
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
  };
  return {
    field,
    table,
    cast,
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
