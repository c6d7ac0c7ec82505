import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Keypair, NonceAccount, PublicKey } from '@solana/web3.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeTransfer } from '../../../chains/solana/codec.ts';
import { nonceSeed } from '../../../chains/solana/durable-nonce.ts';
import { lookup } from '../../../chains/solana/lookup.ts';
import { solanaDevnet, solanaLocal } from '../../../chains/solana/networks.ts';
import { findPreimage } from '../../../chains/solana/preimage.ts';
import { SolanaRpc } from '../../../chains/solana/rpc.ts';
import { readSponsor } from '../../../chains/solana/sponsor.ts';
import { until } from '../../../dev/until.ts';
import type { KeysagaError } from '../../../schema/contracts/errors.ts';
import { type Rig, startRig, type Wallet } from './rig.ts';
import { base58Of, hex, local, refusalOf, unhex } from './support.ts';

let rig: Rig;
beforeAll(async () => {
  rig = await startRig();
});
afterAll(() => rig?.stop());

const build = (wallet: Wallet, intent: ReturnType<Rig['intent']>) =>
  rig.leasing(`transfer/${intent.requestId}`, wallet, (leaser) =>
    rig.solana.build(intent, wallet.key, leaser),
  );
const proofOf = ({
  nonceProof,
}: {
  nonceProof?: { account: string; value: string; preimage: string };
}) => {
  if (nonceProof === undefined) throw new Error('no proof');
  return nonceProof;
};
const final = (status: { status: string; final?: boolean }) => status.final === true;
const failed = (error: KeysagaError) => [error.code, error.details.field];
/** Sends without the node's simulation, as a hostile or careless coordinator could. */
const force = (bytes: string) =>
  rig.connection.sendRawTransaction(unhex(bytes), { skipPreflight: true });
const chainNonce = async (account: string) => {
  const found = await rig.connection.getAccountInfo(new PublicKey(account), 'finalized');
  if (found === null) throw new Error('no nonce account');
  return NonceAccount.fromAccountData(found.data);
};

describe('a Solana wallet', () => {
  it('gets nonce accounts that the sponsor pays for and only the wallet rules', async () => {
    const wallet = await rig.wallet({ lamports: 0n });
    const accounts = await rig.nonces.list(local, wallet.key.walletId);
    expect(accounts.map(({ index, state }) => [index, state])).toEqual([
      [0, 'proven'],
      [1, 'proven'],
    ]);
    for (const { account, value, preimage } of accounts) {
      const nonce = await chainNonce(account);
      expect(nonce.authorizedPubkey.toBase58()).toBe(wallet.key.address);
      expect(nonce.nonce).toBe(base58Of(value ?? ''));
      expect(
        createHash('sha256')
          .update('DURABLE_NONCE')
          .update(unhex(preimage ?? ''))
          .digest('hex'),
      ).toBe(value);
    }
    expect(await rig.solana.balance(wallet.key.address, 'native')).toBe(0n);
  });

  it('is provisioned once, however often and from however many coordinators it is asked for', async () => {
    const wallet = await rig.wallet({ provision: false, lamports: 0n });
    const others = [rig.chain(), rig.chain(), rig.solana];
    await Promise.all(others.map((chain) => chain.provision(wallet.key)));
    await rig.solana.provision(wallet.key);
    expect(await rig.nonces.list(local, wallet.key.walletId)).toHaveLength(2);
  });

  it('gets its accounts even when somebody sent lamports to their addresses before', async () => {
    const wallet = await rig.wallet({ provision: false, lamports: 0n });
    const asSponsored = rig.chain({ sponsor: null });
    expect(failed(await refusalOf(asSponsored.provision(wallet.key)))).toEqual([
      'InvalidInput',
      'sponsor',
    ]);
    const sponsor = readSponsor(rig.stack.solana.sponsorFile);
    const address = new PublicKey(sponsor.nonceAccount(nonceSeed(local, wallet.key.walletId, 0)));
    expect(address.toBase58()).toBe(
      (
        await PublicKey.createWithSeed(
          new PublicKey(sponsor.address),
          nonceSeed(local, wallet.key.walletId, 0),
          PublicKey.default,
        )
      ).toBase58(),
    );
    await rig.fund(address.toBase58(), 2_000_000n);
    await rig.solana.provision(wallet.key);
    expect((await rig.nonces.list(local, wallet.key.walletId)).map(({ state }) => state)).toEqual([
      'proven',
      'proven',
    ]);
  });

  it('shows what it can spend: its lamports without the rent-exempt minimum', async () => {
    const wallet = await rig.wallet({ provision: false, lamports: 2_000_000n });
    const minimum = await rig.connection.getMinimumBalanceForRentExemption(0);
    expect(await rig.solana.balance(wallet.key.address, 'native')).toBe(
      2_000_000n - BigInt(minimum),
    );
    expect(failed(await refusalOf(rig.solana.balance(wallet.key.address, 'usdc')))).toEqual([
      'InvalidInput',
      'asset',
    ]);
    expect(failed(await refusalOf(rig.solana.balance('nonsense', 'native')))).toEqual([
      'InvalidInput',
      'address',
    ]);
  });
});

