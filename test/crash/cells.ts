/**
 * The crash matrix: a process is killed by SIGKILL at a named fail point, before or after a commit, in the middle of a
 * saga that is sure to get there. Whatever the point, the saga ends completed or compensated, the destination is paid
 * exactly once or not at all, and nothing stays leased.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sql } from 'drizzle-orm';
import { CHAIN_FAIL_POINTS } from '../../activities/chain/index.ts';
import { LEDGER_FAIL_POINTS } from '../../activities/ledger/index.ts';
import { PARTY_FAIL_POINTS } from '../../activities/party/index.ts';
import { anchorRequestFor, type Wallet } from '../../client/index.ts';
import { policyHash } from '../../core/policy.ts';
import { signObject } from '../../core/signed.ts';
import { until } from '../../dev/until.ts';
import { isKeysagaError } from '../../schema/contracts/errors.ts';
import type { TransferIntent } from '../../schema/contracts/intent.ts';
import type { AdministratorOrder } from '../../schema/contracts/order.ts';
import type { KeyId, RequestId } from '../../schema/contracts/primitives.ts';
import { createProjector, openCoordinatorDatabase } from '../../storage/coordinator/index.ts';
import { armFailPoint, failPointFile } from '../../workers/support/fail-points.ts';
import { approve, signPolicy } from '../support/parties.ts';
import { networkOf, type Platform, type PlatformChain, untilEnded } from '../support/platform.ts';
import { pool, poolWallet } from './pool-cell.ts';

export type Chain = PlatformChain;
/**
 * What a cell does: `pay` a transfer to its end; `short` begins one while t parties are away, so that it compensates;
 * `reject` lets an approver refuse it; `void` cancels a broadcast payment; `gap` gives up one whose nonce another has passed; `keygen` makes a key; `keygen-short` fails to;
 * `order` delivers an administrators' order to a party; `policy` changes the policy under a transfer that waits; `anchor` leases an anchor and gives it back;
 * `pool` fills presignatures, pays with one and drops the rest; `start` starts a coordinator that brings a policy, again until it is up.
 */
export type Scenario =
  | 'pay'
  | 'short'
  | 'reject'
  | 'void'
  | 'gap'
  | 'keygen'
  | 'keygen-short'
  | 'order'
  | 'policy'
  | 'anchor'
  | 'pool'
  | 'start';
export type Cell = { readonly point: string; readonly chain: Chain; readonly scenario: Scenario };

const either = (name: string) => [`${name}:before-commit`, `${name}:after-commit`];

/** The scenario that is sure to reach a point. */
const reaches: Readonly<Record<Scenario, readonly string[]>> = {
  pay: [
    ...[
      'reserve',
      'recordDecision',
      'releaseUnneeded',
      'lend',
      'build',
      'passPivot',
      'attach',
      'broadcast',
      'confirm',
      'settle',
    ].flatMap(either),
    ...either('party.prepare'),
    'party.round:before-inbox-commit',
    'party.round:after-inbox-commit',
    'party.round:before-outbox-commit',
    'party.round:after-outbox-commit',
    'party.head:before-pending',
    'party.head:after-pending',
    ...either('party.release'),
    'party.head:before-last',
    'party.head:after-last',
    'party.release:after-erasure',
  ],
  short: [
    ...['releaseLease', 'reportParties', 'recordUndo'].flatMap(either),
    ...either('party.abort'),
  ],
  reject: ['release', 'fail', 'recordPhase'].flatMap(either),
  void: either('buildVoid'),
  gap: either('claimGap'),
  keygen: [
    ...['reserveKey', 'certifyKey', 'activateWallet', 'recordActivation'].flatMap(either),
    'provision:before-chain',
    'provision:after-chain',
    'party.certify:before-backup',
    ...either('party.certify'),
    ...either('party.activate'),
  ],
  'keygen-short': [...either('failKey'), ...either('party.destroy')],
  order: either('party.order'),
  policy: ['proposePolicy', 'recordPolicyReceipt', 'transferPolicy', 'party.policy'].flatMap(
    either,
  ),
  anchor: ['leaseAnchor', 'releaseAnchor'].flatMap(either),
  pool: ['party.bind', 'party.presign', 'stockPack', 'dropPool'].flatMap(either),
  start: either('adoptPolicy'),
};

