/** Failures on the wire; the code lives in the contracts, because sagas may import nothing of `wire`. */
export {
  fromFailure,
  toApplicationFailure,
} from '../schema/contracts/failures.ts';
