/** The adapter on a real Anvil and a real database: build, sign, send, confirm, replace, void, reorganise, fail. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createEthereum } from '../../../chains/ethereum/blockchain.ts';
import { readUnsigned } from '../../../chains/ethereum/codec.ts';
import { ethereumNetwork } from '../../../chains/ethereum/networks.ts';
import { isKeysagaError } from '../../../schema/contracts/errors.ts';
import type { UnsignedTransaction } from '../../../schema/contracts/transaction.ts';
import { ETHER, type Rig, startRig, type Wallet } from './rig.ts';
import { LOCAL, MAINNET, testKey } from './support.ts';
import { deploy, mint, type Token, tokenBalance } from './token.ts';

const DESTINATION = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8';
const CAP = ETHER / 100n;
let rig: Rig;
beforeAll(async () => {
  rig = await startRig();
});
afterAll(() => rig?.stop());

const failure = async (work: Promise<unknown>) => {
  try {
    await work;
  } catch (error) {
    if (isKeysagaError(error)) return error;
    throw error;
  }
  throw new Error('it was expected to fail');
};
const fields = (unsigned: UnsignedTransaction) => readUnsigned(ethereumNetwork(LOCAL), unsigned);
const look = (from: Wallet, unsigned: UnsignedTransaction) =>
  rig.chain.lookup(from.sign(unsigned).id, unsigned, from.key.publicKey);
const send = (from: Wallet, unsigned: UnsignedTransaction) =>
  rig.chain.broadcast(from.sign(unsigned));

describe('a transfer', () => {
  it.each([
    ['EIP-1559', false, '02'],
    ['legacy', true, 'e'],
  ])('of ether (%s) is built, signed, sent, mined and final', async (_, legacy, prefix) => {
    const chain = createEthereum({ ...rig.options, legacy });
    const from = await rig.wallet();
    const paid = await rig.balance(DESTINATION);
    expect(await chain.balance(from.address, 'native')).toBe(ETHER);
    const { unsigned, fee, leases } = await rig.build(from, { amount: '12345' }, undefined, chain);
    expect(unsigned.bytes.startsWith(prefix)).toBe(true);
    const decoded = chain.codec.decode(unsigned, from.key.publicKey);
    expect(decoded).toMatchObject({
      from: from.address,
      fee,
      effects: [{ kind: 'pay', destination: DESTINATION, asset: 'native', amount: 12345n }],
      conflictKeys: [`ethereum:${from.address}:0`],
    });
    expect(leases.map(({ resource }) => resource)).toEqual([`ethereum:${LOCAL}:${from.address}:0`]);

    const signed = from.sign(unsigned);
    expect(await look(from, unsigned)).toEqual({ status: 'unknown' });
    expect(await chain.broadcast(signed)).toEqual({ status: 'accepted' });
    expect(await chain.broadcast(signed)).toEqual({ status: 'already-known' });
    expect(await look(from, unsigned)).toEqual({ status: 'pending' });
    const [block] = await rig.mine(1);
    expect(await look(from, unsigned)).toEqual({
      status: 'included',
      confirmations: 1,
      block,
      final: false,
    });
    // Sent again, it is a used nonce; the look-up settles that it is this very transaction.
    expect((await chain.broadcast(signed)).status).toBe('unclear');
    await rig.mine(1);
    expect(await look(from, unsigned)).toMatchObject({ confirmations: 2, final: true });
    expect((await rig.balance(DESTINATION)) - paid).toBe(12345n);
    expect(ETHER - (await rig.balance(from.address)) - 12345n).toBeLessThanOrEqual(fee);
  });

  it('of a token moves the token', async () => {
    const from = await rig.wallet();
    const token = await deploy(rig.rpc, '0x5FbDB2315678afecb367f032d93F642f64180aa3');
    await mint(rig.rpc, token, from.address, 500n);
    expect(await rig.chain.balance(from.address, token.asset)).toBe(500n);
    const { unsigned } = await rig.build(from, { asset: token.asset, amount: '200' });
    expect(rig.codec.decode(unsigned, from.key.publicKey).effects).toEqual([
      { kind: 'pay', destination: DESTINATION, asset: token.asset, amount: 200n },
    ]);
    expect(await send(from, unsigned)).toEqual({ status: 'accepted' });
    await rig.mine(2);
    expect(await look(from, unsigned)).toMatchObject({ status: 'included', final: true });
    expect(await tokenBalance(rig.rpc, token, from.address)).toBe(300n);
    expect(await tokenBalance(rig.rpc, token, DESTINATION)).toBe(200n);
  });

  it('of a token that moves nothing has failed, and so has one that reverts', async () => {
    const from = await rig.wallet();
    const address = '0xCf7Ed3AccA5a467e9e704C703E8D87F634fB0Fc9';
    const mute = await deploy(rig.rpc, address, 'mute');
    const lookUp = async (token: Token, then: () => Promise<unknown>) => {
      await mint(rig.rpc, token, from.address, 500n);
      // The mute one answers balanceOf truly, and nothing tells it from a real token beforehand.
      const { unsigned } = await rig.build(from, { asset: token.asset, amount: '200' });
      await send(from, unsigned);
      await then();
      await rig.mine(2);
      return look(from, unsigned);
    };
    expect(await lookUp(mute, async () => {})).toEqual({
      status: 'failed',
      reason: 'the token moved nothing',
      final: true,
    });
    const honest = await deploy(rig.rpc, '0xDc64a140Aa3E981100a9becA4E685f962f0cF6C9');
    expect(await lookUp(honest, () => mint(rig.rpc, honest, from.address, 0n))).toEqual({
      status: 'failed',
      reason: 'it was reverted',
      final: true,
    });
    expect(await rig.nonce(from.address)).toBe(2n);
  });

  it('keeps its nonce when it is built again', async () => {
    const from = await rig.wallet();
    const first = await rig.build(from, {}, 'again');
    const second = await rig.build(from, {}, 'again');
    expect(fields(second.unsigned).nonce).toBe(fields(first.unsigned).nonce);
    expect(fields((await rig.build(from)).unsigned).nonce).toBe(1n);
  });
});

describe('what cannot be built', () => {
  it('is refused before a nonce is lent', async () => {
    const from = await rig.wallet();
    const token = await deploy(rig.rpc, '0x9fE46736679d2D9a65F0992F2272dE9f3c7fa6e0');
    const refuses = async (change: object, code: string, field: string) => {
      const error = await failure(rig.build(from, change));
      expect([error.code, error.details.field]).toEqual([code, field]);
    };
    await refuses({ amount: `${2n * ETHER}` }, 'InsufficientFunds', 'amount');
    await refuses({ amount: `${ETHER}` }, 'InsufficientFunds', 'amount');
    await refuses({ feeCap: '21000' }, 'FeeAboveCap', 'feeCap');
    await refuses({ destination: from.address }, 'InvalidInput', 'destination');
    await refuses({ destination: DESTINATION.toLowerCase() }, 'InvalidInput', 'destination');
    await refuses({ asset: token.asset }, 'InsufficientFunds', 'amount');
    await refuses(
      { asset: `${LOCAL}/erc20:0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC` },
      'InvalidInput',
      'asset',
    );
    await refuses({ asset: `${MAINNET}/erc20:${token.address}` }, 'InvalidInput', 'asset');
    await refuses({ asset: `${LOCAL}/erc721:${token.address}` }, 'InvalidInput', 'asset');
    await refuses({ asset: 'gold' }, 'InvalidInput', 'asset');
    await refuses({ chain: MAINNET }, 'ChainMismatch', 'chain');
    await refuses({ walletId: 'somebody-else' }, 'InvalidInput', 'walletId');
    // A contract without a way to receive ether.
    await refuses({ destination: token.address }, 'InvalidInput', 'destination');
    await refuses(
      { anchor: { kind: 'bitcoin-outpoint', txid: '00'.repeat(32), vout: '0' } },
      'InvalidInput',
      'anchor',
    );
    expect(fields((await rig.build(from)).unsigned).nonce).toBe(0n);
  });

  it('needs a provisioned wallet', async () => {
    const from = await rig.wallet();
    const stranger = testKey();
    await rig.rpc.call('anvil_setBalance', stranger.address, `0x${ETHER.toString(16)}`);
    const key = { ...from.descriptor, publicKey: Buffer.from(stranger.publicKey).toString('hex') };
    expect((await failure(rig.build({ descriptor: key }))).details.field).toBe('address');
    const unknown = { descriptor: { ...key, address: stranger.address } };
    expect((await failure(rig.build(unknown))).code).toBe('WalletUnknown');
  });

  it('tells a lost node and a wrong one, without its address', async () => {
    const secret = 'top-secret-access-key';
    const lost = createEthereum({
      ...rig.options,
      rpcUrl: `http://127.0.0.1:9/${secret}`,
      requestTimeoutMs: 500,
    });
    const error = await failure(lost.tip());
    expect(error.code).toBe('ChainUnavailable');
    expect(JSON.stringify([error.message, error.details, String(error.cause)])).not.toContain(
      secret,
    );
    const from = await rig.wallet();
    const { unsigned } = await rig.build(from);
    expect((await lost.broadcast(from.sign(unsigned))).status).toBe('unclear');
    const wrong = createEthereum({ ...rig.options, network: MAINNET });
    expect((await failure(wrong.tip())).code).toBe('ChainMismatch');
  });
});

describe('a replacement', () => {
  it('has 10 % more on both fields, fits under the cap, and takes the place of the first', async () => {
    const from = await rig.wallet();
    const { unsigned } = await rig.build(from);
    await send(from, unsigned);
    // The node itself wants the 10 %: the same nonce for the same price is refused.
    const same = await rig.build(from, { amount: '999' }, 'somebody');
    expect(fields(same.unsigned).nonce).toBe(1n);
    const bumped = await rig.chain.buildReplacement(from.descriptor, [unsigned], CAP);
    const [before, after] = [fields(unsigned).fees, fields(bumped.unsigned).fees];
    if (before.type !== 'eip1559' || after.type !== 'eip1559') throw new Error('not EIP-1559');
    expect(after.maxFeePerGas * 10n).toBeGreaterThanOrEqual(before.maxFeePerGas * 11n);
    expect(after.maxPriorityFeePerGas * 10n).toBeGreaterThanOrEqual(
      before.maxPriorityFeePerGas * 11n,
    );
    expect(bumped.fee).toBeLessThanOrEqual(CAP);
    const codec = rig.codec;
    expect(codec.decode(bumped.unsigned, from.key.publicKey).effects).toEqual(
      codec.decode(unsigned, from.key.publicKey).effects,
    );
    expect(await send(from, bumped.unsigned)).toEqual({ status: 'accepted' });
    await rig.mine(1);
    expect(await look(from, bumped.unsigned)).toMatchObject({ status: 'included' });
    const by = from.sign(bumped.unsigned).id;
    expect(await look(from, unsigned)).toEqual({ status: 'conflicted', by, final: false });
    await rig.mine(1);
    expect(await look(from, unsigned)).toEqual({ status: 'conflicted', by, final: true });
  });

  it('is refused above the cap, and by the node when it adds too little', async () => {
    const from = await rig.wallet();
    const { unsigned, fee } = await rig.build(from);
    expect((await failure(rig.chain.buildReplacement(from.descriptor, [unsigned], fee))).code).toBe(
      'FeeAboveCap',
    );
    const [other] = await Promise.all([rig.build(from)]);
    expect(
      (await failure(rig.chain.buildReplacement(from.descriptor, [unsigned, other.unsigned], CAP)))
        .code,
    ).toBe('ConflictRule');
    await send(from, unsigned);
    const twin = { ...unsigned, bytes: unsigned.bytes.replace(/8203e8/, '8203e9') };
    expect(twin.bytes).not.toBe(unsigned.bytes);
    expect((await send(from, twin)).status).toBe('unclear');
  });
});

describe('a void', () => {
  it('outbids the payment in the mempool: one of the two is mined, and each knows', async () => {
    const from = await rig.wallet();
    const { unsigned } = await rig.build(from);
    await send(from, unsigned);
    const voided = await rig.chain.buildVoid(from.descriptor, [unsigned], CAP);
    const { codec } = rig;
    expect(codec.decode(voided.unsigned, from.key.publicKey)).toMatchObject({
      effects: [],
      conflictKeys: codec.decode(unsigned, from.key.publicKey).conflictKeys,
    });
    expect(await send(from, voided.unsigned)).toEqual({ status: 'accepted' });
    expect((await send(from, unsigned)).status).toBe('unclear');
    const before = await rig.balance(DESTINATION);
    await rig.mine(2);
    const by = from.sign(voided.unsigned).id;
    expect(await look(from, voided.unsigned)).toMatchObject({ status: 'included', final: true });
    expect(await look(from, unsigned)).toEqual({ status: 'conflicted', by, final: true });
    expect(await rig.balance(DESTINATION)).toBe(before);
    // A second void has to outbid the first as well.
    const again = await rig.chain.buildVoid(from.descriptor, [unsigned, voided.unsigned], CAP);
    expect(again.fee).toBeGreaterThan(voided.fee);
  });

  it('comes too late for a mined payment, and says so', async () => {
    const from = await rig.wallet();
    const { unsigned } = await rig.build(from);
    const voided = await rig.chain.buildVoid(from.descriptor, [unsigned], CAP);
    await send(from, unsigned);
    await rig.mine(2);
    expect((await send(from, voided.unsigned)).status).toBe('unclear');
    const by = from.sign(unsigned).id;
    expect(await look(from, voided.unsigned)).toEqual({ status: 'conflicted', by, final: true });
    expect((await failure(rig.chain.buildVoid(from.descriptor, [], CAP))).details.field).toBe(
      'released',
    );
    expect((await failure(rig.chain.buildVoid(from.descriptor, [unsigned], 21_000n))).code).toBe(
      'FeeAboveCap',
    );
  });
});

describe('a reorganisation', () => {
  it('takes the depth back, and the same bytes are mined again', async () => {
    const from = await rig.wallet();
    const { unsigned } = await rig.build(from);
    await rig.mine(3);
    await send(from, unsigned);
    await rig.mine(1);
    expect(await look(from, unsigned)).toMatchObject({ status: 'included', final: false });
    await rig.rpc.call('anvil_reorg', 1, []);
    expect(['unknown', 'pending']).toContain((await look(from, unsigned)).status);
    expect(['accepted', 'already-known']).toContain((await send(from, unsigned)).status);
    await rig.mine(2);
    expect(await look(from, unsigned)).toMatchObject({ status: 'included', final: true });
  });

  it('in which the void is mined instead settles it the other way', async () => {
    const from = await rig.wallet();
    const { unsigned } = await rig.build(from);
    const voided = await rig.chain.buildVoid(from.descriptor, [unsigned], CAP);
    await send(from, unsigned);
    await rig.mine(1);
    const rival = from.sign(voided.unsigned);
    await rig.rpc.call('anvil_reorg', 1, [[`0x${rival.bytes}`, 0]]);
    expect(await look(from, unsigned)).toEqual({
      status: 'conflicted',
      by: rival.id,
      final: false,
    });
    expect(await look(from, voided.unsigned)).toMatchObject({ status: 'included' });
    await rig.mine(1);
    expect(await look(from, unsigned)).toMatchObject({ status: 'conflicted', final: true });
  });
});