/** Reached when the administrators signed two documents of one version: test/integration/policy.test.ts kills there. */
export const FORKED: readonly string[] = either('recordPolicyFork');
/** Reached by a party that was put back to an older state and by no other: test/party/fencing.test.ts. */
const RESTORED = ['party.fence:before-file', 'party.fence:after-file'];
/** Reached by a party whose check of a peer's message fails, which no honest saga brings about: test/party/crash.test.ts. */
const FAULTY = either('party.failure');

export const ALL_POINTS: readonly string[] = [
  ...LEDGER_FAIL_POINTS,
  ...CHAIN_FAIL_POINTS,
  ...PARTY_FAIL_POINTS,
].filter((point) => ![...FORKED, ...RESTORED, ...FAULTY].includes(point));

function chainsOf(scenario: Scenario): readonly Chain[] {
  if (scenario === 'order' || scenario === 'policy' || scenario === 'start') return ['bitcoin'];
  // A void can only win against a payment that waits for a block.
  if (scenario === 'void') return ['bitcoin', 'ethereum'];
  if (scenario === 'gap') return ['ethereum'];
  // An Ethereum nonce is an anchor for serial wallets only: everything after it would wait.
  return scenario === 'anchor' ? ['bitcoin', 'solana'] : ['bitcoin', 'solana', 'ethereum'];
}

/** Every point on every chain that its scenario knows. Throws when a point has no scenario: the matrix must be whole. */
export function allCells(): Cell[] {
  return ALL_POINTS.flatMap((point) => {
    const scenario = (Object.keys(reaches) as Scenario[]).find((s) => reaches[s].includes(point));
    if (scenario === undefined) throw new Error(`no scenario reaches ${point}`);
    return chainsOf(scenario).map((chain) => ({ point, chain, scenario }));
  });
}

