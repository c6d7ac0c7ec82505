/** What the workflow bundle registers: every export of this file is a workflow type. */
export { anchor } from './anchor.ts';
export { changePolicy } from './change-policy.ts';
export { deliverOrder } from './deliver-order.ts';
export { deliverUndo } from './deliver-undo.ts';
export { generateKey } from './generate-key.ts';
export { payout } from './payout.ts';
export { presignaturePool } from './presignature-pool.ts';
export { signMessage } from './sign-message.ts';
export { transfer } from './transfer.ts';
