import type { WorkflowHandle } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { TransferIntent } from '../../schema/contracts/intent.ts';
import type { TransferInput } from '../../schema/contracts/saga.ts';
import { TASK_QUEUES, WORKFLOWS, workflowId } from '../../schema/contracts/temporal.ts';
import { APPROVERS, approval, inputOf, intent, iso, uniqueId } from './support/fixtures.ts';
import { bytesAsText, codeOf, gate, SLOTS, Stage, until, untilStatus } from './support/stage.ts';
import { PAYMENT_ID, type Step, VOID_ID, type World } from './support/world.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open('local');
});
afterAll(() => stage?.close());

type Running = { i: TransferIntent; world: World; handle: WorkflowHandle };
async function begin(
  prepare: (world: World) => void = () => {},
  limits?: TransferInput['limits'],
  change: Parameters<typeof intent>[1] = {},
): Promise<Running> {
  const i = intent(Date.now(), change);
  const world = stage.worlds.for(i.requestId);
  prepare(world);
  return { i, world, handle: await stage.transfer(inputOf(i, limits)) };
}
async function approve({ i, handle }: Running): Promise<void> {
  for (const name of ['alice', 'bob'] as const)
    await handle.executeUpdate('approve', { args: [approval(i, name, Date.now())] });
}

describe('the path', () => {
  it('takes exactly the hops of its critical path', async () => {
    const run = await begin();
    await untilStatus(run.handle, 'waiting', (s) => s.phase === 'AwaitingApprovals');
    await run.handle.signal('approve', approval(run.i, 'alice', Date.now()));
    await untilStatus(run.handle, 'one', (s) => s.approvals.length === 1);
    const receipt = await run.handle.executeUpdate('approve', {
      args: [approval(run.i, 'bob', Date.now())],
    });
    expect(receipt).toMatchObject({ approved: 2, quorum: 2, missing: ['carol'] });
    const result = await run.handle.result();
    expect(result).toMatchObject({ transactionId: PAYMENT_ID, confirmations: 2 });
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
    expect(run.world.count('prepare')).toBe(2);
    expect(run.world.count('round')).toBe(4);
    expect(Object.keys(result.phasesMs)).toEqual(
      expect.arrayContaining([
        'AwaitingApprovals',
        'Preparing',
        'Signing',
        'Broadcasting',
        'Confirming',
      ]),
    );
    expect(
      run.world
        .inputs('recordDecision')
        .map(({ signed }) => signed.approval.approver)
        .sort(),
    ).toEqual(['alice', 'bob']);
  });

  it('routes to each party what the others addressed to it', async () => {
    const run = await begin((world) => {
      world.signRounds = 3;
    });
    await approve(run);
    await run.handle.result();
    const rounds = run.world.calls.filter(({ step }) => step === 'round');
    for (const { party, input } of rounds) {
      const request = input as Parameters<World['round']>[0];
      if (request.round === 1) {
        expect(request.prepared?.map(({ answer }) => answer.party)).toEqual(['alpha', 'beta']);
        expect(request.inbox).toEqual([]);
      } else {
        expect(request.prepared).toBeUndefined();
        expect(request.inbox.map(({ from }) => from)).toEqual([
          party === 'alpha' ? 'beta' : 'alpha',
        ]);
      }
    }
    expect(run.world.hops.filter((step) => step === 'passPivot' || step === 'round')).toEqual([
      'round',
      'passPivot',
      'round',
    ]);
  });

  it('shows itself: board, summaries, search attributes', async () => {
    const run = await begin();
    await untilStatus(run.handle, 'waiting', (s) => s.phase === 'AwaitingApprovals');
    const metadata = await run.handle.query<{ currentDetails: string }>(
      '__temporal_workflow_metadata',
    );
    expect(metadata.currentDetails).toContain('**Approvals** 0 of 2');
    expect(metadata.currentDetails).toContain('missing: alice, bob, carol');
    const { typedSearchAttributes } = await run.handle.describe();
    const attributes = Object.fromEntries(
      typedSearchAttributes.getAll().map(({ key, value }) => [key.name, value]),
    );
    expect(attributes).toMatchObject({
      KeysagaWallet: run.i.walletId,
      KeysagaChain: run.i.chain,
      KeysagaPhase: 'AwaitingApprovals',
      KeysagaProtocol: 'frost-bip340',
      KeysagaApprover: ['alice', 'bob', 'carol'],
    });
    await approve(run);
    await run.handle.result();
    const history = await run.handle.fetchHistory();
    const scheduled = (history.events ?? []).filter(
      (event) => event.activityTaskScheduledEventAttributes,
    );
    expect(scheduled.length).toBeGreaterThan(8);
    for (const event of scheduled)
      expect(event.userMetadata?.summary, 'every step has a summary').toBeTruthy();
    const plaintext = bytesAsText(history);
    expect(plaintext).not.toContain(run.i.destination);
    expect(plaintext).toContain('binary/encrypted');
  });
});

