/**
 * Run at start and every few seconds by each instance: closes expired sessions, finishes the erasures that a crash
 * left, and forgets live runs whose sessions were closed by another instance.
 */
import type { PartyTransaction } from '../../core/ports/party-store.ts';
import type { PartyDeps } from './deps.ts';
import { checkChain } from './fence.ts';
import type { LiveRuns } from './live-runs.ts';
import { PACK_KEYS } from './pool.ts';
import { closeSession, dataKeysOf, erase, eraseClosed } from './sessions.ts';

export type SweepOptions = {
  /** Milliseconds that never go back, whatever the wall clock does. */
  readonly monotonic: () => number;
  /** How long a session's data key may be without a row; longer than any transaction lives. */
  readonly orphanMs: number;
};

const attemptOf = (dataKeyId: string): string =>
  dataKeyId.slice('share-'.length, 'share-'.length + 36);

/** Whose key each of `present` is. Rows are read after the listing, so that no key of a row committed since is missing. */
async function judge(tx: PartyTransaction, present: readonly string[]) {
  const sessions = await tx.sessionsWithDataKey();
  const open = sessions.filter((s) => s.open);
  const closed = new Set(sessions.filter((s) => !s.open).flatMap((s) => dataKeysOf(s)));
  const inUse = new Set(open.map((s) => s.dataKeyId));
  const shares = await tx.shareDataKeys();
  const living = new Set(shares.filter((s) => s.state !== 'destroyed').map((s) => s.dataKeyId));
  const dead = new Set(shares.filter((s) => s.state === 'destroyed').map((s) => s.dataKeyId));

  // A share's key is destroyed on the word of a row, never for want of one: a party that was pointed at an empty or
  // restored database must not erase the shares which that database does not know.
  const unowned = present.filter(
    (id) => id.startsWith('share-') && !living.has(id) && !dead.has(id),
  );
  const over = new Set(await tx.closedAttempts([...new Set(unowned.map(attemptOf))]));
  // A ceremony that is over certifies no more, and what it certified was committed with its end, so it is seen now.
  const certified =
    over.size === 0
      ? living
      : new Set(
          (await tx.shareDataKeys()).filter((s) => s.state !== 'destroyed').map((s) => s.dataKeyId),
        );
  const pooled = await tx.presignatureKeys();
  const stocked = new Set(pooled.filter((p) => p.live).map((p) => p.dataKeyId));
  const ended = new Set(pooled.filter((p) => !p.live).map((p) => p.dataKeyId));
  const destroy = present.filter(
    (id) =>
      closed.has(id) ||
      ended.has(id) ||
      dead.has(id) ||
      (unowned.includes(id) && over.has(attemptOf(id)) && !certified.has(id)),
  );
  const orphans = present.filter(
    (id) =>
      (id.startsWith('session-') && !inUse.has(id) && !closed.has(id)) ||
      (id.startsWith(PACK_KEYS) && !stocked.has(id) && !ended.has(id)),
  );
  return { sessions, ended, openAttempts: new Set(open.map((s) => s.attempt)), destroy, orphans };
}

export function createSweep(
  deps: PartyDeps,
  live: LiveRuns,
  options: SweepOptions,
): () => Promise<void> {
  let firstSeen: ReadonlyMap<string, number> = new Map();
  return async () => {
    // First of all: a restored database says nothing true about what has ended. Its sessions are dropped by the check.
    if ((await checkChain(deps, live)) === 'fenced') return eraseSessions(deps);
    const expired = await deps.store.transaction(async (tx) => {
      const now = deps.clock.now();
      const rows = await tx.expiredSessions(now);
      for (const row of rows) await closeSession(tx, row, 'expired', now);
      await tx.dropPacks({ by: 'stale' }, 'expired', now);
      return rows;
    });
    await eraseClosed(deps, expired);

    const present = await deps.sealer.list();
    const { sessions, ended, openAttempts, destroy, orphans } = await deps.store.transaction((tx) =>
      judge(tx, present),
    );
    live.retain(openAttempts);
    // A key without a row is of a `prepare` that crashed before its commit, or of one that is about to commit.
    const now = options.monotonic();
    const aged = orphans.filter((id) => {
      const since = firstSeen.get(id);
      return since !== undefined && now - since >= options.orphanMs;
    });
    firstSeen = new Map(orphans.map((id) => [id, firstSeen.get(id) ?? now]));
    await erase(deps, [...destroy, ...aged]);
    // With the backup of a share that was about to be certified when its ceremony ended.
    await eraseClosed(
      deps,
      sessions.filter((s) => s.shareless),
    );

    const left = new Set(await deps.sealer.list());
    const gone = sessions
      .filter((s) => !s.open && !dataKeysOf(s).some((id) => left.has(id)))
      .map((s) => s.attempt);
    const goneKeys = [...ended].filter((id) => !left.has(id));
    if (gone.length + goneKeys.length > 0)
      await deps.store.transaction(async (tx) => {
        await tx.markDataKeysDestroyed(gone);
        await tx.markPresignatureKeysDestroyed(goneKeys);
      });
  };
}

/** While fenced: what is closed stays closed, whatever the database has forgotten, so its data keys may go. */
async function eraseSessions(deps: PartyDeps): Promise<void> {
  const rows = await deps.store.transaction((tx) => tx.sessionsWithDataKey());
  const present = new Set(await deps.sealer.list());
  const left = rows.filter((row) => !row.open).flatMap((row) => dataKeysOf(row));
  await erase(
    deps,
    left.filter((id) => present.has(id)),
  );
}
