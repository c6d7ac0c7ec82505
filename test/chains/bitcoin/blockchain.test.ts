/** The adapter on a real node and a real database: fund, build, sign, send, confirm, replace, void, fail. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type BitcoinOptions, createBitcoin } from '../../../chains/bitcoin/blockchain.ts';
import { createBitcoinCodec } from '../../../chains/bitcoin/codec.ts';
import { encodePsbt, type PsbtInput, type PsbtOutput } from '../../../chains/bitcoin/psbt.ts';
import { virtualSize } from '../../../chains/bitcoin/script.ts';
import type { BuildResult, LeaseRequest, Leaser } from '../../../core/ports/blockchain.ts';
import { isKeysagaError } from '../../../schema/contracts/errors.ts';
import { TransferIntent } from '../../../schema/contracts/intent.ts';
import type { UnsignedTransaction } from '../../../schema/contracts/transaction.ts';
import { descriptor, type Rig, startRig } from './stack.ts';
import { hex, MAINNET, REGTEST, randomTxid, testKey, unsignedOf } from './support.ts';

const codec = createBitcoinCodec(REGTEST);
let rig: Rig;
let database: Awaited<ReturnType<Rig['database']>>;
let options: BitcoinOptions;
let chain: ReturnType<typeof createBitcoin>;
beforeAll(async () => {
  rig = await startRig();
  database = await rig.database();
  options = { network: REGTEST, rpcUrl: rig.rpcUrl, outputs: database.outputs };
  chain = createBitcoin(options);
});
afterAll(() => rig?.stop());

/** Builds as the ledger has it done: in one transaction, with the real leases of one owner. */
const leasing = (from: Wallet, owner: string, use: (leaser: Leaser) => Promise<BuildResult>) =>
  database.work.transaction(async ({ leases }) =>
    use({
      held: (await leases.lockByOwner(`${from.descriptor.walletId}/${owner}`)).filter(
        ({ state }) => state === 'held',
      ),
      tryTake: (resource, detail) =>
        leases.tryTake(`${from.descriptor.walletId}/${owner}`, from.descriptor.walletId, REGTEST, {
          resource,
          detail,
        }),
    }),
  );
const release = (from: Wallet, owner = 'one') =>
  database.work.transaction(({ leases }) =>
    leases.setState(`${from.descriptor.walletId}/${owner}`, 'released'),
  );

let count = 0;
/** A wallet with one confirmed output per amount. */
async function wallet(...amounts: bigint[]) {
  const key = testKey();
  const address = codec.address(key.publicKey);
  const descriptorOf = descriptor(key, address, `wallet-${count++}`);
  await chain.provision(descriptorOf);
  for (const amount of amounts) await rig.pay(address, amount);
  if (amounts.length > 0) await rig.mine(1);
  const sign = (unsigned: UnsignedTransaction) =>
    codec.attach(unsigned, key.publicKey, codec.messages(unsigned, key.publicKey).map(key.sign));
  return { key, address, descriptor: descriptorOf, sign };
}
type Wallet = Awaited<ReturnType<typeof wallet>>;

const payee = testKey();
const payeeAddress = codec.address(payee.publicKey);
const intentOf = (from: Wallet, change: Partial<TransferIntent> = {}): TransferIntent =>
  TransferIntent.parse({
    requestId: `request-${count++}`,
    walletId: from.descriptor.walletId,
    chain: REGTEST,
    destination: payeeAddress,
    asset: 'native',
    amount: '20000',
    feeCap: '5000',
    issuedAt: '2026-01-01T00:00:00.000Z',
    expiresAt: '2026-01-02T00:00:00.000Z',
    ...change,
  });
const build = (from: Wallet, change: Partial<TransferIntent> = {}, owner = 'one') =>
  leasing(from, owner, (leaser) => chain.build(intentOf(from, change), from.descriptor, leaser));
const failure = async (work: Promise<unknown>) => {
  try {
    await work;
  } catch (error) {
    if (isKeysagaError(error)) return error;
    throw error;
  }
  throw new Error('it was expected to fail');
};
const resources = (leases: readonly LeaseRequest[]) =>
  leases.map(({ resource }) => resource).sort();

