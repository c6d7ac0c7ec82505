/** Whether everybody who is to be paid has an address on the network. */
import type { TransactionCodec } from '../../core/ports/blockchain.ts';
import { linesOf, type PaymentIntent } from '../../core/ports/payment.ts';
import { isKeysagaError, KeysagaError } from '../../schema/contracts/errors.ts';

/** Throws `InvalidInput` (`destination`, of a payout `lines[17].destination`). */
export function checkDestinations(
  codec: Pick<TransactionCodec, 'checkAddress'>,
  intent: PaymentIntent,
): void {
  for (const { destination, prefix } of linesOf(intent))
    try {
      codec.checkAddress(destination);
    } catch (error) {
      if (prefix === '' || !isKeysagaError(error, 'InvalidInput')) throw error;
      const field = `${prefix}destination`;
      throw new KeysagaError(error.code, `${field}: ${error.message}`, {
        ...error.details,
        field,
      });
    }
}