describe('a Solana transfer', () => {
  it('is built, signed, sent and final; its nonce advances and is proven again', async () => {
    const wallet = await rig.wallet();
    const intent = rig.intent(wallet);
    const { unsigned, fee, leases } = await build(wallet, intent);
    const proof = proofOf(unsigned);
    expect(leases).toEqual([
      { resource: `solana:${local}:${proof.account}:${proof.value}`, detail: proof },
    ]);
    const signed = rig.sign(wallet, unsigned);
    expect(await rig.lookup(wallet, unsigned, signed.id)).toEqual({ status: 'unknown' });

    const before = await rig.connection.getBalance(wallet.secret.publicKey);
    expect(await rig.solana.broadcast(signed)).toEqual({ status: 'accepted' });
    const status = await rig.settled(wallet, unsigned, signed.id, final);
    expect(status).toMatchObject({ status: 'included', final: true });
    expect(status.status === 'included' && status.confirmations).toBeGreaterThanOrEqual(
      rig.solana.finality,
    );
    expect(await rig.connection.getBalance(new PublicKey(intent.destination))).toBe(1_000_000);
    expect(before - (await rig.connection.getBalance(wallet.secret.publicKey))).toBe(
      1_000_000 + Number(fee),
    );

    expect(await rig.solana.broadcast(signed)).toEqual({ status: 'already-known' });
    const next = await rig.nonce(wallet, proof.account);
    expect(next.state).toBe('proven');
    expect(next.value).not.toBe(proof.value);
    expect(base58Of(next.value ?? '')).toBe((await chainNonce(proof.account)).nonce);
  });

  it('leaves the account for the next one, which takes its new value', async () => {
    const wallet = await rig.wallet();
    const seen = new Set<string>();
    for (let i = 0; i < 5; i++) {
      const intent = rig.intent(wallet);
      const { unsigned } = await build(wallet, intent);
      const [consumed] = rig.solana.codec.decode(
        unsigned,
        unhex(wallet.key.publicKey),
      ).conflictKeys;
      if (consumed === undefined) throw new Error('no conflict key');
      expect(seen).not.toContain(consumed);
      seen.add(consumed);
      const signed = rig.sign(wallet, unsigned);
      expect(await rig.solana.broadcast(signed)).toEqual({ status: 'accepted' });
      await rig.settled(wallet, unsigned, signed.id, ({ status }) => status === 'included');
      await rig.settle(`transfer/${intent.requestId}`, 'consumed');
    }
    expect(await rig.nonces.list(local, wallet.key.walletId)).toHaveLength(2);
  });

  it('keeps its nonce when it is built again, and no other transfer gets that one', async () => {
    const wallet = await rig.wallet();
    const [one, two, three] = [rig.intent(wallet), rig.intent(wallet), rig.intent(wallet)] as const;
    const first = await build(wallet, one);
    expect(await build(wallet, one)).toEqual(first);
    const second = await build(wallet, two);
    expect(proofOf(second.unsigned).account).not.toBe(proofOf(first.unsigned).account);
    expect((await refusalOf(build(wallet, three))).code).toBe('LeaseUnavailable');
    await rig.settle(`transfer/${one.requestId}`, 'released');
    expect(proofOf((await build(wallet, three)).unsigned).value).toBe(
      proofOf(first.unsigned).value,
    );
  });

  it('lands at most once per nonce value', async () => {
    const wallet = await rig.wallet();
    const { unsigned } = await build(wallet, rig.intent(wallet));
    const proof = proofOf(unsigned);
    const rivalTo = Keypair.generate().publicKey;
    // The same value in another transaction, which the parties' conflict rule would refuse.
    const other = encodeTransfer(local, {
      wallet: wallet.secret.publicKey.toBytes(),
      nonce: proof,
      units: 2000,
      microLamports: 0n,
      payment: { destination: rivalTo.toBase58(), lamports: 1_500_000n },
    });
    const rival = rig.sign(wallet, other).bytes;
    const signed = rig.sign(wallet, unsigned);
    expect(await rig.solana.broadcast(signed)).toEqual({ status: 'accepted' });
    await rig.settled(wallet, unsigned, signed.id, ({ status }) => status === 'included');

    await expect(rig.connection.sendRawTransaction(unhex(rival))).rejects.toThrow(
      /Blockhash not found/i,
    );
    // Unsimulated, the node answers with a signature all the same; it never lands.
    const id = await force(rival);
    await rig.settled(wallet, unsigned, signed.id, final);
    expect((await rig.connection.getSignatureStatuses([id])).value).toEqual([null]);
    expect(await rig.connection.getBalance(rivalTo)).toBe(0);
    expect(await rig.lookup(wallet, other, id)).toEqual({
      status: 'conflicted',
      by: signed.id,
      final: true,
    });
  });

  it('loses against its void, and then is conflicted for good', async () => {
    const wallet = await rig.wallet();
    const intent = rig.intent(wallet);
    const { unsigned } = await build(wallet, intent);
    const payment = rig.sign(wallet, unsigned);
    const voiding = await rig.solana.buildVoid(wallet.key, [unsigned], 50_000n);
    const publicKey = unhex(wallet.key.publicKey);
    expect(
      rig.solana.codec.decode(voiding.unsigned, publicKey).effects.map(({ kind }) => kind),
    ).toEqual(['advance-nonce']);
    expect(rig.solana.codec.decode(voiding.unsigned, publicKey).conflictKeys).toEqual(
      rig.solana.codec.decode(unsigned, publicKey).conflictKeys,
    );
    expect(voiding.fee).toBeLessThanOrEqual(50_000n);

    const signed = rig.sign(wallet, voiding.unsigned);
    expect(await rig.solana.broadcast(signed)).toEqual({ status: 'accepted' });
    await rig.settled(wallet, voiding.unsigned, signed.id, final);
    expect(await rig.lookup(wallet, unsigned, payment.id)).toEqual({
      status: 'conflicted',
      by: signed.id,
      final: true,
    });
    expect(await rig.solana.broadcast(payment)).toMatchObject({ status: 'unclear' });
    expect(await rig.connection.getBalance(new PublicKey(intent.destination))).toBe(0);
    expect(await rig.nonce(wallet, proofOf(unsigned).account)).toMatchObject({ state: 'proven' });
  });

  it('that lands but fails is over: it shows as failed, and its nonce is never lent again with that value', async () => {
    const wallet = await rig.wallet({ lamports: 10_000_000n });
    const intent = rig.intent(wallet, { amount: '8000000' });
    const { unsigned } = await build(wallet, intent);
    const signed = rig.sign(wallet, unsigned);
    // Another transfer of the wallet empties it in the meantime.
    const other = await build(wallet, rig.intent(wallet, { amount: '8000000' }));
    const first = rig.sign(wallet, other.unsigned);
    expect(await rig.solana.broadcast(first)).toEqual({ status: 'accepted' });
    await rig.settled(wallet, other.unsigned, first.id, ({ status }) => status === 'included');

    // The node's simulation saves the fee of a transaction that would fail.
    expect(await rig.solana.broadcast(signed)).toMatchObject({
      status: 'rejected',
      reason: expect.stringContaining('custom program error'),
    });
    await force(signed.bytes);
    const status = await rig.settled(wallet, unsigned, signed.id, final);
    expect(status).toMatchObject({
      status: 'failed',
      final: true,
      reason: expect.stringContaining('InstructionError'),
    });
    const nonce = await rig.nonce(wallet, proofOf(unsigned).account);
    // The real network advances the nonce of a failed transaction. This runtime does not, so the account is given up.
    expect((await chainNonce(nonce.account)).nonce).toBe(base58Of(proofOf(unsigned).value));
    expect(nonce.state).toBe('retired');
    await rig.solana.provision(wallet.key);
    expect(
      (await rig.nonces.list(local, wallet.key.walletId)).map(({ state }) => state).sort(),
    ).toEqual(['proven', 'proven', 'retired']);
  });

  it('keeps to its anchor', async () => {
    const wallet = await rig.wallet();
    const [anchored] = await rig.nonces.list(local, wallet.key.walletId);
    if (anchored?.value === undefined || anchored.value === null) throw new Error('no nonce');
    const anchor = {
      kind: 'solana-nonce',
      account: anchored.account,
      value: anchored.value,
    } as const;
    const { unsigned } = await build(wallet, rig.intent(wallet, { anchor }));
    expect(proofOf(unsigned)).toMatchObject({ account: anchor.account, value: anchor.value });
    expect((await refusalOf(build(wallet, rig.intent(wallet, { anchor })))).code).toBe(
      'LeaseUnavailable',
    );
    const gone = { ...anchor, value: '11'.repeat(32) };
    expect(failed(await refusalOf(build(wallet, rig.intent(wallet, { anchor: gone }))))).toEqual([
      'StateConflict',
      'anchor',
    ]);
    // What may be leased ahead: each proven nonce at its finalized value.
    const offered = await rig.solana.anchors(wallet.key, { amount: 1n, feeCap: 1n });
    expect(offered.map((one) => one.anchor)).toContainEqual(anchor);
    expect(offered).toHaveLength(2);
    const foreign = { kind: 'bitcoin-outpoint', txid: '00'.repeat(32), vout: '0' } as const;
    expect(failed(await refusalOf(build(wallet, rig.intent(wallet, { anchor: foreign }))))).toEqual(
      ['InvalidInput', 'anchor'],
    );
  });
});

