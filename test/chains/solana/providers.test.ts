/** Providers in front of one Solana runtime, some of which lose answers, mix them up, are behind, lie, or are away. */
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { until } from '../../../dev/until.ts';
import type { TransactionStatus } from '../../../schema/contracts/transaction.ts';
import { type RpcProxy, startRpcProxy } from '../../support/rpc-proxy.ts';
import { type Rig, startRig, type Wallet } from './rig.ts';
import { unhex } from './support.ts';

let rig: Rig;
let proxies: [RpcProxy, RpcProxy, RpcProxy];
let wallet: Wallet;
beforeAll(async () => {
  rig = await startRig();
  const { rpcUrl } = rig.stack.solana;
  proxies = [await startRpcProxy(rpcUrl), await startRpcProxy(rpcUrl), await startRpcProxy(rpcUrl)];
  wallet = await rig.wallet();
}, 120_000);
afterEach(() => {
  for (const proxy of proxies) proxy.heal();
});
afterAll(async () => {
  await Promise.all((proxies ?? []).map((proxy) => proxy.close()));
  await rig?.stop();
});

const over = (...of: readonly RpcProxy[]) =>
  rig.chain({ rpcUrl: of.map(({ url }) => url), requestTimeoutMs: 3_000 });
type Chain = ReturnType<typeof over>;
let count = 0;
async function payment(chain: Chain = rig.solana) {
  const owner = `transfer/providers-${count++}`;
  const { unsigned } = await rig.leasing(owner, wallet, (leaser) =>
    chain.build(rig.intent(wallet), wallet.key, leaser),
  );
  const signed = rig.sign(wallet, unsigned);
  const look = (by: Chain) => by.lookup(signed.id, unsigned, unhex(wallet.key.publicKey));
  const final = (by: Chain) =>
    until(
      async () => {
        const status = await look(by);
        return status.status === 'included' && status.final ? status : undefined;
      },
      { deadlineMs: 30_000, intervalMs: 100, what: 'the payment being final' },
    );
  return { signed, look, final, over: () => rig.settle(owner, 'consumed') };
}

it('an answer lost after delivery is unclear, found by its id elsewhere, and one of three may be away', async () => {
  const chain = over(...proxies);
  const { signed, look, final, over: done } = await payment(chain);
  const onSend = (kind: 'drop-after-delivery' | 'away'): RpcProxy['fault'] => {
    return ({ method }) => (method === 'sendTransaction' ? { kind } : undefined);
  };
  proxies[0].fault = onSend('drop-after-delivery');
  for (const proxy of proxies.slice(1)) proxy.fault = onSend('away');
  expect((await chain.broadcast(signed)).status).toBe('unclear');
  proxies[0].fault = () => ({ kind: 'away' });
  await final(chain);
  const sent = proxies.flatMap(({ calls }) =>
    calls.filter(({ method }) => method === 'sendTransaction'),
  );
  expect(new Set(sent.map(({ params }) => params[0]))).toEqual(
    new Set([Buffer.from(signed.bytes, 'hex').toString('base64')]),
  );
  await done();
  proxies[1].fault = () => ({ kind: 'status', status: 503 });
  proxies[2].fault = () => ({ kind: 'status', status: 502 });
  expect((await chain.broadcast(signed)).status).toBe('unclear');
  await expect(look(chain)).rejects.toMatchObject({ code: 'ChainUnavailable', retryable: true });
}, 90_000);

it('one provider alone lands, fails and deepens nothing, and makes nobody rich', async () => {
  const [liar, honest] = proxies;
  const { signed, look, final, over: done } = await payment();
  const tells = (value: object): RpcProxy['fault'] => {
    return ({ method }) =>
      method === 'getSignatureStatuses'
        ? {
            kind: 'lie',
            result: (told) => {
              const { context } = told as { context: { slot: number } };
              return { context, value: [{ slot: 1, confirmations: null, err: null, ...value }] };
            },
          }
        : undefined;
  };
  const lies: [object, TransactionStatus['status']][] = [
    [{ confirmationStatus: 'finalized' }, 'included'],
    [{ confirmationStatus: 'finalized', err: { InstructionError: [1, 'Custom'] } }, 'failed'],
  ];
  for (const [value, alone] of lies) {
    liar.fault = tells(value);
    // What the lie would do where one provider is believed.
    expect((await look(over(liar))).status).toBe(alone);
    expect(await look(over(liar, honest))).toEqual({ status: 'unknown' });
    expect(await look(over(...proxies))).toEqual({ status: 'unknown' });
  }
  liar.heal();
  expect((await over(...proxies).broadcast(signed)).status).toMatch(/accepted|already-known/);
  const { block } = await final(over(...proxies));
  // One whose head stands still sees it no deeper than that.
  liar.fault = ({ method }) =>
    method === 'getSignatureStatuses'
      ? {
          kind: 'lie',
          result: (told) => ({ ...(told as object), context: { slot: Number(block) + 2 } }),
        }
      : undefined;
  expect(await look(over(liar, honest))).toMatchObject({ confirmations: 2, final: false });
  expect(await look(over(...proxies))).toMatchObject({ final: true });

  const truth = await rig.solana.balance(wallet.key.address, 'native');
  for (const lamports of [10 ** 15, 0]) {
    liar.fault = ({ method }) =>
      method === 'getMultipleAccounts'
        ? {
            kind: 'lie',
            result: (told) => {
              const { context, value } = told as { context: object; value: (object | null)[] };
              return { context, value: value.map((one) => one && { ...one, lamports }) };
            },
          }
        : undefined;
    expect(await over(...proxies).balance(wallet.key.address, 'native')).toBe(truth);
  }
  await done();
}, 90_000);

it('an answer to another request is no answer, whatever the client library makes of it', async () => {
  const [mixed, other] = proxies;
  const one = over(mixed);
  const { signed, look } = await payment();
  // The id of a status is not in it: the one before would be taken for this one's.
  await rig.solana.broadcast(signed);
  await until(async () => (await look(one)).status === 'included', {
    deadlineMs: 30_000,
    what: 'the payment being in a block',
  });
  mixed.fault = ({ method }) =>
    method === 'getSignatureStatuses' ? { kind: 'previous-answer' } : undefined;
  await expect(look(one)).rejects.toMatchObject({
    code: 'ChainUnavailable',
    message: expect.stringContaining('not to this request'),
  });
  expect(await look(rig.chain({ rpcUrl: [mixed.url, other.url], agreement: 1 }))).toMatchObject({
    status: 'included',
  });
}, 60_000);

it('a provider of another network is excluded by its genesis hash', async () => {
  const [wrong] = proxies;
  const mainnet = '5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d';
  wrong.fault = ({ method }) =>
    method === 'getGenesisHash' ? { kind: 'lie', result: () => mainnet } : undefined;
  const chain = over(...proxies);
  expect(await chain.balance(wallet.key.address, 'native')).toBeGreaterThan(0n);
  expect(chain.providers?.()[0]).toMatchObject({ provider: 1, state: 'wrong-network' });
  expect(new Set(wrong.calls.map(({ method }) => method))).toEqual(new Set(['getGenesisHash']));
});
