/** `keysaga start`: the local stack and the main job; what `npm start` runs. */
import type { Command } from 'commander';
import { clientOptions, createClient, type KeysagaClient } from '../../client/index.ts';
import { partNames, type Stack, startStack } from '../../dev/stack/index.ts';
import { onShutdownSignals } from '../../dev/stack/shutdown.ts';
import { loadTopology, type Topology } from '../../dev/topology.ts';
import type { ClientConfig } from '../../schema/contracts/config.ts';
import type { TransferStatus } from '../../schema/contracts/saga.ts';
import { formatMs } from '../amounts.ts';
import { contextOf, leaf } from '../command.ts';
import { COMMAND, sagaLink, shown } from '../context.ts';
import { type Io, type Style, styleOf, writeLine } from '../io.ts';
import { approveAs, type Chain, demoWallet, follow, fund, startTransfer } from './main-job.ts';
import { type Done, reportJson, reportTable, waitingTable } from './report.ts';
import { type LocalSecrets, localSecrets } from './secrets.ts';
import { ProgressRouter, runSteps } from './steps.ts';
import { startApi, startCoordinator, startParty, writeClientConfig } from './workers.ts';

type Options = { readonly once?: boolean; readonly json?: boolean; readonly job: boolean };
const CHAINS: readonly Chain[] = ['solana', 'bitcoin', 'ethereum'];
const KEYS: Readonly<Record<Chain, string>> = {
  solana: 'Ed25519 key for Solana',
  bitcoin: 'BIP-340 key for Bitcoin',
  ethereum: 'ECDSA key for Ethereum',
};

export const startCommand = (io: Io): Command =>
  leaf('start', 'Start the local stack and do the main job; `npm start` runs it')
    .option('--once', 'stop everything after the table')
    .option('--no-job', 'only start the stack')
    .action((options: Options) => start(io, options));

async function start(io: Io, options: Options): Promise<void> {
  const context = contextOf(io, options);
  const style = styleOf(io.stderr, io.env);
  const begun = Date.now();
  const local = loadTopology();
  const router = new ProgressRouter();
  router.other = ({ message }) => writeLine(io.stderr, style.yellow(message));

  // Ctrl-C works from the first moment on: whatever is there by then is stopped in order.
  let stack: Stack | undefined;
  let starting: Promise<Stack> | undefined;
  let stopping = false;
  const takeOff = onShutdownSignals(async () => {
    stopping = true;
    writeLine(io.stderr, '\nstopping …');
    await (stack ?? (await starting?.catch(() => undefined)))?.stop();
  });
  let client: KeysagaClient | undefined;
  try {
    starting = startParts(io, style, router, local);
    stack = await starting;
    const { config, secrets } = await startWorkers(io, style, router, stack, local.topology);
    client = await createClient(
      clientOptions(config, {
        ...io.env,
        TEMPORAL_ADDRESS: undefined,
        TEMPORAL_NAMESPACE: undefined,
      }),
    );
    if (options.job) {
      const done = await mainJob(io, style, client, stack, local.topology, secrets);
      writeLine(io.stderr);
      context.print(
        reportJson(done),
        reportTable(done, (id) => sagaLink(config, id), context.style),
      );
    }
    writeLine(io.stderr, style.dim(`\neverything took ${formatMs(Date.now() - begun)}`));
    if (options.once === true) return;
    writeLine(io.stderr, nextSteps(config, io.env.KEYSAGA_DATA, secrets, style));
    // Stays up until a signal ends the process.
    await new Promise<never>(() => {
      setInterval(() => {}, 3_600_000);
    });
  } catch (error) {
    // What fails because everything is being stopped is no failure of its own.
    if (stopping) await new Promise<never>(() => {});
    throw error;
  } finally {
    await client?.close();
    await stack?.stop();
    takeOff();
  }
}

async function startParts(
  io: Io,
  style: Style,
  router: ProgressRouter,
  local: ReturnType<typeof loadTopology>,
): Promise<Stack> {
  const begun = Date.now();
  const waiting: ((error: unknown) => void)[] = [];
  // Listeners stand before anything starts: on a second start a part may be ready before its spinner turns.
  const tracks = partNames.map((part) => {
    let say: (text: string) => void = () => {};
    const ready = new Promise<string>((resolve, reject) => {
      waiting.push(reject);
      router.on(part, ({ phase, message }) => {
        say(message);
        if (phase === 'ready') resolve('ready');
        if (phase === 'external') resolve('your own');
      });
    });
    ready.catch(() => {});
    return {
      title: part,
      begun,
      run: (show: (text: string) => void) => {
        say = show;
        return ready;
      },
    };
  });
  const running = startStack({ ...local, onProgress: router.report });
  // A part that fails stops all of them; the steps end with the same reason.
  running.catch((error: unknown) => {
    for (const reject of waiting) reject(error);
  });
  const [shownResult, stack] = await Promise.allSettled([
    runSteps(io, style, 'Local stack', tracks),
    running,
  ]);
  for (const part of partNames) router.off(part);
  if (stack.status === 'rejected') throw stack.reason;
  if (shownResult.status === 'rejected') throw shownResult.reason;
  return stack.value;
}

