/** Request ids as people type them. */
import { KeysagaError } from '../schema/contracts/errors.ts';
import { RequestId } from '../schema/contracts/primitives.ts';

/** Throws `InvalidInput` (`requestId`). */
export function asRequestId(value: string): RequestId {
  const id = RequestId.safeParse(value);
  if (id.success) return id.data;
  throw new KeysagaError('InvalidInput', `not an id: ${value.slice(0, 80)}`, {
    field: 'requestId',
  });
}
