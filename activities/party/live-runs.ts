/**
 * Runs kept in memory between rounds. They are a cache: whatever is missing or stale, since another instance
 * answered or this one restarted, is rebuilt from the sealed seed and the round log.
 */
import type { CeremonyLog, CeremonyRun } from '../../core/ports/ceremonies.ts';
import type { RoundRow, SessionRow } from '../../core/ports/party-store.ts';
import type { KeygenOutput, ProtocolMessage, RoundOutcome, SignOutput } from '../../core/ports/protocol.ts';
import { hexToBytes } from '../../core/signed.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { PartyDeps } from './deps.ts';
import { openInbox } from './envelopes.ts';
import { seedContext } from './prepare.ts';
import { openShare } from './shares.ts';

export type Computed = RoundOutcome<KeygenOutput | SignOutput> & { readonly outboxHash: string };

export interface LiveRuns {
  /** One at a time per attempt, within this process; across instances the session row's lock decides. */
  exclusive<T>(attempt: string, work: () => Promise<T>): Promise<T>;
  compute(row: SessionRow, rounds: readonly RoundRow[], round: number): Promise<Computed>;
  drop(attempt: string): void;
  readonly size: number;
}

/** At most this many runs stay in memory; the oldest is rebuilt when it is asked again. */
const CAPACITY = 512;

export function createLiveRuns(deps: PartyDeps): LiveRuns {
  const runs = new Map<string, CeremonyRun<KeygenOutput | SignOutput>>();
  const queues = new Map<string, Promise<unknown>>();

  const drop = (attempt: string) => {
    runs.get(attempt)?.dispose();
    runs.delete(attempt);
  };

  async function messages(row: SessionRow, round: RoundRow, seed: () => Promise<Uint8Array>): Promise<ProtocolMessage[]> {
    return openInbox(deps, row, round.inbox, seed);
  }

  async function begin(row: SessionRow, rounds: readonly RoundRow[], round: number, seed: Uint8Array) {
    if (row.sessionId === null) throw new KeysagaError('RoundOutOfOrder', 'The session has not begun.', { field: 'round' });
    const log: CeremonyLog = {
      version: row.machineVersion,
      entries: await Promise.all(
        rounds
          .filter((r) => r.round < round)
          .map(async (r) => ({
            round: r.round,
            inbox: await messages(row, r, async () => seed),
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
    const { share, descriptor, index } = await openShare(deps, row);
    try {
      const publicKey = hexToBytes(descriptor.publicKey);
      return deps.ceremonies.sign(
        descriptor.protocol,
        {
          index,
          threshold: descriptor.threshold,
          parties: descriptor.parties.length,
          sessionId,
          share,
          publicPackage: hexToBytes(descriptor.publicPackage),
          signers: request.signers.map((s) => descriptor.parties.indexOf(s) + 1),
          // Computed from the bytes by this party; no digest is ever received.
          messages: deps.codecs.get(descriptor.network).messages(request.unsigned, publicKey),
        },
        seed,
        log,
      );
    } finally {
      share.fill(0);
    }
  }

  return {
    get size() {
      return runs.size;
    },
    drop,
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
    async compute(row, rounds, round) {
      let seed: Uint8Array | undefined;
      const openSeed = async () => {
        if (seed !== undefined) return seed;
        if (row.sealedSeed === null) throw new KeysagaError('SessionSuperseded', 'The attempt is closed.', { attempt: row.attempt });
        seed = await deps.sealer.open(row.dataKeyId, row.sealedSeed, seedContext(deps.settings.party, row));
        return seed;
      };
      try {
        let run = runs.get(row.attempt);
        if (run === undefined || run.next !== round) {
          drop(row.attempt);
          run = await begin(row, rounds, round, await openSeed());
          runs.set(row.attempt, run);
          if (runs.size > CAPACITY) drop(runs.keys().next().value as string);
        }
        const asked = rounds.find((r) => r.round === round);
        if (asked === undefined) throw new KeysagaError('Internal', 'The inbox was not committed.');
        return run.round(round, await messages(row, asked, openSeed));
      } catch (error) {
        throw nameCulprit(error, row.members);
      } finally {
        seed?.fill(0);
      }
    },
  };
}

/** Machines know indices; people and ledgers know party ids. */
function nameCulprit(error: unknown, members: readonly string[]): unknown {
  if (!(error instanceof KeysagaError) || error.details.culprit === undefined) return error;
  const name = members[Number(error.details.culprit) - 1];
  if (name === undefined) return error;
  return new KeysagaError(error.code, error.message, { ...error.details, culprit: name }, { retryable: error.retryable });
}
