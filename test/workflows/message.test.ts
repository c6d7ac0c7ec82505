/** The saga that signs a message, on the time-skipping server: its hops, its undo, and what its pivot means. */
import type { WorkflowHandle } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { MessageIntent } from '../../schema/contracts/message.ts';
import type { MessageInput, MessageStatus } from '../../schema/contracts/message-saga.ts';
import { TASK_QUEUES, WORKFLOWS, workflowId } from '../../schema/contracts/temporal.ts';
import {
  approval,
  intent,
  iso,
  messageInputOf,
  messageIntent,
  policy,
} from './support/fixtures.ts';
import { codeOf, Stage, until, untilStatus } from './support/stage.ts';
import type { World } from './support/world.ts';

const HOUR = 3_600_000;
let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open('time-skipping');
});
afterAll(() => stage?.close());

type Running = {
  readonly i: MessageIntent;
  readonly world: World;
  readonly handle: WorkflowHandle;
};
async function begin(
  prepare: (world: World) => void = () => {},
  change: Parameters<typeof messageIntent>[1] = {},
  limits?: MessageInput['limits'],
): Promise<Running> {
  const i = messageIntent(await stage.now(), change);
  const world = stage.worlds.for(i.requestId);
  prepare(world);
  const handle = await stage.client.workflow.start(WORKFLOWS.signMessage, {
    taskQueue: TASK_QUEUES.sagas,
    workflowId: workflowId.message(i.requestId),
    args: [messageInputOf(i, limits)],
  });
  return { i, world, handle };
}
async function approve({ i, handle }: Running): Promise<void> {
  for (const name of ['alice', 'bob'] as const)
    await handle.executeUpdate('approve', { args: [approval(i, name, await stage.now())] });
}
const waiting = ({ handle }: Running) =>
  untilStatus(handle, 'waiting', ({ phase }) => phase === 'AwaitingApprovals');
const status = ({ handle }: Running) => handle.query<MessageStatus>('status');

describe('the path', () => {
  it('takes its hops, and answers with the signature', async () => {
    const run = await begin();
    await waiting(run);
    // Another intent's approvals, a transfer's among them, are no decisions about this one.
    const now = await stage.now();
    for (const other of [messageIntent(now), intent(now)])
      expect(
        await codeOf(
          run.handle.executeUpdate('approve', { args: [approval(other, 'alice', now)] }),
        ),
      ).toBe('ApprovalInvalid');
    await approve(run);
    await expect(run.handle.result()).resolves.toMatchObject({ signature: '0x1234' });
    expect(run.world.hops).toEqual([
      'reserveMessage',
      'prepare',
      'round',
      'passMessagePivot',
      'round',
      'attachMessage',
    ]);
    const [request] = run.world.inputs('prepare');
    expect(request).toMatchObject({ kind: 'message', intent: run.i });
    expect(request).not.toHaveProperty('unsigned');
    expect(await status(run)).toMatchObject({
      phase: 'Completed',
      signed: { signature: '0x1234' },
      missing: ['carol'],
    });
  });

  it('waits for the start delay, and goes to other parties when one fails', async () => {
    const run = await begin((world) => {
      world.policy = policy({ startDelaySeconds: 7_200 });
      world.on('prepare alpha', () => {
        throw new KeysagaError('KeyLocked', 'Locked.', { field: 'keyId' }, { retryable: false });
      });
    });
    await waiting(run);
    const begun = await stage.now();
    await approve(run);
    await run.handle.result();
    expect((await stage.now()) - begun).toBeGreaterThanOrEqual(7_200_000);
    expect(run.world.count('abort')).toBeGreaterThan(0);
    expect((await status(run)).attempts).toBe(2);
  });
});

describe('before the pivot', () => {
  it.each([
    [
      'a rejection',
      'IntentRejected',
      (run: Running) =>
        stage.now().then((now) =>
          run.handle.executeUpdate('reject', {
            args: [approval(run.i, 'carol', now, { decision: 'reject' })],
          }),
        ),
    ],
    ['a cancel', 'Cancelled', (run: Running) => run.handle.executeUpdate('cancelTransfer')],
  ] as const)('%s ends it', async (_name, code, act) => {
    const run = await begin();
    await waiting(run);
    await act(run);
    expect(await codeOf(run.handle.result())).toBe(code);
    expect(run.world.hops).toEqual(['reserveMessage', 'failMessage']);
    expect(await status(run)).toMatchObject({ phase: 'Failed', failure: { code } });
  });

  it('the intent’s end, and what a party refuses for good, end it too', async () => {
    const late = await begin(undefined, { expiresAt: iso((await stage.now()) + 5 * HOUR) });
    await waiting(late);
    expect(await codeOf(late.handle.result())).toBe('IntentExpired');
    const refused = await begin((world) => {
      world.on('prepare', () => {
        throw new KeysagaError('PolicyViolation', 'Not listed.', { field: 'type' });
      });
    });
    await waiting(refused);
    await approve(refused);
    expect(await codeOf(refused.handle.result())).toBe('PolicyViolation');
    expect(refused.world.count('abort')).toBe(2);
    expect(refused.world.hops.at(-1)).toBe('failMessage');
  });

  it('an input whose digest is another’s is refused', async () => {
    const i = messageIntent(await stage.now());
    const handle = await stage.client.workflow.start(WORKFLOWS.signMessage, {
      taskQueue: TASK_QUEUES.sagas,
      workflowId: workflowId.message(i.requestId),
      args: [{ ...messageInputOf(i), intentDigest: '11'.repeat(32) }],
    });
    expect(await codeOf(handle.result())).toBe('InvalidInput');
  });
});

describe('past the pivot', () => {
  it('it insists: a failing combination means another attempt, a cancel comes too late', async () => {
    let open = (): void => {};
    const closed = new Promise<void>((resolve) => {
      open = resolve;
    });
    const run = await begin((world) => {
      world.on('attachMessage', async (_input, n) => {
        if (n > 0) return undefined;
        await closed;
        throw new KeysagaError('ProtocolFault', 'A bad share.', { culprit: 'beta' });
      });
    });
    await waiting(run);
    await approve(run);
    await until('the pivot', () => run.world.count('attachMessage') > 0);
    expect(await run.handle.executeUpdate('cancelTransfer')).toMatchObject({
      accepted: false,
      path: 'too-late',
    });
    const rejection = approval(run.i, 'carol', await stage.now(), { decision: 'reject' });
    expect(await codeOf(run.handle.executeUpdate('reject', { args: [rejection] }))).toBe(
      'PivotPassed',
    );
    open();
    await run.handle.result();
    expect(run.world.count('passMessagePivot')).toBe(2);
    expect(run.world.count('abort')).toBe(0);
  });

  it('it ends without a signature only after the intent has', async () => {
    const run = await begin(
      (world) => {
        world.on('attachMessage', () => {
          throw new KeysagaError('ProtocolFault', 'A bad share.', { culprit: 'beta' });
        });
      },
      { expiresAt: iso((await stage.now()) + 2 * HOUR) },
    );
    await waiting(run);
    await approve(run);
    expect(await codeOf(run.handle.result())).toBe('IntentExpired');
    expect(await stage.now()).toBeGreaterThanOrEqual(Date.parse(run.i.expiresAt));
    expect(run.world.order.at(-1)).toBe('failMessage');
  });
});
