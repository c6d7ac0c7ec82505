/**
 * CPU of FROST, of all parties together: key generation against the library's bare calls, signing against a
 * signature with a single key. Runs go through the runner as in a party: labelled draws, hashed in- and outboxes.
 */
import { randomBytes } from 'node:crypto';
import type { FROST } from '@noble/curves/abstract/frost.js';
import { ed25519, ed25519_FROST } from '@noble/curves/ed25519.js';
import { schnorr, schnorr_FROST } from '@noble/curves/secp256k1.js';
import type {
  KeygenOutput,
  OutgoingMessage,
  ProtocolMessage,
  RoundMachine,
  ThresholdProtocol,
} from '../core/ports/protocol.ts';
import { createRegistry } from '../mpc/registry.ts';
import { createRun } from '../mpc/runner.ts';
import { type Benchmark, type Figure, figure, inTurns } from './figures.ts';

type Case = {
  readonly curve: string;
  readonly protocol: ThresholdProtocol;
  readonly library: FROST;
  readonly signAlone: (message: Uint8Array, secret: Uint8Array) => Uint8Array;
};
const registry = createRegistry();
const CASES: readonly Case[] = [
  {
    curve: 'ed25519',
    protocol: registry.get('frost-ed25519'),
    library: ed25519_FROST,
    signAlone: (message, secret) => ed25519.sign(message, secret),
  },
  {
    curve: 'bip340',
    protocol: registry.get('frost-bip340'),
    library: schnorr_FROST,
    signAlone: (message, secret) => schnorr.sign(message, secret),
  },
];
const SHAPES = [
  { threshold: 2, parties: 3 },
  { threshold: 3, parties: 5 },
] as const;
type Shape = (typeof SHAPES)[number];
const BATCH = 100;

const indices = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1);

/** All members of one ceremony, in one process; outputs and broadcasts. */
function runAll<Output>(
  members: readonly number[],
  machine: (index: number) => RoundMachine<Output>,
) {
  const runs = members.map((m) => createRun(() => machine(m), randomBytes(32)));
  const broadcasts: Map<number, Uint8Array>[] = [];
  let sent: { from: number; outbox: readonly OutgoingMessage[] }[] = [];
  let outputs: (Output | undefined)[] = [];
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
    outputs = results.map(({ output }) => output);
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

function keygen({ protocol }: Case, shape: Shape): KeygenOutput[] {
  const sessionId = randomBytes(32);
  return runAll(indices(shape.parties), (index) =>
    protocol.keygen({ ...shape, index, sessionId }),
  ).outputs.map((output) => {
    if (output === undefined) throw new Error('a key generation gave nothing');
    return output;
  });
}

/** The same key generation by the library's calls alone: no messages, no confirmation. */
function bareKeygen({ library }: Case, { threshold, parties }: Shape): void {
  const ids = indices(parties).map((i) => library.Identifier.fromNumber(i));
  const first = ids.map((id) => library.DKG.round1(id, { min: threshold, max: parties }));
  const others = (i: number) => first.filter((_, j) => j !== i).map((f) => f.public);
  const second = first.map(({ secret }, i) => library.DKG.round2(secret, others(i)));
  first.forEach(({ secret }, i) => {
    const received = second.filter((_, j) => j !== i).flatMap((sent) => sent[ids[i] ?? ''] ?? []);
    library.DKG.round3(secret, others(i), received);
  });
}

function sign(
  { protocol }: Case,
  shape: Shape,
  keys: readonly KeygenOutput[],
  messages: readonly Uint8Array[],
) {
  const signers = indices(shape.threshold);
  const sessionId = randomBytes(32);
  const key = (index: number): KeygenOutput => {
    const found = keys[index - 1];
    if (found === undefined) throw new Error('no share');
    return found;
  };
  const { publicPackage, publicKey } = key(1);
  const { broadcasts } = runAll(signers, (index) =>
    protocol.sign({
      ...shape,
      index,
      sessionId,
      share: key(index).share,
      publicPackage,
      signers,
      messages,
    }),
  );
  const signatures = protocol.aggregate({
    ...shape,
    publicPackage,
    signers,
    messages,
    rounds: broadcasts,
  });
  return { publicKey, signatures };
}

const nameOf = (name: string, { threshold, parties }: Shape, { curve }: Case) =>
  `${name}(${threshold},${parties},${curve})`;

const each = (make: (shape: Shape, of: Case) => Figure): Promise<Figure[]> =>
  Promise.resolve(SHAPES.flatMap((shape) => CASES.map((of) => make(shape, of))));

function signFigure(name: string, count: number, turns: number, shape: Shape, of: Case): Figure {
  const keys = keygen(of, shape);
  const messages = indices(count).map(() => new Uint8Array(randomBytes(32)));
  const { publicKey, signatures } = sign(of, shape, keys, messages);
  if (
    !signatures.every((s, i) => of.protocol.verify(publicKey, messages[i] ?? new Uint8Array(), s))
  )
    throw new Error('a signature does not verify');
  const secret = new Uint8Array(randomBytes(32));
  const samples = inTurns(
    {
      ours: { work: () => void sign(of, shape, keys, messages) },
      alone: {
        work: () => messages.forEach((m) => void of.signAlone(m, secret)),
        repeat: count === 1 ? 5 : 1,
      },
    },
    turns,
    count === 1 ? 3 : 1,
  );
  return figure(nameOf(name, shape, of), 'CPU ms', samples.ours, {
    name: `single key, ${of.curve}${count === 1 ? '' : ` × ${count}`}`,
    samples: samples.alone,
  });
}

/** The threshold signature of one Solana transfer, 2 of 3, all parties and the aggregation: for a figure that contains it. */
export function solanaSignature(messageBytes: number): () => void {
  const of = CASES.find(({ curve }) => curve === 'ed25519') as Case;
  const shape = SHAPES[0];
  const keys = keygen(of, shape);
  const message = new Uint8Array(randomBytes(messageBytes));
  return () => void sign(of, shape, keys, [message]);
}

export const frostKeygen: Benchmark = {
  name: 'frost/keygen',
  figures: () =>
    each((shape, of) => {
      const samples = inTurns(
        {
          ours: { work: () => void keygen(of, shape) },
          bare: { work: () => bareKeygen(of, shape) },
        },
        15,
      );
      return figure(nameOf('frost/keygen', shape, of), 'CPU ms', samples.ours, {
        name: "the library's bare calls",
        samples: samples.bare,
      });
    }),
};

export const frostSign: Benchmark = {
  name: 'frost/sign',
  figures: () => each((shape, of) => signFigure('frost/sign', 1, 30, shape, of)),
};

/** The whole batch of 100, not a signature of it. */
export const frostSignBatch: Benchmark = {
  name: 'frost/sign-batch',
  figures: () => each((shape, of) => signFigure('frost/sign-batch', BATCH, 5, shape, of)),
};
