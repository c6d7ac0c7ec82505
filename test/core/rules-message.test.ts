/** Messages as approvers sign them and as a party judges them: words, digests, the policy's list, permits as transfers. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { attachMessage as attachBitcoin } from '../../chains/bitcoin/message.ts';
import { walletScript } from '../../chains/bitcoin/script.ts';
import { requireQuorum, signApproval } from '../../core/approvals.ts';
import { intentDigest } from '../../core/intent.ts';
import {
  decideMessage,
  type Message,
  type MessageState,
  messageFold,
} from '../../core/messages/aggregate.ts';
import { bip322Digest } from '../../core/messages/bip322.ts';
import { readTypedData } from '../../core/messages/eip712.ts';
import {
  describeMessageIntent,
  messageDigest,
  messageIntentDigest,
  parseMessageIntent,
} from '../../core/messages/intent.ts';
import { eip191Digest } from '../../core/messages/text.ts';
import { checkMessage } from '../../core/rules/message.ts';
import { erc20Asset } from '../../schema/contracts/asset.ts';
import type { DomainEvent } from '../../schema/contracts/events.ts';
import type { MessageIntent, SignableMessage } from '../../schema/contracts/message.ts';
import type { Policy } from '../../schema/contracts/policy.ts';
import { WalletId } from '../../schema/contracts/primitives.ts';
import {
  ALPHA,
  ATTEMPT,
  approval,
  approverSeed,
  at,
  BETA,
  BITCOIN,
  changedLeaves,
  DAY,
  forAll,
  HOUR,
  NOW,
  OTHER_ATTEMPT,
  policy as policyOf,
  refusal,
  SOLANA,
  intent as transferIntent,
} from './rules-fixtures.ts';

const ETHEREUM = 'eip155:31337';
const WALLET = '0x52908400098527886E0F7030069857D2E4169EE7';
const TOKEN = '0xde709f2102306220921060314715629080e2fb77';
const SPENDER = '0x8617E340B3D01FA5F11F306F4090FD50E238070D';
const asset = erc20Asset(ETHEREUM, '0xde709f2102306220921060314715629080e2fb77');

const permit = (value: string, change: Record<string, unknown> = {}) => ({
  types: {
    Permit: [
      { name: 'owner', type: 'address' },
      { name: 'spender', type: 'address' },
      { name: 'value', type: 'uint256' },
      { name: 'nonce', type: 'uint256' },
      { name: 'deadline', type: 'uint256' },
    ],
  },
  primaryType: 'Permit',
  domain: { name: 'Token', version: '1', chainId: 31337, verifyingContract: TOKEN },
  message: { owner: WALLET, spender: SPENDER, value, nonce: '0', deadline: '9999999999' },
  ...change,
});
/** Permit2's batch: of two tokens. */
const permitBatch = (tokens: readonly string[]) => ({
  types: {
    PermitBatchTransferFrom: [
      { name: 'permitted', type: 'TokenPermissions[]' },
      { name: 'spender', type: 'address' },
      { name: 'nonce', type: 'uint256' },
      { name: 'deadline', type: 'uint256' },
    ],
    TokenPermissions: [
      { name: 'token', type: 'address' },
      { name: 'amount', type: 'uint256' },
    ],
  },
  primaryType: 'PermitBatchTransferFrom',
  domain: { name: 'Permit2', chainId: 31337, verifyingContract: TOKEN },
  message: {
    permitted: tokens.map((token) => ({ token, amount: '600' })),
    spender: SPENDER,
    nonce: '1',
    deadline: '9999999999',
  },
});
const typed = (data: unknown): SignableMessage => ({ kind: 'eip712', json: JSON.stringify(data) });
const text: SignableMessage = { kind: 'eip191', text: 'Log in\nto the exchange' };

const intent = (patch: Record<string, unknown> = {}): MessageIntent =>
  parseMessageIntent({
    requestId: 'login-1',
    walletId: 'wallet-1',
    chain: ETHEREUM,
    message: text,
    issuedAt: at(-HOUR),
    expiresAt: at(DAY),
    ...patch,
  });
