/** Tomorrow's bundle, for the upgrade test: today's sagas behind a patch. Every export is a workflow type. */
import { patched, sleep } from '@temporalio/workflow';
import type { TransferInput, TransferResult } from '../../../schema/contracts/saga.ts';
import { transfer as today } from '../../../workflows/transfer.ts';

export { deliverUndo } from '../../../workflows/deliver-undo.ts';
export { generateKey } from '../../../workflows/generate-key.ts';

export async function transfer(input: TransferInput): Promise<TransferResult> {
  // A step that old histories do not have: sagas that began before it go on without.
  if (patched('pause-at-start')) await sleep(1, { summary: 'the new step' });
  return today(input);
}
