/** `keysaga doctor`: what is up, in which version, and what to do about what is not. */
import type { Command } from 'commander';
import postgres from 'postgres';
import {
  clientOptions,
  createClient,
  type KeysagaClient,
  readClientConfig,
} from '../../client/index.ts';
import { dataFolder } from '../../dev/paths.ts';
import { readStack, type StackRecord } from '../../dev/stack/index.ts';
import { isKeysagaError, KeysagaError } from '../../schema/contracts/errors.ts';
import { TASK_QUEUES } from '../../schema/contracts/temporal.ts';
import { contextOf, leaf } from '../command.ts';
import { clientConfigFile, shown } from '../context.ts';
import { EXIT } from '../exit-codes.ts';
import { type Env, type Io, type Style, table } from '../io.ts';

export type Finding = {
  readonly part: string;
  readonly up: boolean;
  readonly version: string;
  readonly where: string;
  /** What to do; present when it is not up. */
  readonly remedy?: string;
};

type Check = {
  readonly part: string;
  readonly where: string;
  readonly remedy: string;
  readonly look: () => Promise<string>;
};

/** The reason in a word or two; driver texts may repeat addresses with passwords, so only codes are taken. */
const reason = (error: unknown): string =>
  isKeysagaError(error)
    ? error.message
    : typeof (error as { code?: unknown }).code === 'string'
      ? (error as { code: string }).code
      : 'no answer';

async function found({ part, where, remedy, look }: Check): Promise<Finding> {
  try {
    return { part, up: true, version: await look(), where };
  } catch (error) {
    return { part, up: false, version: '', where, remedy: `${reason(error)}. ${remedy}` };
  }
}

const bare = (url: string): string => {
  const { host } = new URL(url);
  return host;
};

async function jsonRpc(
  url: string,
  method: string,
  params: readonly unknown[] = [],
): Promise<unknown> {
  const { username, password } = new URL(url);
  const target = new URL(url);
  target.username = '';
  target.password = '';
  const response = await fetch(target, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(username === ''
        ? {}
        : {
            authorization: `Basic ${Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString('base64')}`,
          }),
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
    signal: AbortSignal.timeout(5_000),
  });
  const { result } = (await response.json()) as { result?: unknown };
  if (result === undefined || result === null)
    throw new KeysagaError('ChainUnavailable', `It refuses ${method}.`);
  return result;
}

function partChecks(record: StackRecord, dataDir: string): Check[] {
  const log = (part: string) =>
    `See ${shown(`${dataDir}/logs/${part}.log`)}, then stop and start again.`;
  const { postgres: database, bitcoin, solana, ethereum, temporal } = record;
  const checks: Check[] = [];
  if (database !== undefined)
    checks.push({
      part: 'postgresql',
      where: bare(database.adminUrl),
      remedy: log('postgres'),
      look: async () => {
        const sql = postgres(database.adminUrl, { max: 1, connect_timeout: 5, onnotice: () => {} });
        try {
          const [row] = await sql<{ server_version: string }[]>`show server_version`;
          return row?.server_version ?? '';
        } finally {
          await sql.end({ timeout: 1 });
        }
      },
    });
  if (bitcoin !== undefined)
    checks.push({
      part: 'bitcoin',
      where: bare(bitcoin.rpcUrl),
      remedy: log('bitcoin'),
      look: async () => `height ${Number(await jsonRpc(bitcoin.rpcUrl, 'getblockcount'))}`,
    });
  if (solana !== undefined)
    checks.push({
      part: 'solana',
      where: bare(solana.rpcUrl),
      remedy: log('solana'),
      look: async () => {
        // The slot as well: a runtime that is stuck still answers what it knows by heart.
        const [version, slot] = await Promise.all([
          jsonRpc(solana.rpcUrl, 'getVersion'),
          jsonRpc(solana.rpcUrl, 'getSlot'),
        ]);
        return `${String((version as Record<string, unknown>)['solana-core'] ?? '')}, slot ${Number(slot)}`;
      },
    });
  if (ethereum !== undefined)
    checks.push({
      part: 'ethereum',
      where: bare(ethereum.rpcUrl),
      remedy: log('ethereum'),
      look: async () => {
        const [version, height] = await Promise.all([
          jsonRpc(ethereum.rpcUrl, 'web3_clientVersion'),
          jsonRpc(ethereum.rpcUrl, 'eth_blockNumber'),
        ]);
        return `${String(version)}, height ${Number(height)}`;
      },
    });
  if (temporal !== undefined)
    checks.push({
      part: 'codec server',
      where: `${temporal.codec.host}:${temporal.codec.port}`,
      remedy: log('coordinator'),
      look: async () => {
        const response = await fetch(`${temporal.codec.endpoint}/decode`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: '{"payloads":[]}',
          signal: AbortSignal.timeout(5_000),
        });
        if (!response.ok)
          throw Object.assign(new TypeError('status'), { code: `status ${response.status}` });
        return '';
      },
    });
  return checks;
}

