/**
 * CPU of DKLs23, of all parties together, on a 2-of-3 key with two signers, against a signature with a single key. Runs go
 * through the runner as in a party: labelled draws, hashed in- and outboxes; a signature counts its combination and
 * verification.
 */
import { randomBytes } from 'node:crypto';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import type {
  KeygenOutput,
  OutgoingMessage,
  PresignOutput,
  ProtocolMessage,
  RoundMachine,
} from '../core/ports/protocol.ts';
import { createRegistry } from '../mpc/registry.ts';
import { createRun } from '../mpc/runner.ts';
import { type Benchmark, figure, inTurns } from './figures.ts';

const protocol = createRegistry().get('dkls23');
const SHAPE = { threshold: 2, parties: 3 } as const;
const SIGNERS = [1, 3] as const;
const BATCH = 64;

/** All members of one ceremony, in one process; outputs by member and broadcasts by round. */
function runAll<Output>(
  members: readonly number[],
  machine: (index: number) => RoundMachine<Output>,
) {
  const runs = members.map((m) => createRun(() => machine(m), randomBytes(32)));
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

type Keys = ReadonlyMap<number, KeygenOutput>;
const of = <T>(outputs: ReadonlyMap<number, T>, index: number): T => {
  const output = outputs.get(index);
  if (output === undefined) throw new Error('a ceremony gave nothing');
  return output;
};

function keygen(): Keys {
  const sessionId = randomBytes(32);
  return runAll([1, 2, 3], (index) => protocol.keygen({ ...SHAPE, index, sessionId })).outputs;
}

const digests = (count: number): Uint8Array[] =>
  Array.from({ length: count }, () => new Uint8Array(randomBytes(32)));

const verified = (
  keys: Keys,
  messages: readonly Uint8Array[],
  signatures: readonly Uint8Array[],
) => {
  const { publicKey } = of(keys, 1);
  if (!messages.every((m, i) => protocol.verify(publicKey, m, signatures[i] ?? new Uint8Array())))
    throw new Error('a signature does not verify');
};

function sign(keys: Keys, messages: readonly Uint8Array[]): readonly Uint8Array[] {
  const sessionId = randomBytes(32);
  const { publicPackage } = of(keys, 1);
  const { broadcasts } = runAll(SIGNERS, (index) =>
    protocol.sign({
      ...SHAPE,
      index,
      sessionId,
      share: of(keys, index).share,
      publicPackage,
      signers: SIGNERS,
      messages,
    }),
  );
  return protocol.aggregate({
    ...SHAPE,
    publicPackage,
    signers: SIGNERS,
    messages,
    rounds: broadcasts,
  });
}

/** Work that takes one presignature after another from a pool. */
function onlineWork(keys: Keys, count: number): () => readonly Uint8Array[] {
  const { presigning } = protocol;
  if (presigning === undefined) throw new Error('there is no presigning');
  const { publicPackage } = of(keys, 1);
  const sessionId = randomBytes(32);
  const { outputs } = runAll<PresignOutput>(SIGNERS, (index) =>
    presigning.presign({
      ...SHAPE,
      index,
      sessionId,
      share: of(keys, index).share,
      publicPackage,
      signers: SIGNERS,
      count,
    }),
  );
  let next = 0;
  return () => {
    const at = next++;
    const messages = digests(1);
    const online = randomBytes(32);
    const { broadcasts } = runAll(SIGNERS, (index) => {
      const presignature = of(outputs, index).presignatures[at];
      if (presignature === undefined) throw new Error('the pool is empty');
      return presigning.online({
        ...SHAPE,
        index,
        sessionId: online,
        publicPackage,
        signers: SIGNERS,
        messages,
        presignatures: [presignature],
      });
    });
    return presigning.aggregate({
      ...SHAPE,
      publicPackage,
      signers: SIGNERS,
      messages,
      rounds: broadcasts,
    });
  };
}

const secret = new Uint8Array(randomBytes(32));
const single = {
  work: () => void secp256k1.sign(new Uint8Array(32).fill(1), secret, { prehash: false }),
  repeat: 5,
};
const YARDSTICK = 'single key, noble secp256k1';

export const dkls23Keygen: Benchmark = {
  name: 'dkls23/keygen',
  figures: async () => {
    const samples = inTurns({ ours: { work: () => void keygen() }, single }, 7, 1);
    return [
      figure('dkls23/keygen(2,3)', 'CPU ms', samples.ours, {
        name: YARDSTICK,
        samples: samples.single,
      }),
    ];
  },
};

export const dkls23Sign: Benchmark = {
  name: 'dkls23/sign',
  figures: async () => {
    const keys = keygen();
    const messages = digests(1);
    verified(keys, messages, sign(keys, messages));
    const samples = inTurns({ ours: { work: () => void sign(keys, digests(1)) }, single }, 30, 10);
    return [
      figure('dkls23/sign(2,3)', 'CPU ms', samples.ours, {
        name: YARDSTICK,
        samples: samples.single,
      }),
    ];
  },
};

/** A signature of a batch of 64 that shares one run of the OT extension, not the whole batch. */
export const dkls23SignBatch: Benchmark = {
  name: 'dkls23/sign-batch',
  figures: async () => {
    const keys = keygen();
    const messages = digests(BATCH);
    verified(keys, messages, sign(keys, messages));
    const samples = inTurns(
      { ours: { work: () => void sign(keys, digests(BATCH)) }, single },
      7,
      2,
    );
    return [
      figure(
        `dkls23/sign-batch(2,3,each of ${BATCH})`,
        'CPU ms',
        samples.ours.map((ms) => ms / BATCH),
        { name: YARDSTICK, samples: samples.single },
      ),
    ];
  },
};

/** The round with the message, over a pool: both signers and the combination. */
export const dkls23Online: Benchmark = {
  name: 'dkls23/online',
  figures: async () => {
    const keys = keygen();
    const turns = 100;
    const warmUp = 20;
    const work = onlineWork(keys, turns + warmUp);
    const samples = inTurns({ ours: { work: () => void work() }, single }, turns, warmUp);
    return [
      figure('dkls23/online(2,3)', 'CPU ms', samples.ours, {
        name: YARDSTICK,
        samples: samples.single,
      }),
    ];
  },
};