/** mulberry32: a small seeded generator, so that a failing sample can be run again. */
export function seeded(seed: number): () => number {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Each point once, on a chain that the seed chooses. */
export function sample(seed: number): Cell[] {
  const random = seeded(seed);
  const cells = allCells();
  // A pool has a wallet of its own, and each costs a key generation: one chain for all of its cells.
  const pools = chainsOf('pool')[seed % chainsOf('pool').length];
  return ALL_POINTS.map((point) => {
    const of = cells.filter(
      (cell) => cell.point === point && (cell.scenario !== 'pool' || cell.chain === pools),
    );
    return of[Math.floor(random() * of.length)] as Cell;
  });
}

export type Result = Cell & { readonly outcome: string; readonly seconds: number };

let count = 0;

const READ_TABLES = ['wallets', 'transfers', 'approvals', 'parties', 'policies'] as const;

/** Runs one cell and throws when an invariant breaks. Scenarios with parties away expect them to be held already. */
export async function runCell(
  platform: Platform,
  wallets: Readonly<Record<Chain, Wallet>>,
  cell: Cell,
): Promise<Result> {
  const began = Date.now();
  const { point, chain, scenario } = cell;
  armFailPoint(platform.failPoints, point);
  // Only a party that comes late is recorded by itself, so one is made late.
  if (point.startsWith('recordActivation'))
    armFailPoint(platform.failPoints, 'party.activate:before-commit');
  count += 1;
  const outcome =
    scenario === 'keygen' || scenario === 'keygen-short'
      ? await keygen(platform, cell)
      : scenario === 'order'
        ? await order(platform)
        : scenario === 'policy'
          ? await changedPolicy(platform, wallets[chain])
          : scenario === 'anchor'
            ? await anchor(platform, wallets[chain])
            : scenario === 'gap'
              ? await gap(platform, wallets[chain])
              : scenario === 'start'
                ? await start(platform)
                : scenario === 'pool'
                  ? await pool(platform, chain, () => hasFired(platform, point))
                  : await transfer(platform, wallets[chain], cell);
  if (!hasFired(platform, point))
    throw new Error(`${point} was never reached by ${scenario} on ${chain}`);
  return { ...cell, outcome, seconds: (Date.now() - began) / 1000 };
}

/** A process has died at the point. */
export function hasFired({ failPoints }: Platform, point: string): boolean {
  const file = failPointFile(failPoints, point);
  return readdirSync(failPoints).some(
    (name) => file.endsWith(name.replace(/\.fired\.\d+$/, '')) && name.includes('.fired.'),
  );
}

/** A coordinator is given a policy that none has yet, and dies while it adopts it. */
async function start(platform: Platform): Promise<string> {
  const { client, cast, dataDir } = platform;
  const policyId = `crash-policy-${count}` as typeof cast.policy.policyId;
  const file = join(dataDir, `${policyId}.json`);
  writeFileSync(file, JSON.stringify(signPolicy(cast, { ...cast.policy, policyId })));
  const path = join(dataDir, 'coordinator.json');
  const config = JSON.parse(readFileSync(path, 'utf8')) as { initialPolicies: string[] };
  config.initialPolicies.push(file);
  writeFileSync(path, JSON.stringify(config));
  const coordinator = platform.workers.get('coordinator');
  const before = coordinator?.pid;
  await coordinator?.kill('SIGKILL');
  await until(() => coordinator?.ready !== undefined && coordinator.pid !== before, {
    deadlineMs: 120_000,
    intervalMs: 100,
    what: 'the coordinator is up',
  });
  const info = await until(() => client.policy({ policyId }).catch(() => undefined), {
    deadlineMs: 60_000,
    intervalMs: 100,
    what: 'the policy is read',
  });
  if (info.inForce !== 1 || info.versions.length !== 1)
    throw new Error(`${info.versions.length} versions were adopted, ${info.inForce} is in force`);
  return 'Adopted';
}

/** A key that nobody has is quarantined: the order is carried out once, whatever the party dies of meanwhile. */
async function order(platform: Platform): Promise<string> {
  const { client, cast } = platform;
  const [party] = cast.parties;
  const now = Date.now();
  const keyId = `crash-key-${count}` as KeyId;
  const body = {
    orderId: `crash-order-${count}-${now.toString(36)}`,
    party,
    kind: 'quarantine',
    keyId,
    issuedAt: new Date(now).toISOString(),
    validUntil: new Date(now + 3_600_000).toISOString(),
    reason: 'crash matrix',
  } as AdministratorOrder;
  const signed = {
    order: body,
    signatures: cast.administrators.slice(0, 2).map((a) => ({
      administrator: a.name as never,
      publicKey: a.publicKey,
      signature: signObject('order', body, a.secretKey),
    })),
  };
  await client.deliverOrder(signed);
  const receipt = await client.orderReceipt(signed, 120_000);
  const states = await client.parties();
  const { health } = states.find((one) => one.party === party) ?? {};
  if (health !== undefined && !health.quarantined?.includes(keyId))
    throw new Error('the order left no quarantine');
  return receipt.kind;
}

/** A transfer begins under one version and is paid under the next, which every party then has. */
async function changedPolicy(platform: Platform, wallet: Wallet): Promise<string> {
  const { client, cast } = platform;
  const intent = platform.intent(wallet);
  await client.transfer(intent);
  const [first, ...rest] = cast.approvers.slice(0, cast.policy.quorum);
  if (first) await client.signalDecision(intent.requestId, approve(intent, first));
  const again = <T>(what: string, ask: () => Promise<T>) =>
    until(() => ask().catch(() => undefined), { deadlineMs: 120_000, intervalMs: 100, what });
  const before = await again('the policy is read', () =>
    client.policy({ policyId: cast.policy.policyId }),
  );
  const current = before.versions.at(-1)?.signed.policy ?? cast.policy;
  const next = {
    ...current,
    version: current.version + 1,
    previous: policyHash(current),
    issuedAt: new Date().toISOString(),
  };
  await again('the change is started', () => client.changePolicy(signPolicy(cast, next)));
  await until(
    async () => (await client.status(intent.requestId).catch(() => undefined))?.policy?.recounted,
    { deadlineMs: 120_000, intervalMs: 100, what: 'the waiting transfer follows the policy' },
  );
  for (const who of rest) await client.signalDecision(intent.requestId, approve(intent, who));
  const status = await platform.ended(intent.requestId);
  if (status.phase !== 'Completed' || status.policy?.version !== next.version)
    throw new Error(`transfer ended ${status.phase} under version ${status.policy?.version}`);
  await until(
    async () =>
      (
        await client.policy({ policyId: cast.policy.policyId }).catch(() => undefined)
      )?.versions.find((one) => one.version === next.version)?.complete,
    { deadlineMs: 120_000, intervalMs: 100, what: 'every party has the version' },
  );
  return status.phase;
}

async function anchor(platform: Platform, wallet: Wallet): Promise<string> {
  const { client } = platform;
  const request = anchorRequestFor(platform.intent(wallet));
  // The coordinator dies on the way, so who waits for an answer asks again.
  const again = <T>(what: string, ask: () => Promise<T>) =>
    until(() => ask().catch(() => undefined), { deadlineMs: 120_000, intervalMs: 100, what });
  const leased = await again('an anchor is leased', () => client.anchor(request));
  if (leased.until <= request.expiresAt) throw new Error('the lease ends before the intent');
  await again('the anchor is given back', () => client.giveAnchorBack(request.requestId));
  await until(
    () =>
      client.anchor(request).then(
        () => false,
        (error: unknown) => isKeysagaError(error, 'StateConflict'),
      ),
    { deadlineMs: 120_000, intervalMs: 100, what: 'the request gets no anchor any more' },
  );
  return 'GivenBack';
}

/** Two transfers hold a nonce while no two parties are there; the lower one is cancelled, and both end once they are back. */
async function gap(platform: Platform, wallet: Wallet): Promise<string> {
  const { client, cast } = platform;
  const away = cast.parties.slice(1).map(String);
  await Promise.all(away.map((name) => platform.hold(name)));
  const low = platform.intent(wallet);
  const high = platform.intent(wallet);
  try {
    for (const intent of [low, high]) {
      await platform.startApproved(intent);
      await until(
        async () => (await client.status(intent.requestId).catch(() => undefined))?.attempts,
        { deadlineMs: 120_000, intervalMs: 100, what: `${intent.requestId} has a nonce` },
      );
    }
    await client.cancel(low.requestId);
    await until(
      async () =>
        (await client.status(low.requestId).catch(() => undefined))?.undos.some(
          ({ step, state }) => step === 'release the lease' && state === 'done',
        ),
      { deadlineMs: 120_000, intervalMs: 100, what: 'the nonce is kept' },
    );
  } finally {
    await Promise.all(away.map((name) => platform.resume(name)));
  }
  const given = await platform.ended(low.requestId);
  if (given.phase !== 'Failed' || given.voidTransactionId === undefined)
    throw new Error(`the lower transfer ended ${given.phase} without its void`);
  const paid = await platform.ended(high.requestId);
  if (paid.phase !== 'Completed') throw new Error(`the higher transfer ended ${paid.phase}`);
  for (const [intent, due] of [
    [low, 0n],
    [high, BigInt(high.amount)],
  ] as const) {
    const received = await platform.received('ethereum', intent.destination);
    if (received !== due) throw new Error(`a destination received ${received} instead of ${due}`);
  }
  return 'Filled';
}

async function keygen(platform: Platform, { chain, scenario }: Cell): Promise<string> {
  const requestId = `crash-${count}-${Date.now().toString(36)}` as RequestId;
  const { client, cast } = platform;
  await client.generateKey(
    {
      requestId,
      network: networkOf[chain],
      threshold: 2,
      parties: [...cast.parties],
      policyId: cast.policy.policyId,
    },
    scenario === 'keygen-short' ? { limits: { waitForParties: 1, prepare: 2 } } : {},
  );
  const status = await untilEnded(
    () => client.wallet(requestId, { wait: true }),
    async () => {
      const s = await client.keygenStatus(requestId).catch(() => undefined);
      return s && (s.phase === 'Active' || s.phase === 'Failed') ? s : undefined;
    },
    { deadlineMs: 240_000, what: `key generation ${requestId} ends` },
  );
  const expected = scenario === 'keygen' ? 'Active' : 'Failed';
  if (status.phase !== expected)
    throw new Error(`key generation ended ${status.phase}: ${status.failure?.message ?? ''}`);
  if (scenario === 'keygen') await client.wallet(requestId, { wait: true });
  return status.phase;
}

async function transfer(
  platform: Platform,
  wallet: Wallet,
  { chain, scenario }: Cell,
): Promise<string> {
  const { client } = platform;
  const intent = platform.intent(wallet);
  if (scenario === 'void') await platform.mining(false);
  try {
    await begin(platform, intent, scenario);
    if (scenario === 'void') {
      await until(
        async () =>
          (await client.status(intent.requestId).catch(() => undefined))?.phase === 'Confirming',
        {
          deadlineMs: 120_000,
          intervalMs: 100,
          what: 'the payment is sent',
        },
      );
      await client.cancel(intent.requestId);
      await until(
        async () =>
          (await client.status(intent.requestId).catch(() => undefined))?.voidTransactionId,
        {
          deadlineMs: 120_000,
          intervalMs: 100,
          what: 'the void is sent',
        },
      );
    }
  } finally {
    await platform.mining(true);
  }
  const status = await platform.ended(intent.requestId);
  const expected = scenario === 'pay' ? 'Completed' : 'Failed';
  if (status.phase !== expected)
    throw new Error(
      `transfer ended ${status.phase} instead of ${expected}: ${status.failure?.code ?? ''} ${status.failure?.message ?? ''}`,
    );
  const received = await platform.received(chain, intent.destination);
  const due = expected === 'Completed' ? BigInt(intent.amount) : 0n;
  if (received !== due) throw new Error(`the destination received ${received} instead of ${due}`);
  return status.phase;
}

async function begin(
  platform: Platform,
  intent: TransferIntent,
  scenario: Scenario,
): Promise<void> {
  const { client, cast } = platform;
  if (scenario === 'short') {
    await client.transfer(intent, { limits: { waitForParties: 1, prepare: 2 } });
  } else await client.transfer(intent);
  if (scenario === 'reject') {
    const [first] = cast.approvers;
    if (first) await client.signalDecision(intent.requestId, approve(intent, first, 'reject'));
    return;
  }
  for (const who of cast.approvers.slice(0, cast.policy.quorum))
    await client.signalDecision(intent.requestId, approve(intent, who));
}

/** No lease may outlive its transfer, and the read tables must be what the log makes of them from nothing. */
export async function checkLedger(platform: Platform): Promise<void> {
  const database = openCoordinatorDatabase(
    await platform.stack.postgres.createDatabase('coordinator'),
    { max: 2 },
  );
  const read = async (query: string): Promise<string> =>
    JSON.stringify(await database.db.execute(sql.raw(query)));
  /** With how far they have come: two readings of one position must be equal. */
  const tables = () =>
    Promise.all([
      read(`select position from checkpoints where name = 'projections'`),
      ...READ_TABLES.map((name) => read(`select to_jsonb(t) as row from ${name} t order by 1`)),
    ]);
  try {
    const left = await read(
      `select resource, owner, state from leases where state in ('held', 'pivoted')`,
    );
    if (left !== '[]') throw new Error(`leases without a running owner: ${left}`);
    const differing = await until(
      async () => {
        const [before, ...rows] = await tables();
        await createProjector(database).rebuild();
        const [after, ...rebuilt] = await tables();
        if (before !== after) return undefined;
        return { names: READ_TABLES.filter((_name, i) => rows[i] !== rebuilt[i]) };
      },
      { deadlineMs: 30_000, intervalMs: 200, what: 'the log rests for a moment' },
    );
    if (differing.names.length > 0)
      throw new Error(`not what the log says: ${differing.names.join(', ')}`);
  } finally {
    await database.close();
  }
}

/**
 * Runs the cells in waves: those with all parties, then key generations, then those with parties away. `parallel` sagas
 * run at once: a kill then also hits the others, which must not matter; but whose saga reached a point first is anybody's
 * guess, so a table of (point, chain) is made with 1.
 */
export async function runCells(
  platform: Platform,
  wallets: Readonly<Record<Chain, Wallet>>,
  cells: readonly Cell[],
  options: { readonly parallel: number; report(result: Result): void },
): Promise<Result[]> {
  const results: Result[] = [];
  /** Ends the other lanes after their cells. */
  let failed = false;
  const lane = async (waiting: Cell[]) => {
    for (let cell = waiting.shift(); cell !== undefined && !failed; cell = waiting.shift()) {
      const result = await runCell(platform, wallets, cell).catch((error: unknown) => {
        failed = true;
        // A run that is tried again must not hide why.
        process.stderr.write(`${cell?.point} ${cell?.scenario} ${cell?.chain}: ${error}\n`);
        throw error;
      });
      results.push(result);
      options.report(result);
    }
  };
  const lanes = (group: readonly Cell[], count: number) => {
    const waiting = [...group];
    return Array.from({ length: count }, () => () => lane(waiting));
  };
  /** Side by side; alone, with a `parallel` of 1. */
  const wave = async (...all: readonly (() => Promise<void>)[]) => {
    if (options.parallel === 1) {
      for (const run of all) await run();
      return;
    }
    const ends = await Promise.allSettled(all.map((run) => run()));
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
  };
  const of = (...scenarios: readonly Scenario[]) =>
    cells.filter(({ scenario }) => scenarios.includes(scenario));
  for (const chain of new Set(of('pool').map((cell) => cell.chain)))
    await poolWallet(platform, chain);
  // One version after the other, and no key generation meanwhile, which binds one version to its end.
  await wave(
    ...lanes(of('policy', 'start'), 1),
    ...lanes(of('pay', 'reject', 'order', 'anchor'), options.parallel),
    ...lanes(of('pool'), 1),
  );
  // The voids stop the blocks, which a key generation does not need. It needs every party at once, for longer than a signature
  // needs t: few at a time, or their kills starve them.
  await wave(...lanes(of('void'), 1), ...lanes(of('keygen'), Math.min(3, options.parallel)));
  // It holds parties back itself.
  await wave(...lanes(of('gap'), 1));
  const short = of('short', 'keygen-short');
  if (short.length > 0) {
    const [, beta, gamma] = platform.cast.parties;
    const away = [beta, gamma].filter((name) => name !== undefined);
    try {
      for (const name of away) await platform.hold(name);
      // One at a time: a nonce that others have passed is filled by a void, for which no parties are here.
      const nonces = short.filter((cell) => cell.chain === 'ethereum' && cell.scenario === 'short');
      await wave(
        ...lanes(nonces, 1),
        ...lanes(
          short.filter((cell) => !nonces.includes(cell)),
          options.parallel,
        ),
      );
    } finally {
      // A failed run is tried again on this platform, and must find its parties there.
      for (const name of away) await platform.resume(name);
    }
  }
  await checkLedger(platform);
  return results;
}
