/** Failures on the wire; the code lives in the contracts, because sagas may import nothing of `wire`. */
export {
  fromFailure,
  NON_RETRYABLE_CODES,
  toApplicationFailure,
} from '../schema/contracts/failures.ts';
