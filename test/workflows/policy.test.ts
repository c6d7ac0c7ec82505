/** Transfers across a change of the policy, and the saga that carries one, with scripted parts. */
import type { WorkflowHandle } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { policyHash } from '../../core/policy.ts';
import { publicKeyOf } from '../../core/signed.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { TransferIntent } from '../../schema/contracts/intent.ts';
import type { Policy, SignedPolicy } from '../../schema/contracts/policy.ts';
import type { PolicyChangeStatus, TransferPolicy } from '../../schema/contracts/policy-change.ts';
import type { TransferInput } from '../../schema/contracts/saga.ts';
import { TASK_QUEUES, WORKFLOWS, workflowId } from '../../schema/contracts/temporal.ts';
import { fromFailure } from '../../wire/failures.ts';
import { APPROVERS, approval, inputOf, intent, policy, uniqueId } from './support/fixtures.ts';
import { codeOf, gate, Stage, until, untilStatus } from './support/stage.ts';
import { PAYMENT_ID, type World } from './support/world.ts';

const DAVE = new Uint8Array(32).fill(4);
const approver = (name: string, key: Uint8Array): Policy['approvers'][number] =>
  ({ name, publicKey: publicKeyOf(key) }) as Policy['approvers'][number];
const { bob, carol } = APPROVERS;
const v1 = policy();
const next = (change: Partial<Policy>): SignedPolicy =>
  policy({ version: 2, previous: policyHash(v1.policy), ...change });
const inForce = (signed: SignedPolicy, rest: Partial<TransferPolicy> = {}): TransferPolicy => ({
  signed,
  policyHash: policyHash(signed.policy),
  ...rest,
});

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open('local', ['alpha', 'beta']);
});
afterAll(() => stage?.close());

type Running = { i: TransferIntent; world: World; handle: WorkflowHandle };
async function begin(
  prepare: (world: World) => void = () => {},
  limits?: TransferInput['limits'],
): Promise<Running> {
  const i = intent(Date.now());
  const world = stage.worlds.for(i.requestId);
  prepare(world);
  const handle = await stage.transfer(inputOf(i, limits));
  await untilStatus(handle, 'waiting', (s) => s.phase === 'AwaitingApprovals');
  return { i, world, handle };
}
const approves = ({ i, handle }: Running, name: 'alice' | 'bob' | 'carol') =>
  handle.executeUpdate('approve', { args: [approval(i, name, Date.now())] });
const daves = ({ i }: Pick<Running, 'i'>) => approval(i, 'dave' as 'alice', Date.now(), {}, DAVE);

