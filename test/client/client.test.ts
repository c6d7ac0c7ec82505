/**
 * The SDK against a real Temporal server and the real sagas. No ledger is there, so a transfer stays at its first step:
 * enough for starts, lists, messages and cancelling; what follows is tried with the whole platform elsewhere.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { NativeConnection, Worker } from '@temporalio/worker';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createClient, type KeysagaClient } from '../../client/index.ts';
import { signApproval } from '../../core/approvals.ts';
import { intentDigest } from '../../core/intent.ts';
import { type Stack, startStack } from '../../dev/stack/index.ts';
import { resetStack } from '../../dev/stack/reset.ts';
import { loadTopology } from '../../dev/topology.ts';
import { until } from '../../dev/until.ts';
import { Approval } from '../../schema/contracts/approval.ts';
import { TransferIntent } from '../../schema/contracts/intent.ts';
import { GenerateKeyRequest } from '../../schema/contracts/key.ts';
import { PartyId } from '../../schema/contracts/primitives.ts';
import { workflowId } from '../../schema/contracts/temporal.ts';
import { createDataConverter } from '../../wire/data-converter.ts';
import { bundleSagas } from '../../workers/support/bundle.ts';
import { createSagasWorkerOptions } from '../../workers/support/sagas-worker.ts';

const dataDir = join(mkdtempSync(join(tmpdir(), 'keysaga-client-')), 'data');
const keys = { current: 'a', keys: { a: randomBytes(32) } };
const directory = ['alpha', 'beta', 'gamma'].map((party) => ({
  party: PartyId.parse(party),
  publicKey: randomBytes(32).toString('hex'),
}));
let stack: Stack;
let client: KeysagaClient;
let worker: Worker;
let running: Promise<void>;

beforeAll(async () => {
  const { topology } = loadTopology();
  stack = await startStack({
    topology: {
      ...topology,
      temporal: { ...topology.temporal, port: 0, uiPort: 0, codec: { port: 0 } },
    },
    external: {},
    dataDir,
    parts: ['temporal'],
  });
  const { address, namespace } = stack.temporal;
  client = await createClient({ temporal: { address, namespace }, payloadKeys: keys, directory });
  worker = await Worker.create(
    createSagasWorkerOptions({
      connection: await NativeConnection.connect({ address }),
      namespace,
      bundle: await bundleSagas(),
      dataConverter: createDataConverter({ keys }),
    }),
  );
  running = worker.run();
}, 180_000);
afterAll(async () => {
  worker?.shutdown();
  await running;
  await client?.close();
  await stack?.stop();
  await resetStack(dataDir);
  rmSync(join(dataDir, '..'), { recursive: true, force: true });
}, 60_000);

let count = 0;
const intent = (change: object = {}): TransferIntent =>
  TransferIntent.parse({
    requestId: `t-${++count}`,
    walletId: 'treasury',
    chain: 'solana:surfnet-local',
    destination: '4YVyYAGRsnAniLXB6Pp1FAJ3ccgPQFAVVN4KxzggMhyB',
    asset: 'native',
    amount: '1000000',
    feeCap: '20000',
    issuedAt: new Date(Date.now()).toISOString(),
    expiresAt: new Date(Date.now() + 3_600_000).toISOString(),
    ...change,
  });

describe('starting', () => {
  it('the same request is the same transfer, however often it is asked for', async () => {
    const wanted = intent();
    const all = await Promise.all(Array.from({ length: 4 }, () => client.transfer(wanted)));
    expect(new Set(all.map(({ runId }) => runId)).size).toBe(1);
    expect(all.filter(({ fresh }) => fresh)).toHaveLength(1);
    expect(await client.transfer(wanted)).toMatchObject({ runId: all[0]?.runId, fresh: false });
  });

  it('another body under a used id is refused, running and closed alike', async () => {
    const wanted = intent();
    await client.transfer(wanted);
    const other = { ...wanted, amount: '2000000' };
    await expect(client.transfer(other)).rejects.toMatchObject({
      code: 'RequestConflict',
      details: { field: 'requestId' },
    });
    const { address, namespace } = stack.temporal;
    const operator = new Client({ connection: await Connection.connect({ address }), namespace });
    await operator.workflow.getHandle(workflowId.transfer(wanted.requestId)).terminate();
    await operator.connection.close();
    await expect(client.transfer(other)).rejects.toMatchObject({ code: 'RequestConflict' });
    expect(await client.transfer(wanted)).toMatchObject({ fresh: false });
    expect(await client.cancel(wanted.requestId)).toMatchObject({
      accepted: false,
      path: 'too-late',
    });
  });

  it('key generations as well, and only with parties that are pinned', async () => {
    const request = GenerateKeyRequest.parse({
      requestId: 'treasury',
      network: 'solana:surfnet-local',
      threshold: 2,
      parties: ['alpha', 'beta', 'gamma'],
      policyId: 'demo',
    });
    const [one, two] = await Promise.all([
      client.generateKey(request),
      client.generateKey(request),
    ]);
    expect(one.runId).toBe(two.runId);
    await expect(client.generateKey({ ...request, threshold: 3 })).rejects.toMatchObject({
      code: 'RequestConflict',
    });
    const foreign = GenerateKeyRequest.parse({
      ...request,
      requestId: 'other',
      parties: ['alpha', 'beta', 'mallory'],
    });
    await expect(client.generateKey(foreign)).rejects.toMatchObject({
      code: 'InvalidInput',
      details: { party: 'mallory' },
    });
    await expect(client.wallet('treasury')).rejects.toMatchObject({ code: 'WalletNotActive' });
    await expect(client.wallet('nobody')).rejects.toMatchObject({ code: 'WalletUnknown' });
  });

  it.each([
    ['expiresAt', { expiresAt: '2020-01-01T00:00:00.000Z' }],
    ['memo', { memo: 'pay\u202Eme' }],
  ])('an intent with a bad %s never leaves the client', async (field, change) => {
    const bad = { ...intent(), ...change };
    await expect(client.transfer(bad)).rejects.toMatchObject({
      code: 'InvalidInput',
      details: { field },
    });
    await expect(client.status(bad.requestId)).rejects.toMatchObject({ code: 'NotFound' });
  });
});

describe('following', () => {
  it('status shows the intent and its digest; unknown ids are NotFound', async () => {
    const wanted = intent();
    await client.transfer(wanted);
    expect(await client.status(wanted.requestId)).toMatchObject({
      phase: 'Initiated',
      intent: wanted,
      intentDigest: intentDigest(wanted),
    });
    await expect(client.status('t-nobody')).rejects.toMatchObject({ code: 'NotFound' });
    await expect(client.status('no/such')).rejects.toMatchObject({ code: 'InvalidInput' });
  });

  it('lists read the intents from memos that only holders of the payload key can read', async () => {
    const wanted = intent({ walletId: 'savings', memo: 'school fees' });
    await client.transfer(wanted);
    const listed = await until(async () => (await client.transfers({ walletId: 'savings' }))[0], {
      deadlineMs: 20_000,
      what: 'the transfer being listed',
    });
    expect(listed).toMatchObject({
      requestId: wanted.requestId,
      intent: wanted,
      execution: 'RUNNING',
    });
    const { address, namespace } = stack.temporal;
    const stranger = await createClient({
      temporal: { address, namespace },
      payloadKeys: { current: 'b', keys: { b: randomBytes(32) } },
      directory,
    });
    try {
      await expect(stranger.transfers({ walletId: 'savings' })).rejects.toMatchObject({
        code: 'NotFound',
      });
    } finally {
      await stranger.close();
    }
    await expect(client.transfers({ walletId: `x' OR '1'='1` })).rejects.toMatchObject({
      code: 'InvalidInput',
      details: { field: 'walletId' },
    });
  });

  it('watch ends with its time limit, and when it is told to', async () => {
    const wanted = intent();
    await client.transfer(wanted);
    const seen: string[] = [];
    await expect(async () => {
      for await (const status of client.watch(wanted.requestId, { intervalMs: 20, timeoutMs: 300 }))
        seen.push(status.phase);
    }).rejects.toMatchObject({ code: 'TimeLimit' });
    expect(seen[0]).toBe('Initiated');
    const abort = new AbortController();
    await expect(async () => {
      for await (const _ of client.watch(wanted.requestId, {
        intervalMs: 20,
        signal: abort.signal,
      }))
        abort.abort();
    }).rejects.toMatchObject({ name: 'AbortError' });
  });

  it('a decision that is none, or the other one, is refused before it is sent', async () => {
    const wanted = intent();
    const now = Date.now();
    const signed = signApproval(
      Approval.parse({
        intentDigest: intentDigest(wanted),
        approver: 'alice',
        decision: 'reject',
        at: new Date(now).toISOString(),
        validUntil: new Date(now + 60_000).toISOString(),
      }),
      randomBytes(32),
    );
    await expect(client.approve(wanted.requestId, signed)).rejects.toMatchObject({
      code: 'InvalidInput',
      details: { field: 'decision' },
    });
    await expect(client.reject('t-nobody', signed)).rejects.toMatchObject({ code: 'NotFound' });
  });

  it('parties that do not answer are down, each by itself', async () => {
    const states = await client.parties(1_000);
    expect(states.map(({ party, state }) => [party, state])).toEqual([
      ['alpha', 'down'],
      ['beta', 'down'],
      ['gamma', 'down'],
    ]);
  });
});

describe('without Temporal', () => {
  it('is PartFailed, naming the part', async () => {
    await expect(
      createClient({
        temporal: { address: '127.0.0.1:9', namespace: 'keysaga' },
        payloadKeys: keys,
        directory,
        timeoutMs: 1_000,
      }),
    ).rejects.toMatchObject({ code: 'PartFailed', details: { part: 'temporal' } });
  });
});
