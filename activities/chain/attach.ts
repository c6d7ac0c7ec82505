/** From signature shares to stored, sendable bytes. */

import { envelopeBody } from '../../core/session/envelopes.ts';
import { hexToBytes, verifySigned } from '../../core/signed.ts';
import { decideTransfer } from '../../core/transfer/index.ts';
import type { ChainActivities } from '../../schema/contracts/activities.ts';
import { canonicalJson } from '../../schema/contracts/canonical.ts';
import { isKeysagaError, KeysagaError } from '../../schema/contracts/errors.ts';
import type { KeyDescriptor } from '../../schema/contracts/key.ts';
import type { Envelope } from '../../schema/contracts/party.ts';
import type { PartyId } from '../../schema/contracts/primitives.ts';
import type { SignedTransaction } from '../../schema/contracts/transaction.ts';
import { commit } from '../ledger/deps.ts';
import { appendTransfer, loadTransfer } from '../ledger/state.ts';
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

export const createAttach =
  (context: ChainContext): ChainActivities['attach'] =>
  async (input) => {
    const { requestId, purpose, attempt, unsigned, signers, rounds } = parse('attach', input);
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
    const publicKey = hexToBytes(key.publicKey);
    const indices = signerIndices(key, signers);
    const bodies = bodiesOf(context, key, signers, rounds);
    let signed: SignedTransaction;
    try {
      const signatures = context.protocols.get(key.protocol).aggregate({
        threshold: key.threshold,
        parties: key.parties.length,
        publicPackage: hexToBytes(key.publicPackage),
        signers: indices,
        messages: codec.messages(unsigned, publicKey),
        rounds: bodies,
      });
      signed = codec.attach(unsigned, publicKey, signatures);
    } catch (error) {
      throw named(error, key);
    }
    return commit(context, 'attach', async (tx) => {
      const { transfer: now, version } = await loadTransfer(tx.events, requestId);
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