describe('a transfer that waits while the policy changes', () => {
  it('is told, counts anew, and an approver who was removed no longer counts', async () => {
    const run = await begin();
    await approves(run, 'alice');
    run.world.policy = next({ approvers: [approver('bob', bob), approver('carol', carol)] });
    await run.handle.signal('policyChanged');
    const recounted = await untilStatus(
      run.handle,
      'recounted',
      (s) => s.policy?.version === 2 && s.policy.recounted,
    );
    expect(recounted.missing).toEqual(['bob', 'carol']);
    expect(recounted.phase).toBe('AwaitingApprovals');
    await approves(run, 'bob');
    const waiting = await untilStatus(run.handle, 'bob', (s) => !s.missing.includes('bob'));
    expect(waiting.phase).toBe('AwaitingApprovals');
    expect(run.world.count('build')).toBe(0);
    await approves(run, 'carol');
    await expect(run.handle.result()).resolves.toMatchObject({ transactionId: PAYMENT_ID });
    for (const request of run.world.inputs('prepare'))
      expect(request.kind === 'sign' && request.policyHash).toBe(
        policyHash(run.world.policy.policy),
      );
  });

  it('goes on when a lower quorum is reached by what it has', async () => {
    const run = await begin();
    await approves(run, 'alice');
    run.world.policy = next({ quorum: 1 });
    await run.handle.signal('policyChanged');
    await expect(run.handle.result()).resolves.toMatchObject({ transactionId: PAYMENT_ID });
  });

  it('asks the ledger when somebody decides whom its version does not name', async () => {
    const run = await begin();
    await approves(run, 'alice');
    run.world.policy = next({ approvers: [...v1.policy.approvers, approver('dave', DAVE)] });
    const receipt = await run.handle.executeUpdate('approve', { args: [daves(run)] });
    expect(receipt).toMatchObject({ approved: 2, quorum: 2 });
    await expect(run.handle.result()).resolves.toMatchObject({ transactionId: PAYMENT_ID });
    expect(
      run.world
        .inputs('recordDecision')
        .map(({ signed }) => signed.approval.approver)
        .sort(),
    ).toEqual(['alice', 'dave']);
  });

  it('an approval given before its author was named begins to count; a stranger’s never does', async () => {
    const run = await begin();
    await approves(run, 'alice');
    expect(await codeOf(run.handle.executeUpdate('approve', { args: [daves(run)] }))).toBe(
      'ApproverUnknown',
    );
    const mallory = approval(
      run.i,
      'mallory' as 'alice',
      Date.now(),
      {},
      new Uint8Array(32).fill(9),
    );
    await run.handle.signal('approve', mallory);
    await untilStatus(run.handle, 'refused', (s) =>
      s.refusedMessages.some(({ code }) => code === 'ApproverUnknown'),
    );
    run.world.policy = next({ approvers: [...v1.policy.approvers, approver('dave', DAVE)] });
    await run.handle.signal('policyChanged');
    await expect(run.handle.result()).resolves.toMatchObject({ transactionId: PAYMENT_ID });
    expect(run.world.inputs('recordDecision').map((one) => one.signed.approval.approver)).toEqual(
      expect.not.arrayContaining(['mallory']),
    );
  });

  it('ends when the new version names somebody who has rejected it', async () => {
    const run = await begin();
    await approves(run, 'alice');
    const no = approval(run.i, 'dave' as 'alice', Date.now(), { decision: 'reject' }, DAVE);
    expect(await codeOf(run.handle.executeUpdate('reject', { args: [no] }))).toBe(
      'ApproverUnknown',
    );
    run.world.policy = next({ approvers: [...v1.policy.approvers, approver('dave', DAVE)] });
    await run.handle.signal('policyChanged');
    expect(await codeOf(run.handle.result())).toBe('IntentRejected');
  });

  it('an approver with a new key signs again', async () => {
    const run = await begin();
    await approves(run, 'alice');
    run.world.policy = next({ approvers: [approver('alice', DAVE), approver('bob', bob)] });
    await run.handle.signal('policyChanged');
    await untilStatus(run.handle, 'recounted', (s) => s.missing.includes('alice'));
    await approves(run, 'bob');
    const again = approval(run.i, 'alice', Date.now(), {}, DAVE);
    expect(await run.handle.executeUpdate('approve', { args: [again] })).toMatchObject({
      approved: 2,
    });
    await expect(run.handle.result()).resolves.toMatchObject({ transactionId: PAYMENT_ID });
  });
});

