/** State machines as data: what may follow what, on which command, under which guard, within which time. */
import { KeysagaError } from '../schema/contracts/errors.ts';

export type TransitionTable<S extends string, C extends string> = {
  readonly name: string;
  readonly initial: S;
  readonly final: readonly S[];
  /** state → command → next state. */
  readonly transitions: { readonly [state in S]: { readonly [command in C]?: S } };
  /** Seconds a state may last before its saga shows an alert. */
  readonly limits?: { readonly [state in S]?: number };
};

/** The next state, or `StateConflict` naming machine, state and command. */
export function next<S extends string, C extends string>(
  machine: TransitionTable<S, C>,
  state: S,
  command: C,
): S {
  const to = machine.transitions[state][command];
  if (to === undefined)
    throw new KeysagaError(
      'StateConflict',
      `${machine.name}: ${command} is not possible in state ${state}.`,
      {
        machine: machine.name,
        state,
        command,
      },
    );
  return to;
}

export const canApply = <S extends string, C extends string>(
  m: TransitionTable<S, C>,
  s: S,
  c: C,
): boolean => m.transitions[s][c] !== undefined;