describe('undo before the pivot', () => {
  const refuse = (step: string) => () => {
    throw new KeysagaError('PolicyViolation', `scripted: ${step}`, { field: 'rule' });
  };
  const release = ['release'];
  const all = ['releaseLease', 'release'];
  it.each<[Step, readonly string[]]>([
    ['reserve', release],
    ['build', all],
    ['prepare', ['abort', ...all]],
    ['round', ['abort', ...all]],
    ['passPivot', ['abort', ...all]],
  ])('a failing %s runs the undos registered before it, last first', async (step, undos) => {
    const run = await begin((world) => world.on(step, refuse(step)));
    if (step !== 'reserve') await approve(run);
    expect(await codeOf(run.handle.result())).toBe('PolicyViolation');
    const after = run.world.hops.slice(run.world.hops.lastIndexOf(step) + 1);
    expect(after).toEqual([...undos, 'fail']);
    expect(run.world.inputs('fail')[0]).toMatchObject({ failure: { code: 'PolicyViolation' } });
    const status = await run.handle.query('status');
    expect(status).toMatchObject({ phase: 'Failed', failure: { code: 'PolicyViolation' } });
    for (const undo of (status as { undos: { state: string }[] }).undos)
      expect(undo.state).toBe('done');
  });

  it('a failing undo is tried again and shown', async () => {
    const hold = gate();
    const run = await begin((world) =>
      world.on('build', refuse('build')).on('releaseLease', async (_input, n) => {
        if (n < 3) throw new KeysagaError('StateConflict', 'not now');
        await hold.passed;
      }),
    );
    await approve(run);
    const seen = await untilStatus(run.handle, 'undo shown', (s) =>
      s.undos.some(
        (undo) =>
          undo.step === 'release the lease' && undo.tries > 1 && undo.lastError !== undefined,
      ),
    );
    expect(seen.undos.find(({ step }) => step === 'release the lease')?.lastError).toMatch(
      /^StateConflict/,
    );
    hold.open();
    expect(await codeOf(run.handle.result())).toBe('PolicyViolation');
    expect(run.world.count('releaseLease')).toBe(4);
    expect(run.world.order.indexOf('release')).toBeGreaterThan(
      run.world.order.lastIndexOf('releaseLease'),
    );
  });

  it('undos do not stop when the workflow is cancelled', async () => {
    const hold = gate();
    const run = await begin((world) =>
      world.on('build', refuse('build')).on('releaseLease', () => hold.passed),
    );
    await approve(run);
    await until('undo runs', () => run.world.count('releaseLease') === 1);
    await run.handle.cancel();
    expect(await run.handle.executeUpdate('cancelTransfer')).toMatchObject({
      accepted: true,
      path: 'compensate',
    });
    hold.open();
    expect(await codeOf(run.handle.result())).toBe('PolicyViolation');
    expect(run.world.hops.slice(-3)).toEqual(['releaseLease', 'release', 'fail']);
  });

  it('an undo that a party does not take is owed and delivered on its return', async () => {
    const late = uniqueId('p');
    const gone = await stage.party(late);
    const run = await begin(
      (world) => {
        world.parties = ['alpha', late];
        world.on(`round ${late}` as Step, async () => {
          await stop();
          throw new KeysagaError('Internal', 'the process ends');
        });
      },
      { waitForParties: 1, round: 8 },
    );
    let stopping: Promise<void> | undefined;
    const stop = async (): Promise<void> => {
      stopping ??= Promise.resolve().then(() => gone.shutdown());
      await stopping;
    };
    await approve(run);
    expect(await codeOf(run.handle.result())).toBe('PartyUnavailable');
    const status = await untilStatus(run.handle, 'ended', (s) => s.phase === 'Failed');
    expect(status.undos.find(({ step }) => step === `abort ${late}`)?.state).toBe('owed');
    expect(run.world.inputs('recordUndo')).toContainEqual(
      expect.objectContaining({ party: late, outcome: 'owed' }),
    );
    const attempt = run.world.inputs('prepare')[0]?.attempt as string;
    const child = stage.client.workflow.getHandle(
      workflowId.undo(run.i.requestId, late as never, attempt),
    );
    expect((await child.describe()).status.name).toBe('RUNNING');
    await stage.party(late);
    expect(await child.result()).toMatchObject({ outcomes: [`abort ${late}: aborted`] });
    expect(run.world.inputs('recordUndo')).toContainEqual(
      expect.objectContaining({ party: late, outcome: 'delivered' }),
    );
  }, 90_000);
});

