/** A round machine made of one function a round. */
import type { Draws, ProtocolMessage, RoundMachine, RoundOutcome } from '../core/ports/protocol.ts';
import { KeysagaError } from '../schema/contracts/errors.ts';

export type Step<Output> = (
  inbox: readonly ProtocolMessage[],
  draws: Draws,
) => RoundOutcome<Output>;

/**
 * Calls the steps in order, each once. After the last step, after a failure and on `dispose` it wipes; a machine
 * that failed or ended answers nothing more (`RoundOutOfOrder`), since a check that failed is never tried again
 * on the same secrets.
 */
export function sequence<Output>(
  version: string,
  steps: readonly Step<Output>[],
  wipe: () => void,
): RoundMachine<Output> {
  let next = 1;
  const end = () => {
    next = 0;
    wipe();
  };
  return {
    version,
    rounds: steps.length,
    round(r, inbox, draws) {
      const step = steps[r - 1];
      if (r !== next || step === undefined)
        throw new KeysagaError('RoundOutOfOrder', 'the machine does not expect this round', {
          round: r,
        });
      next = 0;
      try {
        const outcome = step(inbox, draws);
        if (r === steps.length) end();
        else next = r + 1;
        return outcome;
      } catch (error) {
        end();
        throw error;
      }
    },
    dispose: end,
  };
}
