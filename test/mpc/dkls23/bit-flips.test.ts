/**
 * One bit of each field of each message changed, in every machine: whoever sent it is named, or no signature comes out. The
 * machines are deterministic, so each case is one party run against a recording of the other.
 */
import { describe, expect, it } from 'vitest';
import type {
  KeygenOutput,
  OutgoingMessage,
  PresignOutput,
  ProtocolMessage,
  RoundMachine,
  ThresholdProtocol,
} from '../../../core/ports/protocol.ts';
import { activationCeremony } from '../../../mpc/activation.ts';
import { dkls23 } from '../../../mpc/dkls23/adapter.ts';
import { createKeygen } from '../../../mpc/dkls23/keygen.ts';
import { KIND, type Kind } from '../../../mpc/dkls23/messages.ts';
import { createRefresh } from '../../../mpc/dkls23/refresh.ts';
import { held } from '../../../mpc/faults.ts';
import { sequence } from '../../../mpc/sequence.ts';
import { isKeysagaError, type KeysagaError } from '../../../schema/contracts/errors.ts';
import { dealKey } from '../../support/dkls23.ts';
import {
  type Field,
  HEADER_BYTES,
  keygenFields,
  onlineFields,
  presignFields,
  shareFields,
} from '../../support/dkls23-layout.ts';
import { digestOf } from '../../support/ecdsa.ts';
import { outputOf, type Recording, runAll, runVictim, seedOf } from '../../support/mpc.ts';

const shape = { threshold: 2, parties: 2 };
const both = [1, 2];
const key = dealKey(shape, 'bits');
const { publicPackage } = outputOf(key, 1);
const messages = [digestOf('bits a'), digestOf('bits b')];
const presigning = held(dkls23.presigning);
const seed = (label: string) => (index: number) => seedOf('seed', label, index);

/** First, a middle and the last byte, each with another bit; `thin`: one of them, a different one for each field. */
const places = ({ at, length, field }: Field, thin: boolean): [at: number, bit: number][] => {
  const all = [...new Set([at, at + (length >> 1), at + length - 1])].map(
    (place, i): [number, number] => [place, (place + field.length + 3 * i) % 8],
  );
  return thin ? [held(all[(at + field.length) % all.length])] : all;
};
/** One of the header's fields for each message, another from message to message, and all that follow. */
const oneOfHeader = (fields: readonly Field[]): Field[] => {
  const messages = [...new Set(fields.map(({ message, sender }) => `${message}${sender}`))];
  return fields.filter(
    ({ message, sender, at }) =>
      at >= HEADER_BYTES || at === messages.indexOf(`${message}${sender}`) % 5,
  );
};
const flipped = (body: Uint8Array, [at, bit]: [number, number]): Uint8Array =>
  body.map((byte, i) => (i === at ? byte ^ (1 << bit) : byte));

/** Of all tables. */
const covered: Field[] = [];
const kindsOf = (fields: readonly Field[]) => new Set(fields.map(({ message }) => message));
const kindOf = (body: Uint8Array): Kind | undefined =>
  (Object.keys(KIND) as Kind[]).find((kind) => KIND[kind] === body[1]);

/** Fields of one message after another without a gap or an overlap, to its end; each message that was sent is there. */
function expectCovered(recording: Recording<unknown>, fields: readonly Field[]): void {
  for (const [sender, rounds] of recording.outboxes)
    for (const [i, outbox] of rounds.entries())
      for (const { body } of outbox) {
        const kind = kindOf(body);
        const own = fields.filter(
          (f) => f.message === kind && f.round === i + 1 && f.sender === sender,
        );
        const name = `${kind} of ${sender} in round ${i + 1}`;
        // Signing is the same for both: the table has what the second one sends.
        if (own.length === 0 && sender === 1) {
          expect(
            fields.some((f) => f.message === kind && f.round === i + 1),
            name,
          ).toBe(true);
          continue;
        }
        let next = 0;
        for (const { at, length } of own) {
          expect(at, name).toBe(next);
          expect(length, name).toBeGreaterThan(0);
          next += length;
        }
        expect(next, name).toBe(body.length);
      }
}

