/** What PostgreSQL's and the driver's errors mean, for both databases. */

/** The SQLSTATE or driver code beneath drizzle's wrapper. */
export function sqlState(error: unknown): string | undefined {
  for (let e: unknown = error; e instanceof Error; e = e.cause) {
    const { code } = e as { code?: unknown };
    if (typeof code === 'string' && !('details' in e && 'retryable' in e)) return code;
  }
  return undefined;
}

/** Name of the violated constraint, for SQLSTATE 23xxx. */
export function violatedConstraint(error: unknown): string | undefined {
  for (let e: unknown = error; e instanceof Error; e = e.cause) {
    const { constraint_name } = e as { constraint_name?: unknown };
    if (typeof constraint_name === 'string') return constraint_name;
  }
  return undefined;
}

/** Serialization failure, deadlock, lock time-out: nothing was committed, and the same work may succeed now. */
export const isRetryableState = (state: string | undefined): boolean =>
  state === '40001' || state === '40P01' || state === '55P03';

/** The connection went away; whether the last commit arrived is unknown, so only an idempotent caller may repeat. */
export const isConnectionLoss = (state: string | undefined): boolean =>
  state !== undefined &&
  (state.startsWith('08') ||
    ['57P01', '57P02', '57P03', '25P03', '57P05'].includes(state) ||
    [
      'CONNECTION_CLOSED',
      'CONNECTION_ENDED',
      'CONNECTION_DESTROYED',
      'CONNECT_TIMEOUT',
      'ECONNREFUSED',
      'ECONNRESET',
      'EPIPE',
      'ETIMEDOUT',
    ].includes(state));
