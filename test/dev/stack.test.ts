/** The local stack on its real parts: two side by side, crashes, restarts, and nothing left behind. */
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import postgres from 'postgres';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { bitcoinRpc } from '../../dev/bitcoin/rpc.ts';
import { identify } from '../../dev/process/identity.ts';
import type { ProgressEvent } from '../../dev/progress.ts';
import { attachStack, type Stack, startStack } from '../../dev/stack/index.ts';
import { readyLine } from '../../dev/stack/node.ts';
import { lastRecord, readStack } from '../../dev/stack/record.ts';
import { processesOf } from '../../dev/stack/recover.ts';
import { resetStack } from '../../dev/stack/reset.ts';
import { loadTopology } from '../../dev/topology.ts';
import { until } from '../../dev/until.ts';
import { repoRoot } from '../support/repo.ts';

const { topology } = loadTopology(undefined, {});
const off = { mode: 'off', blockIntervalMs: 1000, settleBlocks: 0 } as const;
const bitcoinAddress = 'bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080'; // BIP-173's example key
const solanaAddress = '9B5XszUGdMaxCZ7uSQhPzdks5ZQSmWxrmzCSvtJ6Ns6g';

const folders: string[] = [];
const newFolder = (): string => {
  const folder = mkdtempSync(join(tmpdir(), 'keysaga-stack-'));
  folders.push(folder);
  return folder;
};
const start = (dataDir: string, options: Parameters<typeof startStack>[0] = {}) =>
  startStack({ topology, external: {}, dataDir, mining: off, ...options });

const stackIdOf = (dataDir: string): string => lastRecord(dataDir)?.stackId ?? '';

async function query<T>(url: string, work: (sql: postgres.Sql) => Promise<T>): Promise<T> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  try {
    return await work(sql);
  } finally {
    await sql.end();
  }
}
async function temporal<T>(stack: Stack, work: (client: Client) => Promise<T>): Promise<T> {
  const connection = await Connection.connect({ address: stack.temporal.address });
  try {
    return await work(new Client({ connection, namespace: stack.temporal.namespace }));
  } finally {
    await connection.close();
  }
}
const confirmations = async (stack: Stack, txid: string): Promise<number> =>
  (
    await bitcoinRpc(stack.bitcoin.rpcUrl).call<{ confirmations?: number }>(
      'getrawtransaction',
      txid,
      1,
    )
  ).confirmations ?? 0;
const solanaBalance = async (stack: Stack, address: string): Promise<number> => {
  const response = await fetch(stack.solana.rpcUrl, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'getBalance', params: [address] }),
  });
  return ((await response.json()) as { result: { value: number } }).result.value;
};

afterAll(async () => {
  for (const folder of folders) {
    if (existsSync(join(folder, 'stack-id'))) await resetStack(folder);
    rmSync(folder, { recursive: true, force: true });
  }
});

