/**
 * A party's stock of presignatures. A presignature is for one message, ever: two answers with one of them give the share
 * away. So it is bound in the commit that opens the session, before anything is computed with it, and there is no way back;
 * and it is sealed under a data key of its own, outside the database, which is destroyed before the answer leaves: a
 * database that was put back to an older state finds nothing to bind.
 */
import type {
  PartyTransaction,
  PresignatureRow,
  SessionRow,
} from '../../core/ports/party-store.ts';
import type { PresignOutput } from '../../core/ports/protocol.ts';
import type { SealContext } from '../../core/ports/sealing.ts';
import { bytesToHex, digestHex } from '../../core/signed.ts';
import { isKeysagaError, KeysagaError } from '../../schema/contracts/errors.ts';
import type { PrepareSign } from '../../schema/contracts/party.ts';
import type { PooledPresignature } from '../../schema/contracts/pool.ts';
import type { PartyDeps } from './deps.ts';
import { erase, newDataKeyId } from './sessions.ts';

/** Begins the names of all data keys of presignatures. */
export const PACK_KEYS = 'pack-';

/** Associated data of a sealed presignature. */
export const presignatureContext = (
  party: string,
  of: { readonly keyId: string; readonly epoch: number },
  { packId, index }: Pick<PresignatureRow, 'packId' | 'index'>,
): SealContext => ({
  party,
  keyId: of.keyId,
  purpose: 'presignature',
  session: packId,
  epoch: of.epoch,
  row: `presignatures/${index}`,
});

const stale = (message: string, { packId, index }: PooledPresignature): KeysagaError =>
  new KeysagaError('PresignatureStale', message, { field: 'pooled', packId, index });

/**
 * Gives the session one presignature for each message, for ever. Call it at the end of `prepare`, when everything else has
 * been judged: the commit that opens the session is the one that binds. Answers with their data keys. Throws
 * `PresignatureUsed`, `PresignatureStale`, `InvalidInput` (`pooled`).
 */
export async function bindPresignatures(
  deps: PartyDeps,
  tx: PartyTransaction,
  request: Pick<PrepareSign, 'attempt' | 'keyId' | 'epoch' | 'signers'>,
  wanted: readonly PooledPresignature[],
  messages: readonly Uint8Array[],
  now: number,
): Promise<readonly string[]> {
  const { attempt, keyId, epoch, signers } = request;
  if (wanted.length !== messages.length)
    throw new KeysagaError('InvalidInput', 'There is one presignature for each digest.', {
      field: 'pooled',
      digests: messages.length,
    });
  if (new Set(wanted.map(({ packId, index }) => `${packId}/${index}`)).size !== wanted.length)
    throw new KeysagaError('InvalidInput', 'A presignature is for one digest only.', {
      field: 'pooled',
    });
  const rows = await tx.lockPresignatures(wanted);
  const dataKeyIds: string[] = [];
  const bound: (PooledPresignature & { readonly messageHash: string })[] = [];
  for (const [i, one] of wanted.entries()) {
    const row = rows.find((r) => r.packId === one.packId && r.index === one.index);
    if (row === undefined) throw stale('This party has no such presignature.', one);
    const { pack } = row;
    // Also where the pack has been dropped since: that it was shown a message is what matters.
    if (row.attempt !== null)
      throw new KeysagaError('PresignatureUsed', 'The presignature was shown a message before.', {
        field: 'pooled',
        ...one,
      });
    if (pack.keyId !== keyId || pack.epoch !== epoch)
      throw stale('The presignature is of another key or epoch.', one);
    if (pack.signers.length !== signers.length || pack.signers.some((s, k) => s !== signers[k]))
      throw stale('The presignature is of another signer set.', one);
    if (pack.dropped !== null || row.state !== 'stocked' || row.sealed === null)
      throw stale('The presignature was dropped.', one);
    if (pack.expiresAt <= now) throw stale('The presignature has expired.', one);
    const messageHash = digestHex('pooled-message', bytesToHex(messages[i] as Uint8Array));
    bound.push({ ...one, messageHash });
    dataKeyIds.push(row.dataKeyId);
  }
  await tx.bindPresignatures(bound, { attempt, at: now });
  await tx.audit({
    kind: 'presignatures-bound',
    keyId,
    attempt,
    at: now,
    detail: { count: `${wanted.length}` },
  });
  await deps.failPoints.at('party.bind:before-commit');
  return dataKeyIds;
}

/**
 * The plain presignatures of a session, in the order of its messages; the caller wipes them. One whose data key is gone has
 * answered before, whatever the database says: `PresignatureUsed`.
 */
export async function openPresignatures(
  deps: PartyDeps,
  session: Pick<SessionRow, 'keyId' | 'epoch' | 'attempt'>,
  wanted: readonly PooledPresignature[],
  rows: readonly PresignatureRow[],
): Promise<Uint8Array[]> {
  const opened: Uint8Array[] = [];
  try {
    for (const one of wanted) {
      const row = rows.find((r) => r.packId === one.packId && r.index === one.index);
      if (row?.state !== 'bound' || row.attempt !== session.attempt || row.sealed === null)
        throw new KeysagaError('PresignatureUsed', 'The presignature is not this session’s.', {
          field: 'pooled',
          ...one,
        });
      const context = presignatureContext(deps.settings.party, session, row);
      opened.push(await deps.sealer.open(row.dataKeyId, row.sealed, context));
    }
    return opened;
  } catch (error) {
    for (const bytes of opened) bytes.fill(0);
    if (!isKeysagaError(error, 'SealBroken')) throw error;
    throw new KeysagaError('PresignatureUsed', 'The key of the presignature is gone.', {
      field: 'pooled',
    });
  }
}

/** A pack sealed, each of it under a data key of its own, for `insertPack`. */
export type SealedPack = readonly {
  readonly index: number;
  readonly sealed: Uint8Array;
  readonly dataKeyId: string;
}[];

/** Before the commit that stocks it. Wipes what it is given. */
export async function sealPack(
  deps: PartyDeps,
  { keyId, epoch, attempt }: Pick<SessionRow, 'keyId' | 'epoch' | 'attempt'>,
  packId: string,
  { presignatures }: PresignOutput,
): Promise<SealedPack> {
  const base = newDataKeyId(deps, 'pack', attempt);
  const { party } = deps.settings;
  try {
    return await Promise.all(
      presignatures.map(async (bytes, index) => {
        const dataKeyId = `${base}.${index}`;
        const context = presignatureContext(party, { keyId, epoch }, { packId, index });
        const sealed = await deps.sealer.seal(dataKeyId, bytes, context, { create: true });
        return { index, sealed, dataKeyId };
      }),
    );
  } finally {
    for (const bytes of presignatures) bytes.fill(0);
  }
}

/**
 * While fenced: nothing in stock is used again, whatever the database remembers. Also keys go that it does not know: a pack
 * made after what it was put back to.
 */
export async function dropAllPacks(deps: PartyDeps): Promise<void> {
  await deps.store.transaction((tx) =>
    tx.dropPacks({ by: 'all' }, 'PartyFenced', deps.clock.now()),
  );
  const present = await deps.sealer.list();
  await erase(
    deps,
    present.filter((id) => id.startsWith(PACK_KEYS)),
  );
}
