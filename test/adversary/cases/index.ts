/** Every attack of a dishonest coordinator, by name. */
import { approvalCases } from './approvals.ts';
import { bytesCases } from './bytes.ts';
import type { Case } from './case.ts';
import { keyCases } from './keys.ts';
import { lineCases } from './line.ts';
import { messageCases } from './messages.ts';

export type { Case } from './case.ts';
export const CASES: readonly Case[] = [
  ...bytesCases,
  ...approvalCases,
  ...lineCases,
  ...messageCases,
  ...keyCases,
];