describe('a change between the last approval and the signature', () => {
  /** The policy as `build` finds it: what the saga counted under is compared with what is in force. */
  const follow = (world: World): void => {
    world.on('build', (input: never) => {
      const { policyHash: counted } = input as { policyHash: string };
      const now = inForce(world.policy);
      return counted === now.policyHash ? undefined : { policy: now };
    });
  };

  it('is told by `build`: nothing is built, and below the quorum it waits for more', async () => {
    const run = await begin(follow);
    await approves(run, 'alice');
    run.world.policy = next({ approvers: [approver('bob', bob), approver('carol', carol)] });
    await approves(run, 'bob');
    const waiting = await untilStatus(
      run.handle,
      'waits for more',
      (s) => s.policy?.version === 2 && s.phase === 'AwaitingApprovals',
    );
    expect(waiting).toMatchObject({ quorum: 2, missing: ['carol'], pivotPassed: false });
    expect(run.world.count('prepare')).toBe(0);
    await approves(run, 'carol');
    await expect(run.handle.result()).resolves.toMatchObject({ transactionId: PAYMENT_ID });
    expect(run.world.hops.slice(0, 4)).toEqual(['reserve', 'build', 'prepare', 'round']);
    const status = await untilStatus(run.handle, 'done', (s) => s.phase === 'Completed');
    expect(status.undos.filter(({ step }) => step === 'release the lease')).toHaveLength(1);
  });

  it('no step is added while nothing changes', async () => {
    const run = await begin(follow);
    await approves(run, 'alice');
    await approves(run, 'bob');
    await run.handle.result();
    expect(run.world.count('transferPolicy')).toBe(0);
    expect(run.world.count('build')).toBe(1);
  });

  it('parties that hold another version: it asks, counts, builds anew and binds the new one', async () => {
    const run = await begin((world) => {
      world.on('prepare', (request: never) => {
        const { policyHash: bound } = request as { policyHash: string };
        if (bound !== policyHash(world.policy.policy))
          throw new KeysagaError('PolicyUnknown', 'Another version is in force here.', {
            field: 'policyHash',
          });
        return undefined;
      });
      // Changed after `build`, before `prepare`.
      world.on('build', (_input, n) => {
        if (n === 0) world.policy = next({ startDelaySeconds: 0, quorum: 1 });
        return undefined;
      });
    });
    await approves(run, 'alice');
    await approves(run, 'bob');
    await expect(run.handle.result()).resolves.toMatchObject({ transactionId: PAYMENT_ID });
    expect(run.world.count('transferPolicy')).toBe(1);
    expect(run.world.count('build')).toBe(2);
  });

  it('while the ledger knows no newer version it waits, visibly, and a hint wakes it', async () => {
    let parties = policyHash(next({ quorum: 1 }).policy);
    const run = await begin((world) => {
      world.on('prepare', (request: never) => {
        if ((request as { policyHash: string }).policyHash !== parties)
          throw new KeysagaError('PolicyUnknown', 'Another version is in force here.');
        return undefined;
      });
    });
    await approves(run, 'alice');
    await approves(run, 'bob');
    const waiting = await untilStatus(run.handle, 'stale', (s) =>
      s.waitingFor.includes('another version of the policy'),
    );
    expect(waiting.pivotPassed).toBe(false);
    run.world.policy = next({ quorum: 1 });
    parties = policyHash(run.world.policy.policy);
    await run.handle.signal('policyChanged');
    await expect(run.handle.result()).resolves.toMatchObject({ transactionId: PAYMENT_ID });
  });

  it('told of a change while an answer from before it is under way, it asks again', async () => {
    const asked = gate();
    const answers = gate();
    const run = await begin((world) => {
      world.on('transferPolicy', async (_input, n) => {
        if (n > 0) return undefined;
        asked.open();
        await answers.passed;
        return inForce(v1);
      });
    });
    await untilStatus(run.handle, 'waiting', (s) => s.phase === 'AwaitingApprovals');
    await run.handle.signal('policyChanged');
    await asked.passed;
    run.world.policy = next({});
    await run.handle.signal('policyChanged');
    answers.open();
    await untilStatus(run.handle, 'counted again', (s) => s.policy?.recounted === true, 8_000);
    expect(run.world.count('transferPolicy')).toBe(2);
    await run.handle.executeUpdate('cancelTransfer');
  });

  const dead = (version: SignedPolicy): TransferPolicy =>
    inForce(version, { next: { version: 2, held: 2, usableAt: 3, currentDead: true } });

  it('between dead and usable it waits, and goes on with the new version', async () => {
    const run = await begin((world) => {
      world.on('build', (_input, n) =>
        n === 0 ? { policy: dead(v1) } : n === 1 ? { policy: inForce(world.policy) } : undefined,
      );
    });
    await approves(run, 'alice');
    await approves(run, 'bob');
    await untilStatus(run.handle, 'dead', (s) =>
      s.waitingFor.includes('version 2 of the policy is held by 2 of the 3 parties'),
    );
    run.world.policy = next({ quorum: 2, startDelaySeconds: 1 });
    await run.handle.signal('policyChanged');
    await expect(run.handle.result()).resolves.toMatchObject({ transactionId: PAYMENT_ID });
  });

  it('and compensates when no version can be used within its limit', async () => {
    const run = await begin((world) => world.on('build', () => ({ policy: dead(v1) })), {
      waitForParties: 2,
    });
    await approves(run, 'alice');
    await approves(run, 'bob');
    const error = await run.handle.result().catch((thrown: unknown) => fromFailure(thrown));
    expect(error).toMatchObject({ code: 'PartyUnavailable', details: { held: 2, needed: 3 } });
    expect(run.world.hops.slice(-3)).toEqual(['releaseLease', 'release', 'fail']);
  });

  it('after the pivot the bytes stay, the approvals are counted anew, and one more lets it sign', async () => {
    let broken = true;
    const run = await begin((world) => {
      world.on('round', (request: never) => {
        if ((request as { round: number }).round === 2 && broken)
          throw new KeysagaError('SessionFailed', 'scripted');
        return undefined;
      });
      world.on('prepare', (request: never) => {
        if ((request as { policyHash: string }).policyHash !== policyHash(world.policy.policy))
          throw new KeysagaError('PolicyUnknown', 'Another version is in force here.');
        return undefined;
      });
      world.on('passPivot', () => {
        world.policy = next({ quorum: 3 });
        world.pivotPassed = true;
        return null;
      });
    });
    await approves(run, 'alice');
    await approves(run, 'bob');
    const waiting = await untilStatus(
      run.handle,
      'asks for more',
      (s) => s.policy?.version === 2 && s.waitingFor.startsWith('ALERT: the pivot has passed'),
    );
    expect(waiting).toMatchObject({ pivotPassed: true, quorum: 3, missing: ['carol'] });
    broken = false;
    await approves(run, 'carol');
    await expect(run.handle.result()).resolves.toMatchObject({ transactionId: PAYMENT_ID });
    expect(run.world.count('build')).toBe(1);
    expect(run.world.count('buildVoid')).toBe(0);
    expect(run.world.count('releaseLease')).toBe(0);
  });
});

