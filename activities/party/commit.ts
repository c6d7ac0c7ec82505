/** The second commit of a round: a plain outbox, the release of signature shares, or the certificate of a new key. */
import { certificateOf } from '../../core/certificates.ts';
import {
  isOpen,
  type PartyTransaction,
  type ReleaseHead,
  type RoundRow,
  type SessionRow,
} from '../../core/ports/party-store.ts';
import type { KeygenOutput, PresignOutput } from '../../core/ports/protocol.ts';
import { checkLine } from '../../core/rules/line.ts';
import { bytesToHex } from '../../core/signed.ts';
import { signedBytes } from '../../schema/contracts/canonical.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { KeyDescriptor } from '../../schema/contracts/key.ts';
import type {
  Envelope,
  KeygenResult,
  PrepareKeygen,
  RoundAnswer,
} from '../../schema/contracts/party.ts';
import { advance, barredBeside, noteCommitted, noteLast } from './chain.ts';
import type { PartyDeps } from './deps.ts';
import { sealOutbox } from './envelopes.ts';
import type { Computed, RoundTask } from './live-runs.ts';
import { sealPack } from './pool.ts';
import { backupName, closedError, dataKeysOf, erase, newDataKeyId } from './sessions.ts';
import { settleAccess, shareContext } from './shares.ts';

/** `head`: of the link that the commit added to the release chain. */
type Committed = {
  readonly answer: RoundAnswer;
  readonly closed: boolean;
  readonly head?: ReleaseHead;
};

/** `wipe` disposes of the run: called once the session is over, before anything leaves. */
export async function commitOutbox(
  deps: PartyDeps,
  { row, rounds, round, share }: RoundTask,
  computed: Computed,
  wipe: () => void,
): Promise<RoundAnswer> {
  const outbox = await sealOutbox(deps, row, rounds, round, computed.outbox);
  const last = round === row.rounds;
  const { answer, closed, head } = !last
    ? await committed((tx) => plain(deps, tx, row, round, computed.outboxHash, outbox))
    : row.kind === 'sign'
      ? await committed((tx) => release(deps, tx, row, round, computed.outboxHash, outbox))
      : row.kind === 'presign'
        ? await stockPack(deps, row, round, computed, outbox, committed)
        : await certify(deps, row, round, computed, outbox);
  if (!closed) {
    await deps.failPoints.at('party.round:after-outbox-commit');
    return answer;
  }
  await deps.failPoints.at(COMMITTED[row.kind]);
  // The session's secrets go before the shares leave; the sweep at start finishes what a crash here leaves.
  wipe();
  // Without a link of its own it answers with what another instance has committed, and may not have noted yet.
  const note = head === undefined ? noteCommitted(deps) : noteLast(deps, head);
  // Those of the presignatures too: from here no copy of the database, however old, can answer with them again.
  const erased = erase(deps, dataKeysOf(row));
  for (const done of await Promise.allSettled([note, erased]))
    if (done.status === 'rejected') throw done.reason;
  if (row.kind === 'sign') await deps.failPoints.at('party.release:after-erasure');
  return answer;

  /** With the word that the share was opened, when it was, in the same commit. */
  function committed(work: (tx: PartyTransaction) => Promise<Committed>): Promise<Committed> {
    return deps.store.transaction(async (tx) => {
      const done = await work(tx);
      await settleAccess(tx, share, deps.clock.now());
      return done;
    });
  }
}

const COMMITTED = {
  sign: 'party.release:after-commit',
  presign: 'party.presign:after-commit',
  keygen: 'party.certify:after-commit',
} as const;

/** The answer to a round, as it was given and will be for ever. */
export function answerOf(row: SessionRow, stored: RoundRow): RoundAnswer {
  return {
    attempt: row.request.attempt,
    round: stored.round,
    sessionId: row.sessionId ?? '',
    done: stored.round === row.rounds,
    outbox: stored.outbox ?? [],
    ...(stored.keygen === null ? {} : { keygen: stored.keygen }),
  };
}

/**
 * Locks the session again: another instance may have answered, or closed it, while this one computed, and its time may
 * have run out in a process that was paused. Whoever commits first decides the bytes.
 */
async function relock(
  deps: PartyDeps,
  tx: PartyTransaction,
  row: SessionRow,
  round: number,
): Promise<{ readonly stored?: RoundAnswer; readonly now: number }> {
  const current = await tx.session(row.attempt, { lock: true });
  const now = deps.clock.now();
  if (current === undefined)
    throw new KeysagaError('SessionUnknown', 'The session is gone.', { attempt: row.attempt });
  if (!isOpen(current.state) && current.state !== 'released') throw closedError(current);
  const stored = (await tx.rounds(row.attempt)).find((r) => r.round === round);
  if (stored?.outbox) return { stored: answerOf(current, stored), now };
  if (!isOpen(current.state)) throw closedError(current);
  if (current.expiresAt <= now) throw closedError({ ...current, state: 'expired' });
  const barred = row.kind === 'keygen' ? undefined : await barredBeside(tx, row, 'share');
  if (barred !== undefined) throw barred;
  return { now };
}

