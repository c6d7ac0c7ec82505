/** The saga of a coordinator that answers what it likes. */
import * as wf from '@temporalio/workflow';

const status = wf.defineQuery<unknown>('status');

export async function generateKey(input: {
  request: unknown;
  lie: { key: { address: string } };
}): Promise<unknown> {
  wf.setHandler(status, () => ({
    phase: 'Active',
    request: input.request,
    parties: [],
    certificates: 3,
    activated: [],
    waitingFor: '',
    address: input.lie.key.address,
    undos: [],
    phasesMs: {},
  }));
  return input.lie;
}

const decided = wf.defineSignal<[unknown]>('approve');

/** A transfer that waits for approvals, in the words that it was given; whatever is signed is counted. */
export async function transfer(input: { status: Record<string, unknown> }): Promise<void> {
  const approvals: unknown[] = [];
  wf.setHandler(status, () => ({ ...input.status, approvals }));
  wf.setHandler(decided, (signed) => {
    approvals.push(signed);
  });
  await wf.condition(() => false);
}
