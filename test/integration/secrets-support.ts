/** Opening what parties seal, to know what must be found nowhere, and the search for it. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import postgres from 'postgres';
import { seedContext } from '../../activities/party/prepare.ts';
import { shareContext } from '../../activities/party/shares.ts';
import { isKeysagaError } from '../../schema/contracts/errors.ts';
import type { PrepareRequest } from '../../schema/contracts/party.ts';
import { createKeyStore } from '../../storage/party/key-store.ts';
import type { Platform } from '../support/platform.ts';

export type Secret = { readonly name: string; readonly bytes: Uint8Array };
export type PartyRoom = {
  readonly party: string;
  readonly sql: postgres.Sql;
  readonly keys: ReturnType<typeof createKeyStore>;
};

/** A party's database and key store, opened beside it. */
export const roomsOf = (platform: Platform): Promise<PartyRoom[]> =>
  Promise.all(
    platform.cast.parties.map(async (party) => {
      const folder = join(platform.dataDir, party);
      const master = Buffer.from(readFileSync(join(folder, 'master.key'), 'utf8'), 'hex');
      const url = await platform.stack.postgres.createDatabase(`party_${party}`);
      return {
        party,
        sql: postgres(url, { max: 1, onnotice: () => {} }),
        keys: createKeyStore(join(folder, 'keys'), master),
      };
    }),
  );

type SeedRow = {
  sealed_seed: Buffer;
  data_key_id: string;
  request: PrepareRequest;
};

/** Opens every seed that it sees while `work` runs: they live for less than a second. */
export async function seedsDuring(
  rooms: readonly PartyRoom[],
  work: Promise<unknown>,
): Promise<Map<string, Secret>> {
  const seeds = new Map<string, Secret>();
  let running = true;
  const watch = async ({ party, sql, keys }: PartyRoom): Promise<void> => {
    while (running) {
      const rows = await sql<SeedRow[]>`
        select request, sealed_seed, data_key_id from sessions where sealed_seed is not null`;
      for (const { request, sealed_seed, data_key_id } of rows) {
        const name = `${request.kind} seed of ${party}, ${request.attempt}`;
        if (seeds.has(name)) continue;
        const bytes = await keys
          .open(data_key_id, sealed_seed, seedContext(party, request))
          .catch((error: unknown) => {
            // Erased between the two looks.
            if (isKeysagaError(error, 'SealBroken')) return undefined;
            throw error;
          });
        if (bytes !== undefined) seeds.set(name, { name, bytes });
      }
    }
  };
  const watching = Promise.all(rooms.map(watch));
  try {
    await work;
  } finally {
    running = false;
    await watching;
  }
  return seeds;
}

/** The signing share is the last field of the sealed encoding (`mpc/frost/encoding.ts`). */
export async function shares(
  rooms: readonly PartyRoom[],
): Promise<(Secret & { keyId: string; index: number })[]> {
  const found = rooms.map(async ({ party, sql, keys }) => {
    const rows = await sql<
      {
        key_id: string;
        epoch: number;
        attempt: string;
        index: number;
        sealed: Buffer;
        data_key_id: string;
      }[]
    >`select key_id, epoch, attempt, index, sealed, data_key_id from shares where state = 'active'`;
    return Promise.all(
      rows.map(async ({ key_id: keyId, epoch, attempt, index, sealed, data_key_id }) => ({
        name: `share of ${party}, ${keyId}`,
        keyId,
        index,
        bytes: (
          await keys.open(data_key_id, sealed, shareContext(party, { keyId, attempt, epoch }))
        ).slice(-32),
      })),
    );
  });
  return (await Promise.all(found)).flat();
}

/**
 * The forms in which a secret could lie about: raw in either byte order, hex, base64 at each of three offsets. Each is
 * looked for by its first and its second half, since a page or a record may end in the middle of it.
 */
function needles(secrets: readonly Secret[]): { name: string; bytes: Buffer }[] {
  return secrets.flatMap(({ name, bytes }) => {
    const forms: [string, Buffer][] = [];
    for (const [order, raw] of [
      ['', Buffer.from(bytes)],
      [' reversed', Buffer.from(bytes).reverse()],
    ] as const) {
      forms.push([`raw${order}`, raw]);
      forms.push([`hex${order}`, Buffer.from(raw.toString('hex'))]);
      forms.push([`HEX${order}`, Buffer.from(raw.toString('hex').toUpperCase())]);
      for (let offset = 0; offset < 3; offset++) {
        const padded = Buffer.concat([Buffer.alloc(offset), raw]).toString('base64');
        forms.push([`base64${order}`, Buffer.from(padded.slice(4, -4))]);
      }
    }
    return forms.flatMap(([form, whole]) => {
      const half = whole.length >> 1;
      return [whole.subarray(0, half), whole.subarray(half)].map((part) => ({
        name: `${name} (${form})`,
        bytes: part,
      }));
    });
  });
}

export const found = (haystack: Buffer, secrets: readonly Secret[]): string[] =>
  needles(secrets)
    .filter(({ bytes }) => haystack.includes(bytes))
    .map(({ name }) => name);

export function* filesUnder(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* filesUnder(path);
    else if (entry.isFile()) yield path;
  }
}
