/** Quorum collection: who kept the others waiting is measured, and alerted on above five seconds. */
import { describe, expect, it } from 'vitest';
import type { PartyId } from '../../schema/contracts/primitives.ts';
import { KeygenStatus } from '../../schema/contracts/saga.ts';
import { keygenBoard } from '../../workflows/board.ts';
import { ceremonySteps, Progress, QUORUM_LAG_ALERT_MS } from '../../workflows/progress.ts';
import { EXAMPLES } from '../contracts/examples.ts';

const [alpha, beta, gamma] = ['alpha', 'beta', 'gamma'] as PartyId[] as [PartyId, PartyId, PartyId];

function progress(lagMs: number): Progress {
  const made = new Progress();
  made.begin([alpha, beta, gamma], ceremonySteps(1));
  made.set(beta, 'prepare', 'done', 1_000);
  made.set(alpha, 'prepare', 'done', 1_200);
  made.set(gamma, 'prepare', 'failed', 1_000 + lagMs);
  return made;
}

describe('the lag of a quorum', () => {
  it('is counted from the first answer of the step', () => {
    const lags = progress(7_200).rows.map(({ party, steps }) => [party, steps.map((s) => s.lagMs)]);
    expect(lags).toEqual([
      ['alpha', [200, undefined]],
      ['beta', [0, undefined]],
      ['gamma', [7_200, undefined]],
    ]);
  });
  it('begins anew with each attempt', () => {
    const made = progress(7_200);
    made.begin([alpha, beta], ceremonySteps(1));
    made.set(alpha, 'prepare', 'done', 90_000);
    expect(made.rows[0]?.steps[0]?.lagMs).toBe(0);
  });
  it('is an alert on the board above five seconds, and not at five', () => {
    const board = (lagMs: number) =>
      keygenBoard({
        ...KeygenStatus.parse(EXAMPLES.KeygenStatus?.[1]),
        parties: progress(lagMs).rows,
      });
    expect(board(QUORUM_LAG_ALERT_MS)).not.toContain('ALERT');
    expect(board(QUORUM_LAG_ALERT_MS + 2_200)).toContain(
      '**ALERT: quorum lag**\n- prepare: gamma came 7200 ms after the first',
    );
  });
});
