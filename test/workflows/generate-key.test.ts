import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { GenerateKeyRequest } from '../../schema/contracts/key.ts';
import type { KeygenOutcome, KeygenStatus } from '../../schema/contracts/saga.ts';
import { TASK_QUEUES, WORKFLOWS, workflowId } from '../../schema/contracts/temporal.ts';
import { keyRequest, uniqueId } from './support/fixtures.ts';
import { codeOf, gate, Stage, until } from './support/stage.ts';
import type { Step, World } from './support/world.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open('local');
});
afterAll(() => stage?.close());

const PARTIES = ['alpha', 'beta', 'gamma'];
async function begin(
  change: (world: World) => void = () => {},
  parties = PARTIES,
  waitForParties = 600,
) {
  const request: GenerateKeyRequest = keyRequest(parties);
  const world = stage.worlds.for(request.requestId);
  world.parties = parties;
  change(world);
  const handle = await stage.client.workflow.start(WORKFLOWS.generateKey, {
    taskQueue: TASK_QUEUES.sagas,
    workflowId: workflowId.keygen(request.requestId),
    args: [{ request, limits: { waitForParties } }],
  });
  const status = (): Promise<KeygenStatus> => handle.query<KeygenStatus>('status');
  return { request, world, handle, status };
}
const never = (party: string, attempt: string, keyId: string) => ({
  never: { party, attempt, keyId, at: '2026-01-01T00:00:00.000Z' },
  signature: 'ab'.repeat(64),
});