describe('what is refused before anything is leased', () => {
  it('names the field', async () => {
    const wallet = await rig.wallet();
    const other = await rig.wallet({ provision: false, lamports: 0n });
    const cases = [
      [{ amount: '100' }, 'InvalidInput', 'amount'],
      [{ amount: '890879' }, 'InvalidInput', 'amount'],
      [{ amount: '5000000000' }, 'InsufficientFunds', 'amount'],
      [{ amount: '99999999999999999999' }, 'InsufficientFunds', 'amount'],
      [{ feeCap: '4999' }, 'FeeAboveCap', 'feeCap'],
      [{ asset: 'spl:usdc' }, 'InvalidInput', 'asset'],
      [{ destination: wallet.key.address }, 'InvalidInput', 'destination'],
      [{ destination: '11111111111111111111111111111111' }, 'InvalidInput', 'destination'],
      [
        { destination: 'TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA' },
        'InvalidInput',
        'destination',
      ],
      [
        { destination: 'bcrt1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqdku202' },
        'InvalidInput',
        'destination',
      ],
      [{ chain: solanaDevnet.id }, 'ChainMismatch', 'chain'],
      [{ walletId: other.key.walletId }, 'InvalidInput', 'walletId'],
    ] as const;
    for (const [change, code, field] of cases) {
      const intent = rig.intent(wallet, change);
      const error = await refusalOf(build(wallet, intent));
      expect([change, ...failed(error)]).toEqual([change, code, field]);
      await rig.leasing(`transfer/${intent.requestId}`, wallet, async ({ held }) =>
        expect(held).toEqual([]),
      );
    }
  });

  it('takes the least amount that a new account can hold', async () => {
    const wallet = await rig.wallet();
    const minimum = await rig.connection.getMinimumBalanceForRentExemption(0);
    const { unsigned } = await build(wallet, rig.intent(wallet, { amount: String(minimum) }));
    const signed = rig.sign(wallet, unsigned);
    expect(await rig.solana.broadcast(signed)).toEqual({ status: 'accepted' });
    await rig.settled(wallet, unsigned, signed.id, ({ status }) => status === 'included');
  });

  it('a wallet without accounts waits for them', async () => {
    const wallet = await rig.wallet({ provision: false });
    const error = await refusalOf(build(wallet, rig.intent(wallet)));
    expect([error.code, error.retryable]).toEqual(['LeaseUnavailable', true]);
  });

  it('a void needs something to void, and one nonce to do it with', async () => {
    const wallet = await rig.wallet();
    expect(failed(await refusalOf(rig.solana.buildVoid(wallet.key, [], 50_000n)))).toEqual([
      'InvalidInput',
      'released',
    ]);
    const one = await build(wallet, rig.intent(wallet));
    const two = await build(wallet, rig.intent(wallet));
    expect(
      (await refusalOf(rig.solana.buildVoid(wallet.key, [one.unsigned, two.unsigned], 50_000n)))
        .code,
    ).toBe('ConflictRule');
    expect((await refusalOf(rig.solana.buildVoid(wallet.key, [one.unsigned], 4999n))).code).toBe(
      'FeeAboveCap',
    );
  });
});

