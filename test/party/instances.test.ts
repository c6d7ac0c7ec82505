/** Two instances of each party on one database, key store and backup directory. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PartyFailPoint } from '../../activities/party/deps.ts';
import { policyHash } from '../../core/policy.ts';
import { until } from '../../dev/until.ts';
import type { PrepareRequest, RoundAnswer, RoundRequest } from '../../schema/contracts/party.ts';
import type { PartyId } from '../../schema/contracts/primitives.ts';
import { createHeadFile } from '../../storage/party/head-file.ts';
import { identityFromSeed, verifyNative } from '../../storage/party/identity.ts';
import {
  BITCOIN,
  generateKey,
  intentFor,
  keygenRequest,
  route,
  SOLANA,
  signPolicy,
  signRequest,
} from '../support/parties.ts';
import { payment, provenNonce, someAddress } from '../support/solana-plans.ts';
import { nextRound, type Payment, type Rig, startRig } from './rig.ts';

let rig: Rig;
let alpha: PartyId;
let beta: PartyId;
let gamma: PartyId;
let ahead = 0;
/** What happens while an instance of alpha, by default the first, is paused at a point; once. */
type Pause = {
  readonly instance?: number;
  readonly at: PartyFailPoint;
  readonly run: () => Promise<unknown>;
};
let meanwhile: Pause | undefined;
/** The same, for what is paused beside it. */
let beside: Pause | undefined;
beforeAll(async () => {
  // The key itself is made by instances in turn.
  rig = await startRig({
    instances: 2,
    now: () => Date.now() + ahead,
    failPoints: (party, instance) => ({
      async at(point) {
        const here = (pause: Pause | undefined) =>
          pause !== undefined && pause.at === point && (pause.instance ?? 0) === instance;
        if (party !== 'alpha') return;
        const pause = [meanwhile, beside].find(here);
        if (pause === undefined) return;
        if (pause === meanwhile) meanwhile = undefined;
        else beside = undefined;
        await pause.run();
      },
    }),
  });
  [alpha, beta, gamma] = rig.parties;
});
afterAll(() => rig?.stop());

/** The same request at both instances at once: both answer, and byte for byte the same. */
async function both<T>(ask: (instance: number) => Promise<T>): Promise<T> {
  const [first, second] = await Promise.all([ask(0), ask(1)]);
  expect(JSON.stringify(second)).toBe(JSON.stringify(first));
  return first as T;
}

/** Honest rounds 1 to `until`, by one instance of each signer. */
async function byInstance(instance: number, request: PrepareRequest, until: number) {
  const { signers } = request;
  const prepared = await Promise.all(signers.map((p) => rig.party(p, instance).prepare(request)));
  const rounds: RoundAnswer[][] = [];
  for (let round = 1; round <= until; round++)
    rounds.push(
      await Promise.all(
        signers.map((p) =>
          rig.party(p, instance).round({
            ...nextRound(p, request, rounds.at(-1) ?? []),
            ...(round === 1 ? { prepared } : {}),
          }),
        ),
      ),
    );
  return { prepared, rounds };
}

