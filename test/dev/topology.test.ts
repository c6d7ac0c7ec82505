/** `temporal-dev.yaml` is read as written, and whatever is wrong in it is named. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { loadTopology, parseTopology, topologyFile } from '../../dev/topology.ts';
import { isKeysagaError } from '../../schema/contracts/errors.ts';
import { NAMESPACE, SEARCH_ATTRIBUTES } from '../../schema/contracts/temporal.ts';

const text = readFileSync(topologyFile, 'utf8');

const refusal = (work: () => unknown): { code: string; field: unknown; message: string } => {
  try {
    work();
  } catch (error) {
    if (isKeysagaError(error))
      return { code: error.code, field: error.details.field, message: error.message };
    throw error;
  }
  throw new Error('it was accepted');
};

describe('temporal-dev.yaml', () => {
  it('is valid, and agrees with the contracts', () => {
    const { topology, external } = loadTopology(topologyFile, {});
    expect(external).toEqual({});
    expect(topology.temporal.namespace).toBe(NAMESPACE);
    expect(topology.temporal.searchAttributes).toEqual(SEARCH_ATTRIBUTES);
    expect(topology.parties).toEqual({ threshold: 2, names: ['alpha', 'beta', 'gamma'] });
    expect(topology.approvers.quorum).toBe(2);
    expect(topology.chains.bitcoin.network).toBe('bip122:0f9188f13cb7b2c71f2a335e3a4fc328');
  });

  it.each([
    ['port: 7233', 'port: seven', 'temporal.port'],
    ['port: 7233', 'port: 70000', 'temporal.port'],
    ['retentionDays: 30', 'retention: 30', 'temporal.retentionDays'],
    ['retentionDays: 30', 'retentionDays: 30\n  typo: 1', 'temporal.typo'],
    ['KeysagaWallet: Keyword', 'KeysagaWallet: Word', 'temporal.searchAttributes.KeysagaWallet'],
    ['threshold: 2', 'threshold: 4', 'parties.threshold'],
    ['[alpha, beta, gamma]', '[alpha, beta, gamma, delta]', 'parties.threshold'],
    ['[alpha, beta, gamma]', '[alpha, beta, beta]', 'parties.names'],
    ['[alpha, beta, gamma]', '[alpha, beta, "Γ"]', 'parties.names.2'],
    ['network: solana:surfnet-local', 'network: surfnet', 'chains.solana.network'],
    ['network: eip155:31337', 'network: anvil', 'chains.ethereum.network'],
    ['mode: demand', 'mode: sometimes', 'chains.bitcoin.mining.mode'],
    ['perDay: "200000000"', 'perDay: "1"', 'policy.limits.0.perTransfer'],
    ['perDay: "200000000"', 'perDay: 200000000', 'policy.limits.0.perDay'],
    ['names: [alice, bob, carol]', 'names: [alice]', 'approvers.quorum'],
  ])('refuses %j → %j and names %s', (from, to, field) => {
    expect(text).toContain(from);
    const outcome = refusal(() => parseTopology(text.replace(from, to)));
    expect(outcome).toMatchObject({ code: 'InvalidInput', field });
    expect(outcome.message).toContain(field);
  });

  it('refuses what is not YAML, and a file that is not there', () => {
    expect(refusal(() => parseTopology('temporal: [', 'my.yaml')).field).toBe('my.yaml');
    expect(refusal(() => loadTopology('/nowhere/x.yaml', {})).field).toBe('/nowhere/x.yaml');
  });
});

describe('the environment', () => {
  it('replaces parts, namespace and data folder', () => {
    const { topology, external, dataDir } = loadTopology(topologyFile, {
      TEMPORAL_ADDRESS: 'temporal.example:7233',
      TEMPORAL_NAMESPACE: 'mine',
      DATABASE_URL: 'postgres://u:p@db.example/x',
      BITCOIN_RPC_URL: 'http://u:p@127.0.0.1:18443',
      SOLANA_RPC_URL: 'http://127.0.0.1:8899',
      ETHEREUM_RPC_URL: 'http://127.0.0.1:8545',
      KEYSAGA_DATA: '/tmp/elsewhere',
    });
    expect(external).toEqual({
      temporalAddress: 'temporal.example:7233',
      databaseUrl: 'postgres://u:p@db.example/x',
      bitcoinRpcUrl: 'http://u:p@127.0.0.1:18443',
      solanaRpcUrl: 'http://127.0.0.1:8899',
      ethereumRpcUrl: 'http://127.0.0.1:8545',
    });
    expect(topology.temporal.namespace).toBe('mine');
    expect(dataDir).toBe('/tmp/elsewhere');
  });

  it.each([
    ['TEMPORAL_ADDRESS', 'http://temporal'],
    ['TEMPORAL_NAMESPACE', 'Not A Namespace'],
    ['DATABASE_URL', 'mysql://u:secret@h/x'],
    ['DATABASE_URL', 'secret'],
    ['BITCOIN_RPC_URL', 'secret:18443'],
    ['SOLANA_RPC_URL', 'ftp://secret'],
  ])('refuses %s=%s by name, without repeating a value that may hold a password', (name, value) => {
    const outcome = refusal(() => loadTopology(topologyFile, { [name]: value }));
    expect(outcome).toMatchObject({ code: 'InvalidInput', field: name });
    expect(outcome.message).not.toContain('secret');
  });
});
