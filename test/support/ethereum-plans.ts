/** Ethereum payloads without a node, for tests that need bytes only. */
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { addressBytes, addressOf } from '../../chains/ethereum/address.ts';
import { serialize } from '../../chains/ethereum/transaction.ts';
import { bytesToHex } from '../../core/signed.ts';
import type { KeyDescriptor } from '../../schema/contracts/key.ts';
import type { UnsignedTransaction } from '../../schema/contracts/transaction.ts';

export const someAccount = (): string =>
  addressOf(secp256k1.getPublicKey(secp256k1.utils.randomSecretKey()));

/** Ether on a nonce, EIP-1559. */
export const etherPayment = (
  key: KeyDescriptor,
  nonce: bigint,
  destination: string,
  wei: bigint,
): UnsignedTransaction => ({
  network: key.network,
  format: 'ethereum-rlp',
  bytes: bytesToHex(
    serialize({
      chainId: BigInt(key.network.slice('eip155:'.length)),
      nonce,
      gasLimit: 21_000n,
      to: addressBytes(destination, 'destination'),
      value: wei,
      data: new Uint8Array(),
      fees: {
        type: 'eip1559',
        maxFeePerGas: 3_000_000_000n,
        maxPriorityFeePerGas: 1_000_000_000n,
      },
    }),
  ),
});