describe('a nonce without proof', () => {
  it('is found again from what the chain shows, without any record', async () => {
    const wallet = await rig.wallet();
    const [record] = await rig.nonces.list(local, wallet.key.walletId);
    if (record?.value === null || record === undefined) throw new Error('no nonce');
    const rpc = new SolanaRpc({ network: solanaLocal, url: rig.stack.solana.rpcUrl });
    const bare = { account: record.account, value: null, preimage: null, hints: [] };
    expect(await findPreimage(rpc, bare, record.value)).toBe(record.preimage);
    expect(await findPreimage(rpc, bare, '22'.repeat(32))).toBeUndefined();
  });

  it('is not lent, and is once the proof is found', async () => {
    const wallet = await rig.wallet({ provision: false });
    const account = await rig.nonceAccount(wallet.secret.publicKey);
    await rig.nonces.add({
      network: local,
      walletId: wallet.key.walletId,
      account,
      authority: wallet.key.address,
      index: 0,
      at: Date.now(),
    });
    const warnings: string[] = [];
    const pruned = rig.chain({
      rpcUrl: rig.prunedUrl,
      logger: { warn: (_details, message) => warnings.push(message) },
    });
    const intent = rig.intent(wallet);
    const error = await refusalOf(
      rig.leasing('pruned', wallet, (leaser) => pruned.build(intent, wallet.key, leaser)),
    );
    expect(error.code).toBe('LeaseUnavailable');
    const [unproven] = await rig.nonces.list(local, wallet.key.walletId);
    expect(unproven).toMatchObject({
      state: 'unproven',
      preimage: null,
      value: hex(new PublicKey((await chainNonce(account)).nonce).toBytes()),
    });
    expect(warnings).toContain('no preimage of the nonce was found: it is not lent');
    // A node with its history finds it.
    expect(proofOf((await build(wallet, intent)).unsigned).account).toBe(account);
  });

  it('is replaced by the next account after a while', async () => {
    const wallet = await rig.wallet({ provision: false });
    const account = await rig.nonceAccount(wallet.secret.publicKey);
    await rig.nonces.add({
      network: local,
      walletId: wallet.key.walletId,
      account,
      authority: wallet.key.address,
      index: 0,
      at: Date.now(),
    });
    await rig.chain({ rpcUrl: rig.prunedUrl }).syncNonces();
    const later = { now: () => Date.now() + 61_000 };
    // The new ones are proven by the blockhash that was noted before they were sent.
    await rig.chain({ rpcUrl: rig.prunedUrl, clock: later }).provision(wallet.key);
    expect(
      (await rig.nonces.list(local, wallet.key.walletId)).map(({ index, state }) => [index, state]),
    ).toEqual([
      [0, 'unproven'],
      [1, 'proven'],
      [2, 'proven'],
    ]);
  });

  it('and an account that the wallet does not rule is retired for good', async () => {
    const wallet = await rig.wallet();
    const account = await rig.nonceAccount(Keypair.generate().publicKey);
    await rig.nonces.add({
      network: local,
      walletId: wallet.key.walletId,
      account,
      authority: wallet.key.address,
      index: 7,
      at: 0,
    });
    const empty = Keypair.generate().publicKey.toBase58();
    await rig.nonces.add({
      network: local,
      walletId: wallet.key.walletId,
      account: empty,
      authority: wallet.key.address,
      index: 8,
      at: 0,
    });
    await rig.fund(empty, 2_000_000n);
    await rig.solana.syncNonces();
    // Lamports alone are no nonce account yet.
    expect(
      (await rig.nonces.list(local, wallet.key.walletId)).map(({ index, state }) => [index, state]),
    ).toEqual([
      [0, 'proven'],
      [1, 'proven'],
      [7, 'retired'],
      [8, 'pending'],
    ]);
  });
});

