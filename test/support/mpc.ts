/** Runs all parties of a ceremony in one process, and one party of it against a recording. */
import { createHash } from 'node:crypto';
import type {
  KeygenOutput,
  OutgoingMessage,
  ProtocolMessage,
  RoundMachine,
  ThresholdProtocol,
} from '../../core/ports/protocol.ts';
import { type ActivationOutput, activationCeremony } from '../../mpc/activation.ts';
import { createRun, type LogEntry } from '../../mpc/runner.ts';

/** 32 bytes that a label names, so that a failing test can be run again. */
export const seedOf = (...label: (string | number)[]): Uint8Array =>
  new Uint8Array(createHash('sha256').update(JSON.stringify(label)).digest());

export const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1);
export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
export const unhex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));

/** Everything that was said: what each party received and answered in each round. */
export type Recording<Output> = {
  readonly members: readonly number[];
  /** member → its log, by round. */
  readonly logs: ReadonlyMap<number, readonly LogEntry[]>;
  /** member → outbox of each round. */
  readonly outboxes: ReadonlyMap<number, readonly (readonly OutgoingMessage[])[]>;
  readonly outputs: ReadonlyMap<number, Output>;
  /** Broadcast bodies, as `aggregate` takes them. */
  readonly broadcasts: readonly ReadonlyMap<number, Uint8Array>[];
  readonly version: string;
};

/** What `to` receives from the others' outboxes: by sender, each one's broadcasts first. */
export function inboxFor(
  to: number,
  outboxes: ReadonlyMap<number, readonly OutgoingMessage[]>,
): ProtocolMessage[] {
  const inbox: ProtocolMessage[] = [];
  for (const [from, outbox] of [...outboxes].sort(([a], [b]) => a - b)) {
    if (from === to) continue;
    for (const message of outbox)
      if (message.to === 'all') inbox.push({ from, body: message.body });
    for (const message of outbox) if (message.to === to) inbox.push({ from, body: message.body });
  }
  return inbox;
}

/** Runs a machine for each member to its end. */
export function runAll<Output>(
  members: readonly number[],
  factory: (member: number) => RoundMachine<Output>,
  seed: (member: number) => Uint8Array,
): Recording<Output> {
  const runs = new Map(members.map((m) => [m, createRun(() => factory(m), seed(m))]));
  const logs = new Map(members.map((m): [number, LogEntry[]] => [m, []]));
  const outboxes = new Map(members.map((m): [number, (readonly OutgoingMessage[])[]] => [m, []]));
  const outputs = new Map<number, Output>();
  const broadcasts: Map<number, Uint8Array>[] = [];
  let last = new Map<number, readonly OutgoingMessage[]>();
  const first = runs.values().next().value;
  if (first === undefined) throw new Error('no members');
  for (let round = 1; round <= first.rounds; round++) {
    const now = new Map<number, readonly OutgoingMessage[]>();
    const said = new Map<number, Uint8Array>();
    for (const [m, run] of runs) {
      const inbox = inboxFor(m, last);
      const { outbox, output, outboxHash } = run.round(round, inbox);
      logs.get(m)?.push({ round, inbox, outboxHash });
      outboxes.get(m)?.push(outbox);
      now.set(m, outbox);
      if (output !== undefined) outputs.set(m, output);
      for (const message of outbox) if (message.to === 'all') said.set(m, message.body);
    }
    broadcasts.push(said);
    last = now;
  }
  return { members, logs, outboxes, outputs, broadcasts, version: first.version };
}

export type Shape = { readonly threshold: number; readonly parties: number };

export const keygenAll = (
  protocol: ThresholdProtocol,
  shape: Shape,
  label: string,
  sessionId = seedOf('session', label),
): Recording<KeygenOutput> =>
  runAll(
    range(shape.parties),
    (index) => protocol.keygen({ ...shape, index, sessionId }),
    (index) => seedOf('seed', label, index),
  );

export const ceremonyAll = (
  protocol: ThresholdProtocol,
  shape: Shape,
  label: string,
): Recording<ActivationOutput> =>
  runAll(
    range(shape.parties),
    (index) =>
      activationCeremony(protocol, {
        params: { ...shape, index, sessionId: seedOf('session', label) },
        keyId: 'vault',
        epoch: 0,
      }),
    (index) => seedOf('seed', label, index),
  );

export const outputOf = <Output>(recording: Recording<Output>, member: number): Output => {
  const output = recording.outputs.get(member);
  if (output === undefined) throw new Error(`no output of ${member}`);
  return output;
};

/** The machine of one signer in {@link signAll}. */
export const signingOf = (
  protocol: ThresholdProtocol,
  shape: Shape,
  keys: Recording<KeygenOutput>,
  index: number,
  signers: readonly number[],
  messages: readonly Uint8Array[],
  label: string,
  tweak?: Uint8Array,
) =>
  protocol.sign({
    ...shape,
    index,
    sessionId: seedOf('session', label),
    share: outputOf(keys, index).share,
    publicPackage: outputOf(keys, index).publicPackage,
    signers,
    messages,
    ...(tweak === undefined ? {} : { tweak }),
  });

export const signAll = (
  protocol: ThresholdProtocol,
  shape: Shape,
  keys: Recording<KeygenOutput>,
  signers: readonly number[],
  messages: readonly Uint8Array[],
  label: string,
  tweak?: Uint8Array,
) =>
  runAll(
    signers,
    (index) => signingOf(protocol, shape, keys, index, signers, messages, label, tweak),
    (index) => seedOf('seed', label, index),
  );

/**
 * Runs one member against what the others said in the recording, with one round's inbox changed. Returns what it
 * answered in that round and after, or throws what it threw.
 */
export function runVictim<Output>(
  recording: Recording<unknown>,
  victim: number,
  factory: () => RoundMachine<Output>,
  seed: Uint8Array,
  change: { readonly round: number; readonly inbox: readonly ProtocolMessage[] },
) {
  const run = createRun(factory, seed);
  const outboxes: (readonly OutgoingMessage[])[] = [];
  let output: Output | undefined;
  for (const entry of recording.logs.get(victim) ?? []) {
    const result = run.round(
      entry.round,
      entry.round === change.round ? change.inbox : entry.inbox,
    );
    outboxes.push(result.outbox);
    output = result.output ?? output;
  }
  return { outboxes, output };
}
