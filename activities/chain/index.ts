/** The chains' activities, on queue `chain`. */
import { keyFold } from '../../core/key/index.ts';
import type { ChainActivities } from '../../schema/contracts/activities.ts';
import { canonicalJson } from '../../schema/contracts/canonical.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { streams } from '../../schema/contracts/events.ts';
import { failPointsOf } from '../ledger/deps.ts';
import { createKeyReader } from '../ledger/state.ts';
import { createReadAccounts } from './accounts.ts';
import { createAnchorActivities } from './anchor.ts';
import { createAttach, createAttachMessage } from './attach.ts';
import { createBuildActivities } from './build.ts';
import { createDeliverActivities } from './deliver.ts';
import type { ChainDeps } from './deps.ts';
import { parse } from './inputs.ts';
import { CLAIM_GAP } from './release.ts';

export type { ChainDeps } from './deps.ts';

/** What `provision` commits is the chain's own affair. */
const PROVISION = ['provision:before-chain', 'provision:after-chain'] as const;

/** Where a test may end the process: each before and after its activity's commit, and those of `leaser.ts` and `release.ts`. */
export const CHAIN_FAIL_POINTS: readonly string[] = [
  ...failPointsOf([
    'lend',
    'releaseUnneeded',
    'build',
    'buildVoid',
    'releaseLease',
    'leaseAnchor',
    'releaseAnchor',
    'attach',
    'broadcast',
    'confirm',
  ]),
  ...CLAIM_GAP,
  ...PROVISION,
];

export function createChainActivities(deps: ChainDeps): ChainActivities {
  const context = { ...deps, keyOf: createKeyReader(deps.uow) };
  return {
    ...createBuildActivities(context),
    ...createAnchorActivities(context),
    ...createDeliverActivities(context),
    readAccounts: createReadAccounts(context),
    attach: createAttach(context),
    attachMessage: createAttachMessage(context),
    provision: async (input) => {
      const { key } = parse('provision', input);
      const { state } = await deps.uow.events.load(streams.key(key.keyId), keyFold);
      // Sponsor money goes only to a key that all parties have certified.
      if (state?.key == null || canonicalJson(state.key) !== canonicalJson(key))
        throw new KeysagaError(
          'StateConflict',
          `The ledger has no such certified key ${key.keyId}.`,
          { field: 'key' },
        );
      const [before, after] = PROVISION;
      await deps.failPoints.at(before);
      await deps.chains.get(key.network).provision(key);
      await deps.failPoints.at(after);
    },
  };
}