describe('two stacks side by side', () => {
  let a: Stack;
  let b: Stack;
  let ids: string[];
  beforeAll(async () => {
    [a, b] = await Promise.all([start(newFolder()), start(newFolder())]);
    ids = [a, b].map((stack) => stackIdOf(stack.dataDir));
  });
  afterAll(async () => {
    await Promise.all([a?.stop(), b?.stop()]);
  });

  it('use different ports and different data', async () => {
    const addresses = [a, b].flatMap((stack) => [
      stack.temporal.address,
      new URL(stack.temporal.uiUrl ?? '').host,
      `127.0.0.1:${stack.temporal.codec.port}`,
      new URL(stack.postgres.adminUrl).host,
      new URL(stack.bitcoin.rpcUrl).host,
      new URL(stack.solana.rpcUrl).host,
      new URL(stack.solana.wsUrl).host,
      new URL(stack.ethereum.rpcUrl).host,
    ]);
    expect(new Set(addresses).size).toBe(16);
    for (const address of addresses) expect(address).toMatch(/^127\.0\.0\.1:\d+$/);
    await a.bitcoin.mine(3);
    const heights = await Promise.all(
      [a, b].map((stack) => bitcoinRpc(stack.bitcoin.rpcUrl).call<number>('getblockcount')),
    );
    expect(heights).toEqual([113, 110]);
  });

  it('serve the UI with the codec endpoint, the search attributes and the retention of the file', async () => {
    const settings = await fetch(`${a.temporal.uiUrl}/api/v1/settings`);
    expect(((await settings.json()) as { Codec: { Endpoint: string } }).Codec.Endpoint).toBe(
      a.temporal.codec.endpoint,
    );
    await temporal(a, async ({ connection }) => {
      const { namespace } = a.temporal;
      const { customAttributes } = await (
        connection as Connection
      ).operatorService.listSearchAttributes({ namespace });
      expect(Object.keys(customAttributes)).toEqual(
        expect.arrayContaining(Object.keys(topology.temporal.searchAttributes)),
      );
      const { config } = await connection.workflowService.describeNamespace({ namespace });
      expect(Number(config?.workflowExecutionRetentionTtl?.seconds)).toBe(
        topology.temporal.retentionDays * 86_400,
      );
    });
  });

  it('pay from faucets on both chains', async () => {
    for (const stack of [a, b]) {
      // More payments than the faucet has mature block rewards: it goes on with unconfirmed change.
      const txids: string[] = [];
      for (let i = 0; i < 15; i++)
        txids.push(await stack.bitcoin.faucet(bitcoinAddress, 100_000_000n + BigInt(i)));
      expect(new Set(txids).size).toBe(15);
      expect(await confirmations(stack, txids[0] ?? '')).toBe(0);
      await stack.bitcoin.mine(2);
      for (const txid of txids) expect(await confirmations(stack, txid)).toBe(2);

      const before = await solanaBalance(stack, solanaAddress);
      await stack.solana.faucet(solanaAddress, 2_000_000_000n);
      expect((await solanaBalance(stack, solanaAddress)) - before).toBe(2_000_000_000);
      expect(await solanaBalance(stack, stack.solana.sponsorAddress)).toBe(
        Number(topology.chains.solana.sponsorLamports),
      );
    }
  });

  it('refuse faucet requests that make no sense, by field', async () => {
    const refused = (field: string) => ({ code: 'InvalidInput', details: { field } });
    await expect(
      a.bitcoin.faucet('bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4', 1000),
    ).rejects.toMatchObject(refused('address'));
    await expect(a.bitcoin.faucet(bitcoinAddress, 10)).rejects.toMatchObject(refused('sats'));
    await expect(a.bitcoin.faucet(bitcoinAddress, 1000.5)).rejects.toMatchObject(refused('sats'));
    await expect(a.bitcoin.faucet(bitcoinAddress, 2_000_000n * 100_000_000n)).rejects.toMatchObject(
      { code: 'InsufficientFunds' },
    );
    await expect(a.solana.faucet('not-an-address', 1)).rejects.toMatchObject(refused('address'));
    await expect(a.solana.faucet(solanaAddress, -1)).rejects.toMatchObject(refused('lamports'));
  });

  it('give each database to a role of its own that reaches no other', async () => {
    const [alpha, beta] = await Promise.all(
      ['party_alpha', 'party_beta'].map((name) => a.postgres.createDatabase(name)),
    );
    expect(await a.postgres.createDatabase('party_alpha')).toBe(alpha);
    await query(alpha ?? '', (sql) => sql`create table t (n int)`);
    const foreign = new URL(alpha ?? '');
    foreign.pathname = new URL(beta ?? '').pathname;
    await expect(query(foreign.href, (sql) => sql`select 1`)).rejects.toThrow(/permission denied/);
    await expect(a.postgres.createDatabase('x"; drop')).rejects.toMatchObject({
      details: { field: 'name' },
    });
    await a.postgres.dropDatabase('party_beta');
    await expect(query(beta ?? '', (sql) => sql`select 1`)).rejects.toThrow();
  });

  it.each(['postgres', 'temporal', 'bitcoin'])(
    '%s comes back on the same port with its data after SIGKILL',
    async (name) => {
      const url = await a.postgres.createDatabase('crash');
      const workflowId = `crash-${name}`;
      await query(url, async (sql) => {
        await sql`create table if not exists kept (name text primary key)`;
        await sql`insert into kept values (${name})`;
      });
      await temporal(a, (client) =>
        client.workflow.start('nobody', { workflowId, taskQueue: 'unserved' }),
      );
      const height =
        (await a.bitcoin.mine(1)) &&
        (await bitcoinRpc(a.bitcoin.rpcUrl).call<number>('getblockcount'));
      const before = a.record;
      const pid = before.processes.find((one) => one.name === name)?.pid;

      await a.kill(name, 'SIGKILL');
      expect(identify(pid ?? 0)).toBeUndefined();
      expect(readStack(a.dataDir)?.processes.map((one) => one.name)).not.toContain(name);
      await a.restart(name);

      expect({ ...a.record, processes: [] }).toEqual({ ...before, processes: [] });
      expect(
        await query(url, (sql) => sql`select name from kept where name = ${name}`),
      ).toHaveLength(1);
      const status = await temporal(
        a,
        async (client) => (await client.workflow.getHandle(workflowId).describe()).status.name,
      );
      expect(status).toBe('RUNNING');
      expect(await bitcoinRpc(a.bitcoin.rpcUrl).call<number>('getblockcount')).toBe(height);
    },
  );

  it('Solana comes back empty on the same ports, with its sponsor funded', async () => {
    const { rpcUrl, wsUrl } = a.solana;
    await a.kill('solana');
    await a.restart('solana');
    expect([a.solana.rpcUrl, a.solana.wsUrl]).toEqual([rpcUrl, wsUrl]);
    expect(await solanaBalance(a, solanaAddress)).toBe(0);
    expect(await solanaBalance(a, a.solana.sponsorAddress)).toBe(
      Number(topology.chains.solana.sponsorLamports),
    );
    // The relayed WebSocket speaks.
    const upgraded = await new Promise<{ status: number | undefined; accept: unknown }>(
      (resolve, reject) => {
        const ask = request(wsUrl.replace('ws:', 'http:'), {
          headers: {
            connection: 'Upgrade',
            upgrade: 'websocket',
            'sec-websocket-version': '13',
            'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
          },
        });
        ask.on('upgrade', (response, socket) => {
          socket.destroy();
          const accept = response.headers['sec-websocket-accept'];
          resolve({ status: response.statusCode, accept });
        });
        ask.on('response', (response) => resolve({ status: response.statusCode, accept: '' }));
        ask.on('error', reject);
        ask.end();
      },
    );
    // RFC 6455, section 1.3
    expect(upgraded).toEqual({ status: 101, accept: 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=' });
  });

  it('refuse a second owner, and let other processes attach', async () => {
    await expect(start(a.dataDir)).rejects.toMatchObject({
      code: 'StateConflict',
      details: { owner: process.pid },
    });
    await expect(resetStack(a.dataDir)).rejects.toMatchObject({ code: 'StateConflict' });
    const attached = attachStack(a.dataDir);
    expect(attached.temporal).toEqual(a.temporal);
    expect(await attached.bitcoin.mine(1)).toHaveLength(1);
    expect(statSync(join(a.dataDir, 'stack.json')).mode & 0o777).toBe(0o600);
  });

  it('run on addresses of the user instead of parts of their own', async () => {
    const { port } = new URL(a.postgres.adminUrl);
    const external = {
      temporalAddress: a.temporal.address,
      databaseUrl: a.postgres.adminUrl,
      bitcoinRpcUrl: a.bitcoin.rpcUrl,
      solanaRpcUrl: a.solana.rpcUrl,
      solanaWsUrl: a.solana.wsUrl,
      ethereumRpcUrl: a.ethereum.rpcUrl,
    };
    const guest = await start(newFolder(), { external });
    expect(guest.record.processes).toEqual([]);
    expect(
      await query(await guest.postgres.createDatabase('guest'), (sql) => sql`select 1`),
    ).toHaveLength(1);
    expect(guest.temporal.address).toBe(a.temporal.address);
    await expect(guest.kill('postgres')).rejects.toMatchObject({ code: 'NotFound' });
    await guest.stop();
    expect(await query(a.postgres.adminUrl, (sql) => sql`select 1`)).toHaveLength(1);

    const wrong = start(newFolder(), {
      parts: ['postgres'],
      external: { databaseUrl: `postgres://postgres:hunter2@127.0.0.1:${port}/postgres` },
    });
    const error = (await wrong.catch((e: unknown) => e)) as Error;
    expect(error).toMatchObject({ code: 'PartFailed', details: { field: 'DATABASE_URL' } });
    expect(error.message).not.toContain('hunter2');
    const chains = {
      ...topology.chains,
      bitcoin: { ...topology.chains.bitcoin, network: 'bip122:000000000019d6689c085ae165831e93' },
    };
    await expect(
      start(newFolder(), { parts: ['bitcoin'], external, topology: { ...topology, chains } }),
    ).rejects.toMatchObject({ code: 'ChainMismatch' });
  });

  it('leave no process behind when they stop, and keep their data', async () => {
    const url = await a.postgres.createDatabase('kept');
    await query(url, (sql) => sql`create table kept as select 42 as n`);
    await temporal(a, (client) =>
      client.workflow.start('nobody', { workflowId: 'kept', taskQueue: 'unserved' }),
    );
    const height = await bitcoinRpc(a.bitcoin.rpcUrl).call<number>('getblockcount');
    const pids = [a, b].flatMap((stack) => stack.record.processes.map(({ pid }) => pid));
    expect(pids).toHaveLength(10);
    await Promise.all([a.stop(), b.stop()]);
    expect(pids.filter((pid) => identify(pid))).toEqual([]);
    expect([a, b].flatMap((stack, i) => processesOf(stack.dataDir, ids[i] ?? ''))).toEqual([]);
    expect(readStack(a.dataDir)).toBeUndefined();
    expect(() => attachStack(a.dataDir)).toThrow(/npm start/);

    const again = await start(a.dataDir);
    try {
      const kept = await again.postgres.createDatabase('kept');
      expect(await query(kept, (sql) => sql`select n from kept`)).toEqual([{ n: 42 }]);
      const { status } = await temporal(again, (client) =>
        client.workflow.getHandle('kept').describe(),
      );
      expect(status.name).toBe('RUNNING');
      expect(await bitcoinRpc(again.bitcoin.rpcUrl).call<number>('getblockcount')).toBe(height);
      expect(again.temporal.codec.token).toBe(a.temporal.codec.token);
      expect(again.solana.sponsorAddress).toBe(a.solana.sponsorAddress);
    } finally {
      await again.stop();
    }
  });
});

describe('mining on demand', () => {
  it('gives each transaction its depth and then rests', async () => {
    const mining = { mode: 'demand', blockIntervalMs: 50, settleBlocks: 3 } as const;
    const stack = await start(newFolder(), { parts: ['bitcoin'], mining });
    try {
      const rpc = bitcoinRpc(stack.bitcoin.rpcUrl);
      const txid = await stack.bitcoin.faucet(bitcoinAddress, 50_000n);
      await until(async () => (await confirmations(stack, txid)) >= 4, {
        deadlineMs: 20_000,
        what: 'four confirmations',
      });
      // At most one block may be under way when the depth is reached; then the height stays.
      const height = await rpc.call<number>('getblockcount');
      const later = await stack.bitcoin.faucet(bitcoinAddress, 50_000n);
      await until(async () => (await confirmations(stack, later)) >= 4, {
        deadlineMs: 20_000,
        what: 'four confirmations',
      });
      expect((await rpc.call<number>('getblockcount')) - height).toBeLessThanOrEqual(5);
    } finally {
      await stack.stop();
    }
  });
});

describe('our own programs', () => {
  let stack: Stack;
  const events: ProgressEvent[] = [];
  const script = 'test/dev/fixtures/worker.ts';
  beforeAll(async () => {
    stack = await start(newFolder(), { parts: [], onProgress: (event) => events.push(event) });
  });
  afterAll(() => stack?.stop());

  it('report that they are ready, are killed, and come back with another environment', async () => {
    const node = await stack.startNode({
      name: 'one',
      script,
      args: ['--x'],
      env: { MODE: 'first' },
    });
    expect(node.ready).toMatchObject({ mode: 'first', args: ['--x'], pid: node.pid });
    await expect(stack.startNode({ name: 'one', script })).rejects.toMatchObject({
      code: 'StateConflict',
    });
    const { pid } = node;
    await stack.kill('one');
    expect(node.pid).toBeUndefined();
    expect(identify(pid ?? 0)).toBeUndefined();
    await node.restart({ env: { MODE: 'second' } });
    expect(node.ready).toMatchObject({ mode: 'second', args: ['--x'], pid: node.pid });
    await node.stop();
    expect(node.exited).toBeUndefined();
    expect(events.filter(({ phase }) => phase === 'exited')).toEqual([]);
  });

  it('get nothing of what their owner holds in its environment', async () => {
    const secrets = {
      DATABASE_URL: 'postgres://admin:secret@db.example/x',
      KEYSAGA_PASSPHRASE: 'secret',
      PGPASSWORD: 'secret',
      BITCOIN_RPC_URL: 'http://u:secret@127.0.0.1:18443',
      TEMPORAL_API_KEY: 'secret',
      NPM_TOKEN: 'secret',
    };
    for (const [name, value] of Object.entries(secrets)) vi.stubEnv(name, value);
    vi.stubEnv('KEYSAGA_LOG_LEVEL', 'warn');
    const node = await stack
      .startNode({ name: 'five', script, env: { MODE: 'told' } })
      .finally(() => vi.unstubAllEnvs());
    const { env } = node.ready as { env?: string[] };
    expect(env).toEqual(expect.arrayContaining(['PATH', 'MODE', 'KEYSAGA_LOG_LEVEL']));
    expect(Object.keys(secrets).filter((name) => env?.includes(name))).toEqual([]);
    await node.stop();
  });

  it('say in their error what they printed last when they do not come up', async () => {
    const failing = stack.startNode({ name: 'two', script, env: { MODE: 'broken' } });
    await expect(failing).rejects.toMatchObject({
      code: 'PartFailed',
      message: expect.stringMatching(/code 7/),
      details: {
        part: 'two',
        reason: 'exited',
        lastLines: expect.stringContaining('no database to be found'),
      },
    });
  });

  it('are reported when they end by themselves', async () => {
    const node = await stack.startNode({ name: 'three', script });
    process.kill(node.pid ?? 0, 'SIGKILL');
    await until(() => events.some(({ part, phase }) => part === 'three' && phase === 'exited'), {
      deadlineMs: 10_000,
      what: 'the report',
    });
    expect(node.pid).toBeUndefined();
  });

  it('are frozen and thawed', async () => {
    const node = await stack.startNode({ name: 'four', script });
    await node.kill('SIGSTOP');
    expect(node.pid).toBeDefined();
    await node.kill('SIGCONT');
    await node.stop();
  });
});

describe('an owner that ends', () => {
  const owners: ReturnType<typeof spawn>[] = [];
  afterEach(() => {
    for (const owner of owners.splice(0)) owner.kill('SIGKILL');
  });

  async function own(
    dataDir: string,
  ): Promise<{ pids: number[]; owner: ReturnType<typeof spawn>; ended: Promise<number | null> }> {
    const owner = spawn(process.execPath, ['--import', 'tsx', 'test/dev/fixtures/owner.ts'], {
      cwd: repoRoot,
      env: { ...process.env, KEYSAGA_DATA: dataDir },
      // A group of its own, as a shell gives to a job: a signal to it is what a terminal's Ctrl-C does.
      detached: true,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    owners.push(owner);
    const ended = new Promise<number | null>((resolve) =>
      owner.once('exit', (code) => resolve(code)),
    );
    let printed = '';
    owner.stdout?.setEncoding('utf8').on('data', (text: string) => {
      printed += text;
    });
    const line = await until(() => readyLine(printed), {
      deadlineMs: 60_000,
      what: 'the owner being ready',
    });
    return { pids: line.pids as number[], owner, ended };
  }

  it.each(['SIGINT', 'SIGTERM'] as const)(
    'by %s to its whole group stops everything in order',
    async (signal) => {
      const dataDir = newFolder();
      const { pids, owner, ended } = await own(dataDir);
      const stackId = stackIdOf(dataDir);
      expect(pids).toHaveLength(6);
      process.kill(-(owner.pid ?? 0), signal);
      expect(await ended).toBe(signal === 'SIGINT' ? 130 : 143);
      expect(pids.filter((pid) => identify(pid))).toEqual([]);
      expect(processesOf(dataDir, stackId)).toEqual([]);
      expect(existsSync(join(dataDir, 'stack.json'))).toBe(false);
    },
  );

  it('by SIGKILL leaves processes behind, which the next start ends', async () => {
    const dataDir = newFolder();
    const { pids, owner, ended } = await own(dataDir);
    owner.kill('SIGKILL');
    await ended;
    expect(pids.filter((pid) => identify(pid))).toHaveLength(6);
    expect(() => attachStack(dataDir)).toThrow(/no stack runs/);
    // A recorded pid that belongs to somebody else by now must not be touched: ours, with another start time.
    const bystander = spawn('sleep', ['600'], { stdio: 'ignore' });
    const record = lastRecord(dataDir);
    if (!record) throw new Error('no record');
    const { writeRecord } = await import('../../dev/stack/record.ts');
    writeRecord(dataDir, {
      ...record,
      processes: [
        ...record.processes.slice(1), // and one that was never written down
        { name: 'reused', pid: bystander.pid ?? 0, startTime: 'long ago', stopSignal: 'SIGTERM' },
      ],
    });

    const messages: string[] = [];
    const stack = await start(dataDir, { onProgress: ({ message }) => messages.push(message) });
    try {
      expect(messages[0]).toMatch(/left behind/);
      expect(pids.filter((pid) => identify(pid))).toEqual([]);
      expect(identify(bystander.pid ?? 0)).toBeDefined();
      expect(
        await query(
          await stack.postgres.createDatabase(`after_${randomUUID().slice(0, 8)}`),
          (sql) => sql`select 1`,
        ),
      ).toHaveLength(1);
    } finally {
      bystander.kill('SIGKILL');
      await stack.stop();
    }
  });

  it('cannot be mistaken: reset deletes only folders that a stack made', async () => {
    const folder = newFolder();
    await expect(resetStack(folder)).rejects.toMatchObject({ code: 'InvalidInput' });
    expect(existsSync(folder)).toBe(true);
  });
});
