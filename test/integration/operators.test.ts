/** What people do to running sagas, by the SDK and by Temporal's own command line, and what must not come of it. */
import { Connection } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../../dev/until.ts';
import type { TransferIntent } from '../../schema/contracts/intent.ts';
import type { RequestId } from '../../schema/contracts/primitives.ts';
import { workflowId } from '../../schema/contracts/temporal.ts';
import { checkLedger } from '../crash/cells.ts';
import { approve, type Person } from '../support/parties.ts';
import { type Platform, startPlatform } from '../support/platform.ts';
import {
  expectEnd,
  look,
  type TemporalCli,
  temporalCli,
  untilPhase,
  untilStatus,
  type Wallets,
  wallets,
} from './support.ts';

let platform: Platform;
let funded: Wallets;
let cli: TemporalCli;
let ann: Person;
let ben: Person;
let cleo: Person;
beforeAll(async () => {
  platform = await startPlatform();
  cli = await temporalCli(platform);
  funded = await wallets(platform, 'operated', { bitcoin: { coins: 6, each: 300_000n } });
  [ann, ben, cleo] = platform.cast.approvers as [Person, Person, Person];
}, 300_000);
afterAll(() => platform?.close());

/** A transfer that waits for its approvers. */
async function waiting(
  chain: 'bitcoin' | 'solana' = 'solana',
  change: Partial<TransferIntent> = {},
): Promise<TransferIntent> {
  const intent = platform.intent(funded[chain], change);
  await platform.client.transfer(intent);
  await untilPhase(platform, intent.requestId, 'AwaitingApprovals');
  return intent;
}

const idOf = ({ requestId }: TransferIntent): string => workflowId.transfer(requestId);
type Described = {
  workflowExecutionInfo: {
    execution: { runId: string };
    status: string;
    searchAttributes: { indexedFields: Record<string, { data: string }> };
  };
};
const describeRun = async (id: string) =>
  ((await cli.json('workflow', 'describe', '--workflow-id', id)) as Described)
    .workflowExecutionInfo;
const attributeOf = ({ searchAttributes }: Described['workflowExecutionInfo'], name: string) => {
  const data = searchAttributes.indexedFields[name]?.data;
  return data === undefined ? undefined : JSON.parse(Buffer.from(data, 'base64').toString());
};

async function reset(id: string): Promise<void> {
  const before = await describeRun(id);
  const target = ['--workflow-id', id, '--type', 'FirstWorkflowTask'];
  await cli.run('workflow', 'reset', ...target, '--reason', 'an operator tries it');
  const after = await describeRun(id);
  expect(after.execution.runId).not.toBe(before.execution.runId);
}
const untilCompletedAgain = (id: string): Promise<unknown> =>
  until(async () => (await describeRun(id)).status === 'WORKFLOW_EXECUTION_STATUS_COMPLETED', {
    deadlineMs: 60_000,
    intervalMs: 200,
    what: 'the new run completes',
  });

describe('temporal workflow reset', () => {
  it('of a transfer that waits for blocks: the new run follows the same transaction', {
    timeout: 120_000,
  }, async () => {
    await platform.mining(false);
    try {
      const intent = await waiting('bitcoin');
      const { requestId } = intent;
      // One approval by update, one by signal: Temporal applies both again.
      await platform.client.approve(requestId, approve(intent, ann));
      await platform.client.signalDecision(requestId, approve(intent, ben));
      const { transactionId } = await untilPhase(platform, requestId, 'Confirming');
      expect(transactionId).toMatch(/^[0-9a-f]{64}$/);
      await reset(idOf(intent));
      const again = await untilPhase(platform, requestId, 'Confirming', 'Completed');
      expect(again.transactionId).toBe(transactionId);
      expect(again.pivotPassed).toBe(true);
      await platform.mining(true);
      const end = await expectEnd(platform, intent, 'Completed');
      expect(end.transactionId).toBe(transactionId);
    } finally {
      await platform.mining(true);
    }
    await checkLedger(platform);
  });

  it('of a completed transfer: it completes again with the same transaction, paid once', {
    timeout: 120_000,
  }, async () => {
    const intent = platform.intent(funded.solana);
    await platform.startApproved(intent);
    const { transactionId } = await expectEnd(platform, intent, 'Completed');
    await reset(idOf(intent));
    await untilCompletedAgain(idOf(intent));
    const end = await expectEnd(platform, intent, 'Completed');
    expect(end.transactionId).toBe(transactionId);
    await checkLedger(platform);
  });

  it('of a completed key generation: it completes again with the same key, which pays', {
    timeout: 120_000,
  }, async () => {
    const { walletId } = funded.solana.key;
    const before = await platform.client.wallet(walletId);
    const id = workflowId.keygen(walletId as string as RequestId);
    await reset(id);
    await untilCompletedAgain(id);
    const after = await platform.client.wallet(walletId);
    // Parties activate in any order.
    expect({ ...after, activated: before.activated }).toEqual(before);
    expect(after.activated.length).toBeGreaterThanOrEqual(before.key.threshold);
    const intent = platform.intent(funded.solana);
    await platform.startApproved(intent);
    await expectEnd(platform, intent, 'Completed');
  });
});

