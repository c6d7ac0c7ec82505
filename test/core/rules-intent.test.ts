import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { activationBytes } from '../../core/activation.ts';
import { formatAmount, networkFamily, networkName } from '../../core/assets.ts';
import {
  describeIntent,
  intentDigest,
  MAX_INTENT_LIFETIME_MS,
  parseIntent,
} from '../../core/intent.ts';
import {
  at,
  BITCOIN,
  changedLeaves,
  HOUR,
  hex32,
  intent,
  refusal,
  SOLANA,
  solanaIntent,
} from './rules-fixtures.ts';

describe('intent', () => {
  it.each([
    ['not an object', null, 'intent'],
    ['a missing field', (({ memo: _m, amount: _a, ...rest }) => rest)(intent()), 'amount'],
    ['an unknown field', { ...intent(), note: 'x' }, 'note'],
    ['a number for an amount', { ...intent(), amount: 5 }, 'amount'],
    ['an amount of nothing', { ...intent(), amount: '0' }, 'amount'],
    ['a negative amount', { ...intent(), amount: '-5' }, 'amount'],
    ['a leading zero', { ...intent(), amount: '05' }, 'amount'],
    ['no such date', { ...intent(), issuedAt: '2025-02-30T00:00:00.000Z' }, 'issuedAt'],
    ['an end before its beginning', { ...intent(), expiresAt: at(-2 * HOUR) }, 'expiresAt'],
    ['no life', { ...intent(), expiresAt: at(-HOUR) }, 'expiresAt'],
    [
      'more than 90 days',
      { ...intent(), expiresAt: at(-HOUR + MAX_INTENT_LIFETIME_MS + 1) },
      'expiresAt',
    ],
    ['a destination with a space', { ...intent(), destination: 'bcrt1p dest000' }, 'destination'],
    ['a destination of look-alikes', { ...intent(), destination: 'bcrt1pdеst0000' }, 'destination'],
    ['a memo that reverses the text', { ...intent(), memo: 'pay \u202e001' }, 'memo'],
    ['a memo with a line break', { ...intent(), memo: 'a\nAmount: 1' }, 'memo'],
    ['a memo with an invisible space', { ...intent(), memo: 'a\u200bb' }, 'memo'],
    ['half a character', { ...intent(), memo: '\ud800' }, 'memo'],
    [
      'an anchor of another chain',
      { ...intent(), anchor: { kind: 'ethereum-nonce', nonce: '1' } },
      'anchor.kind',
    ],
    [
      'an anchor that is no account',
      {
        ...solanaIntent(),
        anchor: { kind: 'solana-nonce', account: '0'.repeat(32), value: hex32(1) },
      },
      'anchor.account',
    ],
  ])('names the field of %s', (_, x, field) => {
    refusal(() => parseIntent(x), 'InvalidInput', field);
  });
  it('reads a sound one, memo and emoji included', () => {
    const x = {
      ...intent(),
      memo: 'Rechnung 17 – Müller ✅',
      anchor: { kind: 'bitcoin-outpoint', txid: hex32(1), vout: '0' },
    };
    expect(parseIntent(JSON.parse(JSON.stringify(x)))).toEqual(x);
    parseIntent({ ...intent(), expiresAt: at(-HOUR + MAX_INTENT_LIFETIME_MS) });
  });
  it('has the digest that anyone computes by the published form', () => {
    const sorted = JSON.stringify(
      Object.fromEntries(Object.entries(intent()).sort(([a], [b]) => (a < b ? -1 : 1))),
    );
    expect(intentDigest(intent())).toBe(
      createHash('sha256').update(`keysaga/intent/v1\n${sorted}`).digest('hex'),
    );
  });
  it('has another digest with every change', () => {
    const full = intent({
      memo: 'abc',
      anchor: { kind: 'bitcoin-outpoint', txid: hex32(1), vout: '0' },
    });
    const digests = [...changedLeaves(full)].map((c) => intentDigest(c.value));
    digests.push(intentDigest(full), intentDigest(intent()), intentDigest(intent({ memo: 'abc' })));
    expect(new Set(digests).size).toBe(digests.length);
    expect(digests.length).toBe(16);
  });
});

