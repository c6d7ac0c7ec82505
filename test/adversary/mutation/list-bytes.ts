/** What the bytes must be. */
import type { Mutation } from './mutation.ts';

const PAYMENT = 'core/rules/payment.ts';
const EFFECTS = 'core/rules/effects.ts';

export const bytesMutations: readonly Mutation[] = [
  {
    name: 'the destination is the approved one',
    cases: ['another-destination', 'payout-line-elsewhere'],
    changes: [
      {
        file: PAYMENT,
        find: 'if (payment?.destination !== destination)',
        put: 'if (payment?.destination === undefined)',
      },
    ],
  },
  {
    name: 'the amount is the approved one',
    cases: ['larger-amount', 'payout-amounts-moved'],
    changes: [
      {
        file: PAYMENT,
        find: 'if (payment?.amount !== BigInt(amount))',
        put: 'if (payment?.amount === undefined)',
      },
    ],
  },
  {
    name: 'the fee is within the approved cap',
    cases: ['higher-fee'],
    changes: [{ file: PAYMENT, find: 'if (decoded.fee > approved)', put: 'if (approved < 0n)' }],
  },
  {
    name: 'the fee leaves room for a void',
    cases: ['fee-beyond-a-void'],
    changes: [
      { file: PAYMENT, find: 'if (decoded.fee * 5n > cap * 4n)', put: 'if (decoded.fee > cap)' },
    ],
  },
  {
    name: 'a transaction makes one payment (Bitcoin)',
    cases: ['extra-payment'],
    chains: ['bitcoin'],
    changes: [
      {
        file: PAYMENT,
        find: '  if (lines.length === 0 || payments.length !== lines.length)',
        put: '  if (payments.length < lines.length)',
      },
      {
        file: PAYMENT,
        find: 'requirePaid(line, payments[i], intent.asset, address)',
        put: 'requirePaid(line, payments.find((p, at) => p.destination === line.destination && at >= i), intent.asset, address)',
      },
    ],
  },
  {
    name: 'a transaction pays every line of a payout, and nothing else',
    cases: ['payout-line-left-out'],
    chains: ['bitcoin'],
    changes: [
      {
        file: PAYMENT,
        find: '  if (lines.length === 0 || payments.length !== lines.length)',
        put: '  if (lines.length === 0)',
      },
      {
        file: PAYMENT,
        find: 'requirePaid(line, payments[i], intent.asset, address)',
        put: 'if (payments[i] !== undefined) requirePaid(line, payments[i], intent.asset, address)',
      },
    ],
  },
  {
    name: 'every instruction is named (Solana): effects, codec, canonical form',
    cases: ['extra-payment', 'extra-instruction'],
    chains: ['solana'],
    changes: [
      {
        file: EFFECTS,
        find: "      case 'other':\n        return mismatch(\n          'effects',",
        put: "      case 'other':\n        break;\n      case 'none' as never:\n        return mismatch(\n          'effects',",
      },
      {
        file: PAYMENT,
        find: '  if (lines.length === 0 || payments.length !== lines.length)',
        put: '  if (payments.length < lines.length)',
      },
      {
        file: PAYMENT,
        find: 'requirePaid(line, payments[i], intent.asset, address)',
        put: 'requirePaid(line, payments.find((p) => p.destination === line.destination) ?? payments[i], intent.asset, address)',
      },
      {
        file: 'chains/solana/codec.ts',
        find: '      payment === undefined &&\n      sameBytes(meaning.from, publicKey)',
        put: '      sameBytes(meaning.from, publicKey)',
      },
      {
        file: 'chains/solana/codec.ts',
        find: '    !foreign &&\n    !sameBytes(compile(',
        put: '    rest.length < 3 &&\n    !foreign &&\n    !sameBytes(compile(',
      },
      { file: 'chains/solana/codec.ts', find: '    if (foreign)\n', put: "    if (id === '')\n" },
    ],
  },
  {
    name: 'every output is named (Bitcoin)',
    cases: ['extra-instruction'],
    chains: ['bitcoin'],
    changes: [
      {
        file: EFFECTS,
        find: "      case 'other':\n        return mismatch(\n          'effects',",
        put: "      case 'other':\n        break;\n      case 'none' as never:\n        return mismatch(\n          'effects',",
      },
    ],
  },
  {
    name: 'the intent is of the key’s wallet',
    cases: ['another-wallets-intent'],
    changes: [
      {
        file: EFFECTS,
        find: 'if (walletId !== undefined && intent.walletId !== walletId)',
        put: 'if (walletId !== undefined && intent.walletId === undefined)',
      },
    ],
  },
  {
    name: 'the intent is for the key’s network',
    cases: ['another-networks-intent'],
    changes: [
      {
        file: EFFECTS,
        find: 'if (intent.chain !== network)',
        put: 'if (intent.chain === undefined)',
      },
    ],
  },
  {
    name: 'limits of one transfer and of a day',
    cases: ['above-the-limit'],
    changes: [
      { file: PAYMENT, find: 'if (amount > BigInt(limit.perTransfer))', put: 'if (amount < 0n)' },
      {
        file: 'core/rules/limits.ts',
        find: 'if (asked >= 0n && used + asked <= limit) return;',
        put: 'if (asked >= 0n && used >= 0n) return;',
      },
    ],
  },
  {
    name: 'the daily limit alone',
    cases: ['above-the-limit'],
    changes: [
      {
        file: 'core/rules/limits.ts',
        find: 'if (asked >= 0n && used + asked <= limit) return;',
        put: 'if (asked >= 0n && asked <= limit) return;',
      },
    ],
  },
  {
    name: 'an anchored intent’s transaction consumes the anchor',
    cases: ['beside-the-anchor'],
    changes: [
      {
        file: EFFECTS,
        find: "  if (!decoded.conflictKeys.includes(key))\n    mismatch('anchor'",
        put: "  if (decoded.conflictKeys.length === 0)\n    mismatch('anchor'",
      },
    ],
  },
  {
    name: 'the policy demands an anchor above an amount',
    cases: ['without-the-demanded-anchor'],
    changes: [
      {
        file: PAYMENT,
        find: 'if (intent.anchor === undefined && anchorDemanded(limit.anchorFrom, total))',
        put: 'if (anchorDemanded(limit.anchorFrom, -1n))',
      },
    ],
  },
  {
    name: 'the policy’s allow-list',
    cases: ['outside-the-allow-list'],
    changes: [
      {
        file: PAYMENT,
        find: '    allowList !== undefined &&\n',
        put: '    allowList === null &&\n',
      },
    ],
  },
  {
    name: 'the policy’s start delay',
    cases: ['before-the-start-delay'],
    changes: [
      { file: 'core/approvals.ts', find: 'if (input.now < startsAt)', put: 'if (startsAt < 0)' },
    ],
  },
];
