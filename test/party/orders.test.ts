/** Administrators' orders at a party, and bars: verified by the party itself, once, and nothing else moves what they move. */
import { randomBytes, randomUUID } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PartyFailPoint } from '../../activities/party/deps.ts';
import { createParty, type PartyDeps } from '../../activities/party/index.ts';
import { codecsFor } from '../../chains/registry.ts';
import { orderHash } from '../../core/orders.ts';
import { noFailPoints } from '../../core/ports/clock.ts';
import { verifySigned } from '../../core/signed.ts';
import { createCeremonies, createRegistry } from '../../mpc/index.ts';
import { isKeysagaError, KeysagaError } from '../../schema/contracts/errors.ts';
import type { KeyDescriptor } from '../../schema/contracts/key.ts';
import type { SignedOrder } from '../../schema/contracts/order.ts';
import type { PrepareSign } from '../../schema/contracts/party.ts';
import type { PartyId } from '../../schema/contracts/primitives.ts';
import { createShareBackup } from '../../storage/party/backup.ts';
import { createHeadFile } from '../../storage/party/head-file.ts';
import { createEnvelopeCrypto } from '../../storage/party/hpke.ts';
import { identityFromSeed, verifyNative } from '../../storage/party/identity.ts';
import { createKeyStore } from '../../storage/party/key-store.ts';
import { openPartyDatabase } from '../../storage/party/store.ts';
import {
  generateKey,
  intentFor,
  keygenRequest,
  person,
  route,
  SOLANA,
  signRequest,
} from '../support/parties.ts';
import { payment, provenNonce, someAddress } from '../support/solana-plans.ts';
import { copyDatabase, orderOf, putBack } from './restore.ts';
import { nextRound, type Rig, spoilt, startRig } from './rig.ts';

class ProcessDeath extends Error {}

let rig: Rig;
let alpha: PartyId;
let beta: PartyId;
let gamma: PartyId;
let armed: PartyFailPoint | undefined;
beforeAll(async () => {
  rig = await startRig({
    instances: 2,
    orphanMs: 0,
    failPoints: (party) => ({
      at(point) {
        if (party !== 'alpha' || point !== armed) return;
        armed = undefined;
        throw new ProcessDeath(point);
      },
    }),
  });
  [alpha, beta, gamma] = rig.parties;
});
afterAll(() => rig?.stop());

const now = () => Date.now();
const someKey = () => `key-${randomBytes(4).toString('hex')}`;
const quarantine = (keyId: string, change = {}, signers?: Rig['cast']['administrators']) =>
  orderOf(
    rig,
    now(),
    { kind: 'quarantine', party: alpha, keyId: keyId as never, ...change },
    signers,
  );
const release = (keyId: string) =>
  orderOf(rig, now(), { kind: 'release', party: alpha, keyId: keyId as never });
const destroyOf = (keyId: string, epoch = 0) =>
  orderOf(rig, now(), { kind: 'destroy', party: alpha, keyId: keyId as never, epoch });
const order = (signed: SignedOrder, instance = 0) => rig.party(alpha, instance).order({ signed });
const code = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'answered',
    (error) => String(error.code ?? error),
  );
let keys = 0;
const freshKey = async (): Promise<KeyDescriptor> => {
  const request = keygenRequest(rig.cast, `ordered-${++keys}`, SOLANA, 'frost-ed25519');
  return (await generateKey(rig.table, request)).key;
};
const payFrom = (key: KeyDescriptor, signers = [alpha, beta]) => {
  const to = someAddress();
  const unsigned = payment(key, provenNonce(), to, 5n);
  return signRequest(rig.cast, key, intentFor(key, to, '5'), unsigned, signers);
};

