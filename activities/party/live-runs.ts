/**
 * Runs kept in memory between rounds. They are a cache: whatever is missing or stale, since another instance
 * answered or this one restarted, is rebuilt from the sealed seed and the round log.
 */
import { accountOf } from '../../core/account.ts';
import { messageDigest } from '../../core/messages/intent.ts';
import type { CeremonyLog, CeremonyRun } from '../../core/ports/ceremonies.ts';
import type { PresignatureRow, RoundRow, SessionRow } from '../../core/ports/party-store.ts';
import type {
  KeygenOutput,
  PresignOutput,
  RoundOutcome,
  SignOutput,
} from '../../core/ports/protocol.ts';
import { hexToBytes } from '../../core/signed.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { KeyDescriptor } from '../../schema/contracts/key.ts';
import type { PrepareMessage, PreparePayout, PrepareSign } from '../../schema/contracts/party.ts';
import type { PartyDeps } from './deps.ts';
import { openInbox } from './envelopes.ts';
import { openPresignatures } from './pool.ts';
import { seedContext } from './prepare.ts';
import { openShare, type ShareAccess } from './shares.ts';

type Output = KeygenOutput | SignOutput | PresignOutput;
export type LiveRun = CeremonyRun<Output>;
export type Computed = RoundOutcome<Output> & { readonly outboxHash: string };

export interface LiveRuns {
  /** One at a time per attempt, within this process; across instances the session row's lock decides. */
  exclusive<T>(attempt: string, work: () => Promise<T>): Promise<T>;
  /**
   * Takes the run that expects this very round out of the cache, so that nobody disposes of it while it is used; a run
   * that another instance has overtaken is disposed of.
   */
  take(attempt: string, round: number): LiveRun | undefined;
  /** Puts a run back. */
  keep(attempt: string, run: LiveRun): void;
  drop(attempt: string): void;
  /** Disposes of the runs of all other attempts: their sessions were closed elsewhere. */
  retain(attempts: ReadonlySet<string>): void;
  readonly size: number;
}

/** At most this many idle runs stay in memory; the one unused for longest is rebuilt when it is asked again. */
const CAPACITY = 512;

export function createLiveRuns(): LiveRuns {
  const runs = new Map<string, LiveRun>();
  const queues = new Map<string, Promise<unknown>>();
  const drop = (attempt: string) => {
    runs.get(attempt)?.dispose();
    runs.delete(attempt);
  };
  return {
    get size() {
      return runs.size;
    },
    drop,
    take(attempt, round) {
      const run = runs.get(attempt);
      if (run?.next !== round) drop(attempt);
      runs.delete(attempt);
      return run?.next === round ? run : undefined;
    },
    keep(attempt, run) {
      if (runs.get(attempt) !== run) drop(attempt);
      runs.set(attempt, run);
      if (runs.size > CAPACITY) drop(runs.keys().next().value as string);
    },
    retain(attempts) {
      for (const attempt of runs.keys()) if (!attempts.has(attempt)) drop(attempt);
    },
    async exclusive(attempt, work) {
      const before = queues.get(attempt) ?? Promise.resolve();
      const run = before.then(work, work);
      const settled = run.then(
        () => {},
        () => {},
      );
      queues.set(attempt, settled);
      try {
        return await run;
      } finally {
        if (queues.get(attempt) === settled) queues.delete(attempt);
      }
    },
  };
}

/** What a round is computed from, as the inbox's commit left it. */
export type RoundTask = {
  readonly row: SessionRow;
  readonly rounds: readonly RoundRow[];
  readonly round: number;
  /** The live run that expects this round, if there is one. */
  readonly run: LiveRun | undefined;
  /** The share of a signing session whose run must be rebuilt. */
  readonly share: ShareAccess | undefined;
  /** The presignatures of a session that signs with them, and the key that they are of. */
  readonly presigned?: PresignedAccess | undefined;
};

export type PresignedAccess = {
  readonly rows: readonly PresignatureRow[];
  readonly share: Pick<ShareAccess['row'], 'descriptor' | 'index'>;
};

/** Runs one round, and the rounds before it when the run must be rebuilt. A run that failed has disposed of itself. */
export async function computeRound(
  deps: PartyDeps,
  { row, rounds, round, run: given, share, presigned }: RoundTask,
): Promise<{ readonly computed: Computed; readonly run: LiveRun }> {
  let seed: Uint8Array | undefined;
  let run = given;
  const openSeed = async () => {
    if (seed !== undefined) return seed;
    if (row.sealedSeed === null)
      throw new KeysagaError('SessionSuperseded', 'The attempt is closed.', {
        attempt: row.attempt,
      });
    const { party } = deps.settings;
    seed = await deps.sealer.open(row.dataKeyId, row.sealedSeed, seedContext(party, row));
    return seed;
  };
  try {
    run ??= await rebuild(deps, { row, rounds, round, share, presigned }, await openSeed());
    const asked = rounds.find((r) => r.round === round);
    if (asked === undefined) throw new KeysagaError('Internal', 'The inbox was not committed.');
    const computed = run.round(round, await openInbox(deps, row, asked.inbox, openSeed));
    return { computed, run };
  } catch (error) {
    run?.dispose();
    throw nameCulprit(error, row.members);
  } finally {
    seed?.fill(0);
  }
}