describe('a transfer', () => {
  it('is funded, built, signed, sent, mined and final', async () => {
    const from = await wallet(100_000n);
    expect(await chain.balance(from.address, 'native')).toBe(100_000n);
    const built = await build(from);
    const decoded = codec.decode(built.unsigned, from.key.publicKey);
    expect(decoded.fee).toBe(built.fee);
    expect(decoded.effects).toHaveLength(2);
    expect(decoded.effects).toContainEqual({
      kind: 'pay',
      destination: payeeAddress,
      asset: 'native',
      amount: 20_000n,
    });
    expect(decoded.effects).toContainEqual({
      kind: 'change',
      address: from.address,
      amount: 80_000n - built.fee,
    });
    expect(resources(built.leases)).toEqual(
      decoded.conflictKeys.map((key) => key.replace('bitcoin:', `bitcoin:${REGTEST}:`)),
    );

    const signed = from.sign(built.unsigned);
    const look = () => chain.lookup(signed.id, built.unsigned, from.key.publicKey);
    expect(await look()).toEqual({ status: 'unknown' });
    expect(await chain.broadcast(signed)).toEqual({ status: 'accepted' });
    // Core takes what it has with its id, btcd says that it has it.
    expect(await chain.broadcast(signed)).toEqual({
      status: expect.stringMatching(/^(already-known|accepted)$/),
    });
    expect(await look()).toEqual({ status: 'pending' });
    const [block] = await rig.mine(1);
    expect(await look()).toEqual({ status: 'included', confirmations: 1, block, final: false });
    expect(await chain.broadcast(signed)).toMatchObject({
      status: expect.stringMatching(/already-known|unclear/),
    });
    await rig.mine(1);
    expect(await look()).toEqual({ status: 'included', confirmations: 2, block, final: true });
    expect(await chain.balance(from.address, 'native')).toBe(80_000n - built.fee);
    expect(await chain.tip()).toMatchObject({ height: await rig.rpc.call('getblockcount') });
  });

  it('is built the same again from the same state', async () => {
    const from = await wallet(50_000n, 30_000n);
    const one = await build(from);
    await release(from);
    expect(await build(from)).toEqual(one);
  });

  it('takes the smallest output that suffices, else the largest together', async () => {
    const from = await wallet(30_000n, 90_000n, 25_000n, 40_000n);
    const single = codec.decode(
      (await build(from, { amount: '26000' }, 'a')).unsigned,
      from.key.publicKey,
    );
    expect(single.conflictKeys).toHaveLength(1);
    const paid = single.effects.reduce(
      (sum, e) => sum + ('amount' in e ? e.amount : 0n),
      single.fee,
    );
    expect(paid).toBe(30_000n);
    const many = await build(from, { amount: '110000' }, 'b');
    expect(codec.decode(many.unsigned, from.key.publicKey).conflictKeys).toHaveLength(2);
  });

  it('drops change that would be dust into the fee, within the cap', async () => {
    const from = await wallet(20_800n);
    const built = await build(from, { amount: '20000' });
    expect(built.fee).toBe(800n);
    expect(codec.decode(built.unsigned, from.key.publicKey).effects).toHaveLength(1);
  });

  it('goes round outputs that others hold, and waits when only those are left', async () => {
    const from = await wallet(60_000n, 61_000n);
    const one = await build(from, {}, 'one');
    const two = await build(from, {}, 'two');
    expect(resources(two.leases)).not.toEqual(resources(one.leases));
    expect((await failure(build(from, {}, 'three'))).code).toBe('LeaseUnavailable');
    expect((await failure(build(from, { amount: '130000' }, 'three'))).code).toBe(
      'InsufficientFunds',
    );
  });

  it('uses exactly what it holds when it is built again', async () => {
    const from = await wallet(60_000n, 25_000n);
    const one = await build(from, { amount: '30000' }, 'one');
    const again = await build(from, { amount: '30000' });
    expect(again).toEqual(one);
    const [lease] = one.leases;
    expect(lease?.detail.amount).toBe('60000');
    expect((await failure(build(from, { amount: '70000' }))).code).toBe('InsufficientFunds');
  });

  it('spends its anchor', async () => {
    const from = await wallet(60_000n, 25_000n, 70_000n);
    const { leases } = await build(from, { amount: '65000' }, 'probe');
    const { txid, vout } = leases[0]?.detail ?? {};
    const anchor = { kind: 'bitcoin-outpoint', txid: txid ?? '', vout: vout ?? '' } as const;
    await release(from, 'probe');
    const first = await build(from, { anchor, amount: '1000' });
    expect(codec.decode(first.unsigned, from.key.publicKey).conflictKeys).toEqual([
      `bitcoin:${txid}:${vout}`,
    ]);
    // What an anchored transfer holds before it is built is its anchor: more may join it then, and never again.
    const more = await build(from, { anchor, amount: '100000' });
    expect(codec.decode(more.unsigned, from.key.publicKey).conflictKeys).toContain(
      `bitcoin:${txid}:${vout}`,
    );
    expect(more.leases).toHaveLength(2);
    expect((await failure(build(from, { anchor, amount: '150000' }))).code).toBe(
      'InsufficientFunds',
    );
    expect((await failure(build(from, { anchor, amount: '1000' }, 'two'))).code).toBe(
      'LeaseUnavailable',
    );
    await build(from, { amount: '1000' }, 'three');
    expect((await failure(build(from, { anchor, amount: '1000' }, 'three'))).code).toBe(
      'StateConflict',
    );
    await release(from);
    const nowhere = { ...anchor, txid: randomTxid() };
    expect(await failure(build(from, { anchor: nowhere }))).toMatchObject({
      code: 'InvalidInput',
      details: { field: 'anchor' },
    });
    expect(
      (await failure(build(from, { anchor: { kind: 'ethereum-nonce', nonce: '0' } }))).code,
    ).toBe('InvalidInput');
  });

  it('offers as anchors what pays alone, the smallest first, then the largest, and nothing too small or young', async () => {
    const from = await wallet(60_000n, 25_000n, 600n, 70_000n, 26_000n);
    await rig.pay(from.address, 65_000n);
    const offered = await chain.anchors(from.descriptor, { amount: 50_000n, feeCap: 5_000n });
    expect(offered.map(({ lease }) => lease.detail.amount)).toEqual([
      '60000',
      '70000',
      '26000',
      '25000',
    ]);
    const [first] = offered;
    expect(first?.lease.resource).toBe(
      `bitcoin:${REGTEST}:${first?.lease.detail.txid}:${first?.lease.detail.vout}`,
    );
    const { txid, vout } = first?.lease.detail ?? {};
    expect(first?.anchor).toEqual({ kind: 'bitcoin-outpoint', txid, vout });
    // Leased ahead under the owner's name, it is what the payment is built on.
    await database.work.transaction(({ leases }) =>
      leases.tryTake(`${from.descriptor.walletId}/one`, from.descriptor.walletId, REGTEST, {
        resource: first?.lease.resource ?? '',
        detail: first?.lease.detail ?? {},
      }),
    );
    const built = await build(from, { anchor: first?.anchor, amount: '50000' } as never);
    expect(codec.decode(built.unsigned, from.key.publicKey).conflictKeys).toEqual([
      `bitcoin:${txid}:${vout}`,
    ]);
    const poor = await wallet(600n);
    expect(
      await failure(chain.anchors(poor.descriptor, { amount: 50_000n, feeCap: 5_000n })),
    ).toMatchObject({ code: 'InsufficientFunds', details: { field: 'anchor' } });
    await rig.mine(1);
  });

  it('fails for good when another transaction took its anchor', async () => {
    const from = await wallet(60_000n, 70_000n);
    const [first] = await chain.anchors(from.descriptor, { amount: 20_000n, feeCap: 5_000n });
    const anchor = first?.anchor as NonNullable<TransferIntent['anchor']>;
    await build(from, { anchor });
    await release(from);
    // Whoever holds the key by other means spends the output.
    const rival = await build(from, { anchor, amount: '30000' }, 'two');
    expect(await chain.broadcast(from.sign(rival.unsigned))).toEqual({ status: 'accepted' });
    await database.work.transaction(async ({ leases }) => {
      await leases.setState(`${from.descriptor.walletId}/two`, 'released');
      await leases.tryTake(`${from.descriptor.walletId}/one`, from.descriptor.walletId, REGTEST, {
        resource: first?.lease.resource ?? '',
        detail: {},
      });
    });
    await rig.mine(1);
    expect(await failure(build(from, { anchor }))).toMatchObject({
      code: 'StateConflict',
      retryable: false,
      details: { field: 'anchor' },
    });
  });

  it('keeps to the fee cap and leaves room for a replacement', async () => {
    const from = await wallet(60_000n);
    const plenty = await build(from);
    expect((await failure(build(from, { feeCap: String(plenty.fee - 1n) }))).code).toBe(
      'FeeAboveCap',
    );
    const tight = await build(from, { feeCap: String(plenty.fee) });
    // A replacement at the node's increment of 1 sat/vB still fits under the cap.
    const scripts = [payee.script, from.key.script];
    expect(tight.fee).toBe(plenty.fee - virtualSize(1, scripts));
    expect(await chain.broadcast(from.sign(tight.unsigned))).toEqual({ status: 'accepted' });
    expect(await chain.broadcast(from.sign(plenty.unsigned))).toEqual({ status: 'accepted' });
    await rig.mine(1);
  });

  it('refuses what it cannot do, naming the field', async () => {
    const from = await wallet(60_000n);
    const field = async (change: Partial<TransferIntent>) => {
      const { code, details } = await failure(build(from, change));
      return [code, details.field];
    };
    expect(await field({ amount: '329' })).toEqual(['InvalidInput', 'amount']);
    expect(await field({ asset: 'usdt' })).toEqual(['InvalidInput', 'asset']);
    expect(await field({ destination: 'bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq' })).toEqual([
      'InvalidInput',
      'destination',
    ]);
    expect(await field({ chain: MAINNET })).toEqual(['ChainMismatch', 'chain']);
    expect((await failure(chain.balance(payeeAddress, 'native'))).code).toBe('WalletUnknown');
    expect(
      (
        await failure(
          leasing(from, 'one', (leaser) =>
            chain.build(intentOf(from), { ...from.descriptor, network: MAINNET }, leaser),
          ),
        )
      ).code,
    ).toBe('ChainMismatch');
  });

  it('spends no output before its confirmations', async () => {
    const from = await wallet();
    const patient = createBitcoin({ ...options, inputConfirmations: 3 });
    await rig.pay(from.address, 60_000n);
    expect(await chain.balance(from.address, 'native')).toBe(0n);
    await rig.mine(1);
    expect(await chain.balance(from.address, 'native')).toBe(60_000n);
    expect(await patient.balance(from.address, 'native')).toBe(0n);
    await rig.mine(2);
    expect(await patient.balance(from.address, 'native')).toBe(60_000n);
  });
});