describe('the saga that carries a policy', () => {
  const change = (): SignedPolicy => ({
    ...policy({
      policyId: uniqueId('p') as Policy['policyId'],
      version: 2,
      previous: policyHash(v1.policy),
    }),
    // Scripted parties look at none; the form wants one.
    signatures: [
      { administrator: 'ada' as never, publicKey: 'ab'.repeat(32), signature: 'cd'.repeat(64) },
    ],
  });
  const start = (signed: SignedPolicy, body: object = {}): Promise<WorkflowHandle> =>
    stage.client.workflow.start(WORKFLOWS.changePolicy, {
      taskQueue: TASK_QUEUES.sagas,
      workflowId: workflowId.policy(signed.policy.policyId, signed.policy.version),
      args: [{ signed, policyHash: policyHash(signed.policy), ...body }],
    });
  const statusOf = (handle: WorkflowHandle) => handle.query<PolicyChangeStatus>('status');
  const seen = async (
    handle: WorkflowHandle,
    what: string,
    met: (status: PolicyChangeStatus) => boolean,
  ): Promise<PolicyChangeStatus> => {
    let last: PolicyChangeStatus | undefined;
    const deadline = Date.now() + 30_000;
    for (;;) {
      last = await statusOf(handle).catch(() => last);
      if (last !== undefined && met(last)) return last;
      if (Date.now() > deadline) throw new Error(`${what}: ${JSON.stringify(last)}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  const worldOf = (signed: SignedPolicy, parties = ['alpha', 'beta']): World => {
    const world = stage.worlds.for(signed.policy.policyId);
    world.parties = parties;
    return world;
  };

  it('proposes, delivers to every party and ends with all receipts', async () => {
    const signed = change();
    const world = worldOf(signed);
    const handle = await start(signed);
    expect(await handle.result()).toEqual({
      policyId: signed.policy.policyId,
      version: 2,
      policyHash: policyHash(signed.policy),
      received: ['alpha', 'beta'],
    });
    expect(world.order[0]).toBe('proposePolicy');
    expect(world.inputs('proposePolicy')[0]).toMatchObject({
      workflowId: `policy/${signed.policy.policyId}/2`,
    });
    expect(
      world
        .inputs('recordPolicyReceipt')
        .map((one) => one.signed.receipt.party)
        .sort(),
    ).toEqual(['alpha', 'beta']);
    const { typedSearchAttributes } = await handle.describe();
    expect([...typedSearchAttributes.getAll()].map(({ value }) => value)).toContain('Complete');
  });

  it('a party that is away does not block; it is told when it is back', async () => {
    const signed = change();
    const world = worldOf(signed, ['alpha', 'beta', 'gamma']);
    const waiter = await begin();
    world.on('policyWaiters', () => ({ requestIds: [waiter.i.requestId, 'long-gone'] }));
    const handle = await start(signed);
    const usable = await seen(handle, 'usable', (s) => s.usable && s.announced === 1);
    expect(usable).toMatchObject({ phase: 'InForce', previousDead: true, complete: false });
    expect(usable.waitingFor).toBe('receipts of gamma');
    expect(usable.parties.find(({ party }) => party === 'gamma')?.state).toBe('waiting');
    await until(
      'the waiting transfer looked again',
      () => waiter.world.count('transferPolicy') > 0,
    );
    const gamma = await stage.party('gamma');
    expect(await handle.result()).toMatchObject({ received: ['alpha', 'beta', 'gamma'] });
    await stage.stop(gamma);
  });

  it('a party that holds another document of the version keeps it, and the saga says so', async () => {
    const signed = change();
    const world = worldOf(signed).on('receivePolicy beta', () => {
      throw new KeysagaError('PolicyViolation', 'This party holds another document.', {
        field: 'document',
        holds: 2,
      });
    });
    const handle = await start(signed);
    const error = await handle.result().catch((thrown: unknown) => fromFailure(thrown));
    expect(error).toMatchObject({
      code: 'PolicyViolation',
      details: { field: 'document', parties: ['beta'], received: ['alpha'] },
    });
    expect(world.count('receivePolicy beta')).toBe(1);
    expect(world.inputs('recordPolicyFork')).toMatchObject([{ party: 'beta', version: 2 }]);
    expect((await statusOf(handle)).phase).toBe('Failed');
  });

  it('a party that refuses is asked again, and shown', async () => {
    const signed = change();
    const world = worldOf(signed).on('receivePolicy beta', (_input, n) => {
      if (n < 1) throw new KeysagaError('QuorumMissing', '1 of 2 administrators signed.');
      return undefined;
    });
    const handle = await start(signed);
    const refused = await seen(handle, 'refused', (s) =>
      s.parties.some(({ state }) => state === 'refused'),
    );
    expect(refused.waitingFor).toContain('ALERT: refused by beta');
    await handle.result();
    expect(world.count('receivePolicy beta')).toBe(2);
  });

  it('a party that missed versions is brought them first, in order', async () => {
    const signed = change();
    const missed = { ...signed, ...policy({ policyId: signed.policy.policyId, version: 1 }) };
    const held = new Map<string, number>([['beta', 0]]);
    const world = worldOf(signed)
      .on('policyVersions', () => ({ versions: [missed] }))
      .on('receivePolicy beta', (input: never) => {
        const { version } = (input as { signed: SignedPolicy }).signed.policy;
        const holds = held.get('beta') ?? 0;
        if (version > holds + 1)
          throw new KeysagaError('PolicyViolation', 'version', { field: 'version', holds });
        held.set('beta', version);
        return undefined;
      });
    await (await start(signed)).result();
    expect(
      world.calls
        .filter(({ step, party }) => step === 'receivePolicy' && party === 'beta')
        .map(({ input }) => (input as { signed: SignedPolicy }).signed.policy.version),
    ).toEqual([2, 1, 2]);
    expect(world.inputs('policyVersions')).toEqual([
      { policyId: signed.policy.policyId, from: 1, to: 1 },
    ]);
  });

  it('delivers once more to every party when asked to, whatever receipts stand', async () => {
    const signed = change();
    const world = worldOf(signed);
    for (const party of ['alpha', 'beta']) world.receipts.add(party);
    const handle = await start(signed, { redeliver: true });
    expect(await handle.result()).toMatchObject({ received: ['alpha', 'beta'] });
    expect(world.count('receivePolicy alpha')).toBe(1);
    expect(world.count('receivePolicy beta')).toBe(1);
    const known = change();
    for (const party of ['alpha', 'beta']) worldOf(known).receipts.add(party);
    await (await start(known)).result();
    expect(worldOf(known).count('receivePolicy')).toBe(0);
  });

  it('a receipt that is none, or that does not verify, is that party’s failure', async () => {
    const signed = change();
    const world = worldOf(signed)
      .on('receivePolicy alpha', (_input, n) => (n === 0 ? { nonsense: true } : undefined))
      .on('recordPolicyReceipt', (input: never, n) => {
        const { party } = (input as { signed: { receipt: { party: string } } }).signed.receipt;
        if (party === 'beta' && n < 2)
          throw new KeysagaError('CertificateInvalid', 'The receipt does not verify.');
        return undefined;
      });
    const handle = await start(signed);
    expect(await handle.result()).toMatchObject({ received: ['alpha', 'beta'] });
    expect(world.count('receivePolicy alpha')).toBe(2);
    expect(world.count('receivePolicy beta')).toBeGreaterThan(1);
  });

  it('what the ledger refuses reaches no party', async () => {
    const signed = change();
    const world = worldOf(signed).on('proposePolicy', () => {
      throw new KeysagaError('QuorumMissing', '1 of 2 administrators signed.');
    });
    expect(await codeOf((await start(signed)).result())).toBe('QuorumMissing');
    expect(world.count('receivePolicy')).toBe(0);
  });

  it('refuses an input that is not what it is called', async () => {
    const signed = change();
    expect(await codeOf((await start(signed, { policyHash: '00'.repeat(32) })).result())).toBe(
      'InvalidInput',
    );
  });
});
