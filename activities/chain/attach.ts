/** From signature shares to stored, sendable bytes. */

import { decideMessage } from '../../core/messages/aggregate.ts';
import { messageDigest } from '../../core/messages/intent.ts';
import { envelopeBody } from '../../core/session/envelopes.ts';
import { bytesToHex, hexToBytes, verifySigned } from '../../core/signed.ts';
import { decideTransfer } from '../../core/transfer/index.ts';
import type { ChainActivities } from '../../schema/contracts/activities.ts';
import { canonicalJson } from '../../schema/contracts/canonical.ts';
import { isKeysagaError, KeysagaError } from '../../schema/contracts/errors.ts';
import type { KeyDescriptor } from '../../schema/contracts/key.ts';
import type { Envelope } from '../../schema/contracts/party.ts';
import type { PartyId } from '../../schema/contracts/primitives.ts';
import { commit } from '../ledger/deps.ts';
import { appendMessage, loadMessage } from '../ledger/messages.ts';
import { appendTransfer, loadTransfer, payerOf } from '../ledger/state.ts';
import type { ChainContext } from './deps.ts';
import { parse } from './inputs.ts';

/** Broadcast bodies by round and sender index. Throws `EnvelopeInvalid`, `InvalidInput` (`signers`). */
function bodiesOf(
  context: ChainContext,
  key: KeyDescriptor,
  signers: readonly PartyId[],
  rounds: readonly (readonly Envelope[])[],
): ReadonlyMap<number, Uint8Array>[] {
  const session = rounds[0]?.[0]?.sessionId;
  return rounds.map((envelopes, i) => {
    const bodies = new Map<number, Uint8Array>();
    for (const envelope of envelopes) {
      const { from, round } = envelope;
      const refuse = (field: string, message: string): never => {
        throw new KeysagaError('EnvelopeInvalid', message, { field, round: i + 1, party: from });
      };
      if (!signers.includes(from)) refuse('from', `${from} is no signer.`);
      if (round !== i + 1) refuse('round', `An envelope is of round ${round}.`);
      if (envelope.keyId !== key.keyId || envelope.epoch !== key.epoch)
        refuse('keyId', 'An envelope is of another key.');
      if (envelope.sessionId !== session) refuse('sessionId', 'An envelope is of another session.');
      // Private envelopes are nothing to the aggregate.
      if (envelope.to !== '*') continue;
      const identity = context.directory.get(from);
      // Only what a party provably sent may convict it of a bad share.
      if (
        identity === undefined ||
        !verifySigned(
          'envelope',
          envelopeBody(envelope),
          identity,
          envelope.signature,
          context.verify,
        )
      )
        refuse('signature', `An envelope of ${from} does not verify.`);
      const index = key.parties.indexOf(from) + 1;
      if (bodies.has(index)) refuse('rounds', `${from} broadcast twice in a round.`);
      bodies.set(index, hexToBytes(envelope.body));
    }
    return bodies;
  });
}

function signerIndices(key: KeyDescriptor, signers: readonly PartyId[]): number[] {
  const invalid = (message: string): never => {
    throw new KeysagaError('InvalidInput', message, { field: 'signers' });
  };
  const indices = signers.map((party) => {
    const index = key.parties.indexOf(party);
    return index < 0 ? invalid(`${party} is no party of this key.`) : index + 1;
  });
  if (new Set(indices).size !== indices.length) invalid('A signer is named twice.');
  if (indices.length < key.threshold) invalid('Fewer signers than the threshold.');
  return indices.sort((a, b) => a - b);
}

/** Protocols name culprits by index; everybody else by party id. */
function named(error: unknown, key: KeyDescriptor): unknown {
  if (!isKeysagaError(error, 'ProtocolFault')) return error;
  const culprit = key.parties[Number(error.details.culprit) - 1];
  if (culprit === undefined) return error;
  return new KeysagaError(
    'ProtocolFault',
    error.message,
    { ...error.details, culprit },
    { cause: error },
  );
}