describe('a void', () => {
  const cap = 20_000n;

  it('replaces the payment in the mempool and excludes it for good', async () => {
    const from = await wallet(100_000n);
    const payment = await build(from);
    const signed = from.sign(payment.unsigned);
    expect(await chain.broadcast(signed)).toEqual({ status: 'accepted' });

    const undo = await chain.buildVoid(from.descriptor, [payment.unsigned], cap);
    const decoded = codec.decode(undo.unsigned, from.key.publicKey);
    expect(decoded.effects).toEqual([
      { kind: 'change', address: from.address, amount: 100_000n - undo.fee },
    ]);
    expect(
      decoded.conflictKeys.some((key) =>
        codec.decode(payment.unsigned, from.key.publicKey).conflictKeys.includes(key),
      ),
    ).toBe(true);
    const signedVoid = from.sign(undo.unsigned);
    expect(await chain.broadcast(signedVoid)).toEqual({ status: 'accepted' });
    const look = () => chain.lookup(signed.id, payment.unsigned, from.key.publicKey);
    expect(await look()).toEqual({ status: 'conflicted', by: signedVoid.id, final: false });
    await rig.mine(1);
    expect(await look()).toEqual({ status: 'conflicted', by: signedVoid.id, final: false });
    expect(await chain.lookup(signedVoid.id, undo.unsigned, from.key.publicKey)).toMatchObject({
      status: 'included',
      final: false,
    });
    await rig.mine(1);
    expect(await look()).toEqual({ status: 'conflicted', by: signedVoid.id, final: true });
    expect((await chain.broadcast(signed)).status).toBe('unclear');
    expect(await failure(chain.buildVoid(from.descriptor, [payment.unsigned], cap))).toMatchObject({
      code: 'StateConflict',
      details: { reason: 'excluded' },
    });
  });

  it('loses against a payment that is mined first', async () => {
    const from = await wallet(100_000n);
    const payment = await build(from);
    const signed = from.sign(payment.unsigned);
    const undo = await chain.buildVoid(from.descriptor, [payment.unsigned], cap);
    const signedVoid = from.sign(undo.unsigned);
    expect(await chain.broadcast(signed)).toEqual({ status: 'accepted' });
    await rig.mine(2);
    expect((await chain.broadcast(signedVoid)).status).toBe('unclear');
    expect(await chain.lookup(signedVoid.id, undo.unsigned, from.key.publicKey)).toEqual({
      status: 'conflicted',
      by: signed.id,
      final: true,
    });
    // Whoever asks for a void only now, and never saw the payment signed, learns the same from it.
    const late = await chain.buildVoid(from.descriptor, [payment.unsigned], cap);
    const signedLate = from.sign(late.unsigned);
    expect((await chain.broadcast(signedLate)).status).toBe('unclear');
    expect(await chain.lookup(signedLate.id, late.unsigned, from.key.publicKey)).toEqual({
      status: 'conflicted',
      by: signed.id,
      final: true,
    });
  });

  it('outbids a void that is too cheap by now', async () => {
    const from = await wallet(100_000n);
    const payment = await build(from);
    const first = await chain.buildVoid(from.descriptor, [payment.unsigned], cap);
    expect(await chain.broadcast(from.sign(first.unsigned))).toEqual({ status: 'accepted' });
    const second = await chain.buildVoid(from.descriptor, [payment.unsigned, first.unsigned], cap);
    expect(second.fee).toBeGreaterThan(first.fee);
    expect(await chain.broadcast(from.sign(second.unsigned))).toEqual({ status: 'accepted' });
    expect(
      (await failure(chain.buildVoid(from.descriptor, [second.unsigned], second.fee))).code,
    ).toBe('FeeAboveCap');
    await rig.mine(1);
  });

  it('of an anchored payment spends the anchor, though another of its inputs is larger', async () => {
    const from = await wallet(40_000n, 90_000n);
    const [, smaller] = await chain.anchors(from.descriptor, { amount: 120_000n, feeCap: 5_000n });
    expect(smaller?.lease.detail.amount).toBe('40000');
    const anchor = smaller?.anchor as NonNullable<TransferIntent['anchor']>;
    const payment = await build(from, { anchor, amount: '110000' });
    expect(payment.leases).toHaveLength(2);
    const named = smaller?.lease.resource.replace(`${REGTEST}:`, '') ?? '';
    const keysOf = (unsigned: UnsignedTransaction) =>
      codec.decode(unsigned, from.key.publicKey).conflictKeys;
    const bare = await chain.buildVoid(from.descriptor, [payment.unsigned], cap);
    expect(keysOf(bare.unsigned)).not.toContain(named);
    const undo = await chain.buildVoid(from.descriptor, [payment.unsigned], cap, anchor);
    expect(keysOf(undo.unsigned)).toEqual([named]);
    const signed = from.sign(payment.unsigned);
    expect(await chain.broadcast(signed)).toEqual({ status: 'accepted' });
    const signedVoid = from.sign(undo.unsigned);
    expect(await chain.broadcast(signedVoid)).toEqual({ status: 'accepted' });
    // A bumped void stays on it as well.
    const dearer = await chain.buildVoid(
      from.descriptor,
      [payment.unsigned, undo.unsigned],
      cap,
      anchor,
    );
    expect(keysOf(dearer.unsigned)).toContain(named);
    await rig.mine(2);
    expect(await chain.lookup(signed.id, payment.unsigned, from.key.publicKey)).toEqual({
      status: 'conflicted',
      by: signedVoid.id,
      final: true,
    });
    const nowhere = { ...anchor, txid: randomTxid() } as typeof anchor;
    const other = await wallet(40_000n);
    const theirs = await build(other);
    expect(
      (await failure(chain.buildVoid(other.descriptor, [theirs.unsigned], cap, nowhere))).code,
    ).toBe('LeaseUnavailable');
  });

  it('covers released transactions that share no single input', async () => {
    const from = await wallet(40_000n, 41_000n, 42_000n);
    const { leases } = await build(from, { amount: '115000', feeCap: '9000' });
    const coins: PsbtInput[] = leases.map(({ detail }) => ({
      txid: detail.txid ?? '',
      vout: Number(detail.vout),
      amount: BigInt(detail.amount ?? 0),
      script: from.key.script,
    }));
    expect(coins).toHaveLength(3);
    const pay: PsbtOutput = { amount: 70_000n, script: payee.script };
    const released = [
      [0, 1],
      [1, 2],
      [0, 2],
    ].map((pair) => {
      const inputs = pair.map((i) => coins[i] as PsbtInput);
      const change = inputs.reduce((sum, { amount }) => sum + amount, 0n) - 70_000n - 1_500n;
      return unsignedOf(encodePsbt(inputs, [pay, { amount: change, script: from.key.script }]));
    });
    const undo = await chain.buildVoid(from.descriptor, released, cap);
    const mine = codec.decode(undo.unsigned, from.key.publicKey).conflictKeys;
    for (const one of released) {
      const theirs = codec.decode(one, from.key.publicKey).conflictKeys;
      expect(theirs.some((key) => mine.includes(key))).toBe(true);
    }
    expect(mine).toHaveLength(2);
    // Their order is the coordinator's accident.
    expect(await chain.buildVoid(from.descriptor, [...released].reverse(), cap)).toEqual(undo);
    expect(await chain.broadcast(from.sign(released[2] as UnsignedTransaction))).toEqual({
      status: 'accepted',
    });
    expect(await chain.broadcast(from.sign(undo.unsigned))).toEqual({ status: 'accepted' });
    await rig.mine(1);
    expect(
      (
        await chain.lookup(
          codec.transactionId(undo.unsigned, from.key.publicKey),
          undo.unsigned,
          from.key.publicKey,
        )
      ).status,
    ).toBe('included');
  });
});