describe('key generation', () => {
  it('certifies with n, activates, provisions', async () => {
    const { world, handle, status, request } = await begin();
    const { key } = (await handle.result()) as KeygenOutcome;
    expect(key).toMatchObject({ keyId: request.requestId, parties: PARTIES });
    expect(world.inputs('certifyKey')[0]?.certificates).toHaveLength(3);
    expect(world.hops.slice(0, 4)).toEqual(['reserveKey', 'prepare', 'round', 'certifyKey']);
    expect(world.count('prepare')).toBe(3);
    expect(world.count('activate')).toBe(3);
    expect(world.inputs('activate')[0]?.certificates).toHaveLength(3);
    const first = world.inputs('activateWallet')[0]?.activated ?? [];
    const later = world.inputs('recordActivation').map(({ party }) => party);
    expect(first.length).toBeGreaterThanOrEqual(2);
    expect([...first, ...later].sort()).toEqual(PARTIES);
    expect(world.count('provision')).toBe(1);
    expect(await status()).toMatchObject({
      phase: 'Active',
      certificates: 3,
      address: key.address,
    });
  });

  it.each<Step>(['prepare', 'round'])(
    'a failing %s destroys the ceremony everywhere',
    async (step) => {
      const { world, handle } = await begin((w) =>
        w.on(`${step} beta`, () => {
          throw new KeysagaError('ProtocolUnsupported', 'no');
        }),
      );
      expect(await codeOf(handle.result())).toBe('ProtocolUnsupported');
      expect(world.count('abort')).toBe(3);
      expect(world.count('destroy')).toBe(3);
      expect(world.hops.at(-1)).toBe('failKey');
      expect(world.count('certifyKey')).toBe(0);
    },
  );

  it('a never is taken to those that certified', async () => {
    const { world, handle } = await begin((w) => {
      w.on('round gamma', (input: never) => {
        if ((input as { round: number }).round === 3)
          throw new KeysagaError('ProtocolUnsupported', 'no');
      });
      w.on('destroy', (raw: never, _n, party) => {
        const input = raw as { attempt: string; keyId: string; never?: object };
        if (party === 'gamma')
          return {
            attempt: input.attempt,
            outcome: 'nothing',
            never: never('gamma', input.attempt, input.keyId),
          };
        return { attempt: input.attempt, outcome: input.never ? 'destroyed' : 'kept' };
      });
    });
    expect(await codeOf(handle.result())).toBe('ProtocolUnsupported');
    const shown = world.calls.filter(
      ({ step, input }) => step === 'destroy' && 'never' in (input as object),
    );
    expect(shown.map(({ party }) => party).sort()).toEqual(['alpha', 'beta']);
  });

  it('an absent party is waited for; then it goes on', async () => {
    const late = uniqueId('p');
    const { world, handle, status } = await begin(() => {}, ['alpha', 'beta', late]);
    const deadline = Date.now() + 30_000;
    while (!(await status()).waitingFor.includes(late)) expect(Date.now()).toBeLessThan(deadline);
    expect(world.count('certifyKey')).toBe(0);
    await stage.party(late);
    await expect(handle.result()).resolves.toMatchObject({
      key: { parties: ['alpha', 'beta', late] },
    });
    expect(world.count('prepare')).toBeGreaterThan(3);
  }, 90_000);

  it('an absent party past the limit: compensates, and is owed the undo', async () => {
    const late = uniqueId('p');
    const { world, handle, status, request } = await begin(() => {}, ['alpha', 'beta', late], 1);
    expect(await codeOf(handle.result())).toBe('PartyUnavailable');
    expect((await status()).undos).toContainEqual(
      expect.objectContaining({ step: `abort and destroy ${late}`, state: 'owed' }),
    );
    const attempt = world.inputs('prepare').at(-1)?.attempt as string;
    const child = stage.client.workflow.getHandle(
      workflowId.undo(request.requestId, late as never, attempt),
    );
    await stage.party(late);
    await expect(child.result()).resolves.toMatchObject({
      outcomes: [`abort ${late}: aborted`, `destroy ${late}: destroyed`],
    });
  }, 90_000);

  it('is Active at t activations; the last is delivered later', async () => {
    let open = (): void => {};
    const back = new Promise<void>((resolve) => {
      open = resolve;
    });
    const { world, handle, request } = await begin((w) =>
      w.on('activate gamma', (_input, n) => (n === 0 ? back : undefined)),
    );
    await expect(handle.result()).resolves.toMatchObject({ key: { keyId: request.requestId } });
    expect(world.inputs('activateWallet')[0]?.activated).toEqual(
      expect.arrayContaining(['alpha', 'beta']),
    );
    expect(world.inputs('recordActivation')).toEqual([]);
    open();
    const attempt = world.inputs('prepare')[0]?.attempt as string;
    const child = stage.client.workflow.getHandle(
      workflowId.undo(request.requestId, 'gamma' as never, attempt),
    );
    await child.result();
    expect(world.inputs('recordActivation')).toEqual([
      { requestId: request.requestId, party: 'gamma' },
    ]);
  }, 60_000);

  it('cancel: before the pivot it destroys, after it only forward', async () => {
    let open = (): void => {};
    const held = new Promise<void>((resolve) => {
      open = resolve;
    });
    const early = await begin((w) => w.on('prepare', () => held));
    await until('prepare', () => early.world.count('prepare') === 3);
    expect(await early.handle.executeUpdate('cancelTransfer')).toMatchObject({
      path: 'compensate',
    });
    open();
    expect(await codeOf(early.handle.result())).toBe('Cancelled');
    expect(early.world.count('destroy')).toBe(3);

    let release = (): void => {};
    const certified = new Promise<void>((resolve) => {
      release = resolve;
    });
    const late = await begin((w) => w.on('certifyKey', () => certified));
    await until('pivot', () => late.world.count('certifyKey') === 1);
    await late.handle.cancel();
    expect(await late.handle.executeUpdate('cancelTransfer')).toMatchObject({
      accepted: false,
      path: 'too-late',
    });
    release();
    await expect(late.handle.result()).resolves.toMatchObject({
      key: { keyId: late.request.requestId },
    });
    expect(late.world.count('destroy')).toBe(0);
  });

  it('a reset of what is certified makes no second key: it goes on from the certificates', async () => {
    const { world, handle, status } = await begin((w) => w.certify('a-1'));
    const { key } = (await handle.result()) as KeygenOutcome;
    expect(key).toEqual(world.certified?.key);
    for (const step of ['prepare', 'round', 'certifyKey', 'abort', 'destroy'] as const)
      expect(world.count(step), step).toBe(0);
    expect(world.inputs('activate')).toHaveLength(3);
    for (const { attempt, certificates } of world.inputs('activate')) {
      expect(attempt).toBe('a-1');
      expect(certificates).toEqual(world.certified?.certificates);
    }
    expect(await status()).toMatchObject({
      phase: 'Active',
      certificates: 3,
      address: key.address,
    });
  });

  it('a reset of what is certified, cancelled while it reserves, goes forward too', async () => {
    const hold = gate();
    const { world, handle } = await begin((w) => {
      w.certify('a-1');
      w.on('reserveKey', async (_input, n) => {
        if (n > 0) return undefined;
        await hold.passed;
        throw new KeysagaError('VersionConflict', 'tried again');
      });
      w.on('failKey', () => {
        throw new KeysagaError('PivotPassed', 'certified by all');
      });
    });
    await until('reserve', () => world.count('reserveKey') === 1);
    expect(await handle.executeUpdate('cancelTransfer')).toMatchObject({ path: 'compensate' });
    hold.open();
    await expect(handle.result()).resolves.toMatchObject({ key: world.certified?.key });
    expect(world.count('failKey')).toBe(1);
    expect(world.count('destroy')).toBe(0);
  });

  it('parties that disagree about the key: nothing is certified', async () => {
    const { world, handle } = await begin((w) =>
      w.on('round beta', (raw: never) => {
        const request = raw as Parameters<World['round']>[0];
        if (request.round !== 3) return undefined;
        const answer = w.round(request, 'beta' as never);
        return answer.keygen
          ? {
              ...answer,
              keygen: { ...answer.keygen, key: { ...answer.keygen.key, address: 'bcrt1another' } },
            }
          : undefined;
      }),
    );
    expect(await codeOf(handle.result())).toBe('CertificateInvalid');
    expect(world.count('certifyKey')).toBe(0);
    expect(world.count('activate')).toBe(0);
  });

  it('refuses disjoint signer sets before anything happens', async () => {
    const request = { ...keyRequest(['alpha', 'beta', 'gamma', 'delta']), threshold: 2 };
    const handle = await stage.client.workflow.start(WORKFLOWS.generateKey, {
      taskQueue: TASK_QUEUES.sagas,
      workflowId: workflowId.keygen(request.requestId),
      args: [{ request }],
    });
    expect(await codeOf(handle.result())).toBe('InvalidInput');
    expect(stage.worlds.for(request.requestId).calls).toEqual([]);
  });
});
