/**
 * ECDSA wallets on the whole platform: DKLs23 keys on Ethereum and, as P2WPKH, on Bitcoin. Nonces are lent after the
 * approvals and given back before the pivot; past it only a void on the same nonce ends a payment; a party that dies in a
 * round, or is away, costs an attempt and nothing else.
 */

import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type Hex, verifyMessage, verifyTypedData } from 'viem';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Wallet } from '../../client/index.ts';
import { ethereumRpc } from '../../dev/ethereum/rpc.ts';
import { until } from '../../dev/until.ts';
import type { TransferIntent } from '../../schema/contracts/intent.ts';
import type { MessageIntent, SignableMessage } from '../../schema/contracts/message.ts';
import type { Policy } from '../../schema/contracts/policy.ts';
import { armFailPoint, failPointFile } from '../../workers/support/fail-points.ts';
import { deploy, mint, tokenBalance } from '../chains/ethereum/token.ts';
import { checkLedger } from '../crash/cells.ts';
import { approve, castOf, ETHEREUM, messageIntentFor } from '../support/parties.ts';
import { type Platform, startPlatform } from '../support/platform.ts';
import { commandLine } from './command-line.ts';
import { expectEnd, untilPhase, untilStatus } from './support.ts';

const TOKEN = '0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed';
const ASSET = `${ETHEREUM}/erc20:${TOKEN}`;

let platform: Platform;
let ether: Wallet;
const rpc = () => ethereumRpc(platform.stack.ethereum.rpcUrl);
/** Nonces that the chain has seen of the wallet. */
const used = async (): Promise<number> =>
  Number(await rpc().call<string>('eth_getTransactionCount', ether.address, 'latest'));

beforeAll(async () => {
  const { policy } = castOf(3);
  const limits = [
    ...policy.limits,
    { network: ETHEREUM, asset: ASSET, perTransfer: '1000', perDay: '5000' },
  ] as typeof policy.limits;
  const typedData = [
    { network: ETHEREUM, contract: TOKEN, type: 'Vote' },
  ] as Policy['typedData'] & {};
  platform = await startPlatform({
    chains: ['ethereum', 'bitcoin'],
    cast: castOf(3, { limits, typedData }),
  });
  ether = await platform.wallet('ether', 'ethereum');
}, 300_000);
afterAll(() => platform?.close());

const pay = async (intent: TransferIntent): Promise<TransferIntent> => {
  await platform.startApproved(intent);
  return intent;
};

