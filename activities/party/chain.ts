/**
 * The release chain: what leaves the party for good is a link, and the chain's head lies in the database and, fsynced,
 * outside it. A link's head is `pending` in the file before the commit, under the lock of the head's row, and `last` after
 * it, without that lock, so that a database that was put back to an older state shows a head that is neither.
 */
import type {
  ChainLink,
  ChainState,
  PartyTransaction,
  ReleaseHead,
  SessionRow,
  Standing,
} from '../../core/ports/party-store.ts';
import { judgeHead, withPending } from '../../core/rules/head.ts';
import { digestHex } from '../../core/signed.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { PartyDeps } from './deps.ts';

/** The two heads disagree, as far as a look without the lock can tell: `guarded` looks again under it. */
export class HeadInDoubt extends Error {}

export const fencedError = (): KeysagaError =>
  new KeysagaError(
    'PartyFenced',
    'This party was restored from an older state and signs nothing until an administrators’ order.',
    { field: 'head' },
  );

/** Refuses when the head file says fenced: what a restored database cannot forget. Asks no database. */
export async function requireNotFenced(deps: PartyDeps): Promise<void> {
  const reading = await deps.headFile.read();
  if (reading.kind === 'whole' && reading.record.fenced !== undefined) {
    // An order's commit whose note in the file is still to come; the look under the lock writes it.
    const { fenced, pending } = reading.record;
    if (pending.some((head) => head.chainEpoch > fenced.chainEpoch)) throw new HeadInDoubt();
    throw fencedError();
  }
}

/**
 * What the party says about a key, asked in a `prepare`: not fenced, both heads agree, the key not quarantined. The file is
 * read before and after the database, since a release may lie between the two looks.
 */
export async function requireStanding(
  deps: PartyDeps,
  tx: PartyTransaction,
  key: { readonly keyId: string; readonly epoch: number; readonly signers: readonly string[] },
): Promise<Standing> {
  const before = await deps.headFile.read();
  const standing = await tx.standing(key.keyId, key.epoch);
  const readings = [before, await deps.headFile.read()];
  if (standing.fenced) throw new HeadInDoubt();
  if (!readings.some((reading) => judgeHead(reading, standing.head).kind === 'in-step'))
    throw new HeadInDoubt();
  if (standing.quarantined)
    throw new KeysagaError('KeyQuarantined', 'The key is under quarantine here.', {
      field: 'keyId',
    });
  const refused = barredAmong(standing, key.signers);
  if (refused !== undefined) throw refused;
  return standing;
}

function barredAmong({ barred }: Standing, signers: readonly string[]): KeysagaError | undefined {
  const peer = barred.find((name) => signers.includes(name));
  return peer === undefined
    ? undefined
    : new KeysagaError('PeerBarred', `This party signs no more with ${peer}.`, {
        field: 'signers',
        party: peer,
        culprit: peer,
      });
}

/**
 * Asked once more in the commit that answers a round or records its failure. A check that a barred peer's message passes or
 * fails tells it something secret, and it may have opened many sessions before it was barred in one: from the bar's
 * commit on, all of them end with the same word, whatever was found. `update`: for the commit that may bar.
 */
export async function barredBeside(
  tx: PartyTransaction,
  row: Pick<SessionRow, 'keyId' | 'epoch' | 'request'>,
  mode: 'share' | 'update',
): Promise<KeysagaError | undefined> {
  await tx.lockBars(row.keyId, row.epoch, mode);
  return barredAmong(await tx.standing(row.keyId, row.epoch), row.request.signers);
}

/** The head's row under its lock, from which only an unfenced party goes on whose two heads agree. */
export async function lockedChain(deps: PartyDeps, tx: PartyTransaction): Promise<ChainState> {
  const state = await tx.chain({ lock: true });
  if (state.fenced || judgeHead(await deps.headFile.read(), state.head).kind !== 'in-step')
    throw new HeadInDoubt();
  return state;
}

/**
 * Adds a link. Call it at the end of the transaction: the head's lock is held from here to the commit. `meanwhile` runs
 * beside the file's fsync. Answers with the new head, for `noteLast` after the commit.
 */
export async function advance(
  deps: PartyDeps,
  tx: PartyTransaction,
  link: ChainLink,
  at: number,
  meanwhile: () => Promise<unknown> = async () => {},
): Promise<ReleaseHead> {
  const { head } = await lockedChain(deps, tx);
  const next: ReleaseHead = {
    chainEpoch: head.chainEpoch,
    sequence: head.sequence + 1,
    hash: digestHex('head', { previous: head.hash, ...link }),
  };
  await deps.failPoints.at('party.head:before-pending');
  const settled = await Promise.allSettled([
    notePending(deps, head, next),
    tx.advanceHead({ ...link, at, next }),
    meanwhile(),
  ]);
  for (const outcome of settled) if (outcome.status === 'rejected') throw outcome.reason;
  await deps.failPoints.at('party.head:after-pending');
  return next;
}

/** Durable before the commit that it announces. */
export const notePending = (deps: PartyDeps, base: ReleaseHead, next: ReleaseHead): Promise<void> =>
  deps.headFile.update((reading) => {
    if (reading.kind !== 'whole') throw new HeadInDoubt();
    return withPending(reading.record, base, next);
  });

/** After the commit of `head`, and before what it stands for leaves the party. */
export async function noteLast(deps: PartyDeps, head: ReleaseHead): Promise<void> {
  await deps.failPoints.at('party.head:before-last');
  await deps.headFile.note(head);
  await deps.failPoints.at('party.head:after-last');
}

/**
 * Before an answer leaves that was committed earlier, by this instance or another: the note in the file may not have come,
 * or not be durable.
 */
export async function noteCommitted(deps: PartyDeps): Promise<void> {
  const reading = await deps.headFile.read();
  if (reading.kind !== 'whole') return;
  const { last, pending } = reading.record;
  if (pending.length === 0) return deps.headFile.note(last);
  const { head } = await deps.store.transaction((tx) => tx.chain());
  await deps.headFile.note(head);
}
