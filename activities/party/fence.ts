/**
 * Fencing. A party whose database is older than its release chain, by its own head file or by a peer's witness, drops
 * every session and signs nothing until the administrators' order. The fence stands in the file, then in the database.
 */
import type { FenceReason } from '../../core/ports/head-file.ts';
import type { PartyTransaction } from '../../core/ports/party-store.ts';
import { compareHeads, judgeHead, withFence } from '../../core/rules/head.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { SignedHead, SignedPrepareAnswer } from '../../schema/contracts/party.ts';
import { fencedError, HeadInDoubt } from './chain.ts';
import type { PartyDeps } from './deps.ts';
import type { LiveRuns } from './live-runs.ts';
import { dropAllPacks } from './pool.ts';
import { closeSession, dataKeysOf, erase } from './sessions.ts';

/** A head of this party, as a peer showed it, that its database does not know. */
export class RestoreWitnessed extends Error {
  readonly evidence: SignedHead;
  constructor(evidence: SignedHead) {
    super('restore witnessed');
    this.evidence = evidence;
  }
}

export type ChainCheck = 'in-step' | 'fenced';

/**
 * Compares the heads under the lock, fences when they disagree, finishes what a crash left. At start, before every sweep,
 * and whenever a request found them in doubt. `evidence`: a witnessed head, judged again.
 */
export async function checkChain(
  deps: PartyDeps,
  live: LiveRuns,
  evidence?: SignedHead,
): Promise<ChainCheck> {
  const verdict = await deps.store.transaction(async (tx): Promise<ChainCheck> => {
    const { head, fenced } = await tx.chain({ lock: true });
    const reading = await deps.headFile.read();
    const judged = judgeHead(reading, head);
    if (judged.kind === 'first') {
      await deps.headFile.update((now) =>
        now.kind === 'missing' ? { last: head, pending: [] } : undefined,
      );
      return 'in-step';
    }
    if (judged.kind === 'restored') return fence(deps, tx, judged.reason, undefined);
    if (judged.kind === 'fenced') {
      if (!fenced) {
        // The file was written and the commit did not come, or another database was put in place.
        const { chainEpoch, reason, at } = judged.fence;
        await record(deps, tx, { chainEpoch, reason, at, evidence: null });
      }
      return 'fenced';
    }
    // The file was put back as well, to one of the same head: the database still knows.
    if (fenced) {
      const row = await tx.fence();
      return fence(deps, tx, (row?.reason ?? 'head-mismatch') as FenceReason, undefined);
    }
    if (evidence !== undefined && (await unknownHere(tx, evidence)))
      return fence(deps, tx, 'witness', evidence);
    // A crash after the commit, before the file's note: or an order's, whose fence ends with it.
    if (reading.kind === 'whole' && reading.record.pending.length > 0)
      await deps.headFile.note(head);
    return 'in-step';
  });
  if (verdict === 'fenced') await dropSessions(deps, live);
  return verdict;
}

/** Under the head's lock. The file first: a crash in between leaves a fence that nobody forgets. */
async function fence(
  deps: PartyDeps,
  tx: PartyTransaction,
  reason: FenceReason,
  evidence: SignedHead | undefined,
): Promise<ChainCheck> {
  const at = deps.clock.now();
  const { head, fenced } = await tx.chain();
  let chainEpoch = head.chainEpoch;
  await deps.failPoints.at('party.fence:before-file');
  await deps.headFile.update((reading) => {
    const record = withFence(reading, head, { reason, at }, evidence?.head);
    chainEpoch = record.fenced?.chainEpoch ?? chainEpoch;
    return record;
  });
  await deps.failPoints.at('party.fence:after-file');
  if (!fenced) await record(deps, tx, { chainEpoch, reason, at, evidence: evidence ?? null });
  return 'fenced';
}

async function record(
  deps: PartyDeps,
  tx: PartyTransaction,
  row: { chainEpoch: number; reason: string; at: number; evidence: SignedHead | null },
): Promise<void> {
  const { chainEpoch, reason, at, evidence } = row;
  await tx.insertFence({ chainEpoch, reason, evidence, fencedAt: at });
  await tx.audit({
    kind: 'party-fenced',
    at: deps.clock.now(),
    detail: { reason, chainEpoch: `${chainEpoch}` },
  });
}