describe('approvals', () => {
  it('count approvers, not messages, whatever comes in', async () => {
    const run = await begin();
    const { i, handle } = run;
    await untilStatus(handle, 'waiting', (s) => s.phase === 'AwaitingApprovals');
    const alice = approval(i, 'alice', Date.now());
    const send = (signed: unknown): Promise<unknown> =>
      handle.executeUpdate('approve', { args: [signed] });
    expect(await send(alice)).toMatchObject({
      approved: 1,
      missing: ['bob', 'carol'],
      phase: 'AwaitingApprovals',
    });
    expect(await codeOf(send(alice))).toBe('ApprovalDuplicate');
    expect(await codeOf(send({ ...alice, signature: '00'.repeat(64) }))).toBe('ApprovalInvalid');
    expect(await codeOf(send(approval(i, 'bob', Date.now(), {}, APPROVERS.carol)))).toBe(
      'ApprovalInvalid',
    );
    expect(
      await codeOf(send(approval(i, 'bob', Date.now(), { intentDigest: '00'.repeat(32) }))),
    ).toBe('ApprovalInvalid');
    expect(await codeOf(send(approval(i, 'bob', Date.now(), { decision: 'reject' })))).toBe(
      'ApprovalInvalid',
    );
    expect(await codeOf(send(approval(i, 'bob', Date.now(), { approver: 'mallory' })))).toBe(
      'ApproverUnknown',
    );
    const old = Date.now() - 60_000;
    expect(await codeOf(send(approval(i, 'bob', old, { validUntil: iso(old + 1_000) })))).toBe(
      'ApprovalExpired',
    );
    expect(await codeOf(send({ nonsense: true }))).toBe('InvalidInput');
    expect((await untilStatus(handle, 'one', () => true)).approvals).toHaveLength(1);
    await handle.executeUpdate('cancelTransfer');
    expect(await codeOf(handle.result())).toBe('Cancelled');
  });

  it('two racing approvals of two people both count, two of one count once', async () => {
    const run = await begin();
    const { i, handle } = run;
    await untilStatus(handle, 'waiting', (s) => s.phase === 'AwaitingApprovals');
    const alice = (): Promise<unknown> =>
      handle.executeUpdate('approve', { args: [approval(i, 'alice', Date.now())] });
    const [first, second] = await Promise.allSettled([alice(), alice()]);
    expect([first.status, second.status].sort()).toEqual(['fulfilled', 'rejected']);
    const race = await Promise.allSettled(
      (['bob', 'carol'] as const).map((name) =>
        handle.executeUpdate('approve', { args: [approval(i, name, Date.now())] }),
      ),
    );
    expect(race.some(({ status }) => status === 'fulfilled')).toBe(true);
    await expect(handle.result()).resolves.toMatchObject({ transactionId: PAYMENT_ID });
    expect(run.world.count('passPivot')).toBe(1);
  });

  it('nonsense in raw signals is shown and fails no task', async () => {
    const run = await begin();
    const { i, handle } = run;
    await untilStatus(handle, 'waiting', (s) => s.phase === 'AwaitingApprovals');
    const utf8 = new TextEncoder();
    const raw = (encoding: string, data: string) => ({
      payloads: [{ metadata: { encoding: utf8.encode(encoding) }, data: utf8.encode(data) }],
    });
    const signals: [string, ReturnType<typeof raw> | undefined][] = [
      ['approve', raw('json/plain', '"let it through"')],
      ['approve', raw('json/plain', '{"approval":{"approver":"<script>`|"}}')],
      ['approve', raw('json/plain', '{ not json')],
      ['approve', raw('binary/plain', '\u0000\u0001')],
      ['approve', raw('made/up', 'x')],
      ['reject', raw('json/plain', 'null')],
      ['approve', undefined],
      ['nosuchsignal', raw('json/plain', '1')],
    ];
    for (const [signalName, input] of signals)
      await stage.client.workflowService.signalWorkflowExecution({
        namespace: stage.namespace,
        workflowExecution: { workflowId: handle.workflowId },
        signalName,
        ...(input === undefined ? {} : { input }),
      });
    const status = await untilStatus(
      handle,
      'refused',
      (s) => s.refusedMessages.length === signals.length,
    );
    for (const { code } of status.refusedMessages) expect(code).toBe('InvalidInput');
    await approve(run);
    await expect(handle.result()).resolves.toMatchObject({ transactionId: PAYMENT_ID });
    const { events } = await handle.fetchHistory();
    expect(events?.some((event) => event.workflowTaskFailedEventAttributes)).toBe(false);
    expect(i.requestId).toBe(status.intent.requestId);
  });

  it('one rejection ends it before its pivot, even while parties prepare', async () => {
    const hold = gate();
    const run = await begin((world) => world.on('prepare', () => hold.passed));
    await approve(run);
    await until('prepare', () => run.world.count('prepare') === 2);
    await run.handle.signal('reject', approval(run.i, 'carol', Date.now(), { decision: 'reject' }));
    await untilStatus(run.handle, 'rejected', (s) => s.approvals.length === 3);
    hold.open();
    expect(await codeOf(run.handle.result())).toBe('IntentRejected');
    expect(run.world.hops.slice(-4)).toEqual(['abort', 'releaseLease', 'release', 'fail']);
    expect(run.world.count('passPivot')).toBe(0);
  });
});

