/** Every attack of a dishonest coordinator, by name. */
import { approvalCases } from './approvals.ts';
import { bytesCases } from './bytes.ts';
import type { Case } from './case.ts';
import { ecdsaCases } from './ecdsa.ts';
import { keyCases } from './keys.ts';
import { lineCases } from './line.ts';
import { messageCases } from './messages.ts';
import { payoutCases } from './payouts.ts';
import { poolCases } from './pools.ts';
import { restoreCases } from './restore.ts';
import { storyCases } from './stories.ts';

export type { Case } from './case.ts';
export const CASES: readonly Case[] = [
  ...bytesCases,
  ...approvalCases,
  ...lineCases,
  ...payoutCases,
  ...messageCases,
  ...keyCases,
  ...ecdsaCases,
  ...poolCases,
  ...restoreCases,
  ...storyCases,
];