describe('duplicate starts', () => {
  it('of the same body are one transfer, of another a RequestConflict, running or ended', async () => {
    const { client } = platform;
    const intent = platform.intent(funded.solana);
    const starts = await Promise.all(Array.from({ length: 5 }, () => client.transfer(intent)));
    expect(starts.filter(({ fresh }) => fresh)).toHaveLength(1);
    expect(new Set(starts.map(({ runId }) => runId)).size).toBe(1);

    const other = { ...intent, amount: '2000000' } as TransferIntent;
    const conflict = { code: 'RequestConflict', details: { field: 'requestId' } };
    await expect(client.transfer(other)).rejects.toMatchObject(conflict);
    expect((await client.status(intent.requestId)).intent).toEqual(intent);

    await untilPhase(platform, intent.requestId, 'AwaitingApprovals');
    for (const who of [ann, ben]) await client.approve(intent.requestId, approve(intent, who));
    await expectEnd(platform, intent, 'Completed');
    expect(await client.transfer(intent)).toMatchObject({
      fresh: false,
      runId: starts[0]?.runId,
    });
    await expect(client.transfer(other)).rejects.toMatchObject(conflict);
    await expectEnd(platform, intent, 'Completed');
  });
});

describe('approvals', () => {
  it('that race are each counted once', async () => {
    const { client } = platform;
    const intent = await waiting();
    const { requestId } = intent;
    const [byAnn, byBen] = [approve(intent, ann), approve(intent, ben)];
    const receipts = await Promise.all([
      client.approve(requestId, byAnn),
      client.approve(requestId, byBen),
    ]);
    expect(receipts.map(({ approved }) => approved).sort()).toEqual([1, 2]);
    // The same update again is the same one to Temporal: it answers what it answered.
    expect(await client.approve(requestId, byAnn)).toEqual(receipts[0]);
    const end = await expectEnd(platform, intent, 'Completed');
    expect(end.approvals.map(({ approval }) => approval.approver).sort()).toEqual(['ann', 'ben']);
  });

  it('of one approver that race as different updates: one counts, the other is a duplicate', async () => {
    const { client } = platform;
    const intent = await waiting();
    const two = [0, 1_000].map((later) =>
      approve(intent, ann, 'approve', { validUntil: Date.now() + 3_000_000 + later }),
    );
    const results = await Promise.allSettled(two.map((a) => client.approve(intent.requestId, a)));
    expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(results.find(({ status }) => status === 'rejected')).toMatchObject({
      reason: { code: 'ApprovalDuplicate', details: { approver: 'ann' } },
    });
    const status = await client.status(intent.requestId);
    expect(status).toMatchObject({ phase: 'AwaitingApprovals', missing: ['ben', 'cleo'] });
    expect(status.approvals).toHaveLength(1);
    await client.cancel(intent.requestId);
    await expectEnd(platform, intent, 'Failed');
  });

  it('sent twice as signals at once count once and pay once', async () => {
    const { client } = platform;
    const intent = await waiting();
    const decisions = [ann, ben].map((who) => approve(intent, who));
    await Promise.all(
      [...decisions, ...decisions, ...decisions].map((signed) =>
        client.signalDecision(intent.requestId, signed).catch((error: unknown) => {
          // The saga may have ended before the last of them.
          expect(error).toMatchObject({ code: 'NotFound' });
        }),
      ),
    );
    const end = await expectEnd(platform, intent, 'Completed');
    expect(end.approvals).toHaveLength(2);
    for (const { code } of end.refusedMessages)
      expect(['ApprovalDuplicate', 'PivotPassed']).toContain(code);
  });

  it('past their own end do not count, nor does any after the intent has expired', async () => {
    const { client } = platform;
    const lapsed = await waiting();
    const late = approve(lapsed, ann, 'approve', {
      at: Date.now() - 10_000,
      validUntil: Date.now() - 1_000,
    });
    await expect(client.approve(lapsed.requestId, late)).rejects.toMatchObject({
      code: 'ApprovalExpired',
      details: { approver: 'ann' },
    });
    await client.signalDecision(lapsed.requestId, late);
    const shown = await untilStatus(
      platform,
      lapsed.requestId,
      ({ refusedMessages }) => refusedMessages.length > 0,
      'the refused signal shows',
    );
    expect(shown.refusedMessages).toMatchObject([{ code: 'ApprovalExpired' }]);
    expect(shown.approvals).toEqual([]);
    await client.cancel(lapsed.requestId);

    const brief = platform.intent(funded.solana, {
      expiresAt: new Date(Date.now() + 4_000).toISOString() as TransferIntent['expiresAt'],
    });
    await client.transfer(brief);
    await client.signalDecision(brief.requestId, approve(brief, ann));
    const end = await expectEnd(platform, brief, 'Failed');
    expect(end.failure?.code).toBe('IntentExpired');
    await expect(client.approve(brief.requestId, approve(brief, ben))).rejects.toMatchObject({
      name: 'KeysagaError',
    });
    await expectEnd(platform, brief, 'Failed');
    await expectEnd(platform, lapsed, 'Failed');
    await checkLedger(platform);
  });
});