const policy = (patch: Record<string, unknown> = {}): Policy =>
  policyOf({
    limits: [
      { network: ETHEREUM, asset: 'native', perTransfer: '1000', perDay: '2000' },
      { network: ETHEREUM, asset, perTransfer: '1000', perDay: '2000', anchorFrom: '900' },
    ],
    voidFeeCaps: [{ network: ETHEREUM, cap: '10000' }],
    typedData: ['Permit', 'PermitBatchTransferFrom', 'Vote'].map((type) => ({
      network: ETHEREUM,
      contract: '0xde709f2102306220921060314715629080e2fb77',
      type,
    })),
    ...patch,
  });
const check = (patch: Record<string, unknown> = {}, rules = policy()) =>
  checkMessage({
    intent: intent(patch),
    policy: rules,
    address: WALLET,
    network: ETHEREUM,
    walletId: WalletId.parse('wallet-1'),
  });

describe('an intent to sign a message', () => {
  it('is shown in words, all that is signed among them', () => {
    const words = (patch: Record<string, unknown>) =>
      describeMessageIntent(intent(patch)).map(({ label, value }) => `${label}: ${value}`);
    expect(words({ memo: 'for the auditor' })).toEqual([
      'Request: login-1',
      'Signing wallet: wallet-1',
      `Network: local Ethereum node (${ETHEREUM})`,
      'Message: text (EIP-191)',
      'Text: Log in\nto the exchange',
      'Issued: 2025-06-01 11:00:00.000 UTC',
      'Expires: 2025-06-02 12:00:00.000 UTC',
      'Memo: for the auditor',
    ]);
    const shown = words({ message: typed(permit('5')) });
    for (const word of ['Type: Permit', `spender: ${SPENDER.toLowerCase()}`, 'value: 5'])
      expect(shown).toContain(word);
  });

  it('is refused when it does not show as it is signed, is of another chain’s kind, or has no sound times', () => {
    refusal(
      () => intent({ message: { kind: 'eip191', text: 'a\u202eb' } }),
      'InvalidInput',
      'text',
    );
    refusal(() => intent({ memo: 'a\u200bb' }), 'InvalidInput', 'memo');
    refusal(() => intent({ expiresAt: at(-HOUR) }), 'InvalidInput', 'expiresAt');
    refusal(() => intent({ expiresAt: at(91 * DAY) }), 'InvalidInput', 'expiresAt');
    refusal(() => intent({ chain: BITCOIN }), 'TransactionMismatch', 'message.kind');
    refusal(() => intent({ chain: SOLANA }), 'TransactionMismatch', 'message.kind');
    const bip322 = { kind: 'bip322', text: 'reserves' };
    refusal(() => intent({ message: bip322 }), 'TransactionMismatch', 'message.kind');
    expect(intent({ chain: BITCOIN, message: bip322 }).message).toEqual(bip322);
    refusal(() => intent({ message: typed({}) }), 'InvalidInput', 'json.types');
  });

  it('has a digest of its own: each leaf changes it, and no approval of a transfer is one of it', () => {
    const whole = intent({ memo: 'x' });
    const digests = [...changedLeaves(whole)].map(({ value }) => messageIntentDigest(value));
    expect(new Set([...digests, messageIntentDigest(whole)]).size).toBe(digests.length + 1);
    // The same fields under the transfer's name have another digest.
    expect(intentDigest(whole as never)).not.toBe(messageIntentDigest(whole));
    const counted = (digest: string, about: string) =>
      requireQuorum({
        approvals: ['alice', 'bob'].map((who) =>
          signApproval(approval(who, digest), approverSeed(who)),
        ),
        intentDigest: about,
        policy: policy(),
        now: NOW,
        horizonMs: 0,
      });
    expect(counted(messageIntentDigest(whole), messageIntentDigest(whole)).approved.length).toBe(2);
    for (const other of [intentDigest(whole as never), intentDigest(transferIntent())])
      refusal(() => counted(other, messageIntentDigest(whole)), 'QuorumMissing', 'approvals');
  });
});

