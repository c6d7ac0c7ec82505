/** A transfer that is given up while others of its account wait for its nonce: undone, then filled, then failed. */
import type { WorkflowHandle } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { TransferIntent } from '../../schema/contracts/intent.ts';
import { approval, inputOf, intent } from './support/fixtures.ts';
import { codeOf, gate, Stage, until, untilStatus } from './support/stage.ts';
import { VOID_ID, type World } from './support/world.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open('local');
});
afterAll(() => stage?.close());

type Running = { i: TransferIntent; world: World; handle: WorkflowHandle };
async function begin(prepare: (world: World) => void): Promise<Running> {
  const i = intent(Date.now());
  const world = stage.worlds.for(i.requestId);
  prepare(world);
  return { i, world, handle: await stage.transfer(inputOf(i)) };
}
async function approve({ i, handle }: Running): Promise<void> {
  for (const name of ['alice', 'bob'] as const)
    await handle.executeUpdate('approve', { args: [approval(i, name, Date.now())] });
}

describe('a nonce that others have passed', () => {
  const cancel = (run: Running): Promise<unknown> => run.handle.executeUpdate('cancelTransfer');
  /** Built, cancelled before its pivot, and told that its nonce is needed. */
  async function givenUp(prepare: (world: World) => void = () => {}) {
    const hold = gate();
    const run = await begin((world) => {
      world.gap = true;
      world.on('prepare', async (input: never) => {
        if ((input as { purpose: string }).purpose === 'payment') await hold.passed;
      });
      prepare(world);
    });
    await approve(run);
    await until('prepare', () => run.world.count('prepare') > 0);
    expect(await cancel(run)).toMatchObject({ accepted: true, path: 'compensate' });
    hold.open();
    return run;
  }

  it('is filled by a void of its own before it fails with its own reason, whatever is cancelled', async () => {
    const hold = gate();
    const run = await givenUp((world) =>
      world
        .on('round', async () => hold.passed)
        .on('attach', (_input, n) => {
          if (n === 0) throw new KeysagaError('ProtocolFault', 'bad share', { culprit: 'alpha' });
        }),
    );
    await until('the void is signed', () => run.world.count('round') >= 2);
    await cancel(run);
    await run.handle.cancel();
    const status = await run.handle.query('status');
    expect(status).toMatchObject({ phase: 'Compensating', pivotPassed: false });
    hold.open();
    expect(await codeOf(run.handle.result())).toBe('Cancelled');
    const { hops, order } = run.world;
    expect(hops.slice(hops.indexOf('releaseLease'), hops.indexOf('releaseLease') + 7)).toEqual([
      'releaseLease',
      'release',
      'buildVoid',
      'prepare',
      'round',
      'passPivot',
      'round',
    ]);
    expect(hops.slice(-4)).toEqual(['attach', 'broadcast', 'confirm', 'fail']);
    // The ledger decides by the approvals that it knows of.
    expect(order.lastIndexOf('recordDecision')).toBeLessThan(order.indexOf('releaseLease'));
    expect(run.world.inputs('releaseLease')).toEqual([
      { requestId: run.i.requestId, fillGap: true },
    ]);
    expect(new Set(run.world.inputs('passPivot').map(({ purpose }) => purpose))).toEqual(
      new Set(['void']),
    );
    const voids = run.world
      .inputs('prepare')
      .flatMap((one) => (one.kind === 'sign' && one.purpose === 'void' ? [one.approvals] : []));
    expect(voids.length).toBeGreaterThanOrEqual(4);
    for (const approvals of voids) expect(approvals).toHaveLength(2);
    expect(run.world.inputs('fail')).toMatchObject([
      { failure: { code: 'Cancelled' }, voidTransactionId: VOID_ID },
    ]);
    expect(await run.handle.query('status')).toMatchObject({
      phase: 'Failed',
      pivotPassed: false,
      voidTransactionId: VOID_ID,
    });
  });

  it('is filled by a stranger’s transaction as well, which is no payment of this transfer', async () => {
    const run = await givenUp((world) =>
      world.on('confirm', () => ({
        id: VOID_ID,
        status: { status: 'conflicted', by: 'stranger', final: true },
      })),
    );
    expect(await codeOf(run.handle.result())).toBe('Cancelled');
    expect(run.world.count('settle')).toBe(0);
    expect(run.world.inputs('fail')[0]).not.toHaveProperty('voidTransactionId');
  });

  it('is filled after a reset too, at once, though the cancel comes again while it reserves', async () => {
    const run = await givenUp((world) => {
      world.autoConfirm = false;
    });
    await isFilledAgain(run, 'Cancelled');
  });
  it('is filled after a reset too, at once, instead of what the approvals were for', async () => {
    const run = await begin((world) => {
      world.gap = true;
      world.autoConfirm = false;
      world.on('prepare', (input: never) => {
        if ((input as { purpose: string }).purpose === 'payment')
          throw new KeysagaError('PolicyViolation', 'not this one', { field: 'destination' });
      });
    });
    await approve(run);
    await isFilledAgain(run, 'StateConflict');
  });
  /** Reset to its beginning, with the void out: the new run goes on with that, and builds no payment. */
  async function isFilledAgain(run: Running, code: string): Promise<void> {
    await until('the void is sent', () => run.world.count('broadcast') === 1);
    const built = run.world.count('build');
    const handle = await stage.reset(run.handle);
    await until('the new run sends it', () => run.world.count('broadcast') === 2);
    run.world.chain.set(VOID_ID, { confirmations: 2, final: true });
    expect(await codeOf(handle.result())).toBe(code);
    expect(run.world.count('build')).toBe(built);
    expect(run.world.inputs('fail')).toMatchObject([{ voidTransactionId: VOID_ID }]);
  }

  it('is asked for also by a saga that never built on it: an anchor, or a reset', async () => {
    const run = await begin((world) =>
      world.on('reserve', async (input: never) => {
        const usual = (await stage.worlds.for('shape').answer('reserve', input)) as object;
        return { ...usual, holdsNonce: true };
      }),
    );
    await untilStatus(run.handle, 'waiting', (s) => s.phase === 'AwaitingApprovals');
    await cancel(run);
    expect(await codeOf(run.handle.result())).toBe('Cancelled');
    expect(run.world.hops).toEqual(['reserve', 'releaseLease', 'release', 'fail']);
  });
});
