/**
 * One pool of presignatures: a key's, for one signer set. It looks at the stock and, below the low mark, has packs made until
 * the high one is reached. A pack is a ceremony like any other; its undo drops it at the parties that have stocked it
 * already. It goes on until somebody has it dropped, or the wallet turns out not to be one.
 */
import {
  CancellationScope,
  condition,
  continueAsNew,
  uuid4,
  workflowInfo,
} from '@temporalio/workflow';
import { KeysagaError } from '../schema/contracts/errors.ts';
import { fromFailure, toApplicationFailure } from '../schema/contracts/failures.ts';
import type { KeyDescriptor } from '../schema/contracts/key.ts';
import type { RoundAnswer } from '../schema/contracts/party.ts';
import { PoolInput, type PoolRef, type PreparePresign } from '../schema/contracts/pool.ts';
import type { AttemptId, RequestId } from '../schema/contracts/primitives.ts';
import { AttemptFailed, runCeremony } from './ceremony.ts';
import { rethrowDefect } from './defects.ts';
import { readInput } from './input.ts';
import { PresignaturePool } from './pool-state.ts';
import { ledger, party } from './steps.ts';

/** Between looks: the first after something changed, doubled up to the second while nothing does. */
const LOOK_MS = { first: 2_000, last: 60_000 };
/** Packs of one run: keeps the history short where a wallet is busy. */
const PACKS_PER_RUN = 200;
/** What no waiting mends. */
const FINAL = new Set(['InvalidInput', 'WalletUnknown', 'ProtocolUnsupported']);

export async function presignaturePool(raw: PoolInput): Promise<{ readonly dropped: number }> {
  const pool = new PresignaturePool(readInput(PoolInput, raw));
  CancellationScope.current().cancelRequested.catch(() => pool.drop('cancelled'));
  return CancellationScope.nonCancellable(async () => {
    try {
      return await keep(pool);
    } catch (error) {
      rethrowDefect(error);
      throw toApplicationFailure(fromFailure(error), { forWorkflow: true });
    }
  });
}

async function keep(pool: PresignaturePool): Promise<{ readonly dropped: number }> {
  /** Below the low mark once, up to the high one. */
  let filling = false;
  /** Looks, or failures, without a change. */
  let idle = 0;
  let before = -1;
  while (pool.dropping === undefined) {
    if (workflowInfo().continueAsNewSuggested || pool.packs >= PACKS_PER_RUN) {
      await pool.background.settled();
      await continueAsNew<typeof presignaturePool>({
        ...pool.input,
        marks: pool.marks,
        cycle: (pool.input.cycle ?? 0) + 1,
      });
    }
    const seen = await look(pool);
    if (seen !== undefined) {
      const { available } = seen.stock;
      const { low, high } = pool.marks;
      filling = available < low || (filling && available < high);
      if (filling) {
        pool.enter('Filling');
        if (await makePack(pool, seen.key, seen.presignRounds)) {
          idle = 0;
          continue;
        }
      } else {
        pool.enter('Stocked');
        if (available !== before) idle = 0;
        before = available;
      }
    }
    idle += 1;
    pool.poked = false;
    await condition(
      () => pool.poked || pool.dropping !== undefined,
      Math.min(LOOK_MS.last, LOOK_MS.first * 2 ** Math.min(idle - 1, 5)),
      { summary: pool.waitingFor === '' ? 'the next look' : pool.waitingFor.slice(0, 200) },
    );
    if (pool.poked) idle = 0;
  }
  return close(pool, pool.dropping);
}

type Seen = {
  readonly key: KeyDescriptor;
  readonly stock: NonNullable<PresignaturePool['stock']>;
  readonly presignRounds: number;
};

