/** The port that a party service sees: fresh runs, rebuilt runs, and what a new session pins. */
import { describe, expect, it } from 'vitest';
import type { CeremonyLog } from '../../core/ports/ceremonies.ts';
import type { OutgoingMessage } from '../../core/ports/protocol.ts';
import { createCeremonies } from '../../mpc/ceremonies.ts';
import { createRegistry } from '../../mpc/registry.ts';
import { hex, inboxFor, range, seedOf } from '../support/mpc.ts';

const ceremonies = createCeremonies(createRegistry());
const shape = { threshold: 2, parties: 3 };

describe.each(['frost-ed25519', 'frost-bip340'])('%s', (id) => {
  const key = (index: number) => ({
    ...shape,
    index,
    sessionId: seedOf('session', id),
    keyId: 'vault',
    epoch: 0,
  });
  const seed = (index: number) => seedOf('ceremonies', id, index);
  const fresh: CeremonyLog = { version: ceremonies.describe(id, 'keygen').version, entries: [] };

  it('rebuilds each party after every round, as after a crash', () => {
    const { rounds, version } = ceremonies.describe(id, 'keygen');
    const logs = new Map(range(3).map((m) => [m, { version, entries: [...fresh.entries] }]));
    let outboxes = new Map<number, readonly OutgoingMessage[]>();
    let keys: string[] = [];
    for (let r = 1; r <= rounds; r++) {
      const next = new Map<number, readonly OutgoingMessage[]>();
      keys = [];
      for (const [m, log] of logs) {
        const run = ceremonies.keygen(id, key(m), seed(m), log);
        expect([run.version, run.rounds, run.next]).toEqual([version, rounds, r]);
        const inbox = inboxFor(m, outboxes);
        const { outbox, outboxHash, output } = run.round(r, inbox);
        run.dispose();
        log.entries.push({ round: r, inbox, outboxHash });
        next.set(m, outbox);
        if (output !== undefined) keys.push(hex(output.publicKey));
      }
      outboxes = next;
    }
    expect(keys.length).toBe(3);
    expect(new Set(keys).size).toBe(1);
    const [, entry] = logs.get(1)?.entries ?? [];
    if (entry === undefined) throw new Error('no entry');
    const forged = { ...entry, outboxHash: '00'.repeat(32) };
    const log = { version, entries: [...(logs.get(1)?.entries.slice(0, 1) ?? []), forged] };
    expect(() => ceremonies.keygen(id, key(1), seed(1), log)).toThrowError(
      expect.objectContaining({ code: 'ReplayMismatch' }),
    );
  });

  it('refuses a session that another version began', () => {
    expect(() =>
      ceremonies.keygen(id, key(1), seed(1), { ...fresh, version: `${id}/activation/0` }),
    ).toThrowError(expect.objectContaining({ code: 'ReplayMismatch' }));
  });

  it('states what the machines are', () => {
    expect(ceremonies.describe(id, 'sign')).toEqual({ version: `${id}/sign/1`, rounds: 2 });
    expect(ceremonies.describe(id, 'keygen')).toEqual({
      version: `${id}/activation/1+${id}/keygen/1+${id}/sign/1`,
      rounds: 6,
    });
    expect(ceremonies.list()).toContain(id);
    expect(ceremonies.metadata(id).id).toBe(id);
  });

  it('derived keys are none of the draws, and differ by label', () => {
    const derived = ['hpke', 'other'].map((label) => hex(ceremonies.derive(seed(1), label)));
    expect(new Set(derived).size).toBe(2);
    expect(derived.every((k) => k.length === 64 && k !== hex(seed(1)))).toBe(true);
  });
});

it('an unknown protocol is a typed error', () => {
  expect(() => ceremonies.describe('gg18', 'sign')).toThrowError(
    expect.objectContaining({ code: 'ProtocolUnsupported' }),
  );
});
