/** Reading what came from outside: zod's complaint becomes the one error of the system, naming the field. */
import type * as z from 'zod';
import { KeysagaError } from '../schema/contracts/errors.ts';

/** The parsed value, or `InvalidInput` whose `field` is the path of the first complaint (`approval.at`). */
export function parseWith<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const path = issue === undefined ? [] : [...issue.path];
  // zod points at the object that holds an unknown key; people look for the key.
  if (issue?.code === 'unrecognized_keys') path.push(issue.keys[0] ?? '');
  const field = path.map(String).join('.').slice(0, 200) || what;
  const reason =
    issue?.code === 'unrecognized_keys' ? 'unknown field' : (issue?.message ?? 'malformed');
  throw new KeysagaError('InvalidInput', `${what}: ${field}: ${reason}`.slice(0, 500), { field });
}
