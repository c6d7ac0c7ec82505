/** What a saga is started with, read before anything else: what is malformed ends it with its typed error. */
import type * as z from 'zod';
import { parseWith } from '../core/parse.ts';
import { fromFailure, toApplicationFailure } from '../schema/contracts/failures.ts';
import { rethrowDefect } from './defects.ts';

/** `check` reads on, beyond the shape: it throws, and may answer with a better form. */
export function readInput<T>(
  schema: z.ZodType<T>,
  raw: unknown,
  check = (input: T): T => input,
): T {
  try {
    return check(parseWith(schema, raw, 'input'));
  } catch (error) {
    rethrowDefect(error);
    throw toApplicationFailure(fromFailure(error), { forWorkflow: true });
  }
}