describe('duplicate starts', () => {
  it('the same body meets the running saga; another is refused by the ledger', async () => {
    const i = intent(Date.now());
    const start = (body: TransferIntent) =>
      stage.client.workflow.start(WORKFLOWS.transfer, {
        taskQueue: TASK_QUEUES.sagas,
        workflowId: workflowId.transfer(body.requestId),
        workflowIdConflictPolicy: 'USE_EXISTING',
        workflowIdReusePolicy: 'REJECT_DUPLICATE',
        args: [inputOf(body)],
      });
    const [first, second] = await Promise.all([start(i), start(i)]);
    expect(second.firstExecutionRunId).toBe(first.firstExecutionRunId);
    const other = await start({ ...i, amount: '60000' });
    const status = await untilStatus(other, 'status', () => true);
    // The client compares this with its own digest and answers `RequestConflict`.
    expect(status.intentDigest).not.toBe(inputOf({ ...i, amount: '60000' }).intentDigest);
    await first.executeUpdate('cancelTransfer');
    expect(await codeOf(first.result())).toBe('Cancelled');

    const stale = intent(Date.now());
    stage.worlds.for(stale.requestId).on('reserve', () => {
      throw new KeysagaError('RequestConflict', 'used with another body');
    });
    expect(await codeOf((await start(stale)).result())).toBe('RequestConflict');
  });
  it('a digest that is not the intent’s is refused before anything happens', async () => {
    const i = intent(Date.now());
    const handle = await stage.transfer({ ...inputOf(i), intentDigest: '11'.repeat(32) });
    expect(await codeOf(handle.result())).toBe('InvalidInput');
    expect(stage.worlds.for(i.requestId).calls).toEqual([]);
  });
});

