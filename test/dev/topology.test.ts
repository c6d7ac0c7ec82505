/** `temporal-dev.yaml` is read as written, and whatever is wrong in it is named. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { cacheFolder, dataFolder, repoRoot, topologyFile } from '../../dev/paths.ts';
import { loadTopology, parseTopology } from '../../dev/topology.ts';
import { isKeysagaError } from '../../schema/contracts/errors.ts';
import { NAMESPACE, SEARCH_ATTRIBUTES } from '../../schema/contracts/temporal.ts';
import { run, scratchTree } from '../support/repo.ts';

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
    ['data: .keysaga', 'data: 7', 'folders.data'],
    ['  cache: .cache', '  caches: .cache', 'folders.cache'],
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

describe('the folders', () => {
  const home = mkdtempSync(join(tmpdir(), 'keysaga-topology-'));
  afterAll(() => rmSync(home, { recursive: true }));
  const moved = join(home, 'temporal-dev.yaml');
  writeFileSync(
    moved,
    text.replace('data: .keysaga', 'data: elsewhere/data').replace('cache: .cache', 'cache: /c'),
  );

  it('are those of the file, relative to the checkout or absolute', () => {
    const { dataDir, topology } = loadTopology(moved, {});
    expect(dataDir).toBe(join(repoRoot, 'elsewhere/data'));
    expect(cacheFolder({}, topology.folders)).toBe('/c');
    expect(loadTopology(topologyFile, {}).dataDir).toBe(join(repoRoot, '.keysaga'));
    expect([dataFolder({}), cacheFolder({})]).toEqual([
      ...[join(repoRoot, '.keysaga'), join(repoRoot, '.cache')],
    ]);
  });

  it('are those of the environment where it names them', () => {
    const env = { KEYSAGA_DATA: 'mine', KEYSAGA_CACHE: '/theirs' };
    const { dataDir, topology } = loadTopology(moved, env);
    expect(dataDir).toBe(join(repoRoot, 'mine'));
    expect(cacheFolder(env, topology.folders)).toBe('/theirs');
  });

  it('are cleared by reset, in a checkout whose file moves them', async () => {
    const tree = scratchTree({ 'state/stack-id': '0123456789abcdef\n', 'state/x': '', kept: '' }, [
      ...['dev', 'schema', 'package.json', 'node_modules', 'temporal-dev.yaml'],
    ]);
    try {
      const file = join(tree.path, 'temporal-dev.yaml');
      writeFileSync(file, text.replace('data: .keysaga', 'data: state'));
      const reset = () =>
        run(process.execPath, ['--import', 'tsx', 'dev/reset.ts'], tree.path, { KEYSAGA_DATA: '' });
      expect((await reset()).stderr).toBe(`keysaga: cleared ${join(tree.path, 'state')}\n`);
      expect([existsSync(join(tree.path, 'state')), existsSync(join(tree.path, 'kept'))]).toEqual([
        ...[false, true],
      ]);
      writeFileSync(file, text.replace('data: .keysaga', 'data: []'));
      expect(await reset()).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(/^keysaga: folders\.data: /),
      });
    } finally {
      tree.remove();
    }
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