describe('temporal workflow signal', () => {
  it('with nonsense shows on the board and stops nothing', { timeout: 120_000 }, async () => {
    const intent = await waiting();
    const forged = { ...approve(intent, ben), publicKey: ann.publicKey };
    const nonsense: readonly [name: string, input: string, code: string][] = [
      ['approve', '"yes please"', 'InvalidInput'],
      ['approve', '{"approval":{"approver":"ann"},"signature":[1,2,{"x":null}]}', 'InvalidInput'],
      ['reject', 'null', 'InvalidInput'],
      ['reject', JSON.stringify(approve(intent, ann)), 'ApprovalInvalid'],
      ['approve', JSON.stringify(forged), 'ApprovalInvalid'],
      ['approveAll', '{}', 'InvalidInput'],
    ];
    for (const [name, input] of nonsense) await cli.signal(intent, name, input);
    const status = await untilStatus(
      platform,
      intent.requestId,
      ({ refusedMessages }) => refusedMessages.length === nonsense.length,
      'every refused signal shows',
    );
    expect(status.refusedMessages.map(({ code }) => code)).toEqual(
      nonsense.map(([, , code]) => code),
    );
    expect(status).toMatchObject({ phase: 'AwaitingApprovals', approvals: [] });

    // A valid approval counts, whoever carries it: authenticity is in the signature alone.
    await cli.signal(intent, 'approve', JSON.stringify(approve(intent, ann)));
    await cli.signal(intent, 'approve', JSON.stringify(approve(intent, ben)));
    await expectEnd(platform, intent, 'Completed');
  });

  it('with bytes that no converter or key opens stops nothing either', {
    timeout: 120_000,
  }, async () => {
    const intent = await waiting();
    const { address, namespace } = platform.stack.temporal;
    const connection = await Connection.connect({ address });
    try {
      const utf8 = new TextEncoder();
      const payload = (encoding: string, data: string, more: Record<string, Uint8Array> = {}) => ({
        metadata: { encoding: utf8.encode(encoding), ...more },
        data: utf8.encode(data),
      });
      const payloads = [
        payload('json/plain', '{ this is no JSON'),
        payload('binary/quantum', 'x'),
        payload('binary/encrypted', 'sealed with nothing'),
        payload('binary/encrypted', 'short', { 'encryption-key-id': utf8.encode('test') }),
      ];
      for (const one of payloads)
        await connection.workflowService.signalWorkflowExecution({
          namespace,
          workflowExecution: { workflowId: idOf(intent) },
          signalName: 'approve',
          input: { payloads: [one] },
        });
      const status = await untilStatus(
        platform,
        intent.requestId,
        ({ refusedMessages }) => refusedMessages.length === payloads.length,
        'every refused signal shows',
      );
      for (const { code } of status.refusedMessages) expect(code).toBe('InvalidInput');
    } finally {
      await connection.close();
    }
    for (const who of [ann, ben])
      await platform.client.approve(intent.requestId, approve(intent, who));
    await expectEnd(platform, intent, 'Completed');
  });
});

describe('cancel', () => {
  it('before the approvals undoes the reservation and says so', async () => {
    const { client } = platform;
    const intent = await waiting('bitcoin');
    expect(await client.cancel(intent.requestId)).toMatchObject({
      accepted: true,
      path: 'compensate',
    });
    const end = await expectEnd(platform, intent, 'Failed');
    expect(end.failure?.code).toBe('Cancelled');
    expect(end.undos).toMatchObject([{ step: 'release the reservation', state: 'done' }]);
    expect(await client.cancel(intent.requestId)).toMatchObject({
      accepted: false,
      path: 'too-late',
    });
    await checkLedger(platform);
  });
});

