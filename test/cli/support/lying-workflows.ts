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