describe('the record of nonce accounts', () => {
  const reading = (slot: number, value: string) =>
    ({ state: 'proven', value, preimage: '00'.repeat(32), slot, at: slot }) as const;
  const fresh = async (name: string) => {
    // Another network's rows, which no watcher touches.
    await rig.nonces.add({
      network: solanaDevnet.id,
      walletId: name,
      account: name,
      authority: name,
      index: 0,
      at: 0,
    });
    return async () => (await rig.nonces.list(solanaDevnet.id, name))[0];
  };

  it('keeps the newest reading, and when it last changed', async () => {
    const row = await fresh('newest');
    expect(await rig.nonces.record(solanaDevnet.id, 'newest', reading(10, '11'.repeat(32)))).toBe(
      true,
    );
    expect(await rig.nonces.record(solanaDevnet.id, 'newest', reading(9, '22'.repeat(32)))).toBe(
      false,
    );
    expect(await row()).toMatchObject({ value: '11'.repeat(32), slot: 10, changedAt: 10 });
    expect(await rig.nonces.record(solanaDevnet.id, 'newest', reading(12, '11'.repeat(32)))).toBe(
      true,
    );
    expect(await row()).toMatchObject({ slot: 12, changedAt: 10 });
    await rig.nonces.lost(solanaDevnet.id, 'newest', 13);
    expect(await row()).toMatchObject({
      state: 'pending',
      slot: 0,
      value: '11'.repeat(32),
      preimage: '00'.repeat(32),
    });
  });

  it('never brings a retired account back', async () => {
    const row = await fresh('retired');
    await rig.nonces.retire(solanaDevnet.id, 'retired', 1);
    expect(await rig.nonces.record(solanaDevnet.id, 'retired', reading(5, '11'.repeat(32)))).toBe(
      false,
    );
    await rig.nonces.lost(solanaDevnet.id, 'retired', 6);
    await rig.nonces.add({
      network: solanaDevnet.id,
      walletId: 'retired',
      account: 'retired',
      authority: 'x',
      index: 0,
      at: 7,
    });
    expect(await row()).toMatchObject({ state: 'retired', value: null });
  });

  it('keeps the newest 16 hints, each once', async () => {
    const row = await fresh('hints');
    for (let i = 0; i < 20; i++) await rig.nonces.hint(solanaDevnet.id, 'hints', `h${i}`);
    for (let i = 0; i < 3; i++) await rig.nonces.hint(solanaDevnet.id, 'hints', 'h10');
    expect((await row())?.hints).toEqual(
      [4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19, 10].map((i) => `h${i}`),
    );
  });

  it('cannot say proven without both halves of the proof', async () => {
    await fresh('halves');
    await expect(
      rig.nonces.record(solanaDevnet.id, 'halves', {
        ...reading(1, '11'.repeat(32)),
        preimage: null,
      }),
    ).rejects.toThrow();
  });
});

