/** Opening what parties seal, to know what must be found nowhere, and the search for it. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import postgres from 'postgres';
import { presignatureContext } from '../../activities/party/pool.ts';
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

/** FROST's presignatures (`mpc/frost/presignature.ts`): header, signers, id; then share and both nonces. */
function nonceParts(presignature: Uint8Array): [string, Uint8Array][] {
  const signersAt = SCALAR_AT;
  const secrets = signersAt + 1 + (presignature[signersAt] ?? 0) + 32;
  return ['pooled share', 'hiding nonce', 'binding nonce'].map((part, i) => [
    part,
    presignature.slice(secrets + 32 * i, secrets + 32 * (i + 1)),
  ]);
}

/** What is in the parties' stocked FROST presignatures, opened. */
export async function presignatures(rooms: readonly PartyRoom[]): Promise<Secret[]> {
  const all: Secret[] = [];
  for (const { party, sql, keys } of rooms) {
    const rows = await sql<
      { packId: string; index: number; keyId: string; epoch: number; sealed: Buffer; key: string }[]
    >`select pack_id as "packId", index, key_id as "keyId", epoch, sealed, data_key_id as key
      from presignatures join presignature_packs using (pack_id) where state = 'stocked'`;
    for (const row of rows) {
      const context = presignatureContext(party, row, row as never);
      const parts = nonceParts(await keys.open(row.key, row.sealed, context));
      for (const [part, bytes] of parts)
        all.push({ name: `${part} of ${party}, ${row.packId}/${row.index}`, bytes });
    }
  }
  return all;
}

/** DKLs23's suite in the second byte of a share (`mpc/dkls23/encoding.ts`). */
const DKLS23 = 3;
/** Before the Shamir share: version, suite, t, n, index, hash of the public package. */
const SCALAR_AT = 5 + 32;
/** A peer's set-up: Δ, κ chosen keys, κ pairs of keys, zero-sharing seed. */
const [DELTA, KEYS, SEED] = [16, 3 * 128 * 32, 32];

/** What of a share must be found nowhere: the scalar, and of a DKLs23 share also Δ and the zero-sharing seed of each peer. */
function secretParts(share: Uint8Array): [string, Uint8Array][] {
  // A FROST share ends with its scalar (`mpc/frost/encoding.ts`).
  if (share[1] !== DKLS23) return [['share', share.slice(-32)]];
  const parts: [string, Uint8Array][] = [['share', share.slice(SCALAR_AT, SCALAR_AT + 32)]];
  for (let at = SCALAR_AT + 32; at < share.length; at += DELTA + KEYS + SEED) {
    parts.push(['delta', share.slice(at, at + DELTA)]);
    parts.push(['zero seed', share.slice(at + DELTA + KEYS, at + DELTA + KEYS + SEED)]);
  }
  return parts;
}

/** The secrets in the active shares, opened. */
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
    const opened = rows.map(
      async ({ key_id: keyId, epoch, attempt, index, sealed, data_key_id }) => {
        const context = shareContext(party, { keyId, attempt, epoch });
        const parts = secretParts(await keys.open(data_key_id, sealed, context));
        return parts.map(([part, bytes]) => ({
          name: `${part} of ${party}, ${keyId}`,
          keyId,
          index,
          bytes,
        }));
      },
    );
    return (await Promise.all(opened)).flat();
  });
  return (await Promise.all(found)).flat();
}

/**
 * The forms in which a secret could lie about: raw in either byte order, hex, base64 at each of three offsets. Each is
 * looked for by its first and its second half, since a page or a record may end in the middle of it.
 */
function needles(secrets: readonly Secret[]): Secret[] {
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
  search(haystack, needles(secrets));

const SLOTS = 20;
const slot = (word: number): number => Math.imul(word, 0x9e3779b1) >>> (32 - SLOTS);

/**
 * Which of these are there, in one pass: hundreds of forms are looked for in files of a hundred megabytes, and a pass for
 * each would take minutes. The first four bytes of each must stand at a place before the rest is looked at.
 */
export function search(haystack: Buffer, wanted: readonly Secret[]): string[] {
  const slots = new Uint8Array(1 << SLOTS);
  const byStart = new Map<number, Secret[]>();
  for (const one of wanted) {
    const start = Buffer.from(one.bytes).readUInt32BE();
    slots[slot(start)] = 1;
    byStart.set(start, [...(byStart.get(start) ?? []), one]);
  }
  const seen = new Set<string>();
  let word = 0;
  for (let i = 0; i < haystack.length; i++) {
    word = (word << 8) | (haystack[i] as number);
    if (slots[slot(word)] === 0 || i < 3) continue;
    for (const { name, bytes } of byStart.get(word >>> 0) ?? [])
      if (haystack.subarray(i - 3, i - 3 + bytes.length).equals(bytes)) seen.add(name);
  }
  return [...seen];
}

export function* filesUnder(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* filesUnder(path);
    else if (entry.isFile()) yield path;
  }
}