async function plain(
  deps: PartyDeps,
  tx: PartyTransaction,
  row: SessionRow,
  round: number,
  outboxHash: string,
  outbox: Envelope[],
): Promise<Committed> {
  const { stored, now } = await relock(deps, tx, row, round);
  if (stored !== undefined) return { answer: stored, closed: false };
  await tx.setOutbox(row.attempt, round, { outboxHash, outbox, keygen: null, at: now });
  await deps.failPoints.at('party.round:before-outbox-commit');
  return { answer: reply(row, round, outbox, false), closed: false };
}

const reply = (row: SessionRow, round: number, outbox: Envelope[], done: boolean): RoundAnswer => ({
  attempt: row.request.attempt,
  round,
  sessionId: row.sessionId ?? '',
  done,
  outbox,
});

/**
 * The releasing transaction: conflict judged again under the line's lock, shares stored for release, limit spent,
 * seed tombstoned, release chain advanced, all in one commit. Nothing has left the party before it.
 */
async function release(
  deps: PartyDeps,
  tx: PartyTransaction,
  row: SessionRow,
  round: number,
  outboxHash: string,
  outbox: Envelope[],
): Promise<Committed> {
  const { intentDigest, line, request } = row;
  if (
    intentDigest === null ||
    line === null ||
    request.kind === 'keygen' ||
    request.kind === 'presign'
  )
    throw new KeysagaError(
      'Internal',
      'A signing session without a line.',
      {},
      { retryable: false },
    );
  const purpose = request.kind === 'message' ? 'message' : request.purpose;
  // The line before the session, as in prepare: one order of locks, no deadlock.
  await tx.lockLine(intentDigest, line, row.keyId, row.createdAt);
  const { stored, now } = await relock(deps, tx, row, round);
  if (stored !== undefined) return { answer: stored, closed: true };
  const history = await tx.lineTransactions(intentDigest, line);
  const own = history.find((t) => t.attempt === row.attempt && t.state === 'open');
  if (own === undefined)
    throw new KeysagaError('SessionSuperseded', 'A newer attempt took the line.', {
      attempt: row.attempt,
    });
  checkLine(own, history);

  const sessionId = row.sessionId ?? '';
  const link = { kind: 'release' as const, attempt: row.attempt, sessionId, outboxHash };
  // Beside the fsync of the head file, which takes about as long.
  const head = await advance(deps, tx, link, now, async () => {
    const written = [
      tx.setOutbox(row.attempt, round, { outboxHash, outbox, keygen: null, at: now }),
      tx.setLineTransactionState(row.attempt, 'released'),
      tx.setLineState(intentDigest, line, purpose === 'void' ? 'void' : 'released'),
      ...(purpose === 'void' ? [] : [tx.markSpent(intentDigest, line, now)]),
      tx.updateSession(row.attempt, { state: 'released', sealedSeed: null, closedAt: now }),
      ...(row.pooledKeys.length === 0 ? [] : [tx.endPresignatures(row.attempt, 'spent', now)]),
      tx.audit({
        kind: 'shares-released',
        keyId: row.keyId,
        attempt: row.attempt,
        at: now,
        detail: { purpose, intentDigest, sessionId },
      }),
    ];
    for (const done of await Promise.allSettled(written))
      if (done.status === 'rejected') throw done.reason;
  });
  await deps.failPoints.at('party.release:before-commit');
  return { answer: reply(row, round, outbox, true), closed: true, head };
}

/**
 * End of presigning: the pack is sealed, then stocked in the commit that ends its session. Nothing of it leaves the party.
 */