describe('a look-up on a network that keeps its word', () => {
  const anyId =
    '99eUso3aSbE9tqGSTXzo3TLfKb9RkMTURrHKQ1K7Zh3BbeqPevr5E1iCbpTjqHuTFLtfxTTD5ekfVuZFzQyEQf8';
  // The rules of a public network, on the local node.
  const strict = { ...solanaLocal, ephemeral: false };
  const context = (url: string) => ({
    rpc: new SolanaRpc({ network: strict, url }),
    finality: 32,
    retire: async () => expect.unreachable(),
  });

  it('calls a transaction conflicted for good only when it sees the one that took its nonce', async () => {
    const wallet = await rig.wallet();
    const { unsigned } = await build(wallet, rig.intent(wallet));
    const payment = rig.sign(wallet, unsigned);
    const voiding = rig.sign(
      wallet,
      (await rig.solana.buildVoid(wallet.key, [unsigned], 50_000n)).unsigned,
    );
    await rig.solana.broadcast(voiding);
    await rig.settled(wallet, unsigned, voiding.id, ({ status }) => status === 'included');
    expect(await lookup(context(rig.stack.solana.rpcUrl), payment.id, proofOf(unsigned))).toEqual({
      status: 'conflicted',
      by: voiding.id,
      final: true,
    });
    expect(await lookup(context(rig.prunedUrl), payment.id, proofOf(unsigned))).toEqual({
      status: 'conflicted',
      final: false,
    });
  });

  it('does not take a missing nonce account for a moved one', async () => {
    const nonce = { account: Keypair.generate().publicKey.toBase58(), value: '11'.repeat(32) };
    expect(await lookup(context(rig.stack.solana.rpcUrl), anyId, nonce)).toEqual({
      status: 'unknown',
    });
  });

  it('calls a failure final only once the nonce has moved', async () => {
    const wallet = await rig.wallet({ lamports: 3_000_000n });
    const account = (await rig.nonces.list(local, wallet.key.walletId))[0];
    if (account?.value === null || account?.preimage === null || account === undefined)
      throw new Error('no nonce');
    const unsigned = encodeTransfer(local, {
      wallet: wallet.secret.publicKey.toBytes(),
      nonce: { account: account.account, value: account.value, preimage: account.preimage },
      units: 2000,
      microLamports: 0n,
      payment: { destination: Keypair.generate().publicKey.toBase58(), lamports: 50_000_000n },
    });
    const signed = rig.sign(wallet, unsigned);
    await force(signed.bytes);
    const rpc = context(rig.stack.solana.rpcUrl);
    await until(async () => (await rpc.rpc.status(signed.id)).status?.commitment === 'finalized', {
      deadlineMs: 30_000,
      what: 'finality',
    });
    // This runtime leaves the nonce as it was: on a public network that would mean that the node is late.
    expect(await lookup({ ...rpc, finality: 0 }, signed.id, proofOf(unsigned))).toMatchObject({
      status: 'failed',
      final: false,
    });
  });
});