describe('an order', () => {
  it('needs k distinct pinned administrators, each counted once', async () => {
    const [ada, bo, cy] = rig.cast.administrators;
    const [ann, ben] = rig.cast.approvers;
    if (!ada || !bo || !cy || !ann || !ben) throw new Error('cast');
    const keyId = someKey();
    const stranger = person('dee');
    // As somebody who would pass for bo.
    const impostor = { ...person('bo') };
    for (const [signers, refusal] of [
      [[ada], 'QuorumMissing'],
      [[ada, ada], 'QuorumMissing'],
      [[ada, stranger], 'QuorumMissing'],
      [[ann, ben], 'QuorumMissing'],
      [[ada, impostor], 'ApprovalInvalid'],
      [[ada, { ...ada, name: 'bo' }], 'ApprovalInvalid'],
    ] as const)
      expect(await code(order(quarantine(keyId, {}, signers)))).toBe(refusal);
    const signed = quarantine(keyId);
    const other = { ...signed, order: { ...signed.order, keyId: 'another' as never } };
    expect(await code(order(other as SignedOrder))).toBe('ApprovalInvalid');
    expect(await code(order(quarantine(keyId, {}, [bo, cy])))).toBe('answered');
  });

  it('is for this party and for now, by its own clock', async () => {
    const keyId = someKey();
    const at = (ms: number) => new Date(now() + ms).toISOString();
    const refused = async (change: object) => {
      const error = await order(quarantine(keyId, change)).catch((e) => e);
      return `${error.code} ${error.details?.field}`;
    };
    expect(await refused({ party: beta })).toBe('OrderRefused party');
    expect(await refused({ issuedAt: at(-7_200_000), validUntil: at(-1) })).toBe(
      'OrderRefused validUntil',
    );
    expect(await refused({ issuedAt: at(600_000), validUntil: at(900_000) })).toBe(
      'OrderRefused issuedAt',
    );
    expect(await refused({ validUntil: at(8 * 86_400_000) })).toBe('OrderRefused validUntil');
    expect(await refused({ validUntil: at(-600_000) })).toBe('OrderRefused validUntil');
  });

  it('is carried out once: a repeat gets the same receipt, its id serves no other order', async () => {
    const keyId = someKey();
    const signed = quarantine(keyId);
    const both = await Promise.all([order(signed, 0), order(signed, 1)]);
    expect(both[1]).toEqual(both[0]);
    const { receipt, signature } = both[0] as (typeof both)[0];
    expect(receipt).toMatchObject({
      party: alpha,
      kind: 'quarantine',
      orderId: signed.order.orderId,
    });
    expect(receipt.orderHash).toBe(orderHash(signed.order));
    const own = identityFromSeed(rig.seat(alpha).identitySeed).publicKey;
    expect(verifySigned('order-receipt', receipt, own, signature)).toBe(true);
    await order(release(keyId));
    // The old order does not quarantine it again.
    expect(await order(signed)).toEqual(both[0]);
    expect((await rig.party(alpha).health()).quarantined).not.toContain(keyId);
    const reused = quarantine('another-key', { orderId: signed.order.orderId });
    expect(await code(order(reused))).toBe('RequestConflict');
  });

  it.each(['party.order:before-commit', 'party.order:after-commit'] as const)(
    'is carried out once when the party dies at %s',
    async (point) => {
      const keyId = someKey();
      const signed = quarantine(keyId);
      armed = point;
      await expect(order(signed)).rejects.toThrow(ProcessDeath);
      await rig.seat(alpha).replace(0);
      await order(signed);
      expect((await rig.party(alpha).health()).quarantined).toContain(keyId);
      const rows = await rig.sql(
        alpha,
        `select 1 from releases where outbox_hash = '${orderHash(signed.order)}'`,
      );
      expect(rows).toHaveLength(1);
    },
  );

  it('unfence does nothing for a party that is not fenced', async () => {
    const signed = orderOf(rig, now(), { kind: 'unfence', party: alpha, chainEpoch: 0 });
    const error = await order(signed).catch((e) => e);
    expect([error.code, error.details.field]).toEqual(['OrderRefused', 'kind']);
  });
});

