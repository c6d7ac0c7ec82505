/** The ledger's part in signing a message: from its reservation to its end. It moves nothing, so nothing is lent for it. */
import { checkApproval } from '../../core/approvals.ts';
import { decideMessage, type Message, messageFold } from '../../core/messages/aggregate.ts';
import { messageIntentDigest, parseMessageIntent } from '../../core/messages/intent.ts';
import type { EventLog, Transaction } from '../../core/ports/ledger.ts';
import { checkMessage } from '../../core/rules/message.ts';
import { digestHex } from '../../core/signed.ts';
import { transferFold } from '../../core/transfer/index.ts';
import type { LedgerActivities, Reservation } from '../../schema/contracts/activities.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { type DomainEvent, streams } from '../../schema/contracts/events.ts';
import type { KeyDescriptor } from '../../schema/contracts/key.ts';
import type { RequestId } from '../../schema/contracts/primitives.ts';
import { type CoordinatorDeps, commit } from './deps.ts';
import { parse } from './inputs.ts';
import { policyByHash } from './policy.ts';
import { createKeyReader } from './state.ts';
import { CLAIM, GIVEN_UP } from './transfers.ts';

export type MessageLedger = Pick<
  LedgerActivities,
  'reserveMessage' | 'recordMessageDecision' | 'passMessagePivot' | 'failMessage'
>;

/** The message and its version, or `NotFound`. */
export async function loadMessage(
  events: EventLog,
  requestId: RequestId,
): Promise<{ message: Message; version: number }> {
  const { state, version } = await events.load(streams.message(requestId), messageFold);
  return { message: decideMessage.existing(state, requestId), version };
}

/** Appends what was decided; nothing decided, nothing written. */
export async function appendMessage(
  tx: Transaction,
  requestId: RequestId,
  version: number,
  decided: readonly DomainEvent[],
): Promise<void> {
  if (decided.length > 0) await tx.events.append(streams.message(requestId), version, decided);
}

export function createMessageLedger(deps: CoordinatorDeps): MessageLedger {
  const { uow, policies, protocols, clock } = deps;
  const keyOf = createKeyReader(uow);

  const answer = async (
    { requestId, policyHash, pivots }: Pick<Message, 'requestId' | 'policyHash' | 'pivots'>,
    key: KeyDescriptor,
  ): Promise<Reservation> => ({
    key,
    policy: await policyByHash(deps, key.policyId, policyHash),
    policyHash,
    signRounds: protocols.get(key.protocol).metadata.rounds.sign,
    ranking: (await uow.transaction((tx) =>
      tx.parties.ranking(key.parties, requestId),
    )) as Reservation['ranking'],
    pivotPassed: pivots.length > 0,
  });

  return {
    reserveMessage: async (input) => {
      const { intent: raw, ...data } = parse('reserveMessage', input);
      const intent = parseMessageIntent(raw);
      const { requestId, walletId } = intent;
      if (messageIntentDigest(intent) !== data.intentDigest)
        throw new KeysagaError('InvalidInput', 'The digest is not that of the intent.', {
          field: 'intentDigest',
        });
      const key = await keyOf(walletId);
      const policy = await policies.inForce(key.policyId, key);
      const message = await commit(deps, 'reserveMessage', async (tx) => {
        const { fresh } = await tx.claim(CLAIM, requestId, digestHex('request', data));
        const { state, version } = await tx.events.load(streams.message(requestId), messageFold);
        if (fresh || state === null) {
          if (Date.parse(intent.expiresAt) <= clock.now())
            throw new KeysagaError('IntentExpired', `The intent expired at ${intent.expiresAt}.`, {
              field: 'expiresAt',
            });
          // As a party will: what it must refuse is refused before anybody is asked.
          checkMessage({
            intent,
            policy: policy.signed.policy,
            address: key.address,
            network: key.network,
            walletId: key.walletId,
          });
        }
        const initiated = { requestId, intent, policyHash: policy.hash, ...data };
        await appendMessage(tx, requestId, version, decideMessage.initiate(state, initiated));
        return state ?? { requestId, policyHash: policy.hash, pivots: [], failure: null };
      });
      if (message.failure !== null)
        throw new KeysagaError(
          'StateConflict',
          `Message ${requestId} has failed: ${message.failure.code}.`,
          { requestId, failure: message.failure.code },
        );
      return answer(message, key);
    },

    recordMessageDecision: async (input) => {
      const { requestId, signed } = parse('recordMessageDecision', input);
      const { message: asked } = await loadMessage(uow.events, requestId);
      const key = await keyOf(asked.intent.walletId);
      const { policy } = await policyByHash(deps, key.policyId, asked.policyHash);
      // The saga counted it when it came; whether it has expired since is not the ledger's question.
      checkApproval({
        signed,
        intentDigest: asked.intentDigest,
        policy,
        now: Date.parse(signed.approval.at),
        verify: deps.verify,
      });
      await commit(deps, 'recordMessageDecision', async (tx) => {
        const { message, version } = await loadMessage(tx.events, requestId);
        await appendMessage(tx, requestId, version, decideMessage.recordDecision(message, signed));
      });
    },

    passMessagePivot: async (input) => {
      const { requestId, attempt, reports } = parse('passMessagePivot', input);
      await commit(deps, 'passMessagePivot', async (tx) => {
        const { message, version } = await loadMessage(tx.events, requestId);
        const events = decideMessage.passPivot(message, attempt);
        if (events.length === 0) return;
        await appendMessage(tx, requestId, version, events);
        await tx.parties.record(reports);
      });
    },

    failMessage: async (input) => {
      const { requestId, failure } = parse('failMessage', input);
      await commit(deps, 'failMessage', async (tx) => {
        const { state, version } = await tx.events.load(streams.message(requestId), messageFold);
        if (state !== null) {
          const events = decideMessage.fail(state, failure, clock.now());
          return appendMessage(tx, requestId, version, events);
        }
        const transfer = await tx.events.load(streams.transfer(requestId), transferFold);
        // Undone before it was reserved: a late `reserveMessage` finds the id taken, if it is not a transfer's anyway.
        if (transfer.state === null) await tx.claim(CLAIM, requestId, GIVEN_UP);
      });
    },
  };
}
