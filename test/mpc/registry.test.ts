import { describe, expect, it } from 'vitest';
import { activationBytes as coreActivationBytes } from '../../core/activation.ts';
import { activationBytes, ceremonyRounds } from '../../mpc/activation.ts';
import { dkls23 } from '../../mpc/dkls23/adapter.ts';
import { frostEd25519 } from '../../mpc/frost/adapter.ts';
import { createRegistry } from '../../mpc/registry.ts';
import { createRun } from '../../mpc/runner.ts';
import type { ProtocolOperation } from '../../mpc/telemetry.ts';
import { isKeysagaError } from '../../schema/contracts/errors.ts';
import { hex, keygenAll, seedOf } from '../support/mpc.ts';

const unsupported = expect.objectContaining({ code: 'ProtocolUnsupported' });

describe('the registry', () => {
  const registry = createRegistry();
  it('chooses by scheme, curve and number of parties', () => {
    expect(registry.select('eddsa', 'ed25519', 3).metadata.id).toBe('frost-ed25519');
    expect(registry.select('bip340', 'secp256k1', 2).metadata.id).toBe('frost-bip340');
    for (const parties of [2, 3])
      expect(registry.select('ecdsa', 'secp256k1', parties).metadata.id).toBe('dkls23');
    // Where it is registered, three parties and more get the protocol that names every cheat.
    const other = { ...dkls23, metadata: { ...dkls23.metadata, id: 'cggmp21' } };
    const both = createRegistry({ protocols: [dkls23, other] });
    expect(both.select('ecdsa', 'secp256k1', 2).metadata.id).toBe('dkls23');
    expect(both.select('ecdsa', 'secp256k1', 3).metadata.id).toBe('cggmp21');
    expect(() => createRegistry({ protocols: [] }).select('ecdsa', 'secp256k1', 3)).toThrowError(
      unsupported,
    );
    expect(() => registry.select('eddsa', 'secp256k1', 3)).toThrowError(unsupported);
    for (const parties of [1, 17, 2.5])
      expect(() => registry.select('eddsa', 'ed25519', parties)).toThrowError(unsupported);
    expect(() => registry.get('gg18')).toThrowError(unsupported);
  });
  it('states what each protocol is', () => {
    expect(
      registry.list().map(({ id, curve, scheme, rounds }) => ({ id, curve, scheme, rounds })),
    ).toEqual([
      { id: 'frost-ed25519', curve: 'ed25519', scheme: 'eddsa', rounds: { keygen: 6, sign: 2 } },
      { id: 'frost-bip340', curve: 'secp256k1', scheme: 'bip340', rounds: { keygen: 6, sign: 2 } },
      { id: 'dkls23', curve: 'secp256k1', scheme: 'ecdsa', rounds: { keygen: 9, sign: 3 } },
    ]);
    for (const { id } of registry.list()) {
      const protocol = registry.get(id);
      expect(ceremonyRounds(protocol)).toBe(protocol.metadata.rounds.keygen);
      expect(protocol.metadata.presigning).toBe(protocol.presigning !== undefined);
      expect(protocol.metadata.versions.refresh !== undefined).toBe(protocol.refresh !== undefined);
      const machine = protocol.keygen({
        threshold: 2,
        parties: 2,
        index: 1,
        sessionId: seedOf('x'),
      });
      expect(machine.version).toBe(protocol.metadata.versions.keygen);
    }
  });
  it('Ed25519 refuses a tweak instead of ignoring it', () => {
    const params = { threshold: 2, parties: 2, publicPackage: new Uint8Array(), signers: [1, 2] };
    const tweaked = { ...params, messages: [seedOf('x')], tweak: seedOf('tweak') };
    const refused = expect.objectContaining({
      code: 'InvalidInput',
      details: { field: 'tweak' },
    });
    const protocol = registry.get('frost-ed25519');
    expect(() => protocol.aggregate({ ...tweaked, rounds: [] })).toThrowError(refused);
    expect(() =>
      protocol.sign({ ...tweaked, index: 1, sessionId: seedOf('s'), share: new Uint8Array() }),
    ).toThrowError(refused);
  });
  it('refuses two protocols of one id', () => {
    expect(() => createRegistry({ protocols: [frostEd25519, frostEd25519] })).toThrowError(
      expect.objectContaining({ code: 'InvalidInput' }),
    );
  });
});

describe('telemetry', () => {
  it('reports each round and each failure, and changes no byte', () => {
    const seen: ProtocolOperation[] = [];
    let clock = 0;
    const registry = createRegistry({
      telemetry: { onOperation: (o) => seen.push(o), now: () => clock++ },
    });
    const protocol = registry.get('frost-bip340');
    const shape = { threshold: 2, parties: 2 };
    const measured = keygenAll(protocol, shape, 'telemetry');
    const plain = keygenAll(createRegistry().get('frost-bip340'), shape, 'telemetry');
    expect(measured.outboxes).toEqual(plain.outboxes);
    expect(seen.map(({ operation, round, ok }) => [operation, round, ok])).toEqual(
      [1, 1, 2, 2, 3, 3, 4, 4].map((round) => ['keygen', round, true]),
    );
    expect(
      seen.every(({ protocol: id, milliseconds }) => id === 'frost-bip340' && milliseconds === 1),
    ).toBe(true);
    const run = createRun(
      () => protocol.keygen({ ...shape, index: 1, sessionId: seedOf('x') }),
      seedOf('y'),
    );
    run.round(1, []);
    expect(() => run.round(2, [])).toThrowError(expect.objectContaining({ code: 'ProtocolFault' }));
    expect(seen.at(-1)).toMatchObject({ operation: 'keygen', round: 2, ok: false });
  });
});

describe('a machine that breaks', () => {
  it('ends its run with a typed error that quotes nothing', () => {
    const run = createRun(
      () => ({
        version: 'broken/1',
        rounds: 1,
        round: () => {
          throw new RangeError('the secret is 42');
        },
        dispose: () => undefined,
      }),
      seedOf('z'),
    );
    let thrown: unknown;
    try {
      run.round(1, []);
    } catch (error) {
      thrown = error;
    }
    expect(isKeysagaError(thrown, 'Internal')).toBe(true);
    expect(thrown).toMatchObject({ retryable: false, details: { kind: 'RangeError' } });
    expect(JSON.stringify(thrown) + String(thrown)).not.toContain('42');
    expect((thrown as Error).cause).toBeUndefined();
  });
});

describe('the activation message', () => {
  it('is the same in the domain and in the ceremony', () => {
    const hash = seedOf('transcript');
    expect(hex(activationBytes('wallet-1', 7, hash))).toBe(
      hex(coreActivationBytes('wallet-1', 7, hash)),
    );
    expect(hex(activationBytes('wallet-1', 7, hash))).toBe(
      `ff${Buffer.from('keysaga/activation/v1').toString('hex')}0008${Buffer.from('wallet-1').toString('hex')}00000007${hex(hash)}`,
    );
    const invalid = expect.objectContaining({ code: 'InvalidInput' });
    expect(() => activationBytes('', 0, hash)).toThrowError(invalid);
    expect(() => activationBytes('k'.repeat(65), 0, hash)).toThrowError(invalid);
    expect(() => activationBytes('k', -1, hash)).toThrowError(invalid);
    expect(() => activationBytes('k', 0, hash.slice(1))).toThrowError(invalid);
  });
});