describe('routing', () => {
  it('a refusing party is replaced, fresh attempt, and its session aborted', async () => {
    const run = await begin((world) =>
      world.on('prepare alpha', () => {
        throw new KeysagaError('PartyFenced', 'restored');
      }),
    );
    await approve(run);
    await expect(run.handle.result()).resolves.toMatchObject({ transactionId: PAYMENT_ID });
    const requests = run.world.inputs('prepare').filter((request) => request.kind === 'sign');
    const attempts = [...new Set(requests.map(({ attempt }) => attempt))];
    expect(attempts).toHaveLength(2);
    expect(requests.at(-1)?.signers).toEqual(['beta', 'gamma']);
    await until('aborted', () => run.world.count('abort') === 2);
    expect(run.world.inputs('abort').every(({ attempt }) => attempt === attempts[0])).toBe(true);
    expect(run.world.inputs('reportParties')[0]?.reports).toContainEqual(
      expect.objectContaining({ party: 'alpha', ok: false, code: 'PartyFenced' }),
    );
  });

  it('a proven culprit is left out', async () => {
    const run = await begin((world) =>
      world.on('attach', (_input, n) => {
        if (n === 0) throw new KeysagaError('ProtocolFault', 'bad share', { culprit: 'alpha' });
      }),
    );
    await approve(run);
    await expect(run.handle.result()).resolves.toMatchObject({ transactionId: PAYMENT_ID });
    const signers = run.world.inputs('attach').map((input) => input.signers);
    expect(signers).toEqual([
      ['alpha', 'beta'],
      ['beta', 'gamma'],
    ]);
    expect(run.world.count('passPivot')).toBe(2);
  });

  it('a party that answers with something else is that party’s failure', async () => {
    const run = await begin((world) => world.on('round alpha', () => ({ hello: 'world' })));
    await approve(run);
    await expect(run.handle.result()).resolves.toMatchObject({ transactionId: PAYMENT_ID });
    expect(run.world.inputs('attach')[0]?.signers).toEqual(['beta', 'gamma']);
  });

  it('with two stopped it waits visibly and goes on when one is back', async () => {
    const [one, two] = [uniqueId('p'), uniqueId('p')];
    const run = await begin((world) => {
      world.parties = ['alpha', one, two];
    });
    await approve(run);
    const status = await untilStatus(
      run.handle,
      'waits',
      (s) => s.waitingFor.includes('no answer from'),
      60_000,
    );
    expect(status.waitingFor).toContain(one);
    expect(status.waitingFor).toContain(two);
    expect(status.pivotPassed).toBe(false);
    await stage.party(two);
    await expect(run.handle.result()).resolves.toMatchObject({ transactionId: PAYMENT_ID });
    expect(run.world.inputs('attach')[0]?.signers).toEqual(['alpha', two]);
  }, 90_000);
});