describe('an intent in words', () => {
  it('shows every signed field, amounts in coins and exactly', () => {
    const lines = describeIntent(
      intent({ memo: 'rent', anchor: { kind: 'bitcoin-outpoint', txid: hex32(1), vout: '3' } }),
    );
    expect(lines).toMatchInlineSnapshot(`
      [
        {
          "label": "Request",
          "value": "pay-1",
        },
        {
          "label": "From wallet",
          "value": "wallet-1",
        },
        {
          "label": "Network",
          "value": "Bitcoin regtest (bip122:0f9188f13cb7b2c71f2a335e3a4fc328)",
        },
        {
          "label": "Asset",
          "value": "BTC",
        },
        {
          "label": "Pay to",
          "value": "bcrt1pdestinationofthepayee",
        },
        {
          "label": "Amount",
          "value": "0.0003 BTC (30000 sats)",
        },
        {
          "label": "Fee at most",
          "value": "0.00005 BTC (5000 sats)",
        },
        {
          "label": "Issued",
          "value": "2025-06-01 11:00:00.000 UTC",
        },
        {
          "label": "Expires",
          "value": "2025-06-02 12:00:00.000 UTC",
        },
        {
          "label": "Memo",
          "value": "rent",
        },
        {
          "label": "Anchor",
          "value": "output 0101010101010101010101010101010101010101010101010101010101010101:3",
        },
      ]
    `);
  });
  it('for Solana', () => {
    const words = Object.fromEntries(describeIntent(solanaIntent()).map((l) => [l.label, l.value]));
    expect(words).toMatchObject({
      Network: `Solana devnet (${SOLANA})`,
      Asset: 'SOL',
      Amount: '0.000003 SOL (3000 lamports)',
      'Fee at most': '0.000005 SOL (5000 lamports)',
    });
  });
  it.each([
    [BITCOIN, 'native', '1', '0.00000001 BTC (1 sats)'],
    [BITCOIN, 'native', '100000000', '1 BTC (100000000 sats)'],
    [BITCOIN, 'native', '2100000000000000', '21000000 BTC (2100000000000000 sats)'],
    [BITCOIN, 'native', '123456789', '1.23456789 BTC (123456789 sats)'],
    ['eip155:1', 'native', '1500000000000000000', '1.5 ETH (1500000000000000000 wei)'],
    [BITCOIN, 'token:abc', '5', '5 smallest units of token:abc'],
    ['cosmos:hub', 'native', '5', '5 smallest units of native'],
  ])('writes %s %s %s', (network, asset, amount, words) => {
    expect(formatAmount(network, asset, amount)).toBe(words);
  });
  it('does not make one network look like another', () => {
    expect(networkName(BITCOIN)).toBe('Bitcoin regtest');
    expect(networkName('bip122:abc')).toBe('Private or unlisted Bitcoin network');
    expect(networkName('cosmos:hub')).toBe('Unknown network');
    expect(networkFamily('bitcoin')).toBeUndefined();
  });
});

describe('activation message', () => {
  it('has its published layout', () => {
    const hex = Buffer.from(activationBytes('wallet-1', 258, new Uint8Array(32).fill(7))).toString(
      'hex',
    );
    expect(hex).toBe(
      `ff${Buffer.from('keysaga/activation/v1').toString('hex')}0008${Buffer.from('wallet-1').toString('hex')}00000102${'07'.repeat(32)}`,
    );
  });
  it('refuses what does not fit', () => {
    const hash = new Uint8Array(32);
    refusal(() => activationBytes('', 0, hash), 'InvalidInput', 'keyId');
    refusal(() => activationBytes('x'.repeat(65_536), 0, hash), 'InvalidInput', 'keyId');
    for (const epoch of [-1, 0.5, 2 ** 32])
      refusal(() => activationBytes('k', epoch, hash), 'InvalidInput', 'epoch');
    refusal(() => activationBytes('k', 0, hash.slice(1)), 'InvalidInput', 'transcriptHash');
  });
});