describe('what is signed', () => {
  const key = new Uint8Array(33).fill(2);
  it('is the digest of the message’s own standard, by the chain of the key', () => {
    const ethereum = { network: ETHEREUM };
    const data = permit('5');
    expect(messageDigest(text, ethereum, key)).toEqual(eip191Digest('Log in\nto the exchange'));
    expect(messageDigest(typed(data), ethereum, key)).toEqual(
      readTypedData(JSON.stringify(data)).digest,
    );
    const bip322: SignableMessage = { kind: 'bip322', text: 'reserves' };
    const bitcoin = { network: BITCOIN, message: { script: walletScript, attach: attachBitcoin } };
    expect(messageDigest(bip322, bitcoin, key)).toEqual(
      bip322Digest('reserves', walletScript(key)),
    );
    for (const [message, codec] of [
      [text, bitcoin],
      [bip322, ethereum],
      [bip322, { network: BITCOIN }],
      [text, { network: SOLANA }],
    ] as const)
      refusal(() => messageDigest(message, codec, key), 'TransactionMismatch', 'message.kind');
  });
});

describe('a party’s rules for messages', () => {
  it('text of the key’s own wallet and network is signed, where the policy speaks of the network', () => {
    expect(check()).toBeUndefined();
    refusal(() => check({ walletId: 'wallet-2' }), 'TransactionMismatch', 'walletId');
    refusal(() => check({ chain: 'eip155:1' }), 'TransactionMismatch', 'chain');
    refusal(() => check({}, policyOf()), 'PolicyViolation', 'chain');
  });

  it('typed data needs a policy that lists chain, contract and type, and moves nothing that is not understood', () => {
    const vote = permit('1', {
      types: { Vote: [{ name: 'yes', type: 'bool' }] },
      primaryType: 'Vote',
      message: { yes: true },
    });
    expect(check({ message: typed(vote) })).toBeUndefined();
    refusal(
      () => check({ message: typed(vote) }, policy({ typedData: [] })),
      'PolicyViolation',
      'type',
    );
    const elsewhere = { ...vote, domain: { ...vote.domain, chainId: 1 } };
    refusal(() => check({ message: typed(elsewhere) }), 'ChainMismatch', 'domain.chainId');
  });

  it('a permit is a transfer: owner, limits, allow-list and anchor are judged, and the amount counts', () => {
    const asked = (value: string, rules = policy(), change: Record<string, unknown> = {}) =>
      check({ message: typed(permit(value, change)) }, rules);
    expect(asked('899')).toEqual({ asset, amount: 899n });
    expect(asked('0')).toBeUndefined();
    refusal(
      () => asked('1001', policy({ limits: [{ ...policy().limits[1], anchorFrom: '2000' }] })),
      'LimitExceeded',
      'amount',
    );
    refusal(() => asked('900'), 'PolicyViolation', 'anchor');
    refusal(() => asked('5', policy({ limits: [policy().limits[0]] })), 'PolicyViolation', 'asset');
    const listed = (destination: string) =>
      policy({ allowList: [{ network: ETHEREUM, destination }] });
    expect(asked('5', listed(SPENDER))).toEqual({ asset, amount: 5n });
    refusal(() => asked('5', listed(WALLET)), 'PolicyViolation', 'destination');
    const other = { ...permit('5').message, owner: SPENDER };
    refusal(() => asked('5', policy(), { message: other }), 'TransactionMismatch', 'owner');
  });

  it('a permit over several payments of one asset counts their sum, over two assets it is refused', () => {
    const asked = (...tokens: string[]) => check({ message: typed(permitBatch(tokens)) });
    expect(asked(TOKEN)).toEqual({ asset, amount: 600n });
    refusal(() => asked(TOKEN, TOKEN), 'PolicyViolation', 'anchor');
    refusal(() => asked(TOKEN, SPENDER), 'PolicyViolation', 'asset');
  });

  it('by random search: nothing above a limit passes, and what passes is counted in full', () => {
    forAll(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 256n - 1n }), fc.boolean(), (wide, small) => {
        const amount = small ? wide % 1200n : wide;
        const ask = () => check({ message: typed(permit(`${amount}`)) });
        if (amount >= 900n) expect(ask).toThrow();
        else expect(ask()).toEqual(amount === 0n ? undefined : { asset, amount });
      }),
    );
  });
});