describe('a reorganisation', () => {
  it('takes a confirmation back, and the payment is mined again', async () => {
    const from = await wallet(100_000n);
    await rig.mine(3);
    const payment = await build(from);
    const signed = from.sign(payment.unsigned);
    const look = () => chain.lookup(signed.id, payment.unsigned, from.key.publicKey);
    await chain.broadcast(signed);
    await rig.mine(1);
    expect(await look()).toMatchObject({ status: 'included', confirmations: 1 });
    const tip = await rig.rpc.call<string>('getbestblockhash');
    await rig.rpc.call('invalidateblock', tip);
    expect((await look()).status).toMatch(/pending|unknown/);
    expect((await chain.broadcast(signed)).status).toMatch(/accepted|already-known/);
    await rig.mine(2);
    expect(await look()).toMatchObject({ status: 'included', final: true });
  });
});

describe('a node that fails', () => {
  const secret = 'open-sesame';

  it('of another network is refused before anything else', async () => {
    const wrong = createBitcoin({ ...options, network: MAINNET });
    expect(await failure(wrong.tip())).toMatchObject({ code: 'ChainMismatch' });
    const from = await wallet();
    const signed = { network: MAINNET, id: randomTxid(), bytes: '00' };
    expect((await failure(wrong.broadcast(signed))).code).toBe('ChainMismatch');
    expect((await failure(chain.broadcast(signed))).code).toBe('ChainMismatch');
    expect(from.address).toMatch(/^bcrt1p/);
  });

  it('is unavailable, and a broadcast to it unclear', async () => {
    const url = new URL(rig.rpcUrl);
    url.port = '1';
    url.password = secret;
    const gone = createBitcoin({ ...options, rpcUrl: url.href, timeoutMs: 500 });
    const error = await failure(gone.tip());
    expect(error).toMatchObject({ code: 'ChainUnavailable', retryable: true });
    expect(JSON.stringify([error.message, error.details, String(error.cause)])).not.toContain(
      secret,
    );
    expect((await gone.broadcast({ network: REGTEST, id: randomTxid(), bytes: '00' })).status).toBe(
      'unclear',
    );
  });

  it('that refuses the password is not asked again', async () => {
    const url = new URL(rig.rpcUrl);
    url.password = secret;
    const error = await failure(createBitcoin({ ...options, rpcUrl: url.href }).tip());
    expect(error).toMatchObject({ code: 'ChainUnavailable', retryable: false });
    expect(JSON.stringify([error.message, error.details])).not.toContain(secret);
  });

  it('rejects a transaction with a wrong signature or nonsense', async () => {
    const from = await wallet(50_000n);
    const { unsigned } = await build(from);
    const signed = from.sign(unsigned);
    const signature = hex(
      codec.messages(unsigned, from.key.publicKey).map(from.key.sign)[0] as Uint8Array,
    );
    const start = signed.bytes.length - 8 - 128;
    expect(signature).toHaveLength(128);
    const flipped =
      signed.bytes.slice(0, start) + '00'.repeat(64) + signed.bytes.slice(start + 128);
    expect((await chain.broadcast({ ...signed, bytes: flipped })).status).toBe('rejected');
    expect((await chain.broadcast({ ...signed, bytes: '0102' })).status).toBe('rejected');
    expect((await chain.broadcast(signed)).status).toBe('accepted');
    await rig.mine(1);
  });
});
