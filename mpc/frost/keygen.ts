/** FROST key generation as a round machine: the DKG of the FROST paper (figure 1), then a confirmation by everyone. */
import type { KeygenOutput, KeygenParams, RoundMachine } from '../../core/ports/protocol.ts';
import { copy, domainHash, utf8ToBytes } from '../bytes.ts';
import { expectEmpty } from '../inbox.ts';
import { checkKeygenParams } from '../params.ts';
import { sequence } from '../sequence.ts';
import { commit } from './keygen-1-commit.ts';
import { distribute } from './keygen-2-distribute.ts';
import { confirm } from './keygen-3-confirm.ts';
import { finish } from './keygen-4-finish.ts';
import type { KeygenContext, KeygenState } from './keygen-state.ts';
import type { FrostSuite } from './suite.ts';

/** Rounds of the keygen machine itself; the last sends nothing. */
export const KEYGEN_ROUNDS = 4;

export const keygenVersion = (suite: FrostSuite): string => `${suite.id}/keygen/1`;

/** One party's side. Throws `InvalidInput` for parameters that make no sense. */
export function createKeygen(suite: FrostSuite, params: KeygenParams): RoundMachine<KeygenOutput> {
  checkKeygenParams(params);
  const { index, threshold, parties } = params;
  const version = keygenVersion(suite);
  const context: KeygenContext = {
    suite,
    version,
    index,
    threshold,
    parties,
    members: Array.from({ length: parties }, (_, i) => i + 1),
    sessionId: copy(params.sessionId),
    hash: domainHash(
      'keysaga/frost/keygen/v1',
      utf8ToBytes(version),
      params.sessionId,
      Uint8Array.of(threshold, parties),
    ),
  };
  const state: KeygenState = {};
  return sequence<KeygenOutput>(
    version,
    [
      (inbox, draws) => {
        expectEmpty(inbox);
        return commit(context, state, draws);
      },
      (inbox) => distribute(context, state, inbox),
      (inbox) => confirm(context, state, inbox),
      (inbox) => finish(context, state, inbox),
    ],
    () => {
      if (state.secret !== undefined) suite.frost.DKG.clean(state.secret);
      state.share?.fill(0);
      for (const key of Object.keys(state) as (keyof KeygenState)[]) delete state[key];
    },
  );
}