describe('cancel', () => {
  const cancel = (run: Running): Promise<unknown> => run.handle.executeUpdate('cancelTransfer');

  it('while approvals are awaited: compensates, also on Temporal’s own cancel', async () => {
    for (const how of [cancel, (run: Running) => run.handle.cancel()]) {
      const run = await begin();
      await untilStatus(run.handle, 'waiting', (s) => s.phase === 'AwaitingApprovals');
      await how(run);
      expect(await codeOf(run.handle.result())).toBe('Cancelled');
      expect(run.world.hops).toEqual(['reserve', 'release', 'fail']);
    }
  });
  it.each<Step>(['reserve', 'build', 'prepare', 'round'])(
    'during %s: waits for the step, then undoes it',
    async (step) => {
      const hold = gate();
      const run = await begin((world) => world.on(step, () => hold.passed));
      const approving = step === 'reserve' ? Promise.resolve() : approve(run);
      await until('step runs', () => run.world.count(step) > 0);
      await approving;
      expect(await cancel(run)).toMatchObject({ accepted: true, path: 'compensate' });
      hold.open();
      expect(await codeOf(run.handle.result())).toBe('Cancelled');
      expect(run.world.count('passPivot')).toBe(0);
      expect(run.world.hops.slice(-2)).toEqual(['release', 'fail']);
    },
  );

  it('during the last round: no broadcast, a void is signed, sent and final', async () => {
    const hold = gate();
    const run = await begin((world) =>
      world.on('round', async (input: never) => {
        if ((input as { round: number }).round === 2) await hold.passed;
      }),
    );
    await approve(run);
    await until('last round', () => run.world.count('round') >= 4);
    expect(await cancel(run)).toMatchObject({ accepted: true, path: 'void' });
    hold.open();
    expect(await codeOf(run.handle.result())).toBe('Cancelled');
    expect(run.world.inputs('broadcast').map(({ purpose }) => purpose)).toEqual(['void']);
    expect(run.world.inputs('passPivot').map(({ purpose }) => purpose)).toEqual([
      'payment',
      'void',
    ]);
    expect(run.world.inputs('fail')[0]).toMatchObject({
      voidTransactionId: VOID_ID,
      failure: { code: 'Cancelled' },
    });
    expect(run.world.count('release')).toBe(0);
    expect(run.world.count('releaseLease')).toBe(0);
    expect(await run.handle.query('status')).toMatchObject({
      phase: 'Failed',
      voidTransactionId: VOID_ID,
    });
  });

  it('after the broadcast: the void is final, and the answer says so', async () => {
    const run = await begin((world) => {
      world.autoConfirm = false;
    });
    await approve(run);
    await untilStatus(run.handle, 'confirming', (s) => s.phase === 'Confirming');
    expect(await cancel(run)).toMatchObject({ accepted: true, path: 'void' });
    await untilStatus(run.handle, 'voiding', (s) => s.voidTransactionId === VOID_ID);
    run.world.chain.set(VOID_ID, { confirmations: 2, final: true });
    expect(await codeOf(run.handle.result())).toBe('Cancelled');
    expect(run.world.inputs('confirm').at(-1)?.transactionIds).toEqual([PAYMENT_ID, VOID_ID]);
    expect(run.world.count('settle')).toBe(0);
  });

  it('after the broadcast: the payment wins, and the saga completes', async () => {
    const run = await begin((world) => {
      world.autoConfirm = false;
    });
    await approve(run);
    await untilStatus(run.handle, 'confirming', (s) => s.phase === 'Confirming');
    await cancel(run);
    await untilStatus(run.handle, 'voiding', (s) => s.voidTransactionId === VOID_ID);
    run.world.chain.set(PAYMENT_ID, { confirmations: 3, final: true });
    await expect(run.handle.result()).resolves.toMatchObject({ transactionId: PAYMENT_ID });
    expect(await run.handle.query('status')).toMatchObject({
      phase: 'Completed',
      cancelRequested: true,
    });
    expect(run.world.count('settle')).toBe(1);
    expect(run.world.count('fail')).toBe(0);
  });

  it('the payment is final before there is a void: none is sent', async () => {
    const hold = gate();
    const run = await begin((world) => {
      world.autoConfirm = false;
      world.on('buildVoid', () => hold.passed);
    });
    await approve(run);
    await untilStatus(run.handle, 'confirming', (s) => s.phase === 'Confirming');
    await cancel(run);
    await until('void begins', () => run.world.count('buildVoid') === 1);
    run.world.chain.set(PAYMENT_ID, { confirmations: 2, final: true });
    await untilStatus(run.handle, 'confirmations seen', (s) => s.confirmations === 2);
    hold.open();
    await expect(run.handle.result()).resolves.toMatchObject({ transactionId: PAYMENT_ID });
    expect(run.world.inputs('broadcast').map(({ purpose }) => purpose)).toEqual(['payment']);
  });
});

