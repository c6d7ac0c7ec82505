/**
 * Temporal and the coordinator are the adversary's here: a real server, and a worker whose sagas answer with lies. No
 * command shows or uses an address that the parties did not certify, and nobody signs another intent than the one that is
 * shown. And the check of a file needs no server.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { Client, Connection } from '@temporalio/client';
import { NativeConnection, Worker } from '@temporalio/worker';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exitCodeOf } from '../../cli/exit-codes.ts';
import { sealKey } from '../../cli/keyfile.ts';
import { buildProgram } from '../../cli/program.ts';
import { createClient, type KeysagaClient, walletFile } from '../../client/index.ts';
import { intentDigest, parseIntent } from '../../core/intent.ts';
import { writeAtomic } from '../../dev/files.ts';
import { type Stack, startStack } from '../../dev/stack/index.ts';
import { resetStack } from '../../dev/stack/reset.ts';
import { loadTopology } from '../../dev/topology.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { TASK_QUEUES, WORKFLOWS, workflowId } from '../../schema/contracts/temporal.ts';
import { createDataConverter } from '../../wire/data-converter.ts';
import { type Answer, directory, honest, LIES } from '../support/lying-ledger.ts';
import { BITCOIN } from '../support/parties.ts';

const home = mkdtempSync(join(tmpdir(), 'keysaga-wallet-'));
afterAll(() => rmSync(home, { recursive: true, force: true }));

type Ran = { out: string; err: string; error?: KeysagaError; exit: number };
async function keysaga(env: Record<string, string>, ...args: string[]): Promise<Ran> {
  const ran: Ran = { out: '', err: '', exit: 0 };
  const sink = (name: 'out' | 'err') => ({ write: (text: string) => (ran[name] += text) });
  const before = process.exitCode;
  process.exitCode = 0;
  try {
    const io = { env, stdin: new PassThrough(), stdout: sink('out'), stderr: sink('err') };
    await buildProgram(io).parseAsync(['node', 'keysaga', ...args]);
    ran.exit = Number(process.exitCode ?? 0);
  } catch (error) {
    ran.exit = exitCodeOf(error);
    if (!(error instanceof KeysagaError)) throw error;
    ran.error = error;
  } finally {
    process.exitCode = before;
  }
  return ran;
}
const file = (name: string, content: unknown): string => {
  const path = join(home, name);
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content), {
    mode: 0o600,
  });
  return path;
};

describe('wallet verify --file', () => {
  const truth = honest('w');
  const parties = file('parties.json', directory);
  const verify = (wallet: unknown, ...more: string[]) =>
    keysaga(
      { KEYSAGA_DATA: join(home, 'nothing') },
      ...['wallet', 'verify', 'w', '--file', file('w.json', wallet), '--parties', parties, ...more],
    );

  it('needs no server, and shows each thing that was checked', async () => {
    const { out, exit } = await verify(walletFile(truth));
    expect(exit).toBe(0);
    for (const { party, publicKey } of directory)
      expect(out).toMatch(new RegExp(`party ${party} +${publicKey} +its signature verifies`));
    expect(out).toMatch(/address +\S+ +certified by all 3 parties; derived from the public key/);
    expect(out).toContain(`verified w on Bitcoin regtest: ${truth.key.address}`);
    const json = JSON.parse((await verify(walletFile(truth), '--json')).out);
    expect(json).toMatchObject({ verified: true, id: 'w', address: truth.key.address });
  });
  it.each(Object.entries(LIES))(
    'refuses %s, with exit code and reason',
    async (_, { field, tell }) => {
      const { out, error, exit } = await verify(walletFile(tell(truth) as Answer));
      expect(error).toMatchObject({ code: 'CertificateInvalid', details: { field } });
      expect(exit).toBe(4);
      expect(out).toBe('');
    },
  );
  it('refuses what is no wallet file, no JSON, not there, or without pinned keys', async () => {
    for (const bad of ['{', '[]', { type: 'x' }]) {
      const { error, exit } = await verify(bad);
      expect([error?.code, exit]).toEqual(['InvalidInput', 2]);
    }
    const gone = ['wallet', 'verify', 'w', '--file', join(home, 'gone.json')];
    expect(await keysaga({}, ...gone, '--parties', parties)).toMatchObject({
      exit: 2,
      error: { details: { field: 'file' } },
    });
    const unpinned = await keysaga(
      { KEYSAGA_DATA: join(home, 'nothing') },
      ...['wallet', 'verify', 'w', '--file', file('w.json', walletFile(truth))],
    );
    expect(unpinned.exit).not.toBe(0);
  });
});

describe('with a lying ledger', () => {
  let stack: Stack;
  let worker: Worker;
  let running: Promise<void>;
  let temporal: Client;
  const env = { KEYSAGA_DATA: join(home, 'data') };
  const names = Object.keys(LIES);
  const walletOf = (name: string) => `lie-${names.indexOf(name)}`;
  const truth = honest('true');

  beforeAll(async () => {
    const { topology } = loadTopology();
    stack = await startStack({
      topology: {
        ...topology,
        temporal: { ...topology.temporal, port: 0, uiPort: 0, codec: { port: 0 } },
      },
      external: {},
      dataDir: env.KEYSAGA_DATA,
      parts: ['temporal'],
    });
    const { address, namespace } = stack.temporal;
    const payload = randomBytes(32);
    writeAtomic(join(stack.dataDir, 'payload.key'), payload.toString('hex'));
    writeAtomic(
      join(stack.dataDir, 'client.json'),
      JSON.stringify({
        temporal: { address, namespace },
        payloadKeys: [{ id: 'a', file: 'payload.key' }],
        directory,
        policyId: 'treasury',
        networks: { bitcoin: BITCOIN },
      }),
    );
    const dataConverter = createDataConverter({ keys: { current: 'a', keys: { a: payload } } });
    worker = await Worker.create({
      connection: await NativeConnection.connect({ address }),
      namespace,
      taskQueue: TASK_QUEUES.sagas,
      workflowsPath: new URL('./support/lying-workflows.ts', import.meta.url).pathname,
      dataConverter,
    });
    running = worker.run();
    const connection = await Connection.connect({ address });
    temporal = new Client({ connection, namespace, dataConverter });
    const wallets: [string, unknown][] = [
      ['true', truth],
      ...Object.entries(LIES).map(([name, { tell }]): [string, unknown] => {
        return [walletOf(name), tell(honest(walletOf(name)))];
      }),
    ];
    for (const [id, lie] of wallets) {
      const request = {
        requestId: id,
        network: BITCOIN,
        threshold: 2,
        parties: directory.map(({ party }) => party),
        policyId: 'treasury',
      };
      const handle = await temporal.workflow.start(WORKFLOWS.generateKey, {
        workflowId: workflowId.keygen(id as never),
        taskQueue: TASK_QUEUES.sagas,
        args: [{ request, lie }],
        memo: { request },
      });
      await handle.result();
    }
  }, 180_000);
  afterAll(async () => {
    await temporal?.connection.close();
    worker?.shutdown();
    await running;
    await stack?.stop();
    await resetStack(env.KEYSAGA_DATA);
  }, 60_000);

  it('the truth is shown, exported and verified', async () => {
    expect((await keysaga(env, 'wallet', 'show', 'true')).out).toContain(truth.key.address);
    const out = join(home, 'true.json');
    expect((await keysaga(env, 'wallet', 'export', 'true', '--out', out)).exit).toBe(0);
    expect(JSON.parse(readFileSync(out, 'utf8'))).toEqual(
      JSON.parse(JSON.stringify(walletFile(truth))),
    );
    const printed = await keysaga(env, 'wallet', 'export', 'true');
    expect(JSON.parse(printed.out)).toEqual(JSON.parse(readFileSync(out, 'utf8')));
    const offline = ['wallet', 'verify', 'true', '--file', out];
    expect((await keysaga(env, ...offline)).out).toContain(`verified true`);
    expect((await keysaga(env, 'wallet', 'verify', 'true')).out).toContain(truth.key.address);
  });

  it.each(Object.entries(LIES))(
    '%s is refused by each command that has an address',
    async (name, { field }) => {
      const id = walletOf(name);
      const commands = [
        ['wallet', 'show', id],
        ['wallet', 'show', id, '--json'],
        ['wallet', 'export', id],
        ['wallet', 'export', id, '--out', join(home, 'lie.json')],
        ['wallet', 'verify', id],
        ['faucet', id, '1'],
        [
          'transfer',
          ...['--wallet', id, '--to', truth.key.address, '--amount', '1', '--fee-cap', '1'],
        ],
      ];
      for (const args of commands) {
        const { out, error, exit } = await keysaga(env, ...args);
        expect(error, args.join(' ')).toMatchObject({
          code: 'CertificateInvalid',
          details: { field },
        });
        expect([out, exit]).toEqual(['', 4]);
      }
      expect(() => readFileSync(join(home, 'lie.json'))).toThrow('ENOENT');
    },
  );

  it('the list names the lies without an address, and the rest as ever', async () => {
    for (const json of [[], ['--json']]) {
      const { out, err, exit } = await keysaga(env, 'wallet', 'list', ...json);
      expect(exit).toBe(4);
      expect(out.match(/bcrt1\w+/g)).toEqual([truth.key.address]);
      for (const name of names) expect(err).toContain(`${walletOf(name)}: `);
    }
    const rows = JSON.parse((await keysaga(env, 'wallet', 'list', '--json')).out);
    expect(rows).toHaveLength(names.length + 1);
    for (const row of rows.filter((r: { id: string }) => r.id !== 'true'))
      expect(row).toMatchObject({ state: 'Refused', refused: expect.any(String) });
  });

  /** The SDK, on this server. */
  async function sdk<T>(work: (client: KeysagaClient) => Promise<T>): Promise<T> {
    const { address, namespace } = stack.temporal;
    const key = readFileSync(join(stack.dataDir, 'payload.key'), 'utf8');
    const client = await createClient({
      temporal: { address, namespace },
      payloadKeys: { current: 'a', keys: { a: Buffer.from(key, 'hex') } },
      directory,
    });
    return work(client).finally(() => client.close());
  }

  it('the status of a key generation gives no address', () =>
    sdk(async (client) => {
      for (const id of ['true', walletOf('another address')]) {
        const status = await client.keygenStatus(id);
        expect(status.phase).toBe('Active');
        expect(JSON.stringify(status)).not.toContain('bcrt1');
      }
    }));

  const intentOf = (requestId: string) =>
    parseIntent({
      requestId,
      walletId: 'true',
      chain: BITCOIN,
      destination: truth.key.address,
      asset: 'native',
      amount: '1000',
      feeCap: '1000',
      issuedAt: new Date().toISOString(),
      expiresAt: new Date(Date.now() + 3_600_000).toISOString(),
    });
  type Shown = { intent: ReturnType<typeof intentOf>; intentDigest: string };
  const TELL: Readonly<Record<string, (truth: Shown) => Shown>> = {
    'another digest': (shown) => ({ ...shown, intentDigest: 'ab'.repeat(32) }),
    'another intent under the digest': ({ intent, intentDigest }) => ({
      intent: { ...intent, amount: '999000' },
      intentDigest,
    }),
    'the intent of another request': () => {
      const intent = intentOf('other');
      return { intent, intentDigest: intentDigest(intent) };
    },
  };
  /** Starts a transfer that says so, and approves it from the command line. */
  async function approved(requestId: string, tell: (truth: Shown) => Shown) {
    const intent = intentOf(requestId);
    const handle = await temporal.workflow.start(WORKFLOWS.transfer, {
      workflowId: workflowId.transfer(requestId as never),
      taskQueue: TASK_QUEUES.sagas,
      args: [
        {
          status: {
            phase: 'AwaitingApprovals',
            ...tell({ intent, intentDigest: intentDigest(intent) }),
            quorum: 2,
            ...{ missing: [], refusedMessages: [], attempts: 0, parties: [], waitingFor: '' },
            ...{ pivotPassed: false, confirmations: 0, cancelRequested: false, undos: [] },
            phasesMs: {},
          },
        },
      ],
    });
    const passphrase = 'correct horse battery staple';
    const key = file(
      'alice.json',
      await sealKey({ role: 'approver', name: 'alice' }, randomBytes(32), passphrase),
    );
    const ran = await keysaga(
      { ...env, KEYSAGA_PASSPHRASE: passphrase },
      ...['approve', requestId, '--key-file', key, '--yes'],
    );
    const { events } = await handle.fetchHistory();
    const signals = (events ?? []).filter((one) => one.workflowExecutionSignaledEventAttributes);
    return { ran, signals: signals.length };
  }

  it('a transfer that tells the truth is shown, signed and signalled', async () => {
    const { ran, signals } = await approved('honest', (shown) => shown);
    expect([ran.exit, ran.error, signals]).toEqual([0, undefined, 1]);
    expect(ran.out).toContain('counted: 1 of 2 approvals');
  });
  it.each(Object.entries(TELL))(
    'a transfer that shows %s is neither shown nor signed',
    async (name, tell) => {
      const id = `lie-${Object.keys(TELL).indexOf(name)}`;
      const { ran, signals } = await approved(id, tell);
      expect(ran.error).toMatchObject({
        code: 'ApprovalInvalid',
        details: { field: 'intentDigest' },
      });
      expect([ran.exit, ran.out, ran.err, signals]).toEqual([4, '', '', 0]);
      await sdk((client) =>
        expect(client.status(id)).rejects.toMatchObject({ code: 'ApprovalInvalid' }),
      );
    },
  );
});