const STALE_MS = 70_000; // a long poll takes a minute

async function workerFindings(client: KeysagaClient): Promise<Finding[]> {
  const polled = await client.pollers(TASK_QUEUES.sagas, 'workflow');
  const fresh = polled.filter(({ agoMs }) => agoMs < STALE_MS);
  const coordinator: Finding =
    fresh.length > 0
      ? {
          part: 'coordinator',
          up: true,
          version: '',
          where: fresh.map(({ identity }) => identity).join(', '),
        }
      : {
          part: 'coordinator',
          up: false,
          version: '',
          where: '',
          remedy: 'No worker polls the queue `sagas`: start one, or see its log.',
        };
  const parties = await client.parties();
  return [
    coordinator,
    ...parties.map(({ party, state, health, reason: why }): Finding => {
      const base = { part: `party ${party}`, version: health?.version ?? '', where: '' };
      if (state === 'up' && health?.fenced !== true) return { ...base, up: true };
      const remedy =
        state === 'wrong-key'
          ? 'It answers with another identity key than the pinned one: do not use it before you know why.'
          : state === 'up'
            ? 'It is fenced after a restore: administrators must release it.'
            : `${why ?? ''}. Start its worker; others sign meanwhile as long as a threshold is up.`;
      return { ...base, up: false, remedy };
    }),
  ];
}

/** Every part, whether up or not. Never throws for a part that is down. */
export async function examine(env: Env): Promise<Finding[]> {
  const findings: Finding[] = [
    { part: 'node', up: true, version: process.versions.node, where: process.execPath },
  ];
  const dataDir = dataFolder(env);
  const record = env.KEYSAGA_CONFIG ? undefined : readStack(dataDir);
  if (!env.KEYSAGA_CONFIG && record === undefined) {
    findings.push({
      part: 'local stack',
      up: false,
      version: '',
      where: shown(dataDir),
      remedy: 'Not running. `npm start` starts it.',
    });
    return findings;
  }
  if (record !== undefined)
    findings.push(...(await Promise.all(partChecks(record, dataDir).map(found))));
  const config = await found({
    part: 'temporal',
    where: '',
    remedy: 'Check its address (TEMPORAL_ADDRESS) and its log.',
    look: async () => '',
  });
  try {
    const file = env.KEYSAGA_CONFIG ?? clientConfigFile(dataDir);
    const options = { ...clientOptions(readClientConfig(file), env), timeoutMs: 5_000 };
    const client = await createClient(options);
    try {
      const { version, namespace } = await client.temporal();
      findings.push({ ...config, version, where: `${options.temporal.address} (${namespace})` });
      findings.push(...(await workerFindings(client)));
    } finally {
      await client.close();
    }
  } catch (error) {
    findings.push({
      ...config,
      up: false,
      remedy: `${reason(error)} Check its address (TEMPORAL_ADDRESS) and its log.`,
    });
  }
  return findings;
}

export function doctorTable(findings: readonly Finding[], style: Style): string {
  const rows = findings.map(({ part, up, version, where }) => [
    part,
    up ? style.green('up') : style.red('down'),
    version,
    where,
  ]);
  const remedies = findings.flatMap(({ part, remedy }) =>
    remedy === undefined ? [] : [`${style.bold(part)}: ${remedy}`],
  );
  return [
    table(['part', '', 'version', 'where'], rows, style),
    ...(remedies.length === 0 ? [] : ['', ...remedies]),
  ].join('\n');
}

export const doctorCommand = (io: Io): Command =>
  leaf('doctor', 'What is up, versions, and what to do about what is not').action(
    async (options: { json?: boolean }) => {
      const context = contextOf(io, options);
      const findings = await examine(io.env);
      context.print(findings, doctorTable(findings, context.style));
      if (findings.some(({ up }) => !up)) process.exitCode = EXIT.failed;
    },
  );
