/** Providers in front of one Bitcoin node, some of which lose answers, fail, are behind, lie or serve another network. */
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { createBitcoin } from '../../../chains/bitcoin/blockchain.ts';
import { createBitcoinCodec } from '../../../chains/bitcoin/codec.ts';
import { lookUp } from '../../../chains/bitcoin/lookup.ts';
import type { Psbt } from '../../../chains/bitcoin/psbt.ts';
import { until } from '../../../dev/until.ts';
import { TransferIntent } from '../../../schema/contracts/intent.ts';
import type { UnsignedTransaction } from '../../../schema/contracts/transaction.ts';
import { type RpcProxy, startRpcProxy } from '../../support/rpc-proxy.ts';
import { descriptor, type Rig, startRig } from './stack.ts';
import { REGTEST, randomTxid, testKey } from './support.ts';

const codec = createBitcoinCodec(REGTEST);
let rig: Rig;
let proxies: [RpcProxy, RpcProxy, RpcProxy];
beforeAll(async () => {
  rig = await startRig();
  const { rpcUrl } = rig;
  proxies = [await startRpcProxy(rpcUrl), await startRpcProxy(rpcUrl), await startRpcProxy(rpcUrl)];
});
afterEach(() => {
  for (const proxy of proxies) proxy.heal();
});
afterAll(async () => {
  await Promise.all((proxies ?? []).map((proxy) => proxy.close()));
  await rig?.stop();
});

/** A wallet with one output of 100,000 sats, an adapter over these providers on a database of its own, a payment. */
async function setUp(...of: readonly RpcProxy[]) {
  const { outputs } = await rig.database();
  const rpcUrl = of.map(({ url }) => url);
  const chain = createBitcoin({ network: REGTEST, rpcUrl, outputs, timeoutMs: 3_000 });
  const key = testKey();
  const address = codec.address(key.publicKey);
  const wallet = descriptor(key, address, `wallet-${address.slice(-8)}`);
  await chain.provision(wallet);
  await rig.pay(address, 100_000n);
  await rig.mine(1);
  const build = async () => {
    const intent = TransferIntent.parse({
      requestId: `pay-${address.slice(-8)}`,
      walletId: wallet.walletId,
      chain: REGTEST,
      destination: codec.address(testKey().publicKey),
      asset: 'native',
      amount: '20000',
      feeCap: '5000',
      issuedAt: '2026-01-01T00:00:00.000Z',
      expiresAt: '2026-01-02T00:00:00.000Z',
    });
    const { unsigned } = await chain.build(intent, wallet, { held: [], tryTake: async () => true });
    const signed = codec.attach(
      unsigned,
      key.publicKey,
      codec.messages(unsigned, key.publicKey).map(key.sign),
    );
    return { unsigned, signed };
  };
  const balance = () => chain.balance(address, 'native');
  const look = (id: string, unsigned: UnsignedTransaction) =>
    chain.lookup(id, unsigned, key.publicKey);
  return { chain, build, balance, look };
}
const send: RpcProxy['fault'] = ({ method }) =>
  method === 'sendrawtransaction' ? { kind: 'drop-after-delivery' } : undefined;
const height = () => rig.rpc.call<number>('getblockcount');
/** As a node without a transaction index, which has nothing in its mempool. */
const unindexed: RpcProxy['fault'] = ({ method }) =>
  method === 'getrawtransaction'
    ? { kind: 'error', code: -5, message: 'No information available about transaction' }
    : undefined;
/** As a node that has not got past this block, or claims to be far beyond it, would answer. */
const headAt =
  (top: number): RpcProxy['fault'] =>
  ({ method, params }) => {
    if (method === 'getblockcount') return { kind: 'lie', result: () => top };
    if (method === 'getblockhash' && Number(params[0]) > top)
      return { kind: 'error', code: -8, message: 'Block height out of range' };
    return unindexed({ method, params });
  };

it('an answer lost after delivery is unclear; the id is found at another provider, and both fail over', async () => {
  const [lossy, other] = proxies;
  const { chain, build, balance, look } = await setUp(...proxies);
  const { unsigned, signed } = await build();
  lossy.fault = send;
  for (const proxy of proxies.slice(1))
    proxy.fault = ({ method }) =>
      method === 'sendrawtransaction' ? { kind: 'status', status: 503 } : undefined;
  expect((await chain.broadcast(signed)).status).toBe('unclear');
  lossy.fault = () => ({ kind: 'status', status: 500 });
  expect(await look(signed.id, unsigned)).toEqual({ status: 'pending' });
  await rig.mine(2);
  expect(await look(signed.id, unsigned)).toMatchObject({ status: 'included', final: true });
  const sent = proxies.flatMap(({ calls }) =>
    calls.filter(({ method }) => method === 'sendrawtransaction'),
  );
  expect(new Set(sent.map(({ params }) => params[0]))).toEqual(new Set([signed.bytes]));
  expect(await balance()).toBeGreaterThan(70_000n);
  other.fault = () => ({ kind: 'status', status: 503 });
  proxies[2].fault = () => ({ kind: 'away' });
  expect((await chain.broadcast(signed)).status).toBe('unclear');
  await expect(look(signed.id, unsigned)).rejects.toMatchObject({
    code: 'ChainUnavailable',
    retryable: true,
  });
}, 60_000);

