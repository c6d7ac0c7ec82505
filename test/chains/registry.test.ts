import { describe, expect, it } from 'vitest';
import { codecFor, codecsFor, createChains, createCodecs } from '../../chains/registry.ts';
import { solanaLocal, solanaNetworks } from '../../chains/solana/networks.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';

const regtest = 'bip122:0f9188f13cb7b2c71f2a335e3a4fc328';
const refusal = (work: () => unknown): KeysagaError => {
  try {
    work();
  } catch (error) {
    if (error instanceof KeysagaError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
};

describe('chains by CAIP-2 id', () => {
  it('chooses the strategy by namespace and keeps the network', () => {
    const codecs = codecsFor([regtest, solanaLocal.id]);
    expect(codecs.get(regtest)).toMatchObject({
      family: 'bitcoin',
      network: regtest,
      scheme: 'bip340',
    });
    expect(codecs.get(solanaLocal.id)).toMatchObject({
      family: 'solana',
      curve: 'ed25519',
      scheme: 'eddsa',
    });
    expect(codecs.list().map(({ network }) => network)).toEqual([regtest, solanaLocal.id]);
  });

  it('knows every Solana network of its own table', () => {
    for (const { id } of solanaNetworks) expect(codecFor(id).network).toBe(id);
  });

  it.each([
    'eip155:10', // a rollup: its data fee is outside any cap
    'eip155:01',
    'solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa2',
    'solana',
    '',
    'constructor:x',
    '__proto__:x',
    'bip122:00000000000000000000000000000000',
  ])('refuses %j with ChainUnsupported', (network) => {
    expect(refusal(() => codecFor(network)).code).toBe('ChainUnsupported');
    expect(refusal(() => codecsFor([]).get(network)).code).toBe('ChainUnsupported');
    expect(refusal(() => createChains([]).get(network)).code).toBe('ChainUnsupported');
  });

  it('refuses two strategies for one network', () => {
    const codec = codecFor(solanaLocal.id);
    const error = refusal(() => createCodecs([codec, codec]));
    expect([error.code, error.details.field]).toEqual(['InvalidInput', 'network']);
  });
});
