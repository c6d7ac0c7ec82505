/** A worker's log says where something failed, and holds none of the values that it failed with. */
import { DrizzleQueryError } from 'drizzle-orm';
import { describe, expect, it } from 'vitest';
import { createLogger } from '../../workers/support/run.ts';

/** The parsed lines of what `use` logs. */
function logged(use: (log: ReturnType<typeof createLogger>) => void) {
  let text = '';
  const write = (line: string): void => {
    text += line;
  };
  use(createLogger('test', { write }));
  return {
    text,
    lines: text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line)),
  };
}

/** As postgres.js throws it: the server's `detail` repeats the row. */
const violation = () =>
  Object.assign(new Error('duplicate key value violates unique constraint "shares_pkey"'), {
    code: '23505',
    detail: 'Key (key_id)=(hunter2) already exists.',
    parameters: ['hunter2'],
  });
const query = 'insert into "shares" ("key_id", "sealed") values ($1, $2)';
const failed = () => new DrizzleQueryError(query, ['hunter2', 'two\nparams: hunter2'], violation());

describe('the log of a worker', () => {
  it('says which query failed and how, without its parameters', () => {
    const { text, lines } = logged((log) => log.error({ err: failed() }, 'activity failed'));
    expect(lines[0]).toMatchObject({
      msg: 'activity failed',
      err: {
        type: 'DrizzleQueryError',
        message: `Failed query: ${query}`,
        query,
        stack: expect.stringMatching(/^ {4}at .*logger\.test\.ts/),
        cause: { code: '23505', message: expect.stringContaining('shares_pkey') },
      },
    });
    expect(text).not.toContain('hunter2');
  });

  it('nor where it is the cause of another, or what was thrown is no error at all', () => {
    const outer = new Error('the share was not kept', { cause: failed() });
    const { text, lines } = logged((log) => {
      log.fatal({ err: outer }, 'stopped by a defect');
      log.error({ err: 'hunter2' }, 'thrown text');
    });
    expect(lines[0].err).toMatchObject({ message: outer.message, cause: { query } });
    expect(lines[1].err).toEqual({ type: 'string', message: 'not an error' });
    expect(text).not.toContain('hunter2');
  });

  it('cuts fields by name', () => {
    const { text } = logged((log) => log.info({ key: { share: 'hunter2', seed: 'hunter2' } }, 'x'));
    expect(text).not.toContain('hunter2');
  });
});
