/**
 * What a newcomer gets: `npm start -- --once --json` from an empty data folder, then `npm start` on the same one, which
 * stays up for the command line and the UI. A program that shares no code with keysaga verifies every signature in the
 * output, and refuses the output once anything is changed.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as z from 'zod';
import { EXIT } from '../../cli/exit-codes.ts';
import type { Report } from '../../cli/start/report.ts';
import { clientOptions, readClientConfig } from '../../client/index.ts';
import { identify } from '../../dev/process/identity.ts';
import { attachStack, type StackAccess } from '../../dev/stack/index.ts';
import { processesOf } from '../../dev/stack/recover.ts';
import { until } from '../../dev/until.ts';
import { createDataConverter } from '../../wire/data-converter.ts';
import { type Env, type Live, type Run, shell } from './shell.ts';

const dataDir = join(mkdtempSync(join(tmpdir(), 'keysaga-once-')), 'data');
const LIMIT_MS = 300_000;
const { run, keysaga, start: stayUp } = shell(dataDir);
const start = (env?: Env): Promise<Run> =>
  run(process.execPath, ['scripts/start.mjs', '--once', '--json'], '', env);
const verifier = (document: unknown): Promise<Run> =>
  run(process.execPath, ['test/verify/independent-verifier.mjs'], JSON.stringify(document));

const stackId = (): string => readFileSync(join(dataDir, 'stack-id'), 'utf8').trim();
async function rpc(url: string, method: string, params: readonly unknown[]): Promise<unknown> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
  });
  return ((await response.json()) as { result: unknown }).result;
}

let first: Run;
let report: Report;
beforeAll(async () => {
  first = await start();
  if (first.code === 0) report = JSON.parse(first.stdout);
}, LIMIT_MS);
afterAll(async () => {
  await run(process.execPath, ['scripts/reset.mjs']);
  rmSync(join(dataDir, '..'), { recursive: true, force: true });
}, LIMIT_MS);

describe('npm start -- --once --json', () => {
  it('ends with 0, one document on stdout, and nothing left running', () => {
    expect(first.stderr).not.toContain('error ');
    expect(first.code, first.stderr).toBe(0);
    expect(first.stdout.trimEnd()).toMatch(/^\{[\s\S]*\}$/);
    expect(report.wallets.map(({ protocol }) => protocol)).toEqual([
      'frost-ed25519',
      'frost-bip340',
      'dkls23',
    ]);
    expect(existsSync(join(dataDir, 'stack.json'))).toBe(false);
  });

  it('has the fields that programs rely on, and no others', () => {
    const hex = expect.stringMatching(/^([0-9a-f]{2})+$/);
    const text = expect.stringMatching(/^.+$/);
    const decimal = expect.stringMatching(/^[1-9][0-9]*$/);
    const whole = expect.schemaMatching(z.int().min(0));
    const bitcoin = ({ chain }: { chain: string }) => chain.startsWith('bip122:');
    expect(report).toStrictEqual({
      version: '0.1.0',
      wallets: report.wallets.map(() => ({
        ...{ id: text, chain: text, protocol: text, publicKey: hex, address: text },
      })),
      transfers: report.transfers.map((transfer) => ({
        workflowId: expect.stringMatching(/^transfer\/demo-/),
        walletId: text,
        chain: text,
        intent: {
          ...{ requestId: text, walletId: text, chain: text, destination: text, asset: text },
          ...{ amount: decimal, feeCap: decimal, issuedAt: text, expiresAt: text, memo: text },
        },
        intentDigest: hex,
        approvals: [1, 2].map(() => ({
          ...{ approver: text, publicKey: hex, signedMessage: hex, signature: hex },
        })),
        rawTransaction: hex,
        ...(bitcoin(transfer)
          ? {
              spentOutputs: (transfer.spentOutputs ?? []).map(() => ({
                amount: decimal,
                script: hex,
              })),
            }
          : {}),
        publicKey: hex,
        transactionId: text,
        confirmations: whole,
        phasesMs: {
          ...{ Initiated: whole, AwaitingApprovals: whole, Preparing: whole, Signing: whole },
          ...{ Broadcasting: whole, Confirming: whole },
        },
      })),
    });
    expect(report.transfers.filter(bitcoin).map((one) => one.spentOutputs?.length)).toEqual([1]);
  });

  it('verifies by a program that shares no code with it', async () => {
    const result = await verifier(report);
    expect(result.stderr).toBe('');
    expect(result.code).toBe(0);
    expect(result.stdout.trim().split('\n')).toHaveLength(3);
  });

  const flip = (hex: string): string =>
    `${hex.slice(0, -2)}${(Number.parseInt(hex.slice(-2), 16) ^ 1).toString(16).padStart(2, '0')}`;
  type Transfer = Report['transfers'][number];
  const changes: Record<string, (transfer: Transfer) => Transfer> = {
    'another amount': (t) => ({ ...t, intent: { ...t.intent, amount: '1' } }),
    'another digest': (t) => ({ ...t, intentDigest: flip(t.intentDigest) }),
    'an approval less': (t) => ({ ...t, approvals: t.approvals.slice(1) }),
    'one approval twice': (t) => ({
      ...t,
      approvals: t.approvals.flatMap((a) => [a, a]).slice(0, 2),
    }),
    'a changed approval': (t) => ({
      ...t,
      approvals: t.approvals.map((a) => ({ ...a, signedMessage: flip(a.signedMessage) })),
    }),
    'a changed approval signature': (t) => ({
      ...t,
      approvals: t.approvals.map((a) => ({ ...a, signature: flip(a.signature) })),
    }),
    'changed transaction bytes': (t) => ({ ...t, rawTransaction: flip(t.rawTransaction) }),
    'another public key': (t) => ({ ...t, publicKey: flip(t.publicKey) }),
    'another transaction id': (t) => ({
      ...t,
      transactionId: t.transactionId.replace(/.$/, (c) => (c === '1' ? '2' : '1')),
    }),
  };
  it.each(Object.entries(changes))('does not verify with %s', async (_, change) => {
    for (const index of [0, 1, 2]) {
      const transfers = report.transfers.map((t, i) => (i === index ? change(t) : t));
      const result = await verifier({ ...report, transfers });
      expect(result.stderr).toMatch(/^does not verify: /);
      expect(result.code).toBe(1);
    }
  });
  it('does not verify with another spent output', async () => {
    const transfers = report.transfers.map((t) =>
      t.spentOutputs === undefined
        ? t
        : {
            ...t,
            spentOutputs: t.spentOutputs.map((o) => ({ ...o, amount: `${BigInt(o.amount) + 1n}` })),
          },
    );
    expect(transfers).not.toEqual(report.transfers);
    expect((await verifier({ ...report, transfers })).code).toBe(1);
  });

  it('leaves its secrets readable by their owner only', () => {
    const secrets = [
      'secrets',
      'administrators',
      'approvers',
      'parties/alpha',
      'coordinator',
    ].flatMap((folder) =>
      readdirSync(join(dataDir, folder), { withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(dataDir, folder, entry.name)),
    );
    expect(secrets.length).toBeGreaterThan(10);
    for (const file of secrets) expect([file, statSync(file).mode & 0o077]).toEqual([file, 0]);
  });

  it(
    'that cannot start a part ends non-zero with the reason, one document, and nothing left running',
    async () => {
      const failed = await start({ BITCOIN_RPC_URL: 'http://127.0.0.1:1' });
      expect(failed.code).toBe(EXIT.timeout);
      expect(failed.stderr.match(/^error .*$/gm)).toEqual([
        expect.stringMatching(/^error ChainUnavailable: .*127\.0\.0\.1:1/),
      ]);
      expect(failed.stderr).not.toMatch(/^ +at /m);
      expect(JSON.parse(failed.stdout)).toMatchObject({ error: { code: 'ChainUnavailable' } });
      expect(processesOf(dataDir, stackId())).toEqual([]);
    },
    LIMIT_MS,
  );
});

describe('npm start, again on the same data', () => {
  let live: Live;
  let stack: StackAccess;
  /** A command's one JSON document; by default it must end with 0. */
  const json = async (args: string, code: number = EXIT.ok, env?: Env) => {
    const ran = await keysaga([...args.split(' '), '--json'], env);
    expect([args, ran.code, ran.stderr], ran.stdout).toEqual([args, code, expect.anything()]);
    return JSON.parse(ran.stdout);
  };
  const words = async (args: string, code: number = EXIT.ok, env?: Env) => {
    const ran = await keysaga(args.split(' '), env);
    expect([args, ran.code], ran.stderr).toEqual([args, code]);
    return ran;
  };
  /** Every status of a watched transfer. */
  const watched = async (id: string, code: number) => {
    const { stdout } = await words(`watch ${id} --json`, code);
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    return { statuses: lines.filter((one) => 'phase' in one), error: lines.at(-1).error };
  };
  const passphrase = join(dataDir, 'approvers', 'passphrase');
  const signing = `--passphrase-file ${passphrase} --yes`;
  const PAYEES = {
    'demo-solana': { to: async () => stack.solana.sponsorAddress, feeCap: '20000' },
    'demo-ethereum': { to: () => stack.ethereum.faucetAddress(), feeCap: '0.001eth' },
  } as const;
  const pay = async (wallet: keyof typeof PAYEES, id: string, amount: string, code?: number) => {
    const { to, feeCap } = PAYEES[wallet];
    const money = `--to ${await to()} --amount ${amount} --fee-cap ${feeCap}`;
    return json(`transfer --wallet ${wallet} ${money} --request-id ${id}`, code);
  };

  beforeAll(async () => {
    live = stayUp();
    let over = false;
    void live.ended.then(() => {
      over = true;
    });
    await until(() => over || /Temporal UI: .*\n/.test(live.stderr), {
      deadlineMs: LIMIT_MS,
      what: 'the stack that stays up',
    });
    expect(over, live.stderr).toBe(false);
    stack = attachStack(dataDir);
  }, LIMIT_MS + 10_000);
  afterAll(async () => {
    if (live?.code === null) live.child.kill('SIGKILL');
    await live?.ended;
  });

  it('tells what it does, part by part, and what to do next', () => {
    for (const part of ['temporal', 'postgres', 'bitcoin', 'solana', 'ethereum'])
      expect(live.stderr).toMatch(new RegExp(`^ {2}${part}: ready, done in `, 'm'));
    for (const worker of ['coordinator', 'party alpha', 'party beta', 'party gamma'])
      expect(live.stderr).toMatch(new RegExp(`^ {2}${worker}: process \\d+, done in `, 'm'));
    expect(live.stderr).toMatch(/^3 sagas wait:\ntransfer +pays +approvals +waits for\n/m);
    expect(live.stderr).toMatch(/^demo-bitcoin-\S+ +\S+ BTC .* 0 of 2 +alice, bob, carol$/m);
    expect(live.stderr).toMatch(/^ {2}alice: signed 3 intents, done in /m);
    for (const next of [
      'wallet list',
      'transfer --wallet',
      'approve <transfer>',
      'watch',
      'doctor',
    ])
      expect(live.stderr).toContain(`KEYSAGA_DATA=${dataDir} ./cli/keysaga ${next}`);
  });

  it('ends its job with a table of the same wallets and of new transfers', async () => {
    const tables = live.stdout
      .trim()
      .split('\n\n')
      .map((block) => Object.fromEntries(block.split('\n').map((line) => line.split(/ {2,}/, 2))));
    expect(tables.map((row) => row.address)).toEqual(report.wallets.map(({ address }) => address));
    const old = report.transfers.map(({ transactionId }) => transactionId);
    for (const row of tables) {
      expect(Object.keys(row)).toEqual([
        ...[
          'wallet',
          'address',
          'paid',
          'transaction',
          'confirmations',
          'saga time',
          'Temporal UI',
        ],
      ]);
      expect(row.transaction).toMatch(/^\w{60,}$/);
      expect(old).not.toContain(row.transaction);
      expect(Number(row.confirmations)).toBeGreaterThan(0);
      expect(row['saga time']).toMatch(/ waiting for approvals$/);
      expect(row['Temporal UI']).toContain(`${stack.temporal.uiUrl}/namespaces/keysaga/workflows/`);
      expect((await fetch(row['Temporal UI'] ?? '')).status).toBe(200);
    }
  });

  it('has everything up, as doctor and parties say', async () => {
    const [findings, parties] = await Promise.all([json('doctor'), json('parties')]);
    expect(findings.map(({ part, up }: { part: string; up: boolean }) => [part, up])).toEqual(
      [
        ...['node', 'postgresql', 'bitcoin', 'solana', 'ethereum', 'codec server', 'temporal'],
        ...['coordinator', 'party alpha', 'party beta', 'party gamma'],
      ].map((part) => [part, true]),
    );
    expect(parties).toMatchObject(
      ['alpha', 'beta', 'gamma'].map((party) => ({
        party,
        state: 'up',
        health: { fenced: false },
      })),
    );
  });

  it('makes a wallet, shows it, and pays it from the faucet', async () => {
    const made = await json('wallet create live --network bitcoin');
    expect(made).toMatchObject({ id: 'live', protocol: 'frost-bip340', certificates: 3 });
    const [again, shown, list, colour, nobody, other] = await Promise.all([
      json('wallet create live --network bitcoin'),
      json('wallet show live'),
      words('wallet list', EXIT.ok, { FORCE_COLOR: '1', NO_COLOR: '1' }),
      words('wallet list', EXIT.ok, { FORCE_COLOR: '1' }),
      json('wallet show nobody', EXIT.notFound),
      json('wallet create live --network solana', EXIT.usage),
    ]);
    expect([again, shown]).toEqual([made, made]);
    for (const { id, address } of [...report.wallets, made])
      expect(list.stdout).toMatch(new RegExp(`^${id} .* Active +2 of 3 +${address}$`, 'm'));
    expect([list.stdout, colour.stdout].map((text) => text.includes('\u001b['))).toEqual([
      ...[false, true],
    ]);
    expect([nobody.error.code, other.error.code]).toEqual(['WalletUnknown', 'RequestConflict']);

    const { address } = report.wallets.find(({ id }) => id === 'demo-ethereum') ?? { address: '' };
    const balance = async () =>
      BigInt(String(await rpc(stack.ethereum.rpcUrl, 'eth_getBalance', [address, 'latest'])));
    const before = await balance();
    const paid = await json('faucet demo-ethereum 0.3eth');
    expect(paid).toMatchObject({
      walletId: 'demo-ethereum',
      address,
      amount: '300000000000000000',
    });
    expect((await balance()) - before).toBe(BigInt(paid.amount));
  });

  it('takes a transfer from its intent over two approvals to the chain', async () => {
    const begun = await pay('demo-solana', 'live-1', '0.01sol');
    expect(begun).toMatchObject({ fresh: true, intent: { amount: '10000000' } });
    const [again, other, waits, unsaid, wrong] = await Promise.all([
      pay('demo-solana', 'live-1', '0.01sol'),
      pay('demo-solana', 'live-1', '0.02sol', EXIT.usage),
      until(
        async () => {
          const found = await json('approvals --as alice');
          return found.length > 0 ? found : undefined;
        },
        { deadlineMs: 30_000, what: 'it waits for alice' },
      ),
      json(`approve live-1 --as alice --passphrase-file ${passphrase}`, EXIT.usage),
      json('approve live-1 --as alice --yes', EXIT.refused, { KEYSAGA_PASSPHRASE: 'not hers' }),
    ]);
    expect(again).toEqual({ ...begun, fresh: false });
    expect(other.error).toMatchObject({ code: 'RequestConflict', details: { field: 'requestId' } });
    expect(unsaid.error).toMatchObject({ code: 'InvalidInput', details: { field: 'yes' } });
    expect(wrong.error.code).toBe('SealBroken');
    expect(waits).toMatchObject([
      { requestId: 'live-1', intent: begun.intent, waitingFor: ['alice', 'bob', 'carol'] },
    ]);
    expect((await words('approvals --as bob')).stdout).toMatch(
      /^live-1 {2}waits for alice, bob, carol\n[\s\S]*Amount +0\.01 SOL \(10000000 lamports\)\n/,
    );

    const alice = await json(`approve live-1 --as alice ${signing}`);
    expect(alice).toMatchObject({ approved: 1, quorum: 2, missing: ['bob', 'carol'] });
    const bob = await words(`approve live-1 --as bob ${signing}`);
    expect(bob.stdout).toBe('counted: 2 of 2 approvals, it goes on\n');
    expect(bob.stderr).toMatch(/^bob is about to approve:\n[\s\S]*^Digest {2}[0-9a-f]{64}$/m);
    const { statuses } = await watched('live-1', EXIT.ok);
    const last = statuses.at(-1);
    expect(last).toMatchObject({ phase: 'Completed', intent: begun.intent });
    expect(last.intentDigest).toBe(alice.signed.approval.intentDigest);
    expect((await words('watch live-1')).stdout).toMatch(/^Completed/);
    const late = await json(`approve live-1 --as carol ${signing}`, EXIT.refused);
    expect(late.error.code).toBe('StateConflict');
  });

  it('ends a transfer that is rejected, and one that is cancelled', async () => {
    await Promise.all(['live-2', 'live-3'].map((id) => pay('demo-ethereum', id, '0.001eth')));
    const [rejected, cancelled] = await Promise.all([
      json(`reject live-2 --as carol ${signing}`),
      json('cancel live-3'),
    ]);
    expect(rejected.signed.approval).toMatchObject({ approver: 'carol', decision: 'reject' });
    expect(cancelled).toMatchObject({ accepted: true, path: 'compensate' });
    const [two, three] = await Promise.all(
      ['live-2', 'live-3'].map((id) => watched(id, EXIT.refused)),
    );
    for (const [ended, code] of [
      [two, 'IntentRejected'],
      [three, 'Cancelled'],
    ] as const) {
      expect(ended?.statuses.at(-1)).toMatchObject({ phase: 'Failed', failure: { code } });
      expect(ended?.error.code).toBe(code);
    }
    expect(await json('cancel live-3', EXIT.refused)).toMatchObject({ path: 'too-late' });
    // Temporal's visibility store follows within about a second.
    await until(async () => (await json('transfers --open')).length === 0, {
      deadlineMs: 30_000,
      what: 'no transfer is open',
    });
    const listed = await json('transfers --wallet demo-ethereum');
    for (const id of ['live-2', 'live-3'])
      expect(listed).toContainEqual(
        expect.objectContaining({ requestId: id, phase: 'Failed', execution: 'FAILED' }),
      );
  });

  it('shows a saga in the UI: words at the start, a summary and a group on each step', async () => {
    const options = clientOptions(readClientConfig(join(dataDir, 'client.json')), {});
    const { address, namespace } = stack.temporal;
    const connection = await Connection.connect({ address });
    const dataConverter = createDataConverter({ keys: options.payloadKeys });
    const handle = new Client({ connection, namespace, dataConverter }).workflow.getHandle(
      'transfer/live-1',
    );
    const description = await handle.describe();
    expect(await description.staticSummary()).toMatch(/^demo-solana: 10000000 native to /);
    expect(await description.staticDetails()).toMatch(/^request: +live-1$/m);
    const history = await handle.fetchHistory();
    await connection.close();
    const events = history.events ?? [];
    const steps = events.filter((event) => event.activityTaskScheduledEventAttributes);
    expect(steps.length).toBeGreaterThan(8);
    for (const step of steps) {
      expect(step.userMetadata?.summary).toBeTruthy();
      expect(step.eventGroupMarkers?.length).toBeGreaterThan(0);
    }
    const groups = steps
      .flatMap((step) => step.eventGroupMarkers ?? [])
      .map((one) => one.label?.id);
    for (const phase of ['Initiated', 'Preparing', 'Signing', 'Broadcasting', 'Confirming'])
      expect(groups).toContainEqual(expect.stringContaining(phase));
    const timers = events.filter((event) => event.timerStartedEventAttributes);
    expect(timers.length).toBeGreaterThan(0);
    for (const timer of timers) expect(timer.userMetadata?.summary).toBeTruthy();

    // What the browser does with them: the codec server decodes, for the UI's origin and the holder of the token.
    const begun = JSON.parse(historyToJSON(history)).events[0];
    const body = JSON.stringify(begun.workflowExecutionStartedEventAttributes.input);
    expect(body).not.toContain('live-1');
    const { endpoint, token } = stack.temporal.codec;
    const origin = stack.temporal.uiUrl ?? '';
    const ask = (url: string, from: string) =>
      fetch(`${url}/decode`, {
        method: 'POST',
        headers: { origin: from, 'content-type': 'application/json', 'x-namespace': namespace },
        body,
      });
    const decoded = await ask(endpoint, origin);
    expect([decoded.status, decoded.headers.get('access-control-allow-origin')]).toEqual([
      ...[200, origin],
    ]);
    const { payloads } = (await decoded.json()) as { payloads: { data: string }[] };
    expect(JSON.parse(Buffer.from(payloads[0]?.data ?? '', 'base64').toString())).toMatchObject({
      intent: { requestId: 'live-1', amount: '10000000' },
    });
    const stranger = await ask(endpoint, 'http://elsewhere.example');
    expect(stranger.headers.get('access-control-allow-origin')).toBeNull();
    expect(endpoint).toContain(token);
    for (const guess of ['', 'A'.repeat(token.length)])
      expect((await ask(endpoint.replace(token, guess), origin)).status).toBe(404);
  });

  it('stops at Ctrl-C with 130 and leaves no process, and reset leaves no data', async () => {
    const processes = [...stack.record.processes];
    expect(processes).toHaveLength(10);
    const id = stackId();
    process.kill(-(live.child.pid ?? 0), 'SIGINT');
    expect(await live.ended).toBe(130);
    expect(live.stderr).toMatch(/\nstopping …\n[\s\S]*\ntemporal stopped\n/);
    expect(processes.filter(({ pid }) => identify(pid))).toEqual([]);
    expect(processesOf(dataDir, id)).toEqual([]);
    expect((await words('doctor', EXIT.failed)).stdout).toContain('Not running');
    const reset = await run('npm', ['run', '--silent', 'reset']);
    expect([reset.code, reset.stderr]).toEqual([0, `keysaga: cleared ${dataDir}\n`]);
    expect(existsSync(dataDir)).toBe(false);
  });
});
