/** `keysaga party`: drafting and signing orders on machines that reach no deployment, and the status in words. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { partyStatusTable } from '../../cli/commands/party.ts';
import { type Sink, styleOf } from '../../cli/io.ts';
import { sealKey } from '../../cli/keyfile.ts';
import { buildProgram } from '../../cli/program.ts';
import { ORDER_LIFE_MS, verifySignedOrder } from '../../core/orders.ts';
import { publicKeyOf } from '../../core/signed.ts';
import { SignedOrder } from '../../schema/contracts/order.ts';
import type { PartyId } from '../../schema/contracts/primitives.ts';

const folder = mkdtempSync(join(tmpdir(), 'keysaga-orders-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const PASSPHRASE = 'correct horse battery';
type Person = { name: string; publicKey: string; keyFile: string };
const people: Person[] = [];
beforeAll(async () => {
  for (const [name, role] of [
    ['ada', 'administrator'],
    ['bo', 'administrator'],
    ['ann', 'approver'],
  ] as const) {
    const seed = randomBytes(32);
    const keyFile = join(folder, `${name}.json`);
    writeFileSync(keyFile, await sealKey({ role, name }, seed, PASSPHRASE), { mode: 0o600 });
    people.push({ name, publicKey: publicKeyOf(seed), keyFile });
  }
});

const sink = (): Sink & { text: string } => ({
  text: '',
  write(chunk) {
    this.text += chunk;
  },
});
async function run(...args: string[]) {
  const io = {
    env: { KEYSAGA_DATA: join(folder, 'none'), KEYSAGA_PASSPHRASE: PASSPHRASE },
    stdin: Readable.from([]),
    stdout: sink(),
    stderr: sink(),
  };
  await buildProgram(io).parseAsync(['party', ...args], { from: 'user' });
  return { out: io.stdout.text, err: io.stderr.text };
}
const keyOf = (name: string) => people.find((one) => one.name === name)?.keyFile ?? '';
let files = 0;
const out = () => join(folder, `order-${++files}.json`);
const reason = ['--reason', 'restored from the backup of Sunday'];

describe('keysaga party', () => {
  it.each([
    ['unfence', ['--chain-epoch', '2'], { kind: 'unfence', chainEpoch: 2 }],
    ['quarantine', ['treasury'], { kind: 'quarantine', keyId: 'treasury' }],
    ['release', ['treasury'], { kind: 'release', keyId: 'treasury' }],
    ['destroy', ['treasury', '0'], { kind: 'destroy', keyId: 'treasury', epoch: 0 }],
  ])(
    '%s drafts an order that two administrators sign and a party believes',
    async (kind, args, expected) => {
      const file = out();
      const { out: text } = await run(kind, 'alpha', ...args, ...reason, '--out', file);
      expect(text).toContain('party sign');
      await run('sign', file, '--key', keyOf('ada'), '--yes');
      const { err } = await run('sign', file, '--key', keyOf('bo'), '--yes');
      expect(err).toContain(kind);
      expect(err).toContain('restored from the backup of Sunday');
      const signed = SignedOrder.parse(JSON.parse(readFileSync(file, 'utf8')));
      expect(signed.order).toMatchObject({ party: 'alpha', ...expected });
      const administrators = people.slice(0, 2);
      expect(verifySignedOrder(signed, { party: 'alpha', administrators, quorum: 2 })).toHaveLength(
        64,
      );
      expect(() => verifySignedOrder(signed, { party: 'beta', administrators, quorum: 2 })).toThrow(
        /for alpha/,
      );
    },
  );

  it('takes no approver’s key, no second file of one name, and no longer life than an order has', async () => {
    const file = out();
    await run('quarantine', 'alpha', 'treasury', ...reason, '--out', file);
    await expect(run('sign', file, '--key', keyOf('ann'), '--yes')).rejects.toMatchObject({
      code: 'InvalidInput',
    });
    await expect(
      run('quarantine', 'alpha', 'treasury', ...reason, '--out', file),
    ).rejects.toMatchObject({ details: { field: 'out' } });
    const days = ORDER_LIFE_MS / 86_400_000;
    await expect(
      run(
        'quarantine',
        'alpha',
        'treasury',
        ...reason,
        '--out',
        out(),
        '--valid-for',
        `${days + 1}d`,
      ),
    ).rejects.toMatchObject({ code: 'OrderRefused', details: { field: 'validUntil' } });
    await expect(run('destroy', 'alpha', 'treasury', 'x', ...reason)).rejects.toMatchObject({
      details: { field: 'epoch' },
    });
  });

  it('signing again replaces the earlier signature, so nobody counts twice', async () => {
    const file = out();
    await run('release', 'alpha', 'treasury', ...reason, '--out', file);
    for (let i = 0; i < 2; i++) await run('sign', file, '--key', keyOf('ada'), '--yes');
    const signed = SignedOrder.parse(JSON.parse(readFileSync(file, 'utf8')));
    expect(signed.signatures).toHaveLength(1);
    const administrators = people.slice(0, 2);
    expect(() => verifySignedOrder(signed, { party: 'alpha', administrators, quorum: 2 })).toThrow(
      /1 of 2/,
    );
  });

  it('needs a configuration to ask or to submit, and says which', async () => {
    const file = out();
    await run('release', 'alpha', 'treasury', ...reason, '--out', file);
    for (const args of [['status'], ['submit', file], ['unfence', 'alpha', ...reason]])
      await expect(run(...args)).rejects.toMatchObject({ code: 'PartMissing' });
  });

  it('shows how each party stands', () => {
    const health = {
      party: 'alpha' as PartyId,
      identityKey: '11'.repeat(32),
      version: '0.1.0',
      protocols: [],
      networks: [],
      activeKeys: 1,
      openSessions: 3,
      policies: [],
      fenced: true,
      fence: { reason: 'witness' as const, since: '2026-11-23T10:00:00.000Z', chainEpoch: 1 },
      chainEpoch: 1,
      headSequence: 12,
      quarantined: ['treasury' as never],
      clock: '2026-11-23T10:00:00.000Z',
    };
    const publicKey = '11'.repeat(32);
    const text = partyStatusTable(
      [
        { party: 'alpha' as PartyId, state: 'up', publicKey, health },
        { party: 'beta' as PartyId, state: 'down', publicKey, reason: 'no answer within 3000 ms' },
      ],
      styleOf(sink(), {}),
    );
    const [head, alpha, beta] = text.split('\n');
    expect(head).toMatch(
      /party +reachable +version +fenced +chain +quarantined keys +open sessions/,
    );
    expect(alpha).toMatch(/alpha +yes +0\.1\.0 +since 2026.*witness +epoch 1, 12 +treasury +3/);
    expect(beta).toMatch(/beta +no answer within 3000 ms/);
  });
});