describe('the node', () => {
  it('of another network is refused', async () => {
    const devnet = rig.chain({ network: solanaDevnet.id });
    expect(failed(await refusalOf(devnet.tip()))).toEqual(['ChainMismatch', 'rpcUrl']);
    const signed = { network: solanaDevnet.id, id: 'x', bytes: '01' };
    expect((await refusalOf(Promise.resolve().then(() => devnet.broadcast(signed)))).code).toBe(
      'ChainMismatch',
    );
  });

  it('that is away is ChainUnavailable, an unclear broadcast, and never shows its address', async () => {
    const away = rig.chain({
      rpcUrl: 'http://127.0.0.1:9/key-of-the-provider',
      requestTimeoutMs: 500,
    });
    const error = await refusalOf(away.tip());
    expect([error.code, error.retryable]).toEqual(['ChainUnavailable', true]);
    expect(JSON.stringify([error.message, error.details, String(error.cause)])).not.toContain(
      'key-of-the-provider',
    );
    const wallet = await rig.wallet();
    const { unsigned } = await build(wallet, rig.intent(wallet));
    expect(await away.broadcast(rig.sign(wallet, unsigned))).toMatchObject({ status: 'unclear' });
  });

  it('refuses a transaction without a valid signature', async () => {
    const wallet = await rig.wallet();
    const { unsigned } = await build(wallet, rig.intent(wallet));
    const forged = { network: local, id: 'x', bytes: `01${'11'.repeat(64)}${unsigned.bytes}` };
    expect(await rig.solana.broadcast(forged)).toMatchObject({ status: 'rejected' });
  });

  it('is not asked for an id that is none', async () => {
    const wallet = await rig.wallet();
    const { unsigned } = await build(wallet, rig.intent(wallet));
    for (const id of ['', 'x', '1'.repeat(63), 'z'.repeat(88), '0'.repeat(64)]) {
      expect(failed(await refusalOf(rig.lookup(wallet, unsigned, id)))).toEqual([
        'InvalidInput',
        'id',
      ]);
    }
  });

  it('shows its tip', async () => {
    const tip = await rig.solana.tip();
    expect(tip.height).toBeGreaterThan(0);
    expect(new PublicKey(tip.id).toBytes()).toHaveLength(32);
  });
});

