/**
 * The saga of a payout with scripted parts. It takes a transfer's path, which `transfer.test.ts` tests; here is what a list
 * adds: what the parts are asked, what is told of each line, and that the undo of one saga leaves another alone.
 */
import type { WorkflowHandle } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eachLine } from '../../core/payout.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { PayoutIntent } from '../../schema/contracts/payout.ts';
import type {
  PayoutInput,
  PayoutResult,
  PayoutStatus,
} from '../../schema/contracts/payout-saga.ts';
import { TASK_QUEUES, WORKFLOWS, workflowId } from '../../schema/contracts/temporal.ts';
import { approval, intent, payoutInputOf, payoutIntent } from './support/fixtures.ts';
import { codeOf, gate, Stage, until, untilStatus } from './support/stage.ts';
import { PAYMENT_ID, VOID_ID, type World } from './support/world.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open('local');
});
afterAll(() => stage?.close());

type Running = { readonly i: PayoutIntent; readonly world: World; readonly handle: WorkflowHandle };
const start = (input: PayoutInput): Promise<WorkflowHandle> =>
  stage.client.workflow.start(WORKFLOWS.payout, {
    taskQueue: TASK_QUEUES.sagas,
    workflowId: workflowId.payout(input.intent.requestId),
    args: [input],
  });
async function begin(prepare: (world: World) => void = () => {}): Promise<Running> {
  const i = payoutIntent(Date.now());
  const world = stage.worlds.for(i.requestId);
  prepare(world);
  return { i, world, handle: await start(payoutInputOf(i)) };
}
async function approve({ i, handle }: Running): Promise<void> {
  for (const name of ['alice', 'bob'] as const)
    await handle.executeUpdate('approve', { args: [approval(i, name, Date.now())] });
}
/** Of each line: its fate, and the transaction that decided it. */
const fates = async ({ i, handle }: Running): Promise<string[]> => {
  const { lines } = await handle.query<PayoutStatus>('status');
  return eachLine(i, lines).map(({ fate, transactionId }) =>
    `${fate} ${transactionId ?? ''}`.trim(),
  );
};
const all = (fate: string): string[] => [fate, fate, fate];

