/**
 * DKLs23's ceremonies, all parties in one process, as works to be timed. Nothing of `node:` in here: the same file runs in Node
 * and in a page. Runs go through the runner as in a party: labelled draws, hashed in- and outboxes; a signature counts its
 * combination and verification.
 */
import type {
  KeygenOutput,
  OutgoingMessage,
  PresignOutput,
  ProtocolMessage,
  RoundMachine,
} from '../core/ports/protocol.ts';
import { createRegistry } from '../mpc/registry.ts';
import { createRun } from '../mpc/runner.ts';

export type Shape = { readonly threshold: number; readonly parties: number };

const protocol = createRegistry().get('dkls23');
/** What every figure is taken on, unless it says otherwise. */
export const SHAPE: Shape = { threshold: 2, parties: 3 };
export const BATCH = 64;

export const random = (bytes: number): Uint8Array =>
  globalThis.crypto.getRandomValues(new Uint8Array(bytes));
const digests = (count: number): Uint8Array[] => Array.from({ length: count }, () => random(32));

/** All members of one ceremony; outputs by member and broadcasts by round. */
function runAll<Output>(
  members: readonly number[],
  machine: (index: number) => RoundMachine<Output>,
) {
  const runs = members.map((m) => createRun(() => machine(m), random(32)));
  const broadcasts: Map<number, Uint8Array>[] = [];
  let sent: { from: number; outbox: readonly OutgoingMessage[] }[] = [];
  const outputs = new Map<number, Output>();
  for (let round = 1; round <= (runs[0]?.rounds ?? 0); round++) {
    const results = runs.map((run, i) => {
      const self = members[i];
      const inbox: ProtocolMessage[] = sent
        .filter(({ from }) => from !== self)
        .flatMap(({ from, outbox }) =>
          outbox
            .filter(({ to }) => to === 'all' || to === self)
            .map(({ body }) => ({ from, body })),
        );
      return run.round(round, inbox);
    });
    sent = results.map(({ outbox }, i) => ({ from: members[i] ?? 0, outbox }));
    results.forEach(({ output }, i) => {
      if (output !== undefined) outputs.set(members[i] ?? 0, output);
    });
    broadcasts.push(
      new Map(
        sent.flatMap(({ from, outbox }) =>
          outbox
            .filter(({ to }) => to === 'all')
            .map(({ body }): [number, Uint8Array] => [from, body]),
        ),
      ),
    );
  }
  return { outputs, broadcasts };
}

export type Keys = ReadonlyMap<number, KeygenOutput>;
const of = <T>(outputs: ReadonlyMap<number, T>, index: number): T => {
  const output = outputs.get(index);
  if (output === undefined) throw new Error('a ceremony gave nothing');
  return output;
};

/** Party 1 and the last ones: of 2 of 3, 1 and 3. */
const signersOf = ({ threshold, parties }: Shape): number[] => [
  1,
  ...Array.from({ length: threshold - 1 }, (_, i) => parties - threshold + 2 + i),
];

export function keygen(shape: Shape): Keys {
  const sessionId = random(32);
  const members = Array.from({ length: shape.parties }, (_, i) => i + 1);
  return runAll(members, (index) => protocol.keygen({ ...shape, index, sessionId })).outputs;
}

type Signed = {
  readonly messages: readonly Uint8Array[];
  readonly signatures: readonly Uint8Array[];
};

/** One session over `count` fresh digests. */
export function sign(shape: Shape, keys: Keys, count: number): Signed {
  const sessionId = random(32);
  const signers = signersOf(shape);
  const messages = digests(count);
  const { publicPackage } = of(keys, 1);
  const { broadcasts } = runAll(signers, (index) =>
    protocol.sign({
      ...shape,
      index,
      sessionId,
      share: of(keys, index).share,
      publicPackage,
      signers,
      messages,
    }),
  );
  const rounds = broadcasts;
  return {
    messages,
    signatures: protocol.aggregate({ ...shape, publicPackage, signers, messages, rounds }),
  };
}

/** The round with the message, one presignature after another from a pool of `count`: all signers and the combination. */
export function online(shape: Shape, keys: Keys, count: number): () => Signed {
  const { presigning } = protocol;
  if (presigning === undefined) throw new Error('there is no presigning');
  const signers = signersOf(shape);
  const { publicPackage } = of(keys, 1);
  const sessionId = random(32);
  const { outputs } = runAll<PresignOutput>(signers, (index) =>
    presigning.presign({
      ...shape,
      index,
      sessionId,
      share: of(keys, index).share,
      publicPackage,
      signers,
      count,
    }),
  );
  let next = 0;
  return () => {
    const at = next++;
    const messages = digests(1);
    const session = random(32);
    const { broadcasts } = runAll(signers, (index) => {
      const presignature = of(outputs, index).presignatures[at];
      if (presignature === undefined) throw new Error('the pool is empty');
      return presigning.online({
        ...shape,
        index,
        sessionId: session,
        publicPackage,
        signers,
        messages,
        presignatures: [presignature],
      });
    });
    const rounds = broadcasts;
    return {
      messages,
      signatures: presigning.aggregate({ ...shape, publicPackage, signers, messages, rounds }),
    };
  };
}

/** The work once, its signatures looked at: what is timed afterwards is known to sign. */
export function checked(keys: Keys, work: () => Signed): () => void {
  const { messages, signatures } = work();
  const { publicKey } = of(keys, 1);
  if (!messages.every((m, i) => protocol.verify(publicKey, m, signatures[i] ?? new Uint8Array())))
    throw new Error('a signature does not verify');
  return () => void work();
}

/** One of the figures: `prepare` makes what is timed `warmUp` + `TURNS` times; `signatures` share the time of a run. */
export type Work = {
  readonly warmUp: number;
  readonly signatures: number;
  readonly prepare: () => () => void;
};
export const TURNS = 30;

const signing = (warmUp: number, count: number): Work => ({
  warmUp,
  signatures: count,
  prepare: () => {
    const keys = keygen(SHAPE);
    return checked(keys, () => sign(SHAPE, keys, count));
  },
});
const ONLINE_WARM_UP = 20;

/** By the benchmark's name after the slash. */
export const WORKS = {
  keygen: { warmUp: 1, signatures: 1, prepare: () => () => void keygen(SHAPE) },
  sign: signing(10, 1),
  'sign-batch': signing(2, BATCH),
  online: {
    warmUp: ONLINE_WARM_UP,
    signatures: 1,
    prepare: () => {
      const keys = keygen(SHAPE);
      return checked(keys, online(SHAPE, keys, 1 + ONLINE_WARM_UP + TURNS));
    },
  },
} as const satisfies Record<string, Work>;
export type WorkName = keyof typeof WORKS;

/** A name for figures: `(2,3)`, `(2,3,each of 64)`. */
export const suffix = (name: WorkName): string =>
  `(${SHAPE.threshold},${SHAPE.parties}${name === 'sign-batch' ? `,each of ${BATCH}` : ''})`;
