// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are passages of source text
/** What the transactions of ECDSA wallets could hide. */
import type { Mutation } from './mutation.ts';

export const ecdsaMutations: readonly Mutation[] = [
  {
    name: 'an Ethereum transaction carries no call but a token’s transfer',
    cases: ['extra-instruction'],
    chains: ['ethereum'],
    changes: [
      {
        file: 'chains/ethereum/codec.ts',
        find: "  if (typeof transfer === 'string')\n    throw malformed(transfer, 'its data is not exactly transfer(address,uint256)');",
        put: "  if (typeof transfer === 'string')\n    return [{ kind: 'pay', destination: target, asset: 'native', amount: value }];",
      },
    ],
  },
  {
    name: 'an Ethereum transaction has no access list',
    cases: ['extra-instruction'],
    chains: ['ethereum'],
    changes: [
      {
        file: 'chains/ethereum/transaction.ts',
        find: 'if (accessList.length > 0)',
        put: 'if (accessList.length < 0)',
      },
      {
        file: 'chains/ethereum/transaction.ts',
        find: 'if (!equal(serialize(transaction), bytes))',
        put: 'if (bytes.length < serialize(transaction).length)',
      },
    ],
  },
  {
    name: 'a token’s transfer sends no ether beside it',
    cases: ['extra-instruction'],
    chains: ['ethereum'],
    changes: [
      {
        file: 'chains/ethereum/codec.ts',
        find: "if (value > 0n) throw malformed('call-value', 'a token transfer that also sends coins');",
        put: "if (value > 0n) return [{ kind: 'pay', destination: target, asset: 'native', amount: value }];",
      },
    ],
  },
  {
    name: 'an Ethereum payment is of the asset that was approved, to whom',
    cases: ['token-for-ether'],
    chains: ['ethereum'],
    changes: [
      {
        file: 'core/rules/payment.ts',
        find: 'if (payment?.destination !== destination)',
        put: 'if (payment?.destination === undefined)',
      },
      {
        file: 'core/rules/payment.ts',
        find: 'if (payment?.asset !== asset)',
        put: 'if (payment?.asset === undefined)',
      },
      {
        file: 'core/rules/payment.ts',
        find: 'if (payment?.amount !== BigInt(amount))',
        put: 'if (payment?.amount === undefined)',
      },
    ],
  },
  {
    name: 'Ethereum bytes name the chain',
    cases: ['bytes-of-another-chain'],
    chains: ['ethereum'],
    changes: [
      {
        file: 'chains/ethereum/transaction.ts',
        find: 'if (transaction.chainId !== network.chainId)',
        put: 'if (transaction.chainId === 0n)',
      },
    ],
  },
  {
    name: 'one account’s nonce is one conflict key',
    cases: ['second-after-first'],
    chains: ['ethereum'],
    changes: [
      {
        file: 'chains/ethereum/codec.ts',
        find: '`ethereum:${address}:${nonce}`',
        put: '`ethereum:${address}:${nonce - nonce}`',
      },
    ],
  },
  {
    name: 'a P2WPKH input is what its previous transaction says: the codec, and the library',
    cases: ['lie-about-an-input'],
    chains: ['segwit'],
    changes: [
      {
        file: 'chains/bitcoin/psbt.ts',
        find: 'if (displayHash(previous) !== txid)',
        put: "if (txid === '')",
      },
      {
        file: 'chains/bitcoin/psbt.ts',
        find: '? { nonWitnessUtxo: previousOf(previous, txid) }',
        put: '? displayHash(previousOf(previous, txid)) === txid ? { nonWitnessUtxo: previousOf(previous, txid) } : { witnessUtxo: { amount, script } }',
      },
    ],
  },
];
