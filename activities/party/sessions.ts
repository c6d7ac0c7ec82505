/** Closing sessions: the tombstone, what it gives back, and the erasure after its commit. */
import type { PartyTransaction, SessionRow, SessionState } from '../../core/ports/party-store.ts';
import { bytesToHex } from '../../core/signed.ts';
import {
  type ErrorCode,
  type ErrorDetails,
  isErrorCode,
  KeysagaError,
} from '../../schema/contracts/errors.ts';
import type { PrepareRequest } from '../../schema/contracts/party.ts';
import type { PartyDeps } from './deps.ts';

export type Failure = {
  readonly code: ErrorCode;
  readonly message: string;
  readonly culprit?: string | undefined;
};

/**
 * Writes the tombstone of an open session: the sealed seed leaves the row, an unreleased payment gives its limit
 * back, its transaction no longer counts as open. The caller destroys the data key after the commit.
 */
export async function closeSession(
  tx: PartyTransaction,
  row: SessionRow,
  state: Exclude<SessionState, 'prepared' | 'running' | 'released'>,
  now: number,
  failure?: Failure,
): Promise<void> {
  await tx.updateSession(row.attempt, {
    state,
    sealedSeed: null,
    closedAt: now,
    failureCode: failure?.code ?? null,
    failureMessage: failure?.message ?? null,
    failureCulprit: failure?.culprit ?? null,
  });
  // The row's lock is held, and every release and every newer attempt of the line takes it, so the line's is not needed.
  if (row.intentDigest !== null && row.line !== null) {
    await tx.setLineTransactionState(row.attempt, 'closed');
    await tx.releaseSpend(row.intentDigest, row.line);
  }
  // Burned, whether or not anything was computed: what has been shown a message is shown no other.
  if (row.pooledKeys.length > 0) await tx.endPresignatures(row.attempt, 'burned', now);
  await tx.audit({
    kind: `session-${state}`,
    keyId: row.keyId,
    attempt: row.attempt,
    at: now,
    detail:
      failure === undefined
        ? {}
        : { code: failure.code, ...(failure.culprit ? { culprit: failure.culprit } : {}) },
  });
}

/** Why a closed session answers nothing any more. */
export function closedError(row: SessionRow): KeysagaError {
  const details: ErrorDetails = { attempt: row.attempt, state: row.state };
  if (row.state === 'failed') {
    const code = isErrorCode(row.failureCode) ? row.failureCode : 'SessionFailed';
    return new KeysagaError(
      code,
      row.failureMessage ?? 'The session failed.',
      row.failureCulprit === null ? details : { ...details, culprit: row.failureCulprit },
      { retryable: false },
    );
  }
  if (row.state === 'expired')
    return new KeysagaError('SessionExpired', 'The session outlived its time.', details);
  return new KeysagaError('SessionSuperseded', 'The attempt is closed.', details);
}

/**
 * Data keys are named after the attempt and never twice alike: two instances, or two tries with a crash between them,
 * must not write over the key under which the other has sealed.
 */
export const newDataKeyId = (
  deps: PartyDeps,
  kind: 'session' | 'share' | 'pack',
  attempt: string,
): string => `${kind}-${attempt}-${bytesToHex(deps.random.bytes(8))}`;

export const backupName = (of: { keyId: string; epoch: number; attempt: string }): string =>
  `${of.keyId}.${of.epoch}.${of.attempt}`;

/** The seed's, and those of the presignatures that the session took. */
export const dataKeysOf = ({
  dataKeyId,
  pooledKeys,
}: Pick<SessionRow, 'dataKeyId' | 'pooledKeys'>): readonly string[] => [dataKeyId, ...pooledKeys];

/** Destroys data keys. The sweep repeats it for whatever a crash left. */
export const erase = (deps: PartyDeps, dataKeyIds: readonly string[]): Promise<void> =>
  deps.sealer.destroy(dataKeyIds);

/**
 * Erasure of sessions that were closed without a release, after the commit that closed them. A key ceremony that ended
 * so has no share here, and from then on cannot get one, so that a backup of it is a copy that nobody may keep.
 */
export async function eraseClosed(
  deps: PartyDeps,
  rows: readonly Pick<
    SessionRow,
    'kind' | 'keyId' | 'epoch' | 'attempt' | 'dataKeyId' | 'pooledKeys' | 'failureCode'
  >[],
): Promise<void> {
  for (const row of rows) {
    await erase(deps, dataKeysOf(row));
    // What a fence closed may have been certified since, for all that a restored database knows.
    if (row.kind === 'keygen' && row.failureCode !== 'PartyFenced')
      await deps.backup.remove(backupName(row));
  }
}

/** Does it sign a void, of a transfer or of a payout? */
export const isVoid = (request: PrepareRequest): boolean =>
  'purpose' in request && request.purpose === 'void';