describe('quarantine', () => {
  it('ends the key’s sessions and lets none begin, at every instance, until the release', async () => {
    const key = await freshKey();
    const other = await freshKey();
    const running = payFrom(key);
    const { rounds } = await route(rig.table, running, { until: 1 });
    const elsewhere = payFrom(other);
    const beside = await route(rig.table, elsewhere, { until: 1 });
    await order(quarantine(key.keyId));
    for (const instance of [0, 1]) {
      const party = rig.party(alpha, instance);
      const next = nextRound(alpha, running, rounds[0] ?? []);
      expect(await code(party.round(next))).toBe('SessionSuperseded');
      expect(await code(party.prepare(payFrom(key)))).toBe('KeyQuarantined');
      const again = keygenRequest(rig.cast, key.keyId, SOLANA, 'frost-ed25519');
      expect(await code(party.prepare(again))).toBe('KeyQuarantined');
    }
    const keysOf = await readdir(rig.seat(alpha).keyStoreDirectory);
    expect(keysOf.filter((f) => f.includes(running.attempt))).toEqual([]);
    // Another key goes on, and so do the others with this one.
    const rest = await rig.party(alpha).round(nextRound(alpha, elsewhere, beside.rounds[0] ?? []));
    expect(rest.done).toBe(true);
    await route(rig.table, payFrom(key, [beta, gamma]));
    await order(release(key.keyId), 1);
    await route(rig.table, payFrom(key));
  });

  it('sees what begins at the same time: no session is left over', async () => {
    const key = await freshKey();
    for (let i = 0; i < 4; i++) {
      const asked = Array.from({ length: 4 }, (_, n) =>
        code(rig.party(alpha, n % 2).prepare(payFrom(key))),
      );
      await Promise.all([order(quarantine(key.keyId)), ...asked]);
      const open = await rig.sql(
        alpha,
        `select 1 from sessions where key_id = '${key.keyId}' and state in ('prepared', 'running')`,
      );
      expect(open).toEqual([]);
      await order(release(key.keyId));
    }
  });

  it('is not ended by a release that was issued before it and withheld, in whatever order they come', async () => {
    const keyId = someKey();
    const dated = (kind: 'quarantine' | 'release', seconds: number) =>
      orderOf(rig, now(), {
        kind,
        party: alpha,
        keyId: keyId as never,
        issuedAt: new Date(now() - seconds * 1_000).toISOString(),
      });
    const [first, withheld, second] = [
      dated('quarantine', 40),
      dated('release', 30),
      dated('quarantine', 20),
    ];
    await order(first);
    await order(second);
    const late = await order(withheld, 1).catch((e) => e);
    expect([late.code, late.details?.field]).toEqual(['OrderRefused', 'issuedAt']);
    // An older quarantine that comes last does not take the place of the newer one.
    await order(dated('quarantine', 35));
    expect(await code(order(withheld))).toBe('OrderRefused');
    expect((await rig.party(alpha).health()).quarantined).toContain(keyId);
    await order(dated('release', 10));
    expect((await rig.party(alpha).health()).quarantined).not.toContain(keyId);
  });

  it('is ended by no order that names another key', async () => {
    expect(await code(order(release('never-quarantined')))).toBe('OrderRefused');
  });
});

describe('destroy', () => {
  it('destroys an active share for ever, and only on an order that names key and epoch', async () => {
    const key = await freshKey();
    const [row] = await rig.sql<{ attempt: string }>(
      alpha,
      `select attempt from shares where key_id = '${key.keyId}'`,
    );
    const attempt = row?.attempt as never;
    const kept = async () => {
      const { keyStoreDirectory, backupDirectory } = rig.seat(alpha);
      const files = [...(await readdir(keyStoreDirectory)), ...(await readdir(backupDirectory))];
      return files.filter((f) => f.includes(attempt));
    };
    expect(await kept()).toHaveLength(2);
    expect((await rig.party(alpha).destroy({ keyId: key.keyId, attempt })).outcome).toBe('kept');
    expect(await code(order(destroyOf(key.keyId, 1)))).toBe('KeyUnknown');
    expect(await kept()).toHaveLength(2);
    const signed = destroyOf(key.keyId);
    await order(signed);
    expect(await kept()).toEqual([]);
    expect(await code(rig.party(alpha, 1).prepare(payFrom(key)))).toBe('KeyUnknown');
    expect((await order(signed)).receipt.kind).toBe('destroy');
    // Two of three are left, and they are enough.
    await route(rig.table, payFrom(key, [beta, gamma]));
  });

  it('waits while a session holds the share', async () => {
    const key = await freshKey();
    const request = payFrom(key);
    await route(rig.table, request, { until: 1 });
    const signed = destroyOf(key.keyId);
    await expect(order(signed)).rejects.toMatchObject({ code: 'KeyLocked', retryable: true });
    const { keyId, attempt } = request;
    await rig.party(alpha).abort({ keyId, attempt, reason: 'test' });
    await order(signed);
    expect(await code(rig.party(alpha).prepare(payFrom(key)))).toBe('KeyUnknown');
  });

  it('is finished after a crash between its commit and the erasure', async () => {
    const key = await freshKey();
    const signed = destroyOf(key.keyId);
    armed = 'party.order:after-commit';
    await expect(order(signed)).rejects.toThrow(ProcessDeath);
    await rig.seat(alpha).replace(0);
    await order(signed);
    const { keyStoreDirectory, backupDirectory } = rig.seat(alpha);
    const files = [...(await readdir(keyStoreDirectory)), ...(await readdir(backupDirectory))];
    const [row] = await rig.sql<{ attempt: string; sealed: unknown }>(
      alpha,
      `select attempt, sealed from shares where key_id = '${key.keyId}'`,
    );
    expect(row?.sealed).toBeNull();
    expect(files.filter((f) => f.includes(row?.attempt ?? '-'))).toEqual([]);
  });
});

