/** Three providers in front of one Anvil, one or more of which lose answers, fail, are behind or lie. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createEthereum } from '../../../chains/ethereum/blockchain.ts';
import { readUnsigned } from '../../../chains/ethereum/codec.ts';
import { ethereumNetwork } from '../../../chains/ethereum/networks.ts';
import type { UnsignedTransaction } from '../../../schema/contracts/transaction.ts';
import { type Fault, type RpcCall, type RpcProxy, startRpcProxy } from '../../support/rpc-proxy.ts';
import { ETHER, type Rig, startRig, type Wallet } from './rig.ts';
import { LOCAL } from './support.ts';

let rig: Rig;
let proxies: [RpcProxy, RpcProxy, RpcProxy];
beforeAll(async () => {
  rig = await startRig();
  const { rpcUrl } = rig.stack.ethereum;
  proxies = [await startRpcProxy(rpcUrl), await startRpcProxy(rpcUrl), await startRpcProxy(rpcUrl)];
});
afterEach(() => {
  for (const proxy of proxies) proxy.heal();
});
afterAll(async () => {
  await Promise.all((proxies ?? []).map((proxy) => proxy.close()));
  await rig?.stop();
});

/** An adapter of its own, whose breakers know nothing yet. */
const over = (...of: readonly RpcProxy[]) =>
  createEthereum({ ...rig.options, rpcUrl: of.map(({ url }) => url), requestTimeoutMs: 2_000 });
const SEND = 'eth_sendRawTransaction';
const onSend =
  (fault: Fault): RpcProxy['fault'] =>
  ({ method }) =>
    method === SEND ? fault : undefined;
const sends = () => proxies.flatMap(({ calls }) => calls.filter(({ method }) => method === SEND));
const built = async (by = rig.chain, amount = '1000') => {
  const from = await rig.wallet();
  const { unsigned } = await rig.build(from, { amount }, undefined, by);
  return { from, unsigned, signed: from.sign(unsigned) };
};
const look = (chain: ReturnType<typeof over>, from: Wallet, unsigned: UnsignedTransaction) =>
  chain.lookup(from.sign(unsigned).id, unsigned, from.key.publicKey);

/** As a node that has not got past this block would answer. */
const stuckAt =
  (height: bigint): RpcProxy['fault'] =>
  ({ method, params }: RpcCall) => {
    const at = `0x${height.toString(16)}`;
    const newest = (tag: unknown) => tag === 'latest' || tag === 'pending';
    if (method === 'eth_getBlockByNumber') {
      if (newest(params[0])) return { kind: 'ask', params: [at, params[1]] };
      if (BigInt(params[0] as string) > height) return { kind: 'lie', result: () => null };
    }
    if (method === 'eth_getTransactionCount' && newest(params[1]))
      return { kind: 'ask', params: [params[0], at] };
    if (method === 'eth_getTransactionReceipt')
      return {
        kind: 'lie',
        result: (receipt) =>
          BigInt((receipt as { blockNumber: string } | null)?.blockNumber ?? 0) > height
            ? null
            : receipt,
      };
    return undefined;
  };