describe('the aggregate of a message', () => {
  const requestId = intent().requestId;
  const initiated = {
    requestId,
    workflowId: `message/${requestId}`,
    intent: intent(),
    intentDigest: messageIntentDigest(intent()),
    policyHash: '11'.repeat(32),
  };
  const fold = (events: readonly DomainEvent[]): MessageState =>
    events.reduce<MessageState>(messageFold.apply, messageFold.initial);
  const begun = decideMessage.initiate(null, initiated);
  const of = (...events: readonly DomainEvent[]): Message =>
    decideMessage.existing(fold([...begun, ...events]), requestId);
  const signedBy = {
    attempt: ATTEMPT,
    signers: [ALPHA, BETA],
    signed: { digest: '22'.repeat(32), signature: '0x1' },
  };
  const failure = { code: 'Cancelled', message: 'x', at: at(0) };

  it('begins once: the same again is nothing, another body or workflow is a conflict', () => {
    refusal(() => decideMessage.existing(null, 'm-1'), 'NotFound', 'requestId');
    expect(decideMessage.initiate(of(), initiated)).toEqual([]);
    for (const [field, change] of [
      ['intentDigest', { intentDigest: '33'.repeat(32) }],
      ['workflowId', { workflowId: 'other' }],
    ] as const)
      refusal(
        () => decideMessage.initiate(of(), { ...initiated, ...change }),
        'RequestConflict',
        field,
      );
  });

  it('keeps the newest decision of each approver, and a rejection for good', () => {
    const say = (
      who: string,
      patch: Record<string, unknown> = {},
      about = initiated.intentDigest,
    ) => signApproval(approval(who, about, patch), approverSeed(who));
    const yes = say('alice');
    const once = of(...decideMessage.recordDecision(of(), yes));
    expect(decideMessage.recordDecision(once, yes)).toEqual([]);
    const longer = say('alice', { validUntil: at(2 * HOUR) });
    const renewed = of(...decideMessage.recordDecision(once, longer));
    expect(renewed.decisions).toEqual([longer]);
    expect(decideMessage.recordDecision(renewed, yes)).toEqual([]);
    const no = of(...decideMessage.recordDecision(of(), say('alice', { decision: 'reject' })));
    expect(decideMessage.recordDecision(no, longer)).toEqual([]);
    refusal(
      () => decideMessage.recordDecision(of(), say('bob', {}, '44'.repeat(32))),
      'ApprovalInvalid',
      'intentDigest',
    );
  });

  it('is signed once, by an attempt past its pivot, and then nothing follows', () => {
    refusal(() => decideMessage.signed(of(), signedBy), 'StateConflict', 'attempt');
    const pivot = decideMessage.passPivot(of(), ATTEMPT);
    const past = of(...pivot);
    expect(decideMessage.passPivot(past, ATTEMPT)).toEqual([]);
    refusal(
      () => decideMessage.signed(past, { ...signedBy, attempt: OTHER_ATTEMPT }),
      'StateConflict',
      'attempt',
    );
    const done = of(...pivot, ...decideMessage.signed(past, signedBy));
    expect(done.signed).toEqual(signedBy.signed);
    expect(
      decideMessage.signed(done, {
        ...signedBy,
        signed: { digest: '55'.repeat(32), signature: '0x2' },
      }),
    ).toEqual([]);
    refusal(() => decideMessage.passPivot(done, OTHER_ATTEMPT), 'PivotRefused');
    refusal(() => decideMessage.fail(done, failure, NOW), 'StateConflict');
  });

  it('fails before its pivot, or when no party signs any more; an owed undo is written down after that', () => {
    const pivot = decideMessage.passPivot(of(), ATTEMPT);
    refusal(() => decideMessage.fail(of(...pivot), failure, NOW), 'PivotPassed');
    const end = Date.parse(initiated.intent.expiresAt);
    expect(decideMessage.fail(of(...pivot), failure, end)).toHaveLength(1);
    const failed = of(...decideMessage.fail(of(), failure, NOW));
    expect(decideMessage.fail(failed, failure, NOW)).toEqual([]);
    refusal(() => decideMessage.passPivot(failed, ATTEMPT), 'PivotRefused');
    const owed = { step: 'abort alpha', outcome: 'owed', party: ALPHA } as const;
    const written = decideMessage.undo(failed, owed);
    expect(written).toHaveLength(1);
    expect(decideMessage.undo(of(...written), owed)).toEqual([]);
    expect(decideMessage.undo(of(...written), { ...owed, outcome: 'delivered' })).toHaveLength(1);
  });
});