describe('a bar', () => {
  it('keeps a signer set with the barred peer from this party, for that key and epoch alone', async () => {
    const key = await freshKey();
    const other = await freshKey();
    await rig.sql(
      alpha,
      `insert into bars (key_id, epoch, peer, code, attempt, at) values ('${key.keyId}', 0, '${beta}', 'ProtocolFault', '${randomUUID()}', now())`,
    );
    await expect(rig.party(alpha).prepare(payFrom(key))).rejects.toMatchObject({
      code: 'PeerBarred',
      details: { field: 'signers', culprit: beta },
    });
    await route(rig.table, payFrom(key, [alpha, gamma]));
    await route(rig.table, payFrom(other));
  });
});

describe('a fault that a protocol marks as barring', () => {
  /** An instance of alpha whose machines mark what FROST only names, as those must whose checks leak on a second try. */
  async function marking() {
    const seat = rig.seat(alpha);
    const database = await openPartyDatabase(seat.databaseUrl, { poolSize: 4 });
    const real = createCeremonies(createRegistry());
    const identity = identityFromSeed(seat.identitySeed);
    const deps: PartyDeps = {
      settings: {
        party: alpha,
        version: 'test',
        directory: new Map(
          [...rig.table.seats].map(([p, s]) => [p, identityFromSeed(s.identitySeed).publicKey]),
        ),
        administrators: rig.cast.administrators,
        administratorQuorum: 2,
        signingSessionMs: 60_000,
        keygenSessionMs: 600_000,
      },
      store: database.store,
      headFile: createHeadFile(
        join(seat.keyStoreDirectory, '.release-head'),
        alpha,
        identity,
        verifyNative,
      ),
      sealer: createKeyStore(seat.keyStoreDirectory, seat.keyStoreMasterKey),
      backup: createShareBackup(seat.backupDirectory, seat.backupKey),
      identity,
      envelopes: createEnvelopeCrypto(),
      ceremonies: {
        ...real,
        sign(...given) {
          const run = real.sign(...given);
          return {
            version: run.version,
            rounds: run.rounds,
            get next() {
              return run.next;
            },
            dispose: () => run.dispose(),
            round(r, inbox) {
              try {
                return run.round(r, inbox);
              } catch (error) {
                if (!isKeysagaError(error, 'ProtocolFault')) throw error;
                throw new KeysagaError(error.code, error.message, {
                  ...error.details,
                  barring: true,
                });
              }
            },
          };
        },
      },
      codecs: codecsFor([SOLANA]),
      clock: { now: () => Date.now() },
      random: { bytes: (length) => new Uint8Array(randomBytes(length)) },
      verify: verifyNative,
      failPoints: noFailPoints,
    };
    const { activities } = createParty(deps, {
      monotonic: () => performance.now(),
      orphanMs: 120_000,
    });
    return { activities, close: () => database.close() };
  }
  /** The request for round 2 with beta's message spoilt. */
  async function withSpoilt(request: PrepareSign) {
    const { rounds } = await route(rig.table, request, { until: 1 });
    const asked = nextRound(alpha, request, rounds[0] ?? []);
    return { ...asked, inbox: spoilt(asked.inbox, rig.seat(beta)) };
  }

  it('bars the culprit in the commit that records the failure; one that is only named bars nobody', async () => {
    const key = await freshKey();
    const named = await withSpoilt(payFrom(key));
    expect(await code(rig.party(alpha).round(named))).toBe('ProtocolFault');
    await route(rig.table, payFrom(key));

    const marked = await marking();
    try {
      const request = payFrom(key);
      await expect(marked.activities.round(await withSpoilt(request))).rejects.toMatchObject({
        code: 'ProtocolFault',
        details: { culprit: beta },
      });
      const rows = await rig.sql(
        alpha,
        `select peer, epoch, attempt::text from bars where key_id = '${key.keyId}'`,
      );
      expect(rows).toEqual([{ peer: beta, epoch: 0, attempt: request.attempt }]);
      const links = await rig.sql(
        alpha,
        `select kind from releases where attempt = '${request.attempt}'`,
      );
      expect(links).toEqual([{ kind: 'bar' }]);
    } finally {
      await marked.close();
    }
    expect(await code(rig.party(alpha).prepare(payFrom(key)))).toBe('PeerBarred');
    await route(rig.table, payFrom(key, [alpha, gamma]));
  });

  it('ends the sessions that were open beside the culprit with one word, whatever their checks would say', async () => {
    const key = await freshKey();
    const [first, second, third] = [payFrom(key), payFrom(key), payFrom(key)];
    const wrong = [await withSpoilt(first), await withSpoilt(second)] as const;
    const { rounds } = await route(rig.table, third, { until: 1 });
    const right = nextRound(alpha, third, rounds[0] ?? []);
    const marked = await marking();
    try {
      expect(await code(marked.activities.round(wrong[0]))).toBe('ProtocolFault');
      expect(await code(marked.activities.round(wrong[1]))).toBe('PeerBarred');
      expect(await code(marked.activities.round(right))).toBe('PeerBarred');
      // The session has ended: the same word again.
      expect(await code(marked.activities.round(right))).toBe('PeerBarred');
      const rows = await rig.sql(
        alpha,
        `select attempt::text from bars where key_id = '${key.keyId}'`,
      );
      expect(rows).toEqual([{ attempt: first.attempt }]);
    } finally {
      await marked.close();
    }
  });

  it('lets one of two failures that meet be told, not both', async () => {
    const key = await freshKey();
    const asked = [await withSpoilt(payFrom(key)), await withSpoilt(payFrom(key))];
    const instances = [await marking(), await marking()];
    try {
      const said = await Promise.all(
        asked.map((request, i) =>
          code(instances[i]?.activities.round(request) ?? Promise.reject(new Error('none'))),
        ),
      );
      expect(said.sort()).toEqual(['PeerBarred', 'ProtocolFault']);
    } finally {
      for (const instance of instances) await instance.close();
    }
  });
});