async function stockPack(
  deps: PartyDeps,
  row: SessionRow,
  round: number,
  computed: Computed,
  outbox: Envelope[],
  committed: (work: (tx: PartyTransaction) => Promise<Committed>) => Promise<Committed>,
): Promise<Committed> {
  const { request, sessionId } = row;
  const output = computed.output as PresignOutput | undefined;
  if (request.kind !== 'presign' || output === undefined || sessionId === null)
    throw new KeysagaError('Internal', 'Presigning without a pack.', {}, { retryable: false });
  const { keyId, epoch, attempt } = row;
  const sealed = await sealPack(deps, row, sessionId, output);
  let unused = false;
  const done = await committed(async (tx) => {
    const { stored, now } = await relock(deps, tx, row, round);
    unused = stored !== undefined;
    if (stored !== undefined) return { answer: stored, closed: true };
    const { signers, packExpiresAt } = request;
    const expiresAt = Date.parse(packExpiresAt);
    await tx.insertPack(
      { packId: sessionId, keyId, epoch, signers, createdAt: now, expiresAt },
      sealed,
    );
    const { outboxHash } = computed;
    await tx.setOutbox(attempt, round, { outboxHash, outbox, keygen: null, at: now });
    await tx.updateSession(attempt, { state: 'released', sealedSeed: null, closedAt: now });
    const detail = { packId: sessionId, count: `${sealed.length}` };
    await tx.audit({ kind: 'pack-stocked', keyId, attempt, at: now, detail });
    await deps.failPoints.at('party.presign:before-commit');
    return { answer: reply(row, round, outbox, true), closed: true };
  });
  // Another instance was first. After a failure whose commit is in doubt the sweep finds out whose keys these are.
  if (unused)
    await erase(
      deps,
      sealed.map(({ dataKeyId }) => dataKeyId),
    );
  return done;
}

/**
 * End of a key ceremony: the share is sealed and backed up, the backup read back, then share and certificate are
 * committed together. From that commit on this party can no longer say `never`.
 */
async function certify(
  deps: PartyDeps,
  row: SessionRow,
  round: number,
  computed: Computed,
  outbox: Envelope[],
): Promise<Committed> {
  const { request } = row;
  const output = computed.output as KeygenOutput | undefined;
  if (request.kind !== 'keygen' || output === undefined)
    throw new KeysagaError(
      'Internal',
      'A key ceremony without an output.',
      {},
      { retryable: false },
    );
  const { party } = deps.settings;
  const key = describe(deps, request, output);
  // Of this try alone: another instance that computes the same round must not write over the key that this one uses.
  const dataKeyId = newDataKeyId(deps, 'share', row.attempt);
  try {
    await deps.failPoints.at('party.certify:before-backup');
    await deps.backup.write(backupName(row), output.share, shareContext(party, row, 'backup'));
    const sealed = await deps.sealer.seal(dataKeyId, output.share, shareContext(party, row), {
      create: true,
    });
    const certificate = certificateOf(party, request.attempt, key);
    const signed = {
      certificate,
      signature: deps.identity.sign(signedBytes('certificate', certificate)),
    };
    const keygen: KeygenResult = { key, certificate: signed };
    const committed = await deps.store.transaction(async (tx) => {
      const { stored, now } = await relock(deps, tx, row, round);
      if (stored !== undefined) return { answer: stored, closed: true, unused: true };
      await tx.insertWord(row.keyId, row.attempt, {
        kind: 'certificate',
        certificate: signed,
        never: null,
        at: now,
      });
      await tx.insertShare({
        keyId: row.keyId,
        epoch: row.epoch,
        attempt: row.attempt,
        state: 'certified',
        descriptor: key,
        index: request.signers.indexOf(party) + 1,
        sealed,
        dataKeyId,
        createdAt: now,
      });
      await tx.setOutbox(row.attempt, round, {
        outboxHash: computed.outboxHash,
        outbox,
        keygen,
        at: now,
      });
      await tx.updateSession(row.attempt, { state: 'released', sealedSeed: null, closedAt: now });
      await tx.audit({
        kind: 'key-certified',
        keyId: row.keyId,
        attempt: row.attempt,
        at: now,
        detail: { address: key.address },
      });
      const sessionId = row.sessionId ?? '';
      const { outboxHash } = computed;
      const link = { kind: 'certificate' as const, attempt: row.attempt, sessionId, outboxHash };
      const head = await advance(deps, tx, link, now);
      await deps.failPoints.at('party.certify:before-commit');
      return {
        answer: { ...reply(row, round, outbox, true), keygen },
        closed: true,
        unused: false,
        head,
      };
    });
    // Otherwise, and after a failure whose commit is in doubt, the sweep finds out whose key it is.
    if (committed.unused) await erase(deps, [dataKeyId]);
    return committed;
  } finally {
    output.share.fill(0);
  }
}

function describe(deps: PartyDeps, request: PrepareKeygen, output: KeygenOutput): KeyDescriptor {
  const { keyId, walletId, epoch, network, protocol, threshold, signers, policyId, policyHash } =
    request;
  return {
    keyId,
    walletId,
    epoch,
    network,
    protocol,
    threshold,
    parties: signers,
    publicKey: bytesToHex(output.publicKey),
    publicPackage: bytesToHex(output.publicPackage),
    address: deps.codecs.get(network).address(output.publicKey),
    policyId,
    policyHash,
    transcriptHash: bytesToHex(output.transcriptHash),
  };
}