const caught = (work: () => unknown): KeysagaError | undefined => {
  try {
    work();
  } catch (error) {
    if (isKeysagaError(error)) return error;
    throw error;
  }
  return undefined;
};

/** How a field's case must end. */
function expectEnd({ ends, sender, message, field }: Field, error: KeysagaError | undefined): void {
  const name = `${message}.${field}`;
  expect(error?.code, name).toBe('ProtocolFault');
  const { culprit, suspects, barring } = error?.details ?? {};
  if (ends === 'named' || ends === 'barred') expect(culprit, name).toBe(`${sender}`);
  else {
    expect(culprit, name).toBeUndefined();
    expect(suspects, name).toContain(`${sender}`);
  }
  if (ends === 'barred') expect(barring, name).toBe(true);
}

/** The receiver's run with one bit of a field changed. */
function receive<Output>(
  recording: Recording<Output>,
  { message, round, sender }: Field,
  place: [number, number],
  machine: (index: number) => RoundMachine<Output>,
  seeds: (index: number) => Uint8Array,
) {
  const victim = 3 - sender;
  const heard = recording.logs.get(victim)?.[round]?.inbox ?? [];
  const inbox = heard.map(
    ({ from, body }): ProtocolMessage => ({
      from,
      body: kindOf(body) === message ? flipped(body, place) : body,
    }),
  );
  expect(inbox, message).not.toEqual(heard);
  return runVictim(recording, victim, () => machine(victim), seeds(victim), {
    round: round + 1,
    inbox,
  });
}

const cases = (fields: readonly Field[]) =>
  [...new Map(fields.map((f) => [`${f.message} of ${f.sender}`, f.message])).entries()].map(
    ([name]) => ({ name, own: fields.filter((f) => `${f.message} of ${f.sender}` === name) }),
  );

/** Everything that one machine receives, and what whoever combines does. */
function table<Output>(
  name: string,
  fields: readonly Field[],
  machine: (index: number) => RoundMachine<Output>,
  options: {
    /** What goes to whoever combines only. */
    readonly shares?: readonly Field[];
    readonly combine?: (rounds: Recording<unknown>['broadcasts']) => unknown;
    /** Otherwise: what becomes of a run in which the receiver noticed nothing. */
    readonly after?: (run: ReturnType<typeof receive<Output>>) => unknown;
    /** One place of each field instead of three; and one field of each header, where another table has the others. */
    readonly thin?: 'places' | 'header';
  } = {},
): void {
  const { shares = [], combine, after, thin } = options;
  covered.push(...fields, ...shares);
  describe(name, () => {
    let made: Recording<Output> | undefined;
    const recording = () => {
      made ??= runAll(both, machine, seed(name));
      return made;
    };

    it('each byte of each message is of a field', () => {
      expectCovered(recording(), [...fields, ...shares]);
    });
    it.each(cases(thin === 'header' ? oneOfHeader(fields) : fields))(
      '$name: a changed bit is seen',
      ({ own }) => {
        for (const field of own)
          for (const place of places(field, thin !== undefined)) {
            let noticed = true;
            const error = caught(() => {
              const run = receive(recording(), field, place, machine, seed(name));
              noticed = false;
              after?.(run);
              combine?.(said(recording(), run.outboxes));
            });
            expectEnd(field, error);
            expect(noticed, `${field.message}.${field.field}`).toBe(field.ends !== 'useless');
          }
      },
    );
    if (combine === undefined) return;

    it('a changed bit of a broadcast is seen by whoever combines, too', () => {
      for (const field of [...fields, ...shares])
        for (const place of places(field, thin !== undefined)) {
          const rounds = recording().broadcasts;
          const body = rounds[field.round - 1]?.get(field.sender);
          if (body === undefined || kindOf(body) !== field.message) continue;
          const error = caught(() =>
            combine(
              rounds.map((of, i) =>
                i === field.round - 1 ? new Map([...of, [field.sender, flipped(body, place)]]) : of,
              ),
            ),
          );
          const { culprit, suspects } = error?.details ?? {};
          const where = `${field.message}.${field.field}`;
          expect(error?.code, where).toBe('ProtocolFault');
          expect(culprit === undefined ? suspects : [culprit], where).toContain(`${field.sender}`);
          if (shares.includes(field)) expectEnd(field, error);
        }
      expect(combine(recording().broadcasts)).toBeDefined();
    });
  });
}

