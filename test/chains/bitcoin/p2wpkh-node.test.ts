/** P2WPKH on a real node: fund, build with previous transactions fetched from it, sign with ECDSA, send, confirm, void. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createBitcoin } from '../../../chains/bitcoin/blockchain.ts';
import { createBitcoinCodec } from '../../../chains/bitcoin/codec.ts';
import { bitcoinNetwork } from '../../../chains/bitcoin/networks.ts';
import { createNode } from '../../../chains/bitcoin/node.ts';
import { decodePsbt } from '../../../chains/bitcoin/psbt.ts';
import { createRpc } from '../../../chains/bitcoin/rpc.ts';
import type { Leaser } from '../../../core/ports/blockchain.ts';
import { TransferIntent } from '../../../schema/contracts/intent.ts';
import { type KeyDescriptor, ProtocolId } from '../../../schema/contracts/key.ts';
import type { UnsignedTransaction } from '../../../schema/contracts/transaction.ts';
import { type EcdsaKey, ecdsaKey } from './p2wpkh-support.ts';
import { descriptor, type Rig, startRig } from './stack.ts';
import { hex, REGTEST, testKey, unhex } from './support.ts';

const codec = createBitcoinCodec(REGTEST);
const payee = codec.address(testKey().publicKey);
let rig: Rig;
let database: Awaited<ReturnType<Rig['database']>>;
let chain: ReturnType<typeof createBitcoin>;
let count = 0;
beforeAll(async () => {
  rig = await startRig();
  database = await rig.database();
  chain = createBitcoin({ network: REGTEST, rpcUrl: rig.rpcUrl, outputs: database.outputs });
});
afterAll(() => rig?.stop());

type Wallet = {
  readonly key: EcdsaKey;
  readonly address: string;
  readonly descriptor: KeyDescriptor;
};
async function wallet(...amounts: bigint[]): Promise<Wallet> {
  const key = ecdsaKey();
  const address = codec.address(key.publicKey);
  const base = descriptor({ ...key, script: key.script }, address, `p2wpkh-${count++}`);
  const described = { ...base, protocol: ProtocolId.parse('dkls23') };
  await chain.provision(described);
  for (const amount of amounts) await rig.pay(address, amount);
  if (amounts.length > 0) await rig.mine(1);
  return { key, address, descriptor: described };
}
const free: Leaser = { held: [], tryTake: async () => true };
const intentOf = (from: Wallet, amount: string) =>
  TransferIntent.parse({
    requestId: `request-${count++}`,
    walletId: from.descriptor.walletId,
    chain: REGTEST,
    destination: payee,
    asset: 'native',
    amount,
    feeCap: '20000',
    issuedAt: '2026-01-01T00:00:00.000Z',
    expiresAt: '2026-01-02T00:00:00.000Z',
  });
const build = (from: Wallet, amount: string) =>
  chain.build(intentOf(from, amount), from.descriptor, free);
const sign = ({ key }: Wallet, unsigned: UnsignedTransaction) =>
  codec.attach(
    unsigned,
    key.publicKey,
    codec.messages(unsigned, key.publicKey).map((digest) => key.sign(digest)),
  );

describe('a P2WPKH wallet', () => {
  it('pays from several outputs, and its own change after that', async () => {
    const from = await wallet(40_000n, 50_000n);
    expect(await chain.balance(from.address, 'native')).toBe(90_000n);
    const { unsigned, fee } = await build(from, '70000');
    const psbt = decodePsbt(unhex(unsigned.bytes), from.key.script);
    expect(psbt.inputs.every(({ previous }) => previous !== undefined)).toBe(true);
    expect(codec.decode(unsigned, from.key.publicKey).fee).toBe(fee);
    const signed = sign(from, unsigned);
    expect(await chain.broadcast(signed)).toEqual({ status: 'accepted' });
    expect(await chain.broadcast(signed)).toEqual({ status: 'already-known' });
    await rig.mine(2);
    expect(await chain.lookup(signed.id, unsigned, from.key.publicKey)).toMatchObject({
      status: 'included',
      final: true,
    });
    // The change came from a transaction with witnesses: it is shown without them.
    expect(await chain.balance(from.address, 'native')).toBe(20_000n - fee);
    const next = await build(from, '10000');
    const again = sign(from, next.unsigned);
    expect(await chain.broadcast(again)).toEqual({ status: 'accepted' });
    await rig.mine(2);
    expect(await chain.lookup(again.id, next.unsigned, from.key.publicKey)).toMatchObject({
      status: 'included',
    });
  });

  it('voids a payment that waits in the mempool', async () => {
    const from = await wallet(80_000n);
    const { unsigned } = await build(from, '30000');
    const payment = sign(from, unsigned);
    expect(await chain.broadcast(payment)).toEqual({ status: 'accepted' });
    const voided = await chain.buildVoid(from.descriptor, [unsigned], 40_000n);
    const decoded = codec.decode(voided.unsigned, from.key.publicKey);
    expect(decoded.effects).toMatchObject([{ kind: 'change', address: from.address }]);
    expect(decoded.conflictKeys).toEqual(codec.decode(unsigned, from.key.publicKey).conflictKeys);
    const replacement = sign(from, voided.unsigned);
    expect(await chain.broadcast(replacement)).toEqual({ status: 'accepted' });
    await rig.mine(2);
    expect(await chain.lookup(payment.id, unsigned, from.key.publicKey)).toEqual({
      status: 'conflicted',
      by: replacement.id,
      final: true,
    });
  });

  it('gets previous transactions from blocks where the node has no index', async () => {
    const from = await wallet(25_000n);
    expect(await chain.balance(from.address, 'native')).toBe(25_000n);
    const [output] = await database.outputs.unspent(hex(from.key.script));
    if (output === undefined) throw new Error('it has no output');
    const rpc = createRpc({ url: rig.rpcUrl });
    const unindexed: typeof rpc = {
      ...rpc,
      read: (method, params, options) =>
        method === 'getrawtransaction'
          ? Promise.resolve({ ok: false, code: -5, message: 'No such mempool transaction.' })
          : rpc.read(method, params, options),
    };
    const node = createNode(unindexed, bitcoinNetwork(REGTEST));
    expect(await node.rawTransaction(output.txid, output.blockHash)).toEqual(
      await rig.node().rawTransaction(output.txid, output.blockHash),
    );
    await expect(node.rawTransaction('00'.repeat(32), output.blockHash)).rejects.toMatchObject({
      code: 'ChainUnavailable',
    });
  });
});
