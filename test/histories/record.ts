/**
 * Records histories of both sagas for the replay test: `node --import tsx test/histories/record.ts <version> [kind…]`.
 * Run it for each release, all kinds; old files stay, since sagas of old releases may still be waiting. Payloads are written
 * decoded, so that a replay needs no key; what runs here is scripted and holds no secret.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import type { WorkflowHandle } from '@temporalio/client';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { policyHash } from '../../core/policy.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { SignedPolicy } from '../../schema/contracts/policy.ts';
import { TASK_QUEUES, WORKFLOWS, workflowId } from '../../schema/contracts/temporal.ts';
import {
  approval,
  inputOf,
  intent,
  keyRequest,
  payoutInputOf,
  payoutIntent,
  policy,
  uniqueId,
} from '../workflows/support/fixtures.ts';
import { decodePayloads } from '../workflows/support/payloads.ts';
import { Stage, untilStatus } from '../workflows/support/stage.ts';
import { PAYMENT_ID, type World } from '../workflows/support/world.ts';

async function main(version: string, kinds: readonly string[]): Promise<void> {
  const folder = new URL('.', import.meta.url);
  mkdirSync(folder, { recursive: true });
  const stage = await Stage.open('local');
  const write = async (name: string, handle: WorkflowHandle): Promise<void> => {
    await handle.result().catch(() => undefined);
    const history = await handle.fetchHistory();
    await decodePayloads(history);
    const file = new URL(`${name}@${version}.json`, folder);
    writeFileSync(file, `${historyToJSON(history)}\n`);
    process.stdout.write(`${file.pathname}\n`);
  };
  const wanted = (name: string): boolean => kinds.length === 0 || kinds.includes(name);
  const transfer = async (
    name: string,
    change: (world: World) => void,
    act: (handle: WorkflowHandle, i: ReturnType<typeof intent>) => Promise<void>,
  ) => {
    if (!wanted(name)) return;
    const i = intent(Date.now());
    change(stage.worlds.for(i.requestId));
    const handle = await stage.transfer(inputOf(i));
    await untilStatus(handle, 'waiting', (s) => s.phase === 'AwaitingApprovals');
    await act(handle, i);
    await write(name, handle);
  };
  const payout = async (
    name: string,
    change: (world: World) => void,
    act: (handle: WorkflowHandle, i: ReturnType<typeof payoutIntent>) => Promise<void>,
  ) => {
    if (!wanted(name)) return;
    const i = payoutIntent(Date.now());
    change(stage.worlds.for(i.requestId));
    const handle = await stage.client.workflow.start(WORKFLOWS.payout, {
      taskQueue: TASK_QUEUES.sagas,
      workflowId: workflowId.payout(i.requestId),
      args: [payoutInputOf(i)],
    });
    await untilStatus(handle, 'waiting', (s) => s.phase === 'AwaitingApprovals');
    await act(handle, i);
    await write(name, handle);
  };
  const keygen = async (name: string, change: (world: World) => void) => {
    if (!wanted(name)) return;
    const request = keyRequest(['alpha', 'beta', 'gamma']);
    change(stage.worlds.for(request.requestId));
    const handle = await stage.client.workflow.start(WORKFLOWS.generateKey, {
      taskQueue: TASK_QUEUES.sagas,
      workflowId: workflowId.keygen(request.requestId),
      args: [{ request }],
    });
    await write(name, handle);
  };
  const first = policy();
  const second = (change: Parameters<typeof policy>[0] = {}): SignedPolicy => ({
    ...policy({ version: 2, previous: policyHash(first.policy), ...change }),
    // Scripted parties look at none; the form wants one.
    signatures: [
      { administrator: 'ada' as never, publicKey: 'ab'.repeat(32), signature: 'cd'.repeat(64) },
    ],
  });
  const changePolicy = async (name: string, change: (world: World) => void) => {
    if (!wanted(name)) return;
    const signed = second({ policyId: uniqueId('p') as never });
    change(stage.worlds.for(signed.policy.policyId));
    const handle = await stage.client.workflow.start(WORKFLOWS.changePolicy, {
      taskQueue: TASK_QUEUES.sagas,
      workflowId: workflowId.policy(signed.policy.policyId, 2),
      args: [{ signed, policyHash: policyHash(signed.policy) }],
    });
    await write(name, handle);
  };
  const approve = async (
    handle: WorkflowHandle,
    i: ReturnType<typeof intent | typeof payoutIntent>,
  ): Promise<void> => {
    await handle.signal('approve', approval(i, 'alice', Date.now()));
    await handle.executeUpdate('approve', { args: [approval(i, 'bob', Date.now())] });
  };
  const refuse = () => {
    throw new KeysagaError('PolicyViolation', 'scripted');
  };
  try {
    await transfer('transfer-completed', () => {}, approve);
    await transfer(
      'transfer-rejected',
      () => {},
      async (handle, i) => {
        await handle.signal('approve', approval(i, 'alice', Date.now()));
        await handle.signal('reject', approval(i, 'bob', Date.now(), { decision: 'reject' }));
      },
    );
    await transfer('transfer-compensated', (world) => world.on('round', refuse), approve);
    await transfer(
      'transfer-cancelled',
      () => {},
      async (handle) => {
        await handle.signal('approve', { nonsense: true });
        await handle.executeUpdate('cancelTransfer');
      },
    );
    await transfer(
      'transfer-rerouted',
      (world) =>
        world.on('prepare alpha', () => {
          throw new KeysagaError('PartyFenced', 'scripted');
        }),
      approve,
    );
    await transfer(
      'transfer-voided',
      (world) =>
        world.on('broadcast', (input: never) =>
          (input as { purpose: string }).purpose === 'payment'
            ? { status: 'rejected', reason: 'scripted' }
            : undefined,
        ),
      approve,
    );
    await payout('payout-completed', () => {}, approve);
    await payout(
      'payout-cancelled',
      () => {},
      async (handle) => {
        await handle.executeUpdate('cancelTransfer');
      },
    );
    // What a reset leads to: past the pivot already, with signed bytes in the ledger.
    if (wanted('transfer-recalled')) {
      const i = intent(Date.now());
      const world = stage.worlds.for(i.requestId);
      world.pivotPassed = true;
      world.left = { signed: { network: i.chain, id: PAYMENT_ID, bytes: '0200' } };
      await write('transfer-recalled', await stage.transfer(inputOf(i)));
    }
    // Changed while approvals were awaited, and again between the last one and the signature.
    await transfer(
      'transfer-policy-changed',
      (world) => {
        world.on('build', (input: never) => {
          const { policyHash: counted } = input as { policyHash: string };
          const hash = policyHash(world.policy.policy);
          return counted === hash
            ? undefined
            : { policy: { signed: world.policy, policyHash: hash } };
        });
        world.on('prepare', (_request, n) => {
          if (n > 0) return undefined;
          throw new KeysagaError('PolicyUnknown', 'scripted');
        });
      },
      async (handle, i) => {
        const world = stage.worlds.for(i.requestId);
        await handle.signal('approve', approval(i, 'alice', Date.now()));
        world.policy = second();
        await handle.signal('policyChanged');
        await untilStatus(handle, 'recounted', (s) => s.policy?.version === 2);
        world.policy = second({ version: 3, quorum: 3 });
        await handle.executeUpdate('approve', { args: [approval(i, 'bob', Date.now())] });
        await untilStatus(handle, 'recounted', (s) => s.policy?.version === 3);
        await handle.executeUpdate('approve', { args: [approval(i, 'carol', Date.now())] });
      },
    );
    await changePolicy('change-policy-completed', () => {});
    await changePolicy('change-policy-forked', (world) =>
      world.on('receivePolicy beta', () => {
        throw new KeysagaError('PolicyViolation', 'scripted', { field: 'document', holds: 2 });
      }),
    );
    await keygen('generate-key-completed', () => {});
    await keygen('generate-key-recalled', (world) => world.certify('a-1'));
    await keygen('generate-key-compensated', (world) =>
      world.on('round beta', () => {
        throw new KeysagaError('ProtocolUnsupported', 'scripted');
      }),
    );
  } finally {
    await stage.close();
  }
}

const version = process.argv[2];
if (version === undefined || !/^\d+\.\d+\.\d+$/.test(version)) {
  process.stderr.write('usage: node --import tsx test/histories/record.ts <version> [kind…]\n');
  process.exitCode = 2;
} else await main(version, process.argv.slice(3));