describe('a payout', () => {
  it('takes the hops of one transfer, asks parties about the list, and tells each line’s fate', async () => {
    const [signing, sending, confirming] = [gate(), gate(), gate()];
    const run = await begin((world) => {
      world.on('attach', () => signing.passed);
      world.on('broadcast', () => sending.passed);
      world.on('confirm', () => confirming.passed);
    });
    await untilStatus(run.handle, 'waiting', (s) => s.phase === 'AwaitingApprovals');
    expect(await fates(run)).toEqual(all('open'));
    // What names a transfer, or another list, is no decision about this one.
    for (const other of [intent(Date.now()), payoutIntent(Date.now())])
      expect(
        await codeOf(
          run.handle.executeUpdate('approve', { args: [approval(other, 'alice', Date.now())] }),
        ),
      ).toBe('ApprovalInvalid');
    await approve(run);
    await until('the pivot', () => run.world.count('attach') > 0);
    expect(await fates(run)).toEqual(all('signing'));
    signing.open();
    await until('sent', () => run.world.count('broadcast') > 0);
    expect(await fates(run)).toEqual(all(`sent ${PAYMENT_ID}`));
    sending.open();
    confirming.open();
    const result = (await run.handle.result()) as PayoutResult;
    expect(result).toMatchObject({
      transactionId: PAYMENT_ID,
      confirmations: 2,
      lines: [{ from: 0, to: 2, fate: 'paid', transactionId: PAYMENT_ID }],
    });
    expect(await fates(run)).toEqual(all(`paid ${PAYMENT_ID}`));
    expect(run.world.hops).toEqual([
      'reserve',
      'build',
      'prepare',
      'round',
      'passPivot',
      'round',
      'attach',
      'broadcast',
      'confirm',
      'settle',
    ]);
    for (const request of run.world.inputs('prepare')) {
      expect(request).toMatchObject({ kind: 'payout', purpose: 'payment', intent: run.i });
      expect(request).not.toHaveProperty('line');
    }
  });

  it('shows the list and its fate on the board', async () => {
    const run = await begin();
    await untilStatus(run.handle, 'waiting', (s) => s.phase === 'AwaitingApprovals');
    const board = async () =>
      (await run.handle.query<{ currentDetails: string }>('__temporal_workflow_metadata'))
        .currentDetails;
    expect(await board()).toContain(`**Payout** 42345 native from ${run.i.walletId} to 3 dest`);
    expect(await board()).toContain('- 0 to 2: open');
    await approve(run);
    await run.handle.result();
    expect(await board()).toContain(`- 0 to 2: paid \`${PAYMENT_ID}\``);
  });

  it('that is cancelled before its pivot pays no line; its undo names the saga it is of', async () => {
    const run = await begin();
    await untilStatus(run.handle, 'waiting', (s) => s.phase === 'AwaitingApprovals');
    await run.handle.executeUpdate('cancelTransfer');
    expect(await codeOf(run.handle.result())).toBe('Cancelled');
    expect(await fates(run)).toEqual(all('not-paid'));
    const id = workflowId.payout(run.i.requestId);
    for (const step of ['release', 'fail'] as const)
      expect(run.world.inputs(step)).toMatchObject([{ workflowId: id }]);
  });

  it('that is cancelled after its pivot is voided as a whole', async () => {
    const hold = gate();
    const run = await begin((world) =>
      world.on('broadcast', (_, n) => (n === 0 ? hold.passed : undefined)),
    );
    await approve(run);
    await until('sent', () => run.world.count('broadcast') > 0);
    await run.handle.executeUpdate('cancelTransfer');
    hold.open();
    run.world.autoConfirm = false;
    await until('voided', () => run.world.count('broadcast') > 1);
    run.world.chain.set(VOID_ID, { confirmations: 2, final: true });
    expect(await codeOf(run.handle.result())).toBe('Cancelled');
    expect(await fates(run)).toEqual(all(`voided ${VOID_ID}`));
    const voids = run.world
      .inputs('prepare')
      .filter((request) => 'purpose' in request && request.purpose === 'void');
    expect(voids).not.toHaveLength(0);
    for (const request of voids) expect(request).toMatchObject({ kind: 'payout', intent: run.i });
  });

  it('goes on with another party when one refuses, and ends with the reason when all must', async () => {
    const run = await begin((world) =>
      world.on('prepare alpha', () => {
        throw new KeysagaError('PartyFenced', 'restored');
      }),
    );
    await approve(run);
    await run.handle.result();
    expect(run.world.inputs('attach')[0]?.signers).toEqual(['beta', 'gamma']);
    const refused = await begin((world) =>
      world.on('prepare', () => {
        throw new KeysagaError('PolicyViolation', 'not listed', { field: 'lines[2].destination' });
      }),
    );
    await approve(refused);
    expect(await codeOf(refused.handle.result())).toBe('PolicyViolation');
    const { failure } = await refused.handle.query<PayoutStatus>('status');
    expect(failure).toMatchObject({ field: 'lines[2].destination' });
    expect(await fates(refused)).toEqual(all('not-paid'));
    expect(refused.world.hops.slice(-3)).toEqual(['releaseLease', 'release', 'fail']);
  });

  it('is told of a changed policy like a transfer', async () => {
    const run = await begin();
    await untilStatus(run.handle, 'waiting', (s) => s.phase === 'AwaitingApprovals');
    await run.handle.signal('policyChanged');
    await until('asked', () => run.world.count('transferPolicy') > 0);
    await approve(run);
    await run.handle.result();
  });

  it.each<[string, (input: PayoutInput) => unknown, string]>([
    ['another digest', (input) => ({ ...input, intentDigest: '00'.repeat(32) }), 'InvalidInput'],
    [
      'a transfer in its place',
      ({ intent: { lines: _, total, ...frame }, ...input }) => ({
        ...input,
        intent: { ...frame, destination: 'bcrt1pdestination', amount: total },
      }),
      'InvalidInput',
    ],
    [
      'a chain where payouts are not made',
      ({ intent: i }) => payoutInputOf({ ...i, chain: 'eip155:1' }),
      'ChainUnsupported',
    ],
  ])('does not begin with %s', async (_name, change, code) => {
    const input = payoutInputOf(payoutIntent(Date.now()));
    const changed = change(input) as PayoutInput;
    expect(await codeOf((await start(changed)).result())).toBe(code);
    expect(stage.worlds.for(input.intent.requestId).calls).toEqual([]);
  });
});