describe('what an operator sees without keys', () => {
  it('answers who waits for whom, and shows nothing of the payment', {
    timeout: 120_000,
  }, async () => {
    const { client } = platform;
    const intent = await waiting('solana', { memo: 'Rent of the lighthouse' });
    const listed = async (approver: string): Promise<string[]> => {
      const query = `KeysagaApprover = '${approver}' AND ExecutionStatus = 'Running'`;
      const found = (await cli.json('workflow', 'list', '--query', query)) as {
        execution: { workflowId: string };
      }[];
      return found.map(({ execution }) => execution.workflowId);
    };
    const untilListed = (approver: string, there: boolean) =>
      until(async () => (await listed(approver)).includes(idOf(intent)) === there, {
        deadlineMs: 30_000,
        intervalMs: 100,
        what: `${approver} is ${there ? '' : 'no longer '}waited for`,
      });
    await untilListed('ben', true);
    const info = await describeRun(idOf(intent));
    expect(attributeOf(info, 'KeysagaPhase')).toBe('AwaitingApprovals');
    expect(attributeOf(info, 'KeysagaApprover')).toEqual(['ann', 'ben', 'cleo']);
    expect(attributeOf(info, 'KeysagaWallet')).toBe(intent.walletId);
    expect(await client.transfers({ approver: 'ben' })).toEqual(
      expect.arrayContaining([
        expect.objectContaining({
          requestId: intent.requestId,
          intent,
          phase: 'AwaitingApprovals',
        }),
      ]),
    );

    // The same query that the SDK asks, by someone without the payload key: an answer, and all of it ciphertext.
    const id = ['--workflow-id', idOf(intent)];
    const texts = await Promise.all([
      cli.run('workflow', 'query', ...id, '--type', 'status', '--output', 'json'),
      cli.run('workflow', 'metadata', ...id, '--output', 'json'),
      cli.run('workflow', 'describe', ...id, '--output', 'json'),
      cli.run('workflow', 'show', ...id, '--output', 'json'),
    ]);
    expect(texts[0]).toContain(Buffer.from('binary/encrypted').toString('base64'));
    for (const text of texts)
      for (const secret of [intent.destination, intent.memo as string]) {
        expect(text).not.toContain(secret);
        // The command line shows payloads in base64, at any of three offsets.
        for (const pad of ['', '.', '..']) {
          const inner = Buffer.from(pad + secret)
            .toString('base64')
            .slice(4, -4);
          expect(text).not.toContain(inner);
        }
      }

    await client.approve(intent.requestId, approve(intent, ben));
    await untilListed('ben', false);
    expect(await listed('cleo')).toContain(idOf(intent));
    await client.approve(intent.requestId, approve(intent, cleo));
    await expectEnd(platform, intent, 'Completed');
    await untilListed('ann', false);
    await until(
      async () => attributeOf(await describeRun(idOf(intent)), 'KeysagaPhase') === 'Completed',
      { deadlineMs: 30_000, what: 'the phase shows' },
    );
  });
});

describe('a coordinator replaced in mid-saga', () => {
  it('ends in order, and its successor finishes what waits for approvals and for blocks', {
    timeout: 180_000,
  }, async () => {
    const { client } = platform;
    const undecided = await waiting('solana');
    await client.approve(undecided.requestId, approve(undecided, ann));
    await platform.mining(false);
    try {
      const sent = platform.intent(funded.bitcoin);
      await platform.startApproved(sent);
      const { transactionId } = await untilPhase(platform, sent.requestId, 'Confirming');

      const coordinator = platform.workers.get('coordinator');
      const before = coordinator?.pid;
      const exited = coordinator?.exited;
      await coordinator?.stop();
      expect(await exited).toMatchObject({ code: 0, signal: null });
      // An approval given while no coordinator runs waits in Temporal.
      await client.signalDecision(undecided.requestId, approve(undecided, cleo));
      await until(async () => (await look(platform, undecided.requestId)) !== undefined, {
        deadlineMs: 120_000,
        what: 'the successor answers',
      });
      expect(coordinator?.pid).toBeDefined();
      expect(coordinator?.pid).not.toBe(before);

      const end = await expectEnd(platform, undecided, 'Completed');
      expect(end.approvals.map(({ approval }) => approval.approver)).toEqual(['ann', 'cleo']);
      await platform.mining(true);
      expect((await expectEnd(platform, sent, 'Completed')).transactionId).toBe(transactionId);
    } finally {
      await platform.mining(true);
    }
    await checkLedger(platform);
  });
});