/** Of one transaction: its locks are held until it commits. */
const AT_ONCE = 100;

/**
 * Tombstones of all open sessions, and their data keys destroyed; all packs dropped. Nothing else is: what a restored
 * database says about shares, ceremonies and their backups may be older than what became of them.
 */
export async function dropSessions(deps: PartyDeps, live: LiveRuns): Promise<void> {
  for (;;) {
    const closed = await deps.store.transaction(async (tx) => {
      const rows = await tx.openSessions(AT_ONCE);
      const now = deps.clock.now();
      for (const row of rows)
        await closeSession(tx, row, 'aborted', now, {
          code: 'PartyFenced',
          message: 'The party was fenced.',
        });
      return rows;
    });
    live.retain(new Set());
    await erase(
      deps,
      closed.flatMap((row) => dataKeysOf(row)),
    );
    // Those that another transaction holds are closed by the next sweep; no round of theirs is served meanwhile.
    if (closed.length < AT_ONCE) break;
  }
  await dropAllPacks(deps);
}

/**
 * What peers show of this party in their signed answers to `prepare`, whose signatures the caller has verified: a head
 * newer than its own, another one in a place of its chain, or an attempt that it does not know. Only its own signature
 * counts, and only within the chain epoch at hand or a later one.
 */
export async function requireUnwitnessed(
  deps: PartyDeps,
  tx: PartyTransaction,
  answers: readonly SignedPrepareAnswer[],
): Promise<void> {
  const { party } = deps.settings;
  const shown = answers
    .filter(({ answer }) => answer.party !== party)
    .flatMap(({ answer }) => answer.witnessed.filter(({ head }) => head.party === party));
  for (const signed of shown) if (await unknownHere(tx, signed)) throw new RestoreWitnessed(signed);
}

/**
 * The newest head of each other party in these answers: its own, and what the others have seen of it, all under its own
 * signature, which the caller has verified.
 */
export function newestHeads(
  deps: PartyDeps,
  answers: readonly SignedPrepareAnswer[],
): SignedHead[] {
  const { party, directory } = deps.settings;
  const newest = new Map<string, SignedHead>();
  const seen = (signed: SignedHead) => {
    const { head } = signed;
    const known = newest.get(head.party);
    if (head.party === party || !directory.has(head.party)) return;
    if (known === undefined || compareHeads(head, known.head) > 0) newest.set(head.party, signed);
  };
  for (const { answer } of answers) seen(answer.head);
  for (const { answer } of answers) for (const signed of answer.witnessed) seen(signed);
  return [...newest.values()];
}

async function unknownHere(tx: PartyTransaction, { head }: SignedHead): Promise<boolean> {
  const own = await tx.recall(head);
  if (head.chainEpoch !== own.head.chainEpoch) return head.chainEpoch > own.head.chainEpoch;
  if (compareHeads(head, own.head) > 0 || !own.opened) return true;
  // The chain's very beginning has no row.
  if (head.sequence === 0 && own.hash === null) return false;
  return own.hash !== head.hash;
}

/**
 * Runs `work`; when it met heads in doubt, looks under the lock and either refuses as fenced or runs it again. Throws
 * `PartyFenced`, and retryable `PartyUnavailable` when releases keep coming in between.
 */
export async function guarded<T>(
  deps: PartyDeps,
  live: LiveRuns,
  work: () => Promise<T>,
): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      return await work();
    } catch (error) {
      const witnessed = error instanceof RestoreWitnessed ? error.evidence : undefined;
      if (witnessed === undefined && !(error instanceof HeadInDoubt)) throw error;
      if ((await checkChain(deps, live, witnessed)) === 'fenced') throw fencedError();
      if (tries >= 4)
        throw new KeysagaError('PartyUnavailable', 'The release chain is busy.', { field: 'head' });
    }
  }
}
