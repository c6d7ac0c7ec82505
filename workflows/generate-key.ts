/**
 * The key generation saga: reserve, prepare all n parties, rounds, certify, activate, provision. Its pivot is the
 * n-th certificate: before it the shares of the ceremony are destroyed, after it the key only goes forward, and a
 * party that is away gets its activation when it is back.
 */
import {
  allHandlersFinished,
  CancellationScope,
  condition,
  patched,
  sleep,
  workflowInfo,
} from '@temporalio/workflow';
import { KeysagaError } from '../schema/contracts/errors.ts';
import { fromFailure, toApplicationFailure } from '../schema/contracts/failures.ts';
import type { PartyId } from '../schema/contracts/primitives.ts';
import { GenerateKeyInput, type KeygenOutcome } from '../schema/contracts/saga.ts';
import { rethrowDefect } from './defects.ts';
import { readInput } from './input.ts';
import { type Certified, generate, type Reserved } from './key-ceremony.ts';
import { KeygenSaga } from './keygen-state.ts';
import { startDelivery } from './owed.ts';
import { BACKOFF_CAPS, backoffMs } from './profiles.ts';
import { chain, ledger, party } from './steps.ts';

/** How long the saga itself waits for the last activations before a child takes over. */
const STRAGGLER_MS = 10_000;

export async function generateKey(raw: GenerateKeyInput): Promise<KeygenOutcome> {
  const saga = new KeygenSaga(readInput(GenerateKeyInput, raw, checked));
  CancellationScope.current().cancelRequested.catch(() => saga.requestCancel());
  return CancellationScope.nonCancellable(async () => {
    try {
      const certified = await certify(saga).catch((error: unknown) => undo(saga, error));
      await activate(saga, certified);
      return {
        key: certified.key,
        certificates: [...certified.certificates],
        activated: [...saga.activated],
      };
    } catch (error) {
      rethrowDefect(error);
      throw toApplicationFailure(fromFailure(error), { forWorkflow: true });
    } finally {
      await condition(allHandlersFinished);
    }
  });
}

function checked(input: GenerateKeyInput): GenerateKeyInput {
  const { parties, threshold } = input.request;
  if (new Set(parties).size !== parties.length)
    throw new KeysagaError('InvalidInput', 'A party is named twice.', {
      field: 'request.parties',
    });
  // Two signer sets must share a party, or the conflict rule does not hold.
  if (threshold > parties.length || 2 * threshold <= parties.length)
    throw new KeysagaError('InvalidInput', 'Two signer sets could be disjoint.', {
      field: 'request.threshold',
    });
  return input;
}

const reserveKey = (saga: KeygenSaga): Promise<Reserved> =>
  ledger('reserve', 'reserve the wallet id', saga.group()).reserveKey({
    request: saga.request,
    workflowId: workflowInfo().workflowId,
  });

/** Up to and with the pivot. */
async function certify(saga: KeygenSaga): Promise<Certified> {
  const { request } = saga;
  const reserved = await saga.run(() => reserveKey(saga));
  saga.protocol = reserved.protocol;
  // A reset forgot the pivot, the ledger and the parties did not: none of them makes another share beside a certified one.
  const before = certifiedBefore(saga, reserved);
  if (before !== undefined) return before;
  const certified = await generate(saga, reserved);
  saga.throwIfInterrupted();
  // n certificates are in: from here only forward, whatever is cancelled meanwhile.
  saga.certified = true;
  saga.address = certified.key.address;
  saga.enter('Certifying');
  try {
    await ledger('ledger', 'certify: the pivot', saga.group()).certifyKey({
      requestId: request.requestId,
      key: certified.key,
      certificates: certified.certificates,
    });
  } catch (error) {
    // The ledger's own refusal: the certificates do not hold.
    saga.certified = false;
    throw error;
  }
  saga.undos.dismissAll();
  return certified;
}