describe('an ECDSA wallet on Ethereum', () => {
  it('is a DKLs23 key, chosen by the network’s scheme, certified by every party', () => {
    expect(ether.key.protocol).toBe('dkls23');
    expect(ether.key.publicKey).toMatch(/^0[23][0-9a-f]{64}$/);
    expect(ether.address).toMatch(/^0x[0-9a-fA-F]{40}$/);
    expect(ether.certificates).toHaveLength(3);
  });

  it('pays ether in three rounds, at depth 2', { timeout: 120_000 }, async () => {
    const before = await used();
    const intent = await pay(platform.intent(ether));
    const status = await expectEnd(platform, intent, 'Completed');
    expect(status.attempts).toBe(1);
    expect(status.confirmations).toBeGreaterThanOrEqual(2);
    expect(status.parties[0]?.steps.map(({ name }) => name)).toEqual([
      'prepare',
      'round 1',
      'round 2',
      'round 3',
    ]);
    expect(await used()).toBe(before + 1);
    await checkLedger(platform);
  });

  it('pays a token', { timeout: 120_000 }, async () => {
    const token = await deploy(rpc(), TOKEN);
    await mint(rpc(), token, ether.address, 10_000n);
    const intent = await pay(platform.intent(ether, { asset: ASSET, amount: '750' }));
    await expectEnd(platform, intent, 'Completed');
    expect(await tokenBalance(rpc(), token, intent.destination)).toBe(750n);
    expect(await tokenBalance(rpc(), token, ether.address)).toBe(9_250n);
  });

  it('several transfers at once land on consecutive nonces, a rejected one leaves no gap', {
    timeout: 180_000,
  }, async () => {
    const before = await used();
    const [refused, ...paid] = Array.from({ length: 5 }, () => platform.intent(ether));
    if (refused === undefined) throw new Error('no intent');
    await platform.client.transfer(refused);
    const [first] = platform.cast.approvers;
    if (first === undefined) throw new Error('no approver');
    await Promise.all([
      platform.client.signalDecision(refused.requestId, approve(refused, first, 'reject')),
      ...paid.map(pay),
    ]);
    for (const intent of paid) await expectEnd(platform, intent, 'Completed');
    const status = await expectEnd(platform, refused, 'Failed');
    expect(status.failure?.code).toBe('IntentRejected');
    expect(await used()).toBe(before + paid.length);
    await checkLedger(platform);
  });

  it('gives its nonce back when too few parties come, and signs with another set when one is away', {
    timeout: 240_000,
  }, async () => {
    const before = await used();
    for (const name of ['alpha', 'beta']) await platform.hold(name);
    const short = platform.intent(ether);
    await platform.client.transfer(short, { limits: { waitForParties: 1, prepare: 2 } });
    for (const who of platform.cast.approvers.slice(0, 2))
      await platform.client.signalDecision(short.requestId, approve(short, who));
    const failed = await expectEnd(platform, short, 'Failed');
    expect(failed.pivotPassed).toBe(false);
    expect(
      failed.undos.filter(({ state }) => state !== 'not-needed').map(({ step }) => step),
    ).toContain('release the lease');
    await checkLedger(platform);

    await platform.resume('beta');
    const intent = await pay(platform.intent(ether));
    const status = await expectEnd(platform, intent, 'Completed');
    expect(status.parties.map(({ party }) => party)).toEqual(['beta', 'gamma']);
    // On the nonce that the first one held: otherwise it would still wait for it.
    expect(await used()).toBe(before + 1);
    await platform.resume('alpha');
  });

  it('survives a party that dies in a round', { timeout: 180_000 }, async () => {
    const point = 'party.round:after-inbox-commit';
    armFailPoint(platform.failPoints, point);
    const intent = await pay(platform.intent(ether));
    await expectEnd(platform, intent, 'Completed');
    expect(existsSync(failPointFile(platform.failPoints, point))).toBe(false);
    await checkLedger(platform);
  });

  it('cancelled past the pivot: the void takes the nonce, nothing is paid', {
    timeout: 180_000,
  }, async () => {
    const before = await used();
    await platform.mining(false);
    try {
      const intent = await pay(platform.intent(ether));
      await untilPhase(platform, intent.requestId, 'Confirming');
      await platform.client.cancel(intent.requestId);
      await untilStatus(
        platform,
        intent.requestId,
        ({ voidTransactionId }) => voidTransactionId,
        'the void is sent',
      );
      await platform.mining(true);
      const status = await expectEnd(platform, intent, 'Failed');
      expect(status.pivotPassed).toBe(true);
      expect(status.transactionId).not.toBe(status.voidTransactionId);
    } finally {
      await platform.mining(true);
    }
    expect(await used()).toBe(before + 1);
    await checkLedger(platform);
    await expectEnd(platform, await pay(platform.intent(ether)), 'Completed');
  });
});

describe('an ECDSA wallet on Bitcoin', () => {
  it('is P2WPKH when DKLs23 is asked for, and pays', { timeout: 240_000 }, async () => {
    const wallet = await platform.wallet('segwit', 'bitcoin', { protocol: 'dkls23' });
    expect(wallet.key.protocol).toBe('dkls23');
    expect(wallet.address).toMatch(/^bcrt1q[a-z0-9]{38}$/);
    // Two coins, so two inputs: a digest and a signature each, in one session.
    const intent = platform.intent(wallet, { amount: '700000' });
    const status = await expectEnd(platform, await pay(intent), 'Completed');
    expect(status.transaction?.spentOutputs).toHaveLength(2);
    await checkLedger(platform);
  });

  it('signs more inputs in one session than Temporal takes in one payload', {
    timeout: 240_000,
  }, async () => {
    const coins = { coins: 32, each: 20_000n, protocol: 'dkls23' };
    const wallet = await platform.wallet('small-coins', 'bitcoin', coins);
    const intent = platform.intent(wallet, { amount: '580000' });
    const status = await expectEnd(platform, await pay(intent), 'Completed');
    expect(status.transaction?.spentOutputs?.length).toBeGreaterThanOrEqual(29);
    // 40 kB a signature and pair, twice that in hex: over the 2 MB of one payload, so it went through the folder.
    const stored = readdirSync(join(platform.dataDir, 'payloads'), { recursive: true })
      .map((name) => statSync(join(platform.dataDir, 'payloads', `${name}`)))
      .filter((entry) => entry.isFile());
    expect(Math.max(...stored.map(({ size }) => size))).toBeGreaterThan(2_000_000);
    await checkLedger(platform);
  });
});

