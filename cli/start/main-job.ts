/** The main job: a key for each chain, money for each, a transfer on each, approvals, confirmation. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { KeysagaClient, Wallet } from '../../client/index.ts';
import { formatAmount, networkFamily } from '../../core/assets.ts';
import { parseIntent } from '../../core/intent.ts';
import { parseWith } from '../../core/parse.ts';
import { faucetKey } from '../../dev/bitcoin/faucet.ts';
import { readIfThere } from '../../dev/files.ts';
import type { Stack } from '../../dev/stack/index.ts';
import type { Topology } from '../../dev/topology.ts';
import { isKeysagaError, KeysagaError } from '../../schema/contracts/errors.ts';
import type { TransferIntent } from '../../schema/contracts/intent.ts';
import { GenerateKeyRequest } from '../../schema/contracts/key.ts';
import type { TransferStatus } from '../../schema/contracts/saga.ts';
import { payFromFaucet } from '../commands/faucet.ts';
import { freshRequestId } from '../commands/transfer.ts';
import { decide } from '../decide.ts';
import { openKey, readKeyFile } from '../keyfile.ts';
import { keygenLine, transferLine } from '../words.ts';
import type { LocalSecrets } from './secrets.ts';

export type Say = (text: string) => void;
/** No single wait of the demonstration takes longer on a healthy machine; a hang should end with a reason. */
const LIMIT_MS = 300_000;

export type Chain = 'solana' | 'bitcoin' | 'ethereum';
/** What each demonstration wallet gets, keeps and pays. Smallest units. */
const DEMO = {
  solana: { fund: '2000000000', enough: 500_000_000n, amount: '50000000', feeCap: '20000' },
  bitcoin: { fund: '2000000', enough: 0n, amount: '150000', feeCap: '20000' },
  ethereum: {
    fund: '1000000000000000000',
    enough: 500_000_000_000_000_000n,
    amount: '50000000000000000',
    feeCap: '1000000000000000',
  },
} as const;

/**
 * The demonstration wallet of a chain: that of an earlier start, or a new one. A generation that failed (its shares are
 * destroyed and its id is used up) is followed by the next number.
 */
export async function demoWallet(
  client: KeysagaClient,
  chain: Chain,
  topology: Topology,
  say: Say,
): Promise<Wallet> {
  for (let number = 1; number < 100; number++) {
    const id = number === 1 ? `demo-${chain}` : `demo-${chain}-${number}`;
    const request = parseWith(
      GenerateKeyRequest,
      {
        requestId: id,
        network: topology.chains[chain].network,
        threshold: topology.parties.threshold,
        parties: topology.parties.names,
        policyId: topology.policy.id,
      },
      'demo wallet',
    );
    // A finished one is read from its result, which needs no worker and no replay of an old history.
    const known = await existing(client, id);
    if (known === 'failed') continue;
    if (known !== undefined) return known;
    await client.generateKey(request);
    let failed = false;
    for await (const status of client.watchKeygen(id, { timeoutMs: LIMIT_MS, intervalMs: 150 })) {
      say(keygenLine(status));
      failed = status.phase === 'Failed';
    }
    if (!failed) return client.wallet(id, { wait: true, as: request });
  }
  throw new KeysagaError(
    'StateConflict',
    'Every demonstration key generation failed; see the Temporal UI.',
  );
}

async function existing(client: KeysagaClient, id: string): Promise<Wallet | 'failed' | undefined> {
  try {
    return await client.wallet(id);
  } catch (error) {
    if (!isKeysagaError(error)) throw error;
    if (error.code === 'WalletUnknown' || error.code === 'WalletNotActive') return undefined;
    // A wallet whose certificates do not hold must not be passed over in silence.
    if (error.code === 'CertificateInvalid' || error.code === 'PartFailed') throw error;
    return 'failed';
  }
}

async function ask(url: string, method: string, params: readonly unknown[]): Promise<unknown> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
    signal: AbortSignal.timeout(10_000),
  });
  return ((await response.json()) as { result?: unknown }).result;
}

/** The balance as the node shows it now, and as the coordinator counts it: on Solana what is final only. */
async function balance(
  stack: Stack,
  chain: 'solana' | 'ethereum',
  address: string,
  counted: boolean,
): Promise<bigint> {
  if (chain === 'ethereum')
    return BigInt(
      ((await ask(stack.ethereum.rpcUrl, 'eth_getBalance', [address, 'latest'])) ?? 0) as string,
    );
  const commitment = counted ? 'finalized' : 'confirmed';
  const result = await ask(stack.solana.rpcUrl, 'getBalance', [address, { commitment }]);
  return BigInt((result as { value: number } | undefined)?.value ?? 0);
}