async function look(pool: PresignaturePool): Promise<Seen | undefined> {
  const { walletId, signers } = pool.input;
  try {
    const { key, stock, presignRounds } = await ledger(
      'reserve',
      'look at the stock',
      pool.group(),
    ).lookAtPool({ walletId, signers });
    pool.stock = stock;
    if (presignRounds === undefined)
      throw new KeysagaError('ProtocolUnsupported', `${key.protocol} makes no presignatures.`, {
        field: 'walletId',
      });
    return { key, stock, presignRounds };
  } catch (error) {
    const failure = fromFailure(error);
    if (FINAL.has(failure.code)) throw failure;
    pool.enter('Waiting', `the ledger (${failure.code})`);
    return undefined;
  }
}

/** One pack at all its signers and in the ledger. False: parties do not answer or refuse; the board says which. */
async function makePack(
  pool: PresignaturePool,
  key: KeyDescriptor,
  rounds: number,
): Promise<boolean> {
  const { signers } = pool.input;
  const attempt = uuid4() as AttemptId;
  const count = pool.marks.batch;
  const request: PreparePresign = {
    kind: 'presign',
    // Nobody asked for it by an id: the pack is named by its session.
    requestId: attempt as string as RequestId,
    attempt,
    keyId: key.keyId,
    epoch: key.epoch,
    signers: [...signers],
    count,
    packExpiresAt: new Date(Date.now() + pool.marks.lifeSeconds * 1_000).toISOString(),
    policyHash: key.policyHash,
  };
  const abort = { keyId: key.keyId, attempt, reason: 'the pack is undone' };
  const undo = pool.undos.register(
    ...signers.map((id) => ({
      step: `drop the pack at ${id}`,
      party: id,
      run: async () => {
        await party('undo', id, `drop the pack at ${id}`, { group: pool.group() }).abort(abort);
      },
      // What a party that is away has prepared or stocked ends by its own clock: nobody can ask for it.
      owe: async () => {},
    })),
  );
  try {
    const { last } = await runCeremony({
      request,
      rounds,
      progress: pool.progress,
      limits: {},
      reports: pool.reports,
      group: () => pool.group(),
      changed: () => pool.changed(),
      run: (step) => step(),
      prepared: () => {},
      beforeLastRound: async () => {},
    });
    const packId = agreed(last);
    pool.stock = await ledger('reserve', `stock ${count}`, pool.group()).stockPack({
      pool: refOf(key, signers),
      packId,
      count,
      expiresAt: request.packExpiresAt,
    });
    pool.undos.dismiss(undo);
    pool.packs += 1;
    pool.reports.length = 0;
    return true;
  } catch (error) {
    if (!(error instanceof AttemptFailed)) rethrowDefect(error);
    pool.background.start(() => pool.undos.runNow(undo));
    const why =
      error instanceof AttemptFailed
        ? error.failures.map((one) => `${one.party}: ${one.error.code}`).join(', ')
        : fromFailure(error).code;
    pool.enter('Waiting', `parties: ${why}; tried again`);
    return false;
  }
}

const refOf = (key: KeyDescriptor, signers: PoolRef['signers']): PoolRef => ({
  keyId: key.keyId,
  epoch: key.epoch,
  signers: [...signers],
});

/** The session's id names the pack; the parties have compared it among themselves before they went on. */
function agreed(last: readonly RoundAnswer[]): string {
  const [first, ...rest] = last.map(({ sessionId }) => sessionId);
  if (first === undefined || rest.some((other) => other !== first))
    throw new KeysagaError('EnvelopeInvalid', 'The parties name different sessions.', {
      field: 'sessionId',
    });
  return first;
}

async function close(
  pool: PresignaturePool,
  reason: string,
): Promise<{ readonly dropped: number }> {
  const { walletId, signers } = pool.input;
  const seen = await look(pool);
  const { dropped } =
    seen === undefined
      ? { dropped: 0 }
      : await ledger('ledger', 'drop the stock', pool.group()).dropPool({
          keyId: seen.key.keyId,
          signers: [...signers],
          reason: `${walletId}: ${reason}`.slice(0, 200),
        });
  await pool.background.settled();
  pool.enter('Closed', reason);
  return { dropped };
}