/** Combines the shares and puts the signatures to use; a culprit of either is named. */
function combined<T>(
  context: ChainContext,
  key: KeyDescriptor,
  signing: {
    readonly signers: readonly PartyId[];
    readonly rounds: readonly (readonly Envelope[])[];
    readonly messages: readonly Uint8Array[];
    readonly tweak?: Uint8Array | undefined;
    readonly pooled?: true | undefined;
  },
  use: (signatures: readonly Uint8Array[]) => T,
): T {
  const { signers, rounds, messages, tweak, pooled } = signing;
  const indices = signerIndices(key, signers);
  const bodies = bodiesOf(context, key, signers, rounds);
  try {
    const protocol = context.protocols.get(key.protocol);
    const combiner = pooled === true ? protocol.presigning : protocol;
    if (combiner === undefined)
      throw new KeysagaError('ProtocolUnsupported', `${key.protocol} makes no presignatures.`, {
        field: 'pooled',
      });
    const signatures = combiner.aggregate({
      threshold: key.threshold,
      parties: key.parties.length,
      publicPackage: hexToBytes(key.publicPackage),
      signers: indices,
      messages,
      rounds: bodies,
      ...(tweak === undefined ? {} : { tweak }),
    });
    return use(signatures);
  } catch (error) {
    throw named(error, key);
  }
}

export const createAttach =
  (context: ChainContext): ChainActivities['attach'] =>
  async (input) => {
    const { requestId, purpose, attempt, unsigned, signers, rounds, pooled } = parse(
      'attach',
      input,
    );
    const { transfer } = await loadTransfer(context.uow.events, requestId);
    const stored = transfer.signed[purpose];
    if (stored !== null) return stored;
    if (canonicalJson(transfer.built[purpose]?.unsigned ?? null) !== canonicalJson(unsigned))
      throw new KeysagaError(
        'TransactionMismatch',
        'These are not the bytes that the ledger built.',
        {
          field: 'unsigned',
          purpose,
        },
      );
    if (!transfer.pivots[purpose].includes(attempt))
      throw new KeysagaError('StateConflict', 'The attempt has not passed its pivot.', {
        field: 'attempt',
        purpose,
      });

    const key = await context.keyOf(transfer.intent.walletId);
    const { codec } = context.chains.get(transfer.intent.chain);
    const payer = payerOf(context.chains, key, transfer.intent);
    const publicKey = hexToBytes(payer.key.publicKey);
    const messages = codec.messages(unsigned, publicKey);
    const signed = combined(
      context,
      key,
      { signers, rounds, messages, tweak: payer.tweak, pooled },
      (signatures) => codec.attach(unsigned, publicKey, signatures),
    );
    return commit(context, 'attach', async (tx) => {
      const { transfer: now, version } = await loadTransfer(tx.events, requestId);
      if (pooled === true) await tx.pools.spent(attempt);
      // Another attempt was first: its bytes are the transaction, these are forgotten.
      const first = now.signed[purpose];
      if (first !== null) return first;
      await appendTransfer(
        tx,
        requestId,
        version,
        decideTransfer.signed(now, purpose, { attempt, signers, signed }),
      );
      return signed;
    });
  };

export const createAttachMessage =
  (context: ChainContext): ChainActivities['attachMessage'] =>
  async (input) => {
    const { requestId, attempt, signers, rounds } = parse('attachMessage', input);
    const { message } = await loadMessage(context.uow.events, requestId);
    if (message.signed !== null) return message.signed;
    if (!message.pivots.includes(attempt))
      throw new KeysagaError('StateConflict', 'The attempt has not passed its pivot.', {
        field: 'attempt',
      });
    const { walletId, chain, message: signable } = message.intent;
    const key = await context.keyOf(walletId);
    const { codec } = context.chains.get(chain);
    const publicKey = hexToBytes(key.publicKey);
    const digest = messageDigest(signable, codec, publicKey);
    const signed = combined(context, key, { signers, rounds, messages: [digest] }, ([one]) => {
      if (codec.message === undefined || one === undefined)
        throw new KeysagaError('SignatureInvalid', 'There is no signature of a message.', {
          field: 'signature',
        });
      return {
        digest: bytesToHex(digest),
        signature: codec.message.attach(digest, publicKey, one),
      };
    });
    return commit(context, 'attachMessage', async (tx) => {
      const { message: now, version } = await loadMessage(tx.events, requestId);
      // Another attempt was first.
      if (now.signed !== null) return now.signed;
      const events = decideMessage.signed(now, { attempt, signers, signed });
      await appendMessage(tx, requestId, version, events);
      return signed;
    });
  };
