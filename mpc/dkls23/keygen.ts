/**
 * Key generation as a round machine: the distributed key generation of `keygen-rounds.ts` in rounds 1 to 3 with a
 * confirmation by everyone, the seeds of the shares of zero in rounds 1 to 3, and the pairwise set-up of `setup.ts` in
 * rounds 1 to 5. The sixth round only checks. Refresh (`refresh.ts`) is the same machine over an existing key.
 */
import type {
  Draws,
  KeygenOutput,
  KeygenParams,
  ProtocolMessage,
  RoundMachine,
  RoundOutcome,
} from '../../core/ports/protocol.ts';
import { copy, domainHash, equalBytes, utf8ToBytes } from '../bytes.ts';
import { held, protocolFault } from '../faults.ts';
import { bodiesOf, expectEmpty } from '../inbox.ts';
import { checkKeygenParams } from '../params.ts';
import { sequence } from '../sequence.ts';
import { encodeShare } from './encoding.ts';
import { commit, compareSeen, confirm, distribute } from './keygen-rounds.ts';
import type { KeygenContext, KeygenState, OldKey } from './keygen-state.ts';
import { body, HASH_BYTES, openBody, pairsOf } from './messages.ts';
import { createRandom } from './random.ts';
import { advance, pairKeys, setupBytes, wipePair } from './setup.ts';

/** Rounds of the keygen machine itself; the last sends nothing. */
export const KEYGEN_ROUNDS = 6;
export const KEYGEN_VERSION = 'dkls23/keygen/1';

type Outcome = RoundOutcome<KeygenOutput>;

/** One party's side, any 2 ≤ t ≤ n ≤ 16. Throws `InvalidInput` for parameters that make no sense. */
export function createKeygen(params: KeygenParams): RoundMachine<KeygenOutput> {
  checkKeygenParams(params, 'any');
  return keygenMachine(KEYGEN_VERSION, params, undefined, new Uint8Array());
}

/** `binding`: what else the ceremony is about, in every transcript. */
export function keygenMachine(
  version: string,
  params: KeygenParams,
  old: OldKey | undefined,
  binding: Uint8Array,
): RoundMachine<KeygenOutput> {
  const { index, threshold, parties } = params;
  const context: KeygenContext = {
    version,
    index,
    threshold,
    parties,
    members: Array.from({ length: parties }, (_, i) => i + 1),
    sessionId: copy(params.sessionId),
    hash: domainHash(
      'keysaga/dkls23/keygen/v1',
      utf8ToBytes(version),
      params.sessionId,
      Uint8Array.of(threshold, parties),
      binding,
    ),
  };
  const state: KeygenState = old === undefined ? {} : { old };
  return sequence<KeygenOutput>(
    version,
    [
      (inbox, draws) => {
        expectEmpty(inbox);
        return commit(context, state, draws);
      },
      (inbox, draws) => distribute(context, state, inbox, draws),
      (inbox, draws) => confirm(context, state, inbox, draws),
      (inbox, draws) => compare(context, state, inbox, draws),
      (inbox, draws) => answer(context, state, inbox, draws),
      (inbox, draws) => finish(context, state, inbox, draws),
    ],
    () => wipe(state),
  );
}

/** Round 4: everyone has confirmed the same transcript; the set-up goes on. */
function compare(
  context: KeygenContext,
  state: KeygenState,
  inbox: readonly ProtocolMessage[],
  draws: Draws,
): Outcome {
  const { index, parties, members, hash } = context;
  const parts = new Map<number, Uint8Array>();
  for (const [from, { broadcast, secret }] of pairsOf(inbox, { self: index, parties, members })) {
    const { reader } = openBody('keygenConfirmation', broadcast, { from, to: 0, context: hash });
    const transcriptHash = reader.take(HASH_BYTES, 'transcriptHash');
    const seen = reader.many(parties, HASH_BYTES, 'seen');
    reader.end();
    compareSeen(context, index, from, seen, held(state.secondBodies), 'keygenConfirmation.seen');
    // The transcript follows from the messages alone, so with equal messages there is one right hash.
    if (!equalBytes(transcriptHash, held(state.transcriptHash)))
      throw protocolFault('the confirmation is of another transcript', {
        field: 'keygenConfirmation.transcriptHash',
        culprit: from,
      });
    const own = openBody('keygenChallenge', secret, { from, to: index, context: hash }).reader;
    parts.set(from, own.take(setupBytes(3, from, index), 'setup'));
    own.end();
  }
  return { outbox: setupRound(context, state, 'keygenResponse', parts, draws) };
}

/** Round 5. */
function answer(
  context: KeygenContext,
  state: KeygenState,
  inbox: readonly ProtocolMessage[],
  draws: Draws,
): Outcome {
  const parts = setupParts(context, 'keygenResponse', 4, inbox);
  return { outbox: setupRound(context, state, 'keygenExtension', parts, draws) };
}

/** Round 6: the last checks of the set-up. Sends nothing. */
function finish(
  context: KeygenContext,
  state: KeygenState,
  inbox: readonly ProtocolMessage[],
  draws: Draws,
): Outcome {
  const { index, threshold, parties, hash } = context;
  const random = createRandom(draws, hash);
  const pairings = held(state.pairings);
  for (const [from, part] of setupParts(context, 'keygenExtension', 5, inbox))
    advance(held(pairings.get(from)), part, random);
  random.dispose();
  const publicPackage = held(state.publicPackage);
  return {
    outbox: [],
    output: {
      share: encodeShare(
        { threshold, parties, index, publicPackage },
        {
          value: held(state.value),
          pairs: new Map([...pairings].map(([peer, pairing]) => [peer, pairKeys(pairing)])),
          zeroSeeds: held(state.zeroSeeds),
        },
      ),
      publicPackage,
      publicKey: held(state.publicKey),
      transcriptHash: held(state.transcriptHash),
    },
  };
}

function setupParts(
  { index, parties, members, hash }: KeygenContext,
  kind: 'keygenResponse' | 'keygenExtension',
  round: number,
  inbox: readonly ProtocolMessage[],
): Map<number, Uint8Array> {
  return new Map(
    [...bodiesOf(inbox, { self: index, parties, members })].map(([from, bytes]) => {
      const { reader } = openBody(kind, bytes, { from, to: index, context: hash });
      const part = reader.take(setupBytes(round, from, index), 'setup');
      reader.end();
      return [from, part];
    }),
  );
}

function setupRound(
  { index, hash }: KeygenContext,
  state: KeygenState,
  kind: 'keygenResponse' | 'keygenExtension',
  parts: ReadonlyMap<number, Uint8Array>,
  draws: Draws,
) {
  const random = createRandom(draws, hash);
  const outbox = [...parts].map(([to, part]) => ({
    to,
    body: body(
      kind,
      { from: index, to, context: hash },
      advance(held(held(state.pairings).get(to)), part, random),
    ),
  }));
  random.dispose();
  return outbox;
}

function wipe(state: KeygenState): void {
  for (const toss of state.tosses?.values() ?? []) toss.fill(0);
  for (const seed of state.zeroSeeds?.values() ?? []) seed.fill(0);
  for (const { delta, send, receive } of state.pairings?.values() ?? []) {
    delta?.fill(0);
    wipePair({ ...(send && { send }), ...(receive && { receive }) });
  }
  for (const key of Object.keys(state) as (keyof KeygenState)[]) delete state[key];
}