/** The recording's broadcasts with the receiver's own as it now says them. */
const said = (
  { broadcasts }: Recording<unknown>,
  outboxes: readonly (readonly OutgoingMessage[])[],
) =>
  broadcasts.map((of, i) => {
    const body = outboxes[i]?.find(({ to }) => to === 'all')?.body;
    return body === undefined ? of : new Map([...of, [1, body]]);
  });

const batch = messages.length;
const ofKey = (index: number) => ({
  ...shape,
  index,
  share: outputOf(key, index).share,
  publicPackage,
});
const signed = { ...shape, publicPackage, signers: both, messages };
const online = (presignatures: (index: number) => PresignOutput) => (index: number) =>
  presigning.online({
    ...signed,
    index,
    sessionId: seedOf('online'),
    presignatures: presignatures(index).presignatures,
  });
const presign = (index: number) =>
  presigning.presign({
    ...ofKey(index),
    sessionId: seedOf('presign'),
    signers: both,
    count: batch,
  });

table(
  'signing',
  presignFields(batch),
  (index) => dkls23.sign({ ...ofKey(index), ...signed, sessionId: seedOf('sign') }),
  { shares: shareFields(batch), combine: (rounds) => dkls23.aggregate({ ...signed, rounds }) },
);

const pool = runAll(both, presign, seed('presigning'));
table('presigning', presignFields(batch), presign, {
  thin: 'places',
  // Wrong masks show when the presignatures are used.
  after({ output }) {
    const { broadcasts: rounds } = runAll(
      both,
      online((index) => (index === 1 ? held(output) : outputOf(pool, index))),
      seed('online'),
    );
    presigning.aggregate({ ...signed, rounds });
  },
});

table(
  'the online round',
  [],
  online((index) => outputOf(pool, index)),
  {
    shares: onlineFields(batch),
    combine: (rounds) => presigning.aggregate({ ...signed, rounds }),
  },
);

table(
  'key generation',
  keygenFields(shape, false),
  (index) => createKeygen({ ...shape, index, sessionId: seedOf('keygen') }),
  { thin: 'places' },
);

table(
  'refresh',
  keygenFields(shape, true),
  (index) => createRefresh({ ...ofKey(index), sessionId: seedOf('refresh') }),
  { thin: 'header' },
);

/**
 * The ceremony around a key that is dealt in one round: the rounds of key generation have a table of their own, and every
 * case here would begin with them.
 */
const dealt: ThresholdProtocol = {
  ...dkls23,
  metadata: { ...dkls23.metadata, rounds: { keygen: 4, sign: 3 } },
  keygen: ({ index }) =>
    sequence<KeygenOutput>(
      'dealt',
      [
        () => ({
          outbox: [],
          output: { ...outputOf(key, index), share: outputOf(key, index).share.slice() },
        }),
      ],
      () => undefined,
    ),
};
const activationFields = [...presignFields(1), ...shareFields(1)].map(
  // Every party combines, so it sees what was useless.
  (field): Field => (field.ends === 'useless' ? { ...field, ends: 'suspects' } : field),
);
table(
  'activation',
  activationFields,
  (index) =>
    activationCeremony(dealt, {
      params: { ...shape, index, sessionId: seedOf('activation') },
      keyId: 'vault',
      epoch: 0,
    }),
  { thin: 'header' },
);

describe('the tables', () => {
  it('have every kind of message there is,', () => {
    expect([...kindsOf(covered)].sort()).toEqual(Object.keys(KIND).sort());
  });
});