describe('a broadcast', () => {
  it('whose answer is lost after delivery is unclear, and found by its id at another provider', async () => {
    const [lossy, ...others] = proxies;
    const chain = over(...proxies);
    const { from, unsigned, signed } = await built(chain);
    lossy.fault = onSend({ kind: 'drop-after-delivery' });
    for (const proxy of others) proxy.fault = onSend({ kind: 'status', status: 503 });
    expect((await chain.broadcast(signed)).status).toBe('unclear');
    lossy.fault = () => ({ kind: 'away' });
    expect(await look(chain, from, unsigned)).toEqual({ status: 'pending' });
    await rig.mine(2);
    expect(await look(chain, from, unsigned)).toMatchObject({ status: 'included', final: true });
    expect(await rig.nonce(from.address)).toBe(1n);
    expect(new Set(sends().map(({ params }) => params[0]))).toEqual(new Set([`0x${signed.bytes}`]));
  });

  it('reaches every provider, so that one which swallows it takes nothing away', async () => {
    const chain = over(...proxies);
    const { from, unsigned, signed } = await built(chain);
    const swallowed: Fault = { kind: 'error', code: -32000, message: 'invalid sender' };
    proxies[0].fault = onSend(swallowed);
    proxies[1].fault = onSend({ kind: 'status', status: 502 });
    expect((await chain.broadcast(signed)).status).toBe('accepted');
    expect(sends()).toHaveLength(3);
    expect(await look(chain, from, unsigned)).toEqual({ status: 'pending' });
    await rig.mine(1);
  });

  it('with every provider away is unclear, its look-up to be tried again; then the same bytes go', async () => {
    const chain = over(...proxies);
    const { from, unsigned, signed } = await built(chain);
    for (const proxy of proxies) proxy.fault = () => ({ kind: 'away' });
    expect((await chain.broadcast(signed)).status).toBe('unclear');
    await expect(look(chain, from, unsigned)).rejects.toMatchObject({
      code: 'ChainUnavailable',
      retryable: true,
      details: { providers: [expect.any(String), expect.any(String), expect.any(String)] },
    });
    for (const proxy of proxies) proxy.heal();
    expect((await chain.broadcast(signed)).status).toMatch(/accepted|already-known/);
    await rig.mine(1);
    expect(await rig.nonce(from.address)).toBe(1n);
  });
});

it('a provider that answers 5xx, hangs, or mixes up answers costs nothing: the others answer', async () => {
  for (const fault of [{ kind: 'status', status: 503 }, { kind: 'previous-answer' }] as const) {
    const chain = over(...proxies);
    proxies[0].fault = () => fault;
    const { from, unsigned, signed } = await built(chain);
    expect(await chain.balance(from.address, 'native')).toBe(ETHER);
    expect((await chain.broadcast(signed)).status).toMatch(/accepted|already-known/);
    await rig.mine(2);
    expect(await look(chain, from, unsigned)).toMatchObject({ status: 'included', final: true });
    expect(chain.providers?.()[0]?.failures).toBeGreaterThan(0);
    expect(chain.providers?.().slice(1)).toEqual([
      { provider: 2, state: 'up', failures: 0 },
      { provider: 3, state: 'up', failures: 0 },
    ]);
  }
  proxies[0].fault = () => ({ kind: 'delay', ms: 10_000 });
  const slow = over(...proxies);
  expect(await slow.balance((await rig.wallet()).address, 'native')).toBe(ETHER);
}, 60_000);

it('a provider of another network is excluded by its chain id and sent nothing', async () => {
  const chain = over(...proxies);
  const wrong: RpcProxy['fault'] = ({ method }) =>
    method === 'eth_chainId' ? { kind: 'lie', result: () => '0x1' } : undefined;
  proxies[0].fault = wrong;
  const { from, unsigned, signed } = await built(chain);
  expect((await chain.broadcast(signed)).status).toMatch(/accepted|already-known/);
  await rig.mine(2);
  expect(await look(chain, from, unsigned)).toMatchObject({ status: 'included', final: true });
  expect(new Set(proxies[0].calls.map(({ method }) => method))).toEqual(new Set(['eth_chainId']));
  expect(chain.providers?.()[0]).toMatchObject({
    state: 'wrong-network',
    reason: expect.stringContaining(LOCAL),
  });
  for (const proxy of proxies) proxy.fault = wrong;
  const mistaken = over(...proxies);
  await expect(mistaken.balance(from.address, 'native')).rejects.toMatchObject({
    code: 'ChainMismatch',
    details: { field: 'rpcUrl', expected: LOCAL, actual: 'eip155:1' },
  });
  await expect(mistaken.broadcast(signed)).rejects.toMatchObject({ code: 'ChainMismatch' });
});