describe('past the pivot', () => {
  it('a node’s refusal of the payment leads to a void', async () => {
    const run = await begin((world) =>
      world.on('broadcast', (input: never) =>
        (input as { purpose: string }).purpose === 'payment'
          ? { status: 'rejected', reason: 'dust' }
          : undefined,
      ),
    );
    await approve(run);
    expect(await codeOf(run.handle.result())).toBe('BroadcastRejected');
    expect(run.world.inputs('fail')[0]).toMatchObject({ voidTransactionId: VOID_ID });
  });

  it('a payment that failed on chain ends the line without a void', async () => {
    const run = await begin((world) =>
      world.on('confirm', () => ({
        id: PAYMENT_ID,
        status: { status: 'failed', reason: 'custom program error', final: true },
      })),
    );
    await approve(run);
    expect(await codeOf(run.handle.result())).toBe('BroadcastRejected');
    expect(run.world.count('buildVoid')).toBe(0);
    expect(run.world.inputs('fail')[0]).not.toHaveProperty('voidTransactionId');
  });

  it('refusals of the intent lead to a void, never to a release', async () => {
    const run = await begin((world) =>
      world
        .on('attach', (input: never) => {
          if ((input as { purpose: string }).purpose === 'payment')
            throw new KeysagaError('ProtocolFault', 'bad share', { culprit: 'alpha' });
        })
        .on('prepare', (input: never, n) => {
          if ((input as { purpose: string }).purpose === 'payment' && n > 0)
            throw new KeysagaError('IntentExpired', 'expired meanwhile');
        })
        .on('prepare gamma', (input: never) => {
          if ((input as { purpose: string }).purpose === 'payment')
            throw new KeysagaError('IntentExpired', 'expired meanwhile');
        }),
    );
    await approve(run);
    expect(await codeOf(run.handle.result())).toBe('IntentExpired');
    expect(run.world.inputs('fail')[0]).toMatchObject({ voidTransactionId: VOID_ID });
    expect(run.world.count('release')).toBe(0);
    expect(run.world.count('releaseLease')).toBe(0);
  });

  it('a reset that forgot the pivot does not compensate', async () => {
    const run = await begin((world) => {
      world.pivotPassed = true;
      world.on('reserve', async (input: never) => {
        const usual = stage.worlds.for('shape');
        usual.parties = world.parties;
        const reservation = (await usual.answer('reserve', input)) as object;
        return { ...reservation, pivotPassed: false };
      });
    });
    await untilStatus(run.handle, 'waiting', (s) => s.phase === 'AwaitingApprovals');
    await run.handle.executeUpdate('approve', { args: [approval(run.i, 'alice', Date.now())] });
    const hold = gate();
    run.world.on('prepare', () => hold.passed);
    await run.handle.executeUpdate('approve', { args: [approval(run.i, 'bob', Date.now())] });
    await until('prepare', () => run.world.count('prepare') === 2);
    await cancel(run);
    hold.open();
    expect(await codeOf(run.handle.result())).toBe('Cancelled');
    expect(run.world.count('releaseLease')).toBe(1);
    expect(run.world.count('release'), 'funds stay reserved').toBe(0);
    expect(run.world.inputs('fail')[0]).toMatchObject({ voidTransactionId: VOID_ID });
  });
  const cancel = (run: Running): Promise<unknown> => run.handle.executeUpdate('cancelTransfer');

  it.each([true, false])(
    'a workflow reset goes on without signing again, told by the reservation: %s',
    async (told) => {
      const run = await begin((world) => {
        world.autoConfirm = false;
        world.earlierKnown = told;
      });
      await approve(run);
      await untilStatus(run.handle, 'confirming', (s) => s.phase === 'Confirming');
      const before = { rounds: run.world.count('round'), attaches: run.world.count('attach') };
      run.world.on('build', async (input: never) => {
        const usual = (await stage.worlds.for('shape').answer('build', input)) as object;
        return { ...usual, signed: { network: run.i.chain, id: PAYMENT_ID, bytes: '0200' } };
      });
      run.world.autoConfirm = true;
      const handle = await stage.reset(run.handle);
      await expect(handle.result()).resolves.toMatchObject({ transactionId: PAYMENT_ID });
      expect(run.world.count('reserve')).toBe(2);
      expect(run.world.count('build')).toBe(told ? 1 : 2);
      expect({ rounds: run.world.count('round'), attaches: run.world.count('attach') }).toEqual(
        before,
      );
    },
  );

  it('a reset that is cancelled follows the payment that was sent, beside a void that cannot be built', async () => {
    const run = await begin((world) => {
      world.autoConfirm = false;
      world.on('buildVoid', () => {
        throw new KeysagaError('StateConflict', 'another transaction took its input');
      });
    });
    await approve(run);
    await untilStatus(run.handle, 'confirming', (s) => s.phase === 'Confirming');
    const hold = gate();
    run.world.on('reserve', () => hold.passed);
    const handle = await stage.reset(run.handle);
    await until('the new run reserves', () => run.world.count('reserve') === 2);
    await handle.executeUpdate('cancelTransfer');
    hold.open();
    await until('a void is wanted', () => run.world.count('buildVoid') > 0);
    run.world.chain.set(PAYMENT_ID, { confirmations: 2, final: true });
    await expect(handle.result()).resolves.toMatchObject({ transactionId: PAYMENT_ID });
    expect(run.world.inputs('broadcast')).toHaveLength(1);
  });

  it('a completed transfer that is reset and cancelled while it reserves ends completed', async () => {
    const run = await begin();
    await approve(run);
    await run.handle.result();
    const hold = gate();
    run.world.on('reserve', async (_input, n) => {
      if (n !== 1) return undefined;
      await hold.passed;
      throw new KeysagaError('VersionConflict', 'tried again, but for the cancel');
    });
    const handle = await stage.reset(run.handle);
    await until('the new run reserves', () => run.world.count('reserve') === 2);
    await handle.executeUpdate('cancelTransfer');
    hold.open();
    await expect(handle.result()).resolves.toMatchObject({ transactionId: PAYMENT_ID });
    expect(run.world.count('release')).toBe(1);
    expect(run.world.count('reserve')).toBe(3);
    for (const step of ['fail', 'buildVoid'] as const) expect(run.world.count(step), step).toBe(0);
  });

  /** A run that a reset began when approvals and intent had long expired; it gets the old messages. */
  async function late(left: World['left'] = {}) {
    const hour = 3_600_000;
    const then = Date.now() - 10 * hour;
    const i = intent(then, { expiresAt: iso(then + 5 * hour) });
    const approvals = (['alice', 'bob'] as const).map((name) =>
      approval(i, name, then, { validUntil: iso(then + 4 * hour) }),
    );
    const world = stage.worlds.for(i.requestId);
    world.pivotPassed = true;
    world.left = { ...left, decisions: approvals };
    const handle = await stage.transfer(inputOf(i));
    for (const signed of approvals) await handle.signal('approve', signed);
    return { world, approvals, handle };
  }

  it('a late reset delivers what is signed, whatever has expired since', async () => {
    const signed = { network: intent(0).chain, id: PAYMENT_ID, bytes: '0200' };
    const { world, handle } = await late({ signed });
    await expect(handle.result()).resolves.toMatchObject({ transactionId: PAYMENT_ID });
    expect(world.hops).toEqual(['reserve', 'broadcast', 'confirm', 'settle']);
  });

  it('a late reset voids what is not signed, with the approvals that counted once', async () => {
    const { world, approvals, handle } = await late();
    expect(await codeOf(handle.result())).toBe('IntentExpired');
    expect(world.inputs('fail')[0]).toMatchObject({ voidTransactionId: VOID_ID });
    const asked = world.inputs('prepare').filter((request) => request.kind === 'sign');
    expect(asked.map(({ purpose }) => purpose)).toEqual(['void', 'void']);
    for (const request of asked) expect(request.approvals).toEqual(approvals);
  });
});