async function rebuild(
  deps: PartyDeps,
  { row, rounds, round, share: access, presigned }: Omit<RoundTask, 'run'>,
  seed: Uint8Array,
): Promise<LiveRun> {
  if (row.sessionId === null)
    throw new KeysagaError('RoundOutOfOrder', 'The session has not begun.', { field: 'round' });
  const log: CeremonyLog = {
    version: row.machineVersion,
    entries: await Promise.all(
      rounds
        .filter((r) => r.round < round)
        .map(async (r) => ({
          round: r.round,
          inbox: await openInbox(deps, row, r.inbox, async () => seed),
          outboxHash: r.outboxHash ?? '',
        })),
    ),
  };
  const sessionId = hexToBytes(row.sessionId);
  const { request } = row;
  if (request.kind === 'keygen') {
    const { keyId, epoch, threshold, signers } = request;
    const index = signers.indexOf(deps.settings.party) + 1;
    return deps.ceremonies.keygen(
      request.protocol,
      { index, threshold, parties: signers.length, sessionId, keyId, epoch },
      seed,
      log,
    );
  }
  if ('pooled' in request && request.pooled !== undefined && presigned !== undefined) {
    const { descriptor, index } = presigned.share;
    const presignatures = await openPresignatures(deps, row, request.pooled, presigned.rows);
    try {
      return deps.ceremonies.online(
        descriptor.protocol,
        {
          ...place(descriptor, index, request.signers, sessionId),
          presignatures,
          messages: toSign(deps, request, descriptor),
        },
        seed,
        log,
      );
    } finally {
      for (const bytes of presignatures) bytes.fill(0);
    }
  }
  if (access === undefined)
    throw new KeysagaError('KeyNotActive', 'The key share is not active.', { field: 'keyId' });
  const { descriptor, index } = access.row;
  if (request.kind === 'presign') {
    const share = await openShare(deps, access);
    try {
      const params = place(descriptor, index, request.signers, sessionId);
      const { count } = request;
      return deps.ceremonies.presign(descriptor.protocol, { ...params, share, count }, seed, log);
    } finally {
      share.fill(0);
    }
  }
  const payer = accountOf(
    descriptor,
    request.kind === 'message' ? undefined : request.intent.path,
    deps.codecs.get(descriptor.network),
  );
  const share = await openShare(deps, access);
  try {
    // A child (`tweak`) signs in all rounds, here, and never with a presignature from a pool: with R known before the
    // tweak, additive derivation lets signatures be forged (ePrint 2021/1330, section 4). `online` takes no tweak.
    return deps.ceremonies.sign(
      descriptor.protocol,
      {
        ...place(descriptor, index, request.signers, sessionId),
        share,
        messages: toSign(deps, request, payer.key),
        ...(payer.tweak === undefined ? {} : { tweak: payer.tweak }),
      },
      seed,
      log,
    );
  } finally {
    share.fill(0);
  }
}

/** Who signs here, with whom, for which key. */
const place = (
  descriptor: KeyDescriptor,
  index: number,
  signers: PrepareSign['signers'],
  sessionId: Uint8Array,
) => ({
  index,
  threshold: descriptor.threshold,
  parties: descriptor.parties.length,
  sessionId,
  publicPackage: hexToBytes(descriptor.publicPackage),
  signers: signers.map((s) => descriptor.parties.indexOf(s) + 1),
});

/** Computed by this party from the bytes, or from the message; no digest is ever received. */
function toSign(
  deps: PartyDeps,
  request: PrepareSign | PrepareMessage | PreparePayout,
  { network, publicKey }: KeyDescriptor,
): readonly Uint8Array[] {
  const key = hexToBytes(publicKey);
  const codec = deps.codecs.get(network);
  if (request.kind === 'message') return [messageDigest(request.intent.message, codec, key)];
  return codec.messages(request.unsigned, key);
}

/** Machines know indices; people and ledgers know party ids. */
function nameCulprit(error: unknown, members: readonly string[]): unknown {
  if (!(error instanceof KeysagaError) || error.details.culprit === undefined) return error;
  const name = members[Number(error.details.culprit) - 1];
  if (name === undefined) return error;
  return new KeysagaError(
    error.code,
    error.message,
    { ...error.details, culprit: name },
    { retryable: error.retryable },
  );
}