async function startWorkers(
  io: Io,
  style: Style,
  router: ProgressRouter,
  stack: Stack,
  topology: Topology,
): Promise<{ config: ClientConfig; secrets: LocalSecrets }> {
  const secrets = await localSecrets(stack.dataDir, topology, Date.now());
  const config = writeClientConfig(stack, topology, secrets);
  const process = (name: string, title: string, run: () => Promise<void>) => ({
    title,
    run: async (say: (text: string) => void) => {
      router.on(name, ({ message }) => say(message));
      await run();
      router.off(name);
      return `process ${stack.nodes.get(name)?.pid}`;
    },
  });
  await runSteps(io, style, 'Workers, each with a database of its own', [
    process('coordinator', 'coordinator', () => startCoordinator(stack, topology, secrets)),
    process('api', 'codec server of the UI', () => startApi(stack)),
    ...topology.parties.names.map((party) =>
      process(`party-${party}`, `party ${party}`, () =>
        startParty(stack, topology, secrets, party),
      ),
    ),
  ]);
  return { config, secrets };
}

async function mainJob(
  io: Io,
  style: Style,
  client: KeysagaClient,
  stack: Stack,
  topology: Topology,
  secrets: LocalSecrets,
): Promise<Done[]> {
  const { threshold, names } = topology.parties;
  const wallets = new Map<Chain, Done['wallet']>();
  const waiting = new Map<Chain, TransferStatus>();
  const ended = new Map<Chain, TransferStatus>();
  const take = <T>(map: ReadonlyMap<Chain, T>, chain: Chain): T => map.get(chain) as T;

  await runSteps(
    io,
    style,
    `Keys: ${threshold} of ${names.length} parties sign, none ever has the whole key`,
    [
      ...CHAINS.map((chain) => ({
        title: KEYS[chain],
        run: async (say: (text: string) => void) => {
          const wallet = await demoWallet(client, chain, topology, say);
          wallets.set(chain, wallet);
          return wallet.address;
        },
      })),
    ],
  );
  await runSteps(
    io,
    style,
    'Money from the local faucets, and a transfer on each chain',
    CHAINS.map((chain) => ({
      title: take(wallets, chain).walletId,
      run: async (say) => {
        say('funding');
        const funded = await fund(stack, chain, take(wallets, chain));
        waiting.set(chain, await startTransfer(client, stack, chain, take(wallets, chain), say));
        return `${funded}, transfer waits for approvals`;
      },
    })),
  );
  const requests = CHAINS.map((chain) => take(waiting, chain).intent.requestId);
  writeLine(
    io.stderr,
    `\n${waiting.size} sagas wait:\n${waitingTable([...waiting.values()], style)}\n`,
  );

  const approvers = topology.approvers.names.slice(0, topology.approvers.quorum);
  await runSteps(
    io,
    style,
    `Approvals: ${approvers.length} of ${topology.approvers.names.length} demo approvers sign`,
    approvers.map((name) => ({
      title: name,
      run: async (say) => {
        await approveAs(client, secrets, name, requests, say);
        return `signed ${requests.length} intents`;
      },
    })),
  );
  await runSteps(
    io,
    style,
    'Signing, broadcast, confirmation',
    CHAINS.map((chain, i) => ({
      title: take(wallets, chain).walletId,
      run: async (say) => {
        const status = await follow(client, requests[i] ?? '', say);
        ended.set(chain, status);
        return `${status.confirmations} confirmations`;
      },
    })),
  );
  return CHAINS.map((chain) => ({ wallet: take(wallets, chain), status: take(ended, chain) }));
}

function nextSteps(
  config: ClientConfig,
  /** As the environment has it: another terminal needs the same. */
  dataDir: string | undefined,
  secrets: LocalSecrets,
  style: Style,
): string {
  const passphrase = shown(secrets.demoPassphraseFile);
  const environment = dataDir ? `KEYSAGA_DATA=${dataDir} ` : '';
  const try_ = (line: string) => `  ${environment}${COMMAND} ${line}`;
  return [
    '',
    style.bold('The stack stays up (Ctrl-C stops it). In another terminal:'),
    try_('wallet list'),
    try_('transfer --wallet demo-bitcoin --to <address> --amount 0.001btc --fee-cap 20000'),
    try_(`approve <transfer> --as ${secrets.approvers[0]?.name} --passphrase-file ${passphrase}`),
    try_(`approve <transfer> --as ${secrets.approvers[1]?.name} --passphrase-file ${passphrase}`),
    try_('watch <transfer>'),
    try_('doctor'),
    ...(config.uiUrl === undefined
      ? []
      : [`  Temporal UI: ${config.uiUrl}/namespaces/${config.temporal.namespace}/workflows`]),
  ].join('\n');
}
