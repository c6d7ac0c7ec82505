/**
 * The dishonest coordinator against the whole platform: two processes of each party, two coordinators, Temporal, both
 * chains. The adversary is a program of its own (`main.ts`); here are only the honest people, the user, and the verdict.
 */
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Io } from '../../cli/io.ts';
import { buildProgram } from '../../cli/program.ts';
import { isKeysagaError } from '../../schema/contracts/errors.ts';
import type { PartyId } from '../../schema/contracts/primitives.ts';
import { type Platform, startPlatform } from '../support/platform.ts';
import { repoRoot } from '../support/repo.ts';
import { CASES } from './cases/index.ts';
import type { KitName } from './kit.ts';
import type { Target, Told } from './over-temporal.ts';
import { type Ask, peopleOf } from './people.ts';
import type { CaseResult } from './run.ts';

const CHAINS: readonly KitName[] = ['bitcoin', 'solana'];

let platform: Platform;
let results: readonly CaseResult[] = [];
let log = '';

beforeAll(async () => {
  platform = await startPlatform({ instances: 2, coordinators: 2 });
  // What honest sagas leave behind, for the adversary to find: a payment on each chain.
  await Promise.all(
    (['bitcoin', 'solana'] as const).map(async (chain) => {
      const wallet = await platform.wallet(`honest-${chain}`, chain);
      const intent = platform.intent(wallet);
      await platform.startApproved(intent);
      const { phase } = await platform.ended(intent.requestId);
      expect(phase).toBe('Completed');
    }),
  );
  results = await attack();
}, 600_000);
afterAll(() => platform?.close());

/** What a user of the SDK is shown for a wallet, and a user of the command line. Throws what the first one is told. */
async function shownTo(walletId: string): Promise<{ address: string }[]> {
  let stdout = '';
  const silent = { write: () => true };
  const io: Io = {
    env: { KEYSAGA_CONFIG: join(platform.dataDir, 'client.json'), NO_COLOR: '1' },
    stdin: Readable.from([]),
    stdout: {
      write(text) {
        stdout += text;
      },
    },
    stderr: silent,
  };
  const byCli = buildProgram(io)
    .parseAsync(['wallet', 'show', walletId, '--json'], { from: 'user' })
    .then(() => JSON.parse(stdout) as { address: string });
  const [sdk, cli] = await Promise.allSettled([platform.client.wallet(walletId), byCli]);
  if (sdk.status !== cli.status) throw new Error('SDK and command line do not agree');
  if (sdk.status === 'rejected' || cli.status === 'rejected') {
    if (stdout.includes('address')) throw new Error(`an address was printed: ${stdout}`);
    throw sdk.status === 'rejected' ? sdk.reason : cli;
  }
  return [{ address: sdk.value.address }, { address: cli.value.address }];
}

async function answer(question: Ask): Promise<unknown> {
  const people = peopleOf(platform.cast);
  switch (question.ask) {
    case 'decide':
      return people.decide(question.intent, question.who, question.how);
    case 'sign-policy':
      return people.signPolicy(question.policy);
    case 'sign-order':
      return people.signOrder(question.order);
    case 'kill':
      return platform.workers
        .get(question.instance % 2 === 0 ? question.party : `${question.party}-2`)
        ?.kill('SIGKILL');
    case 'show':
      return shownTo(question.walletId);
  }
}

const told = (error: unknown): Told =>
  isKeysagaError(error)
    ? { code: error.code, message: error.message, details: error.details as Told['details'] }
    : { code: '', message: String(error), details: {} };

/** Starts the adversary with what a compromised operator has, and hears its results. */
async function attack(): Promise<CaseResult[]> {
  const { stack, cast, payloadKey, dataDir, client } = platform;
  const shared = {
    temporal: { address: stack.temporal.address, namespace: stack.temporal.namespace },
  };
  const parties = (await client.parties()).map(({ party, publicKey }) => ({
    party: party as PartyId,
    publicKey,
  }));
  const target: Target = {
    ...shared,
    payloadKey,
    coordinatorDatabase: await stack.postgres.createDatabase('coordinator'),
    solanaRpc: stack.solana.rpcUrl,
    bitcoinRpc: stack.bitcoin.rpcUrl,
    parties: cast.parties.map((p) => parties.find((one) => one.party === p) as (typeof parties)[0]),
    people: {
      approvers: cast.approvers.map((a) => a.name),
      policy: cast.policy,
      signedPolicy: cast.signedPolicy,
    },
  };
  const file = (name: string, content: unknown): string => {
    const path = join(dataDir, name);
    writeFileSync(path, JSON.stringify(content), { mode: 0o600 });
    return path;
  };
  file('client.json', {
    ...shared,
    payloadKeys: [{ id: 'test', file: 'payload.key' }],
    directory: parties,
  });
  const child = spawn(
    process.execPath,
    [
      ...['--import', 'tsx', 'test/adversary/main.ts', '--target', file('target.json', target)],
      ...['--chains', CHAINS.join(',')],
    ],
    { cwd: repoRoot, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] },
  );
  const heard: CaseResult[] = [];
  createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
    if (line.startsWith('{"result"'))
      heard.push((JSON.parse(line) as { result: CaseResult }).result);
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    log += text;
  });
  child.on('message', ({ id, question }: { id: string; question: Ask }) => {
    answer(question).then(
      (ok) => child.send({ id, ok }),
      (error: unknown) => child.send({ id, error: told(error) }),
    );
  });
  await new Promise<void>((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', () => resolve());
  });
  return heard;
}

/** What needs a party's machine as well, and the ECDSA wallets: `in-process.test.ts`. */
const attacks = CASES.filter(({ needs }) => needs !== 'aside').flatMap((c) =>
  c.chains.filter((chain) => CHAINS.includes(chain)).map((chain) => ({ ...c, chain })),
);

describe('a dishonest coordinator never', () => {
  it.each(attacks)('$title ($chain)', ({ id, chain }) => {
    const result = results.find((r) => r.id === id && r.chain === chain);
    expect(result ?? log.slice(-4_000)).toMatchObject({ outcome: 'held' });
  });
});