it('the chain that is followed, and its depth, are what enough providers have', async () => {
  const [liar, honest] = proxies;
  const { chain, build, balance, look } = await setUp(liar, honest);
  const { unsigned, signed } = await build();
  await chain.broadcast(signed);
  await rig.mine(1);
  const mined = await height();
  await rig.mine(3);
  const deep = { status: 'included', confirmations: 4, final: true };
  expect(await look(signed.id, unsigned)).toMatchObject(deep);

  // One that is behind: no deeper than it has it, and nothing of what it has not seen.
  liar.fault = headAt(mined);
  expect(await chain.tip()).toMatchObject({ height: mined });
  expect(await look(signed.id, unsigned)).toMatchObject({ confirmations: 1, final: false });
  liar.fault = headAt(mined - 1);
  expect(await look(signed.id, unsigned)).toEqual({ status: 'unknown' });
  // One that is ahead of its time makes nothing deeper; one that has no block where it says its tip is counts as away.
  liar.fault = headAt(mined + 500);
  expect(await look(signed.id, unsigned)).toEqual({ status: 'pending' });
  liar.fault = ({ method, params }) =>
    Number(params[0]) > mined + 3
      ? { kind: 'lie', result: () => 'cd'.repeat(32) }
      : method === 'getblockcount'
        ? { kind: 'lie', result: () => mined + 500 }
        : undefined;
  expect(await look(signed.id, unsigned)).toMatchObject(deep);
  // Blocks of its own invention: what they have in common is below, and two against one go on.
  const invented: RpcProxy['fault'] = ({ method, params }) =>
    method === 'getblockhash' && Number(params[0]) >= mined
      ? { kind: 'lie', result: () => 'ab'.repeat(32) }
      : unindexed({ method, params });
  liar.fault = invented;
  expect(await chain.tip()).toMatchObject({ height: mined - 1 });
  expect(await look(signed.id, unsigned)).toEqual({ status: 'unknown' });
  liar.heal();
  expect(await look(signed.id, unsigned)).toMatchObject(deep);
  expect(await balance()).toBeGreaterThan(70_000n);

  const three = await setUp(...proxies);
  const payment = await three.build();
  await three.chain.broadcast(payment.signed);
  await rig.mine(2);
  liar.fault = invented;
  expect(await three.look(payment.signed.id, payment.unsigned)).toMatchObject({ final: true });
}, 60_000);

it('a transaction that one provider alone has seen mined is not', async () => {
  const [liar, honest] = proxies;
  const { build, look } = await setUp(liar, honest);
  const { unsigned, signed } = await build();
  const tip = await rig.rpc.call<string>('getblockhash', await height());
  liar.fault = ({ method }) =>
    method === 'getrawtransaction'
      ? { kind: 'lie', result: () => ({ confirmations: 50, blockhash: tip }) }
      : undefined;
  expect(await look(signed.id, unsigned)).toEqual({ status: 'unknown' });
}, 60_000);

it('a provider of another network is excluded, one that mixes up answers is passed over', async () => {
  const [wrong, mixed] = proxies;
  wrong.fault = ({ method, params }) =>
    method === 'getblockhash' && params[0] === 0
      ? { kind: 'lie', result: () => '00'.repeat(32) }
      : undefined;
  const { chain, build, look } = await setUp(...proxies);
  const { unsigned, signed } = await build();
  mixed.fault = () => ({ kind: 'previous-answer' });
  expect((await chain.broadcast(signed)).status).toMatch(/accepted|already-known/);
  await rig.mine(2);
  // With one excluded and one useless nothing is final: two must say so.
  expect(await look(signed.id, unsigned)).toEqual({ status: 'pending' });
  mixed.heal();
  await until(async () => (await look(signed.id, unsigned)).status === 'included', {
    deadlineMs: 30_000,
    intervalMs: 200,
    what: 'a provider that answers again being asked again',
  });
  expect(chain.providers?.()[0]).toMatchObject({ state: 'wrong-network' });
  expect(wrong.calls.some(({ method }) => method === 'sendrawtransaction')).toBe(false);
  wrong.heal();
}, 60_000);

it('what was followed counts at a node only where the node has that block', async () => {
  await rig.mine(3);
  const node = rig.node();
  const { height: top } = await node.tip();
  const psbt = { txid: randomTxid(), inputs: [] } as unknown as Psbt;
  const at = (block: string, by = psbt.txid) =>
    lookUp(psbt, { by, height: top - 2, block }, { node, finality: 2 });
  const block = (await node.blockHash(top - 2)) as string;
  expect(await at(block)).toEqual({ status: 'included', confirmations: 3, block, final: true });
  expect(await at('ab'.repeat(32))).toEqual({ status: 'unknown' });
  expect(await at(block, 'rival')).toEqual({ status: 'conflicted', by: 'rival', final: true });
  expect(await at('ab'.repeat(32), 'rival')).toEqual({ status: 'unknown' });
});