describe('the sponsor', () => {
  it('without money or with a broken key file is named', async () => {
    const wallet = await rig.wallet({ provision: false, lamports: 0n });
    const file = join(rig.stack.dataDir, 'poor.json');
    writeFileSync(file, JSON.stringify([...Keypair.generate().secretKey]));
    expect(failed(await refusalOf(rig.chain({ sponsor: file }).provision(wallet.key)))).toEqual([
      'InsufficientFunds',
      'sponsor',
    ]);
    writeFileSync(file, JSON.stringify([...Keypair.generate().secretKey.slice(0, 63), 300]));
    const error = await refusalOf(rig.chain({ sponsor: file }).provision(wallet.key));
    expect(failed(error)).toEqual(['InvalidInput', 'sponsor']);
    expect(error.cause).toBeUndefined();
    const missing = rig.chain({ sponsor: join(rig.stack.dataDir, 'absent.json') });
    expect(failed(await refusalOf(missing.provision(wallet.key)))).toEqual([
      'InvalidInput',
      'sponsor',
    ]);
  });
});

describe('when the local runtime was restarted and forgot everything', () => {
  it('the watcher makes new nonce accounts, and transfers of before are conflicted', async () => {
    const wallet = await rig.wallet();
    const before = await build(wallet, rig.intent(wallet));
    const old = rig.sign(wallet, before.unsigned);
    rig.solana.start({ pollMs: 100 });
    await rig.stack.restart('solana');
    const proven = async () =>
      (await rig.nonces.list(local, wallet.key.walletId)).filter(({ state }) => state === 'proven');
    await until(async () => (await proven()).filter(({ index }) => index >= 2).length === 2, {
      deadlineMs: 30_000,
      what: 'new nonce accounts',
    });
    await rig.solana.stop();
    expect((await proven()).map(({ index }) => index)).toEqual([2, 3]);
    expect(await rig.lookup(wallet, before.unsigned, old.id)).toEqual({
      status: 'conflicted',
      final: true,
    });

    await rig.fund(wallet.key.address, 5_000_000_000n);
    const { unsigned } = await build(wallet, rig.intent(wallet));
    const signed = rig.sign(wallet, unsigned);
    expect(await rig.solana.broadcast(signed)).toEqual({ status: 'accepted' });
    await rig.settled(wallet, unsigned, signed.id, final);
  });
});