describe('waiting for blocks', () => {
  it('by as many as may keeps nobody from being sent', async () => {
    const wait = (world: World): void => {
      world.autoConfirm = false;
    };
    const crowd = await Promise.all(Array.from({ length: SLOTS }, () => begin(wait)));
    await Promise.all(crowd.map(approve));
    await until('every slot is taken', () =>
      crowd.every(({ world }) => world.count('confirm') > 0),
    );
    const next = await begin();
    await approve(next);
    await until('the next is sent', () => next.world.count('broadcast') === 1);
    await untilStatus(next.handle, 'waits', (s) => s.phase === 'Confirming');
    expect(next.world.count('confirm')).toBe(0);
    for (const { world } of crowd) world.autoConfirm = true;
    for (const { handle } of [next, ...crowd])
      await expect(handle.result()).resolves.toMatchObject({ transactionId: PAYMENT_ID });
  }, 90_000);
});

describe('limits', () => {
  it('two of three stopped: compensates at its limit, not before', async () => {
    const parties = ['alpha', uniqueId('p'), uniqueId('p')];
    const run = await begin(
      (world) => {
        world.parties = parties;
      },
      { waitForParties: 8 },
    );
    await approve(run);
    const begun = Date.now();
    expect(await codeOf(run.handle.result())).toBe('PartyUnavailable');
    expect(Date.now() - begun).toBeGreaterThanOrEqual(8_000);
    expect(run.world.hops.slice(-3)).toEqual(['releaseLease', 'release', 'fail']);
    expect(run.world.count('passPivot')).toBe(0);
  }, 90_000);

  it('after the pivot neither time-out nor expiry releases anything', async () => {
    const expires = Date.now() + 6_000;
    const run = await begin(
      (world) =>
        // Shares may be out, but none ever arrives.
        world.on('round', (input: never) =>
          (input as { round: number }).round === 2 ? { lost: true } : undefined,
        ),
      { waitForParties: 1 },
      { expiresAt: iso(expires) },
    );
    await approve(run);
    const alerted = await untilStatus(run.handle, 'alert', (s) =>
      s.waitingFor.includes('ALERT past the pivot'),
    );
    await untilStatus(
      run.handle,
      'goes on after expiry and limit',
      (s) => Date.now() > expires + 3_000 && s.attempts > alerted.attempts,
    );
    for (const step of ['release', 'releaseLease', 'fail'] as const)
      expect(run.world.count(step)).toBe(0);
    expect((await run.handle.describe()).status.name).toBe('RUNNING');
    await run.handle.terminate();
  }, 90_000);
});
