/** The saga over two providers that lose answers or are away: what was signed once is delivered, and nothing else is signed. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Wallet } from '../../client/index.ts';
import { until } from '../../dev/until.ts';
import type { TransferIntent } from '../../schema/contracts/intent.ts';
import { checkLedger } from '../crash/cells.ts';
import { type Platform, startPlatform } from '../support/platform.ts';
import { type Fault, type RpcProxy, startRpcProxy } from '../support/rpc-proxy.ts';
import { expectEnd } from './support.ts';

const proxies: RpcProxy[] = [];
let platform: Platform;
let wallet: Wallet;
beforeAll(async () => {
  platform = await startPlatform({
    chains: ['solana'],
    async providers(_, rpcUrl) {
      for (let i = 0; i < 2; i++) proxies.push(await startRpcProxy(rpcUrl));
      return proxies.map(({ url }) => url);
    },
  });
  wallet = await platform.wallet('providers', 'solana');
}, 300_000);
afterAll(async () => {
  await platform?.close();
  await Promise.all(proxies.map((proxy) => proxy.close()));
});

/** Transactions that any provider was asked to send, the wallet's own. */
const sent = () =>
  proxies.flatMap(({ calls }) =>
    calls.filter(({ method }) => method === 'sendTransaction').map(({ params }) => params[0]),
  );
const on =
  (fault: Fault, ...methods: readonly string[]): RpcProxy['fault'] =>
  ({ method }) =>
    methods.includes(method) ? fault : undefined;

async function paidOnce(intent: TransferIntent): Promise<void> {
  const status = await expectEnd(platform, intent, 'Completed');
  expect(status.attempts).toBe(1);
  expect(new Set(sent()).size).toBe(1);
  await checkLedger(platform);
  for (const proxy of proxies) proxy.heal();
}

it('a payment whose acceptance was lost is found by its id and not signed again', {
  timeout: 120_000,
}, async () => {
  for (const proxy of proxies) proxy.heal();
  const [lossy, other] = proxies as [RpcProxy, RpcProxy];
  lossy.fault = on({ kind: 'drop-after-delivery' }, 'sendTransaction');
  other.fault = on({ kind: 'status', status: 503 }, 'sendTransaction');
  const intent = platform.intent(wallet);
  await platform.startApproved(intent);
  await paidOnce(intent);
});

it('with every provider away a payment waits, and goes out once, as it was signed', {
  timeout: 120_000,
}, async () => {
  const away = on({ kind: 'away' }, 'sendTransaction', 'getSignatureStatuses');
  for (const proxy of proxies) proxy.fault = away;
  const intent = platform.intent(wallet);
  await platform.startApproved(intent);
  // More than one try of the whole step.
  const looks = () =>
    proxies.flatMap(({ calls }) => calls).filter(({ method }) => method === 'getSignatureStatuses');
  await until(() => sent().length > 0 && looks().length > 8, {
    deadlineMs: 60_000,
    what: 'the payment being sent and looked up in vain',
  });
  expect(await platform.received('solana', intent.destination)).toBe(0n);
  for (const proxy of proxies) proxy.fault = () => undefined;
  await paidOnce(intent);
});
