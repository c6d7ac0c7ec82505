/**
 * What of an error goes into a log. Drizzle appends the parameters of a failed query to its message, and PostgreSQL's own
 * `detail` repeats a row: either may hold a request, an approval, a sealed share. So only what names the place is taken.
 */

export type LoggedError = {
  readonly type: string;
  readonly message: string;
  readonly code?: string;
  /** SQL text with `$n` for each parameter. */
  readonly query?: string;
  /** Frames only: a stack begins with the message. */
  readonly stack?: string;
  readonly cause?: LoggedError;
};

/** Drizzle: `Failed query: <sql>\nparams: <values>`. Values may hold line feeds, so everything after goes. */
export const withoutParams = (text: string): string => {
  const at = text.search(/\n\s*params: /);
  return at < 0 ? text : text.slice(0, at);
};

const frames = (stack: string): string =>
  stack
    .split('\n')
    .filter((line) => /^ {4}at /.test(line))
    .join('\n');

const text = (error: object, name: string): string | undefined => {
  const value: unknown = Reflect.get(error, name);
  return typeof value === 'string' ? value : undefined;
};

/** `err` of every log line. The chain of causes is cut at a depth that no honest one reaches. */
export function errorForLog(error: unknown, depth = 0): LoggedError {
  if (!(error instanceof Error)) return { type: typeof error, message: 'not an error' };
  const [code, query] = [text(error, 'code'), text(error, 'query')];
  return {
    type: error.constructor.name,
    message: withoutParams(error.message),
    ...(code === undefined ? {} : { code }),
    ...(query === undefined ? {} : { query }),
    ...(error.stack === undefined ? {} : { stack: frames(error.stack) }),
    ...(error.cause === undefined || depth >= 8
      ? {}
      : { cause: errorForLog(error.cause, depth + 1) }),
  };
}