describe('the depth of a transaction', () => {
  it('is what enough providers count: not that of one behind, never that of one ahead', async () => {
    const { from, unsigned, signed } = await built();
    await rig.chain.broadcast(signed);
    const [block] = await rig.mine(1);
    const { height } = await rig.chain.tip();
    await rig.mine(3);
    proxies[0].fault = stuckAt(BigInt(height));
    const first = { status: 'included', block, confirmations: 1, final: false };
    expect(await look(over(proxies[0]), from, unsigned)).toEqual(first);
    expect(await look(over(proxies[0], proxies[1]), from, unsigned)).toEqual(first);
    expect(await look(over(...proxies), from, unsigned)).toMatchObject({ confirmations: 4 });

    proxies[0].fault = ({ method, params }) =>
      method === 'eth_getBlockByNumber' && params[0] === 'latest'
        ? { kind: 'lie', result: (head) => ({ ...(head as object), number: '0xffffff' }) }
        : undefined;
    expect(await look(over(...proxies), from, unsigned)).toMatchObject({ confirmations: 4 });
    expect((await over(...proxies).tip()).height).toBe(height + 3);
  });

  it('is none of a transaction that one provider says is mined, and that was never sent', async () => {
    const { from, unsigned, signed } = await built();
    await rig.mine(3);
    const tip = await rig.chain.tip();
    proxies[0].fault = ({ method }) =>
      method === 'eth_getTransactionReceipt'
        ? {
            kind: 'lie',
            result: () => ({
              blockNumber: `0x${(tip.height - 2).toString(16)}`,
              blockHash: hash,
              status: '0x1',
              logs: [],
            }),
          }
        : undefined;
    const { hash } = await rig.rpc.call<{ hash: string }>(
      'eth_getBlockByNumber',
      `0x${(tip.height - 2).toString(16)}`,
      false,
    );
    // What the lie would do where one provider is believed.
    expect(await look(over(proxies[0]), from, unsigned)).toMatchObject({ final: true });
    let expected = 'unknown';
    for (const chain of [over(proxies[0], proxies[1]), over(...proxies)]) {
      expect(await look(chain, from, unsigned)).toMatchObject({ status: expected });
      expected = 'pending';
      expect((await chain.broadcast(signed)).status).toMatch(/accepted|already-known/);
    }
  });

  it('is that of nothing else: one provider alone displaces and fails no transaction', async () => {
    const { from, unsigned, signed } = await built();
    await rig.chain.broadcast(signed);
    proxies[0].fault = ({ method }) => {
      if (method === 'eth_getTransactionReceipt') return { kind: 'lie', result: () => null };
      if (method === 'eth_getTransactionByHash') return { kind: 'lie', result: () => null };
      if (method === 'eth_getTransactionCount') return { kind: 'lie', result: () => '0x5' };
      return undefined;
    };
    expect(await look(over(proxies[0]), from, unsigned)).toMatchObject({ status: 'conflicted' });
    expect(await look(over(...proxies), from, unsigned)).toEqual({ status: 'pending' });
    await rig.mine(2);
    expect(await look(over(...proxies), from, unsigned)).toMatchObject({ final: true });
    expect(await look(over(proxies[0], proxies[1]), from, unsigned)).toEqual({ status: 'unknown' });
  });
});

describe('what one provider says of an account', () => {
  const lie = (wei: string): RpcProxy['fault'] => {
    return ({ method }) =>
      method === 'eth_getBalance' ? { kind: 'lie', result: () => wei } : undefined;
  };

  it('makes it no richer; of three, no poorer either', async () => {
    const from = await rig.wallet(ETHER);
    const balance = (...of: readonly RpcProxy[]) => over(...of).balance(from.address, 'native');
    proxies[0].fault = lie('0xffffffffffffffffffff');
    expect(await balance(proxies[0], proxies[1])).toBe(ETHER);
    expect(await balance(...proxies)).toBe(ETHER);
    const tooMuch = rig.build(from, { amount: `${2n * ETHER}` }, undefined, over(...proxies));
    await expect(tooMuch).rejects.toMatchObject({ code: 'InsufficientFunds' });
    proxies[0].fault = lie('0x0');
    expect(await balance(...proxies)).toBe(ETHER);
  });

  it('skips no nonce', async () => {
    proxies[0].fault = ({ method }) =>
      method === 'eth_getTransactionCount' ? { kind: 'lie', result: () => '0x64' } : undefined;
    const { unsigned, from } = await built(over(...proxies));
    expect(readUnsigned(ethereumNetwork(LOCAL), unsigned).nonce).toBe(0n);
    expect(await rig.nonce(from.address)).toBe(0n);
  });
});
