/** The protocols' core is a party in a page: it bundles without a stand-in for `node:` and signs where there is no Node. */
import vm from 'node:vm';
import { beforeAll, describe, expect, it } from 'vitest';
import { browserBundle } from '../../bench/browser/bundle.ts';
import { repoRoot } from '../../dev/paths.ts';
import { digestOf, opensslEcdsa } from '../support/ecdsa.ts';
import { affineBip340, opensslEd25519 } from '../support/schnorr-verifiers.ts';

/** A ceremony of two of two, whole, in the page; only hex crosses between the realms. */
const PROGRAM = `
import { createRegistry } from './mpc/registry.ts';
import { createRun } from './mpc/runner.ts';

const MEMBERS = [1, 2];
const random = () => globalThis.crypto.getRandomValues(new Uint8Array(32));
const toHex = (bytes) => Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('');
const fromHex = (hex) => Uint8Array.from(hex.match(/../g), (b) => Number.parseInt(b, 16));

function all(machine) {
  const runs = MEMBERS.map((index) => createRun(() => machine(index), random()));
  const outputs = [];
  const rounds = [];
  let sent = [];
  for (let r = 1; r <= runs[0].rounds; r++) {
    const answers = runs.map((run, i) =>
      run.round(r, sent.filter(({ from }) => from !== MEMBERS[i])));
    sent = answers.flatMap(({ outbox }, i) =>
      outbox.map(({ to, body }) => ({ from: MEMBERS[i], to, body })));
    answers.forEach(({ output }, i) => { outputs[i] = output ?? outputs[i]; });
    rounds.push(new Map(sent.filter(({ to }) => to === 'all').map(({ from, body }) => [from, body])));
  }
  return { outputs, rounds };
}

export function sign(id, message) {
  const protocol = createRegistry().get(id);
  const shape = { threshold: 2, parties: 2 };
  const session = random();
  const keys = all((index) => protocol.keygen({ ...shape, index, sessionId: session })).outputs;
  const { publicPackage, publicKey } = keys[0];
  const shared = { ...shape, publicPackage, signers: MEMBERS, messages: [fromHex(message)] };
  const sessionId = random();
  const { rounds } = all((index) =>
    protocol.sign({ ...shared, index, sessionId, share: keys[index - 1].share }));
  const [signature] = protocol.aggregate({ ...shared, rounds });
  return { publicKey: toHex(publicKey), signature: toHex(signature) };
}
export const ofNode = () => ['process', 'require', 'Buffer'].filter((name) => name in globalThis);
`;

type Page = {
  sign(id: string, message: string): { publicKey: string; signature: string };
  ofNode(): string[];
};
let page: Page;
beforeAll(async () => {
  const script = await browserBundle({
    stdin: { contents: PROGRAM, loader: 'js', resolveDir: repoRoot },
    globalName: 'page',
  });
  // What a page has, and nothing of what Node adds to it.
  const { crypto } = globalThis;
  page = vm.runInNewContext(`${script};page`, { crypto, TextEncoder, TextDecoder }) as Page;
});

describe('the core, bundled for browsers, where there is no Node', () => {
  it.each([
    ['dkls23', opensslEcdsa],
    ['frost-ed25519', opensslEd25519],
    ['frost-bip340', affineBip340],
  ])('makes keys and signs with %s, verified by others', (id, verifies) => {
    expect([...page.ofNode()]).toEqual([]);
    const message = digestOf(`a page signs with ${id}`);
    const { publicKey, signature } = page.sign(id, Buffer.from(message).toString('hex'));
    const verified = (digest: Uint8Array) =>
      verifies(Buffer.from(publicKey, 'hex'), digest, Buffer.from(signature, 'hex'));
    expect(verified(message)).toBe(true);
    expect(verified(digestOf('another'))).toBe(false);
  });

  it('fails to bundle as soon as it imports from Node', async () => {
    await expect(
      browserBundle({
        stdin: {
          contents: `import 'node:crypto'; import './mpc/registry.ts';`,
          resolveDir: repoRoot,
        },
      }),
    ).rejects.toThrow('node:crypto');
  });
});