/** Accounts are topped up when they have too little. Bitcoin: a deposit each time, confirmed at once. */
export async function fund(stack: Stack, chain: Chain, wallet: Wallet): Promise<string> {
  const { fund: amount, enough } = DEMO[chain];
  const { address, network } = wallet;
  if (chain !== 'bitcoin' && (await balance(stack, chain, address, false)) >= enough)
    return 'has enough';
  await payFromFaucet(stack, network, address, amount);
  if (chain !== 'bitcoin') {
    const deadline = Date.now() + 60_000;
    while ((await balance(stack, chain, address, true)) < enough) {
      if (Date.now() > deadline)
        throw new KeysagaError('ChainUnavailable', 'The deposit does not become final.');
      await sleep(100);
    }
  }
  return `got ${formatAmount(network, 'native', amount)}`;
}

/** Back to where the money came from, so that the local chains never run dry. */
async function destinationOf(stack: Stack, chain: Chain): Promise<string> {
  if (chain === 'ethereum') return stack.ethereum.faucetAddress();
  return chain === 'solana' ? stack.solana.sponsorAddress : faucetKey(stack.dataDir).address;
}

/** The coordinator follows the chain on its own; a deposit that it has not seen yet is worth another try. */
export async function startTransfer(
  client: KeysagaClient,
  stack: Stack,
  chain: Chain,
  wallet: Wallet,
  say: Say,
): Promise<TransferStatus> {
  for (let tries = 1; ; tries++) {
    try {
      return await startOne(client, stack, chain, wallet, say);
    } catch (error) {
      if (!isKeysagaError(error, 'InsufficientFunds') || tries >= 5) throw error;
      say('the coordinator has not seen the deposit yet');
      await sleep(1_000);
    }
  }
}

/** Starts a transfer under a fresh request id and waits until it waits for approvals. */
async function startOne(
  client: KeysagaClient,
  stack: Stack,
  chain: Chain,
  wallet: Wallet,
  say: Say,
): Promise<TransferStatus> {
  const now = Date.now();
  const intent: TransferIntent = parseIntent({
    requestId: freshRequestId(`demo-${chain}`, new Date(now)),
    walletId: wallet.walletId,
    chain: wallet.network,
    destination: await destinationOf(stack, chain),
    asset: 'native',
    amount: DEMO[chain].amount,
    feeCap: DEMO[chain].feeCap,
    issuedAt: new Date(now).toISOString(),
    expiresAt: new Date(now + 86_400_000).toISOString(),
    memo: `npm start, ${networkFamily(wallet.network)}`,
  });
  await client.transfer(intent);
  for await (const status of client.watch(intent.requestId, {
    timeoutMs: LIMIT_MS,
    intervalMs: 100,
  })) {
    say(transferLine(status));
    if (status.phase === 'AwaitingApprovals') return status;
  }
  await client.result(intent.requestId);
  throw new KeysagaError(
    'StateConflict',
    `Transfer ${intent.requestId} ended before it waited for approvals.`,
  );
}

/** What `keysaga approve` does, for one demo approver: the same code, with the demo passphrase. */
export async function approveAs(
  client: KeysagaClient,
  secrets: LocalSecrets,
  name: string,
  requestIds: readonly string[],
  say: Say,
): Promise<void> {
  const keyFile = secrets.approvers.find((one) => one.name === name)?.keyFile;
  if (keyFile === undefined)
    throw new KeysagaError('NotFound', `No demo approver ${name}.`, { field: 'approver' });
  const text = readKeyFile(keyFile);
  const passphrase = (readIfThere(secrets.demoPassphraseFile) ?? '').trim();
  for (const requestId of requestIds) {
    const { status } = await decide(client, {
      requestId,
      decision: 'approve',
      validForMs: 86_400_000,
      show: async ({ intent }) => say(`signs ${intent.requestId}`),
      key: () => openKey(text, passphrase, 'approver'),
    });
    say(`${requestId}: ${status.approvals.length} of ${status.quorum}`);
  }
}

/** Follows a transfer to its end. Throws what it failed with. */
export async function follow(
  client: KeysagaClient,
  requestId: string,
  say: Say,
): Promise<TransferStatus> {
  let last: TransferStatus | undefined;
  for await (const status of client.watch(requestId, {
    timeoutMs: LIMIT_MS,
    intervalMs: 150,
    onUnavailable: (error) => say(error.message),
  })) {
    last = status;
    say(transferLine(status));
  }
  await client.result(requestId).catch((error: unknown) => {
    if (isKeysagaError(error, 'Internal') && last?.failure !== undefined)
      throw new KeysagaError(
        'Internal',
        `${requestId}: ${last.failure.message}`,
        {},
        { cause: error },
      );
    throw error;
  });
  // Once more: the figures of the last phase stand only after its end.
  return client.status(requestId);
}
