/** The ledger's activities, on queue `ledger`. */
import type { LedgerActivities } from '../../schema/contracts/activities.ts';
import { type CoordinatorDeps, failPointsOf } from './deps.ts';
import { createKeyLedger } from './keys.ts';
import { createMessageLedger } from './messages.ts';
import { createPolicyLedger } from './policy.ts';
import { createPoolLedger } from './pools.ts';
import { createTransferLedger } from './transfers.ts';

export type { CoordinatorDeps } from './deps.ts';
export { adoptPolicy, createPolicySource } from './policy.ts';

/** Where a test may end the process: before and after the commit of each activity of a transfer, a key or a policy. */
export const LEDGER_FAIL_POINTS = failPointsOf([
  'reserve',
  'release',
  'recordDecision',
  'passPivot',
  'reportParties',
  'settle',
  'fail',
  'recordPhase',
  'recordUndo',
  'reserveKey',
  'certifyKey',
  'activateWallet',
  'recordActivation',
  'failKey',
  'adoptPolicy',
  'proposePolicy',
  'recordPolicyReceipt',
  'recordPolicyFork',
  'transferPolicy',
  'stockPack',
  'dropPool',
]);

export const createLedgerActivities = (deps: CoordinatorDeps): LedgerActivities => ({
  ...createTransferLedger(deps),
  ...createKeyLedger(deps),
  ...createPolicyLedger(deps),
  ...createMessageLedger(deps),
  ...createPoolLedger(deps),
});