// Last: a party that was unfenced pays nothing for a day.
describe('unfence', () => {
  it('names the epoch that it ends, so it works once and no older one does', async () => {
    const { databaseUrl } = rig.seat(alpha);
    const restored = async () => {
      const copy = await copyDatabase(databaseUrl);
      await order(quarantine(someKey()));
      await rig.seat(alpha).restart(() => putBack(databaseUrl, copy));
      const { fence } = await rig.party(alpha).health();
      if (fence === undefined) throw new Error('not fenced');
      return fence.chainEpoch;
    };
    const unfence = (chainEpoch: number) =>
      orderOf(rig, now(), { kind: 'unfence', party: alpha, chainEpoch });
    const epoch = await restored();
    for (const wrong of [epoch - 1, epoch + 1])
      if (wrong >= 0) expect(await code(order(unfence(wrong)))).toBe('OrderRefused');
    const first = unfence(epoch);
    const { receipt } = await order(first);
    expect(receipt.chainEpoch).toBe(epoch + 1);
    const again = await restored();
    expect(again).toBe(epoch + 1);
    // The order of before, still valid: the party answers with its receipt and stays fenced.
    expect((await order(first)).receipt).toEqual(receipt);
    expect(await code(order(unfence(epoch)))).toBe('OrderRefused');
    expect((await rig.party(alpha).health()).fenced).toBe(true);
    await order(unfence(again), 1);
    expect((await rig.party(alpha).health()).fenced).toBe(false);
  });
});