describe('two instances', () => {
  it('run the rounds in turn, each taking over where the other one was', async () => {
    for (let i = 0; i < 3; i++) {
      const { rounds } = await route(rig.table, rig.pay().request);
      expect(rounds).toHaveLength(2);
    }
    const made = await generateKey(
      rig.table,
      keygenRequest(rig.cast, 'btc-turns', BITCOIN, 'frost-bip340'),
    );
    expect(made.certificates).toHaveLength(3);
  });

  it('answer the same signing request with the same bytes, asked at once', async () => {
    for (let i = 0; i < 5; i++) {
      const { request } = rig.pay();
      const signers = [alpha, beta];
      const prepared = await Promise.all(
        signers.map((p) => both((n) => rig.party(p, n).prepare(request))),
      );
      let before: RoundAnswer[] = [];
      for (let round = 1; round <= 2; round++) {
        before = await Promise.all(
          signers.map((p) => {
            const asked: RoundRequest = {
              ...nextRound(p, request, before),
              ...(round === 1 ? { prepared } : {}),
            };
            return both((n) => rig.party(p, n).round(asked));
          }),
        );
      }
      expect(before.every((a) => a.done)).toBe(true);
    }
  });

  it('answer the same key generation with the same bytes, and the share opens afterwards', async () => {
    const request = keygenRequest(rig.cast, 'raced', SOLANA, 'frost-ed25519');
    const { keyId, attempt } = request;
    const everyone = [alpha, beta, gamma];
    const prepared = await Promise.all(
      everyone.map((p) => both((n) => rig.party(p, n).prepare(request))),
    );
    let before: RoundAnswer[] = [];
    do {
      before = await Promise.all(
        everyone.map((p) => {
          const first = before.length === 0 ? { prepared } : {};
          const asked: RoundRequest = { ...nextRound(p, request, before), ...first };
          return both((n) => rig.party(p, n).round(asked));
        }),
      );
    } while (!before.every((a) => a.done));
    const certificates = before.flatMap((a) => (a.keygen ? [a.keygen.certificate] : []));
    for (const p of everyone)
      await both((n) => rig.party(p, n).activate({ keyId, attempt, certificates }));
    // The row's data key must be the one in the key store, whoever of the two wrote last; and no other one stays.
    for (const p of everyone) {
      await rig.seat(p).restart();
      await rig.seat(p).service.sweepOnce();
    }
    const key = before[0]?.keygen?.key;
    if (key === undefined) throw new Error('no key');
    const { keyStoreDirectory } = rig.seat(alpha);
    const kept = (await readdir(keyStoreDirectory)).filter((f) => f.startsWith(`share-${attempt}`));
    expect(kept).toHaveLength(1);
    const to = someAddress();
    const intent = intentFor(key, to, '5');
    const unsigned = payment(key, provenNonce(), to, 5n);
    const { rounds } = await route(
      rig.table,
      signRequest(rig.cast, key, intent, unsigned, [alpha, beta]),
    );
    expect(rounds.at(-1)?.every((a) => a.done)).toBe(true);
  });

  it('let at most one of two attempts of a line release, unless their transactions conflict', async () => {
    for (let i = 0; i < 6; i++) {
      const first = rig.pay();
      const rival = i % 2 === 0 ? rig.besides(first) : rig.again(first);
      const run = async (request: typeof rival, instance: number) => {
        try {
          const prepared = await Promise.all(
            [alpha, beta].map((p) => rig.party(p, instance).prepare(request)),
          );
          let before: RoundAnswer[] = [];
          for (let round = 1; round <= 2; round++)
            before = await Promise.all(
              [alpha, beta].map((p) =>
                rig.party(p, instance).round({
                  ...nextRound(p, request, before),
                  ...(round === 1 ? { prepared } : {}),
                }),
              ),
            );
          return 'released';
        } catch (error) {
          return (error as { code?: string }).code ?? String(error);
        }
      };
      const outcomes = await Promise.all([run(first.request, 0), run(rival, 1)]);
      const allowed = ['released', 'SessionSuperseded', 'ConflictRule', 'EnvelopeInvalid'];
      for (const outcome of outcomes) expect(allowed).toContain(outcome);
      for (const p of [alpha, beta]) {
        const released = await rig.sql<{ keys: string[] }>(
          p,
          `select conflict_keys as keys from line_transactions where state = 'released'
             and attempt in ('${first.request.attempt}', '${rival.attempt}')`,
        );
        if (i % 2 === 0) expect(released.length).toBeLessThanOrEqual(1);
      }
    }
  });

  it('sweep all the time and leave the sessions of a busy party alone', async () => {
    let over = false;
    const sweeping = Promise.all(
      rig.seat(alpha).instances.map(async (s) => {
        while (!over) await s.sweepOnce();
      }),
    );
    try {
      for (let i = 0; i < 5; i++) await route(rig.table, rig.pay().request);
    } finally {
      over = true;
      await sweeping;
    }
  });

  it('give the stored answer when the other one has released and erased meanwhile', async () => {
    const { request } = rig.pay();
    // Round 1 by the second instance, so that the first must rebuild the run from a seed that is gone by then.
    const { rounds } = await byInstance(1, request, 1);
    const asked = nextRound(alpha, request, rounds.at(-1) ?? []);
    let answer: RoundAnswer | undefined;
    meanwhile = {
      at: 'party.round:after-inbox-commit',
      run: async () => {
        answer = await rig.party(alpha, 1).round(asked);
      },
    };
    expect(JSON.stringify(await rig.party(alpha, 0).round(asked))).toBe(JSON.stringify(answer));
    expect(answer?.done).toBe(true);
  });

  describe('when one is paused between its commit and the note in the head file', () => {
    /** The file stands where the database does, and nothing is left to be noted. */
    async function isNoted() {
      const { keyStoreDirectory, identitySeed } = rig.seat(alpha);
      const path = join(keyStoreDirectory, '.release-head');
      const file = createHeadFile(path, alpha, identityFromSeed(identitySeed), verifyNative);
      const [head] = await rig.sql(
        alpha,
        'select chain_epoch as "chainEpoch", sequence::int as sequence, hash from release_head',
      );
      expect(await file.read()).toEqual({ kind: 'whole', record: { last: head, pending: [] } });
    }
    /** The second instance commits and is paused. `at`: where the first is meanwhile, with the same request; or it comes later. */
    async function race(
      ask: (instance: number) => Promise<unknown>,
      options: { at?: PartyFailPoint; committed?: () => Promise<unknown> } = {},
    ) {
      let goOn = () => {};
      const resumed = new Promise<void>((done) => {
        goOn = done;
      });
      let one: Promise<unknown> | undefined;
      const commits = () =>
        new Promise<void>((paused, failed) => {
          beside = {
            instance: 1,
            at: 'party.head:before-last',
            run: async () => {
              paused();
              await resumed;
            },
          };
          one = ask(1);
          one.then(() => failed(new Error('was not paused')), failed);
        }).then(options.committed);
      try {
        if (options.at === undefined) await commits();
        else meanwhile = { at: options.at, run: commits };
        const answer = await ask(0);
        await isNoted();
        goOn();
        expect(JSON.stringify(await one)).toBe(JSON.stringify(answer));
      } finally {
        goOn();
      }
      await isNoted();
    }
    const gone = (attempt: string) =>
      until(
        async () =>
          !(await readdir(rig.seat(alpha).keyStoreDirectory)).some((f) => f.includes(attempt)),
        { deadlineMs: 10_000, what: 'the data key is destroyed' },
      );

    it('the other gives a stored release only with the note', async () => {
      const { request } = rig.pay();
      const { rounds } = await byInstance(0, request, 1);
      const asked = nextRound(alpha, request, rounds.at(-1) ?? []);
      await race((instance) => rig.party(alpha, instance).round(asked));
      await gone(request.attempt);
    });

    it('the other, which has computed the release as well, notes it', async () => {
      const { request } = rig.pay();
      const { rounds } = await byInstance(0, request, 1);
      const asked = nextRound(alpha, request, rounds.at(-1) ?? []);
      await race((instance) => rig.party(alpha, instance).round(asked), {
        at: 'party.round:after-inbox-commit',
      });
    });

    it('the other, which could not compute the release any more, notes it', async () => {
      const { request } = rig.pay();
      const { rounds } = await byInstance(1, request, 1);
      const asked = nextRound(alpha, request, rounds.at(-1) ?? []);
      await race((instance) => rig.party(alpha, instance).round(asked), {
        at: 'party.round:after-inbox-commit',
        committed: () => gone(request.attempt),
      });
    });

    it('the other, which was about to certify the key, notes the certificate', async () => {
      const request = keygenRequest(rig.cast, 'noted', SOLANA, 'frost-ed25519');
      const { rounds } = await byInstance(0, request, 5);
      const asked = nextRound(alpha, request, rounds.at(-1) ?? []);
      await race((instance) => rig.party(alpha, instance).round(asked), {
        at: 'party.certify:before-backup',
      });
    });
  });

  it('release nothing when the session was aborted, superseded or ran out of time while one was paused', async () => {
    const ends = {
      abort: async (p: Payment) =>
        rig
          .party(alpha, 1)
          .abort({ keyId: p.request.keyId, attempt: p.request.attempt, reason: 'test' }),
      supersede: async (p: Payment) => rig.party(alpha, 1).prepare(rig.again(p)),
      'time out': async () => {
        ahead += 61_000;
      },
    };
    for (const [name, run] of Object.entries(ends)) {
      const p = rig.pay();
      const { rounds } = await byInstance(0, p.request, 1);
      meanwhile = { at: 'party.round:after-inbox-commit', run: () => run(p) };
      const asked = rig.party(alpha, 0).round(nextRound(alpha, p.request, rounds.at(-1) ?? []));
      const code = name === 'time out' ? 'SessionExpired' : 'SessionSuperseded';
      await expect(asked).rejects.toMatchObject({ code });
      const out = await rig.sql(
        alpha,
        `select 1 from releases where attempt = '${p.request.attempt}'`,
      );
      expect(out).toEqual([]);
      const keys = await readdir(rig.seat(alpha).keyStoreDirectory);
      expect(keys.filter((f) => f.includes(p.request.attempt))).toEqual([]);
    }
  });

  it('keep no copy of a share whose ceremony was undone while one was about to certify it', async () => {
    const request = keygenRequest(rig.cast, 'undone', SOLANA, 'frost-ed25519');
    const { keyId, attempt } = request;
    const { rounds } = await byInstance(0, request, 5);
    let never: unknown;
    meanwhile = {
      at: 'party.certify:before-backup',
      run: async () => {
        ({ never } = await rig.party(alpha, 1).destroy({ keyId, attempt }));
      },
    };
    const asked = rig.party(alpha, 0).round(nextRound(alpha, request, rounds.at(-1) ?? []));
    await expect(asked).rejects.toMatchObject({ code: 'SessionSuperseded' });
    expect(never).toBeDefined();
    await rig.seat(alpha).instances[1]?.sweepOnce();
    const { keyStoreDirectory, backupDirectory } = rig.seat(alpha);
    const left = [...(await readdir(keyStoreDirectory)), ...(await readdir(backupDirectory))];
    expect(left.filter((f) => f.includes(attempt))).toEqual([]);
  });

  it('refuse a payment under the old policy once a receipt for the new one is out, however they race', async () => {
    const next = {
      ...rig.cast.policy,
      version: 2,
      previous: policyHash(rig.cast.policy),
      startDelaySeconds: 0,
    };
    const signed = signPolicy(rig.cast, next);
    const payments = Array.from({ length: 6 }, () => rig.pay().request);
    const asked = payments.map((request, i) =>
      rig
        .party(gamma, i % 2)
        .prepare({ ...request, signers: [alpha, gamma] })
        .catch(() => {}),
    );
    await rig.party(gamma, 0).receivePolicy({ signed });
    await Promise.all(asked);
    const open = await rig.sql(
      gamma,
      `select 1 from sessions where kind = 'sign' and state in ('prepared', 'running')`,
    );
    expect(open).toHaveLength(0);
  });

  it('commit durably, also where the database’s own setting is not to', async () => {
    const name = new URL(rig.seat(alpha).databaseUrl).pathname.slice(1);
    await rig.sql(alpha, `alter database "${name}" set synchronous_commit = off`);
    // Each new entry tells how the transaction that wrote it commits.
    await rig.sql(
      alpha,
      "alter table audit_entries add column commits text default current_setting('synchronous_commit')",
    );
    await rig.sql(alpha, 'update audit_entries set commits = null');
    await rig.seat(alpha).restart();
    await route(rig.table, rig.pay().request);
    const rows = await rig.sql(
      alpha,
      'select distinct commits from audit_entries where commits is not null',
    );
    expect(rows).toEqual([{ commits: 'on' }]);
  });
});