describe('messages', () => {
  const sign = async (of: Wallet, message: SignableMessage): Promise<MessageIntent> => {
    const intent = messageIntentFor(of.key, message);
    await platform.client.signMessage(intent);
    for (const who of platform.cast.approvers.slice(0, 2))
      await platform.client.signalMessageDecision(intent.requestId, approve(intent, who));
    return intent;
  };
  const vote = {
    types: { Vote: [{ name: 'yes', type: 'bool' }] },
    primaryType: 'Vote',
    domain: { name: 'Board', chainId: 31337, verifyingContract: TOKEN as Hex },
    message: { yes: true },
  } as const;

  it('of each kind are signed for who approved them, as their verifiers take them', {
    timeout: 180_000,
  }, async () => {
    const address = ether.address as Hex;
    const message = 'Log in\nto the exchange';
    const texts = await sign(ether, { kind: 'eip191', text: message });
    const typed = await sign(ether, { kind: 'eip712', json: JSON.stringify(vote) });
    const { signature } = await platform.client.messageResult(texts.requestId);
    expect(await verifyMessage({ address, message, signature: signature as Hex })).toBe(true);
    const voted = await platform.client.messageResult(typed.requestId);
    expect(await verifyTypedData({ address, ...vote, signature: voted.signature as Hex })).toBe(
      true,
    );
    const status = await platform.client.messageStatus(texts.requestId);
    expect(status).toMatchObject({ phase: 'Completed', signed: { signature }, attempts: 1 });

    const coins = await platform.wallet('reserves', 'bitcoin');
    const proof = await sign(coins, { kind: 'bip322', text: 'reserves' });
    // Verified under the key of the address when it was put together.
    const { signature: witness } = await platform.client.messageResult(proof.requestId);
    expect(Buffer.from(witness, 'base64').length).toBeGreaterThanOrEqual(66);
  });

  it('are one request each, refused when the policy does not list them, and undone by a rejection', {
    timeout: 120_000,
  }, async () => {
    const intent = messageIntentFor(ether.key, { kind: 'eip191', text: 'once' });
    expect(await platform.client.signMessage(intent)).toMatchObject({ fresh: true });
    expect(await platform.client.signMessage(intent)).toMatchObject({ fresh: false });
    const other = { ...intent, message: { kind: 'eip191', text: 'twice' } } as MessageIntent;
    await expect(platform.client.signMessage(other)).rejects.toMatchObject({
      code: 'RequestConflict',
    });
    // Messages and transfers share their request ids.
    const payment = platform.intent(ether, { requestId: intent.requestId });
    await platform.client.transfer(payment);
    await expect(platform.client.result(payment.requestId)).rejects.toMatchObject({
      code: 'RequestConflict',
    });

    const [first] = platform.cast.approvers;
    if (first === undefined) throw new Error('no approver');
    await platform.client.decideMessage(intent.requestId, approve(intent, first, 'reject'));
    await expect(platform.client.messageResult(intent.requestId)).rejects.toMatchObject({
      code: 'IntentRejected',
    });

    const order = { ...vote, types: { Order: vote.types.Vote }, primaryType: 'Order' };
    const unlisted = messageIntentFor(ether.key, { kind: 'eip712', json: JSON.stringify(order) });
    await platform.client.signMessage(unlisted);
    await expect(platform.client.messageResult(unlisted.requestId)).rejects.toMatchObject({
      code: 'PolicyViolation',
    });
    await checkLedger(platform);
  });

  it('at the command line: asked for, listed, approved with key files, and its signature printed', {
    timeout: 120_000,
  }, async () => {
    const { json: run } = await commandLine(platform);
    const two = platform.cast.approvers.slice(0, 2);
    const text = 'Log in at the command line';
    const asked = [
      'message',
      'sign',
      '--wallet',
      'ether',
      '--text',
      text,
      '--request-id',
      'cli-login',
    ];
    expect(await run(...asked)).toMatchObject({ fresh: true });
    expect(await run(...asked)).toMatchObject({ fresh: false });
    const [first] = two;
    await until(
      async () =>
        JSON.stringify(await run('approvals', '--as', first?.name ?? '')).includes('cli-login'),
      { deadlineMs: 30_000, intervalMs: 100, what: 'the message is listed' },
    );
    for (const { name } of two) await run('approve', 'cli-login', '--as', name, '--yes');
    await platform.client.messageResult('cli-login');
    const { signed } = (await run('message', 'show', 'cli-login')) as {
      signed: { signature: Hex };
    };
    const address = ether.address as Hex;
    expect(await verifyMessage({ address, message: text, signature: signed.signature })).toBe(true);
  });
});