/** What an earlier run of this workflow was certified. */
function certifiedBefore(saga: KeygenSaga, { certified }: Reserved): Certified | undefined {
  const attempt = certified?.certificates[0]?.certificate.attempt;
  if (certified === undefined || attempt === undefined || !patched('certified-before'))
    return undefined;
  saga.attempt = attempt;
  saga.certified = true;
  saga.certificates = certified.certificates.length;
  saga.address = certified.key.address;
  return { ...certified, attempt };
}

/** Returns only when the ledger says that the pivot was passed before a reset: then there is nothing to undo. */
async function undo(saga: KeygenSaga, error: unknown): Promise<Certified> {
  rethrowDefect(error);
  const reason = fromFailure(error, { timeout: 'TimeLimit' });
  const failure = saga.failed(reason);
  saga.enter('Compensating', reason.code);
  await saga.undos.unwind();
  saga.ended = true;
  const forward = await saga.insist('closing the ledger', async () => {
    try {
      await ledger('ledger', 'fail', saga.group()).failKey({
        requestId: saga.request.requestId,
        failure,
      });
      return undefined;
    } catch (met) {
      if (fromFailure(met).code !== 'PivotPassed') throw met;
      const before = certifiedBefore(saga, await reserveKey(saga));
      if (before === undefined) throw met;
      return before;
    }
  });
  if (forward !== undefined) {
    saga.failure = undefined;
    return forward;
  }
  saga.enter('Failed');
  throw reason;
}

/** n parties in parallel; Active with t of them. Past the pivot: nothing ends this but success. */
async function activate(
  saga: KeygenSaga,
  { attempt, key, certificates }: Certified,
): Promise<void> {
  const { requestId } = saga.request;
  saga.enter('Activating');
  saga.progress.begin(key.parties, ['activate']);
  const request = { keyId: key.keyId, attempt, certificates: [...certificates] };
  const handedOver = new Set<PartyId>();
  let walletActive = false;

  const stragglers = new CancellationScope();
  const each = stragglers.run(() =>
    Promise.all(
      key.parties.map(async (id) => {
        for (let wave = 1; ; wave++) {
          try {
            await party('activate', id, `activate ${id}`, { group: saga.group() }).activate(
              request,
            );
            break;
          } catch (error) {
            if (handedOver.has(id)) return;
            const { code } = fromFailure(error);
            saga.progress.set(id, 'activate', 'failed', Date.now());
            saga.wait(`activation of ${id} (${code}), tried again`);
            await sleep(backoffMs(wave, BACKOFF_CAPS.afterPivot), {
              summary: `activate ${id}: ${code}`,
            }).catch(() => undefined);
            if (handedOver.has(id)) return;
          }
        }
        saga.progress.set(id, 'activate', 'done', Date.now());
        saga.activated.push(id);
        saga.changed();
        // Those of the first t stand in the activation itself.
        if (walletActive)
          saga.background.start(() =>
            saga.insist(`recording ${id}`, () =>
              ledger('ledger', `record: ${id} is active`, saga.group()).recordActivation({
                requestId,
                party: id,
              }),
            ),
          );
      }),
    ),
  );
  await condition(() => saga.activated.length >= key.threshold);
  const activated = [...saga.activated];
  walletActive = true;
  await saga.insist('activating the wallet', () =>
    ledger('ledger', `activate the wallet: ${activated.join(', ')}`, saga.group()).activateWallet({
      requestId,
      activated,
    }),
  );

  saga.enter('Provisioning');
  await saga.insist('provisioning', () =>
    chain('provision', 'provision', saga.group()).provision({ key }),
  );

  saga.wait('the other activations');
  await condition(() => saga.activated.length === key.parties.length, STRAGGLER_MS, {
    summary: 'for the other activations',
  });
  for (const id of key.parties.filter((other) => !saga.activated.includes(other))) {
    handedOver.add(id);
    await startDelivery(
      { requestId, party: id, attempt, actions: [{ kind: 'activate', request }], kept: [] },
      saga.group(),
    );
  }
  stragglers.cancel();
  await each;
  await saga.background.settled();
  saga.ended = true;
  saga.enter('Active');
}
