/** Policies at the command line: words that hide nothing, settings, files that people sign one after another. */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  addSignature,
  type Draft,
  documentDigest,
  missingSignatures,
  readDocument,
  signatureLine,
  writeDocument,
} from '../../cli/documents.ts';
import { EXIT } from '../../cli/exit-codes.ts';
import { styleOf } from '../../cli/io.ts';
import { sealKey } from '../../cli/keyfile.ts';
import { POLICY_KIND } from '../../cli/policy-files.ts';
import { applySettings } from '../../cli/policy-settings.ts';
import { diffLines, policyDiff, policyLines } from '../../cli/policy-words.ts';
import { policyHash, verifySignedPolicy } from '../../core/policy.ts';
import { publicKeyOf, signObject } from '../../core/signed.ts';
import { repoRoot } from '../../dev/paths.ts';
import { Policy } from '../../schema/contracts/policy.ts';

const BTC = 'bip122:0f9188f13cb7b2c71f2a335e3a4fc328';
const SOL = 'solana:surfnet-local';
const seed = (n: number): Uint8Array => new Uint8Array(32).fill(n);
const plain = styleOf({ write: () => {} }, {});
const v1 = Policy.parse({
  policyId: 'demo',
  version: 1,
  issuedAt: '2026-01-01T00:00:00.000Z',
  approvers: ['alice', 'bob', 'carol'].map((name, i) => ({
    name,
    publicKey: publicKeyOf(seed(i + 1)),
  })),
  quorum: 2,
  limits: [
    { network: BTC, asset: 'native', perTransfer: '50000000', perDay: '200000000' },
    { network: SOL, asset: 'native', perTransfer: '5000000000', perDay: '20000000000' },
  ],
  strictDailyLimit: false,
  voidFeeCaps: [
    { network: BTC, cap: '100000' },
    { network: SOL, cap: '1000000' },
  ],
  startDelaySeconds: 0,
});
const following = (change: Partial<Policy> = {}): Policy => ({
  ...v1,
  version: 2,
  previous: policyHash(v1),
  ...change,
});
const networkOf = (name: string): string => ({ bitcoin: BTC, solana: SOL })[name] ?? name;
const set = (...settings: string[]): Policy => applySettings(following(), settings, networkOf);
const texts = (after: Policy): string[] =>
  policyDiff(v1, after).map(({ mark, text }) => `${mark} ${text}`);

const folder = mkdtempSync(join(tmpdir(), 'keysaga-policy-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('a change in words', () => {
  it('names each thing that is another', () => {
    const dave = publicKeyOf(seed(9));
    const next = set(
      'quorum=3',
      `approver.dave=${dave}`,
      'approver.carol=none',
      'perTransfer.bitcoin=0.1btc',
      'anchorFrom.bitcoin=0.05btc',
      'limit.solana=none',
      'voidFeeCap.bitcoin=50000sats',
      'startDelay=1h',
      'strictDailyLimit=true',
      'allow.bitcoin=bcrt1qdest',
    );
    expect(texts(next)).toEqual([
      '~ quorum: 2 of 3 approvers -> 3 of 3 approvers',
      '- approver carol: no longer counts',
      `+ approver dave, key ${dave}`,
      '- limit local Solana runtime: nothing may be paid any more',
      '~ limit Bitcoin regtest: 0.5 BTC (50000000 sats) a transfer, 2 BTC (200000000 sats) a day -> 0.1 BTC (10000000 sats) a transfer, 2 BTC (200000000 sats) a day, anchored from 0.05 BTC (5000000 sats)',
      '~ daily limits: each party counts the whole limit -> strict: L·t/n at each party',
      '~ destinations: any destination -> only listed destinations',
      '+ destination bcrt1qdest on Bitcoin regtest',
      '~ void fee on Bitcoin regtest: at most 0.001 BTC (100000 sats) -> 0.0005 BTC (50000 sats)',
      '~ start delay: none -> 1 h',
    ]);
    expect(texts(following())).toEqual([]);
    expect(diffLines(v1, following(), plain)).toContain('changes nothing but its version');
  });

  it('says so when a key is swapped under a known name', () => {
    const other = publicKeyOf(seed(8));
    expect(texts(set(`approver.alice=${other}`))).toEqual([
      `~ approver alice: key ${other} instead of ${publicKeyOf(seed(1))}`,
    ]);
  });

  it('leaves no field out: whatever of the document is another, the words are too', () => {
    const changes: { readonly [K in keyof Required<Policy>]: Partial<Policy> | undefined } = {
      // The chain's own fields say nothing about the rules.
      policyId: undefined,
      version: undefined,
      previous: undefined,
      issuedAt: undefined,
      approvers: { approvers: v1.approvers.slice(1) },
      quorum: { quorum: 1 },
      limits: { limits: v1.limits.slice(1) },
      strictDailyLimit: { strictDailyLimit: true },
      allowList: { allowList: [] },
      voidFeeCaps: { voidFeeCaps: v1.voidFeeCaps.slice(1) },
      typedData: { typedData: [{ domain: 'a rule\u001b' }] as never },
      startDelaySeconds: { startDelaySeconds: 5 },
    };
    expect(Object.keys(changes).sort()).toEqual(Object.keys(Policy.shape).sort());
    for (const [field, change] of Object.entries(changes))
      if (change !== undefined) expect([field, texts(following(change))]).not.toEqual([field, []]);
    expect(texts(following(changes.typedData))).toEqual(['+ typedData {"domain":"a rule\\u001b"}']);
    expect(policyLines(following(changes.typedData), plain)).toContain('a rule');
  });

  it('shows every field of the document, and nothing that could steer a terminal', () => {
    const shown = policyLines(
      following({
        allowList: [{ network: BTC, destination: 'bcrt1q\u001b[2Jx\u202e' }],
        limits: [{ network: 'bip122:ffff', asset: 'native', perTransfer: '1', perDay: '2' }],
        voidFeeCaps: [{ network: 'bip122:ffff', cap: '3' }],
      }),
      plain,
    );
    expect(shown).not.toContain('\u001b');
    expect(shown).toContain('bcrt1q\\u{1b}[2Jx\\u{202e}');
    // A network that only its id tells apart is shown by its id.
    expect(shown).toContain('(bip122:ffff)');
    for (const part of ['alice', publicKeyOf(seed(3)), policyHash(v1), '2 of 3 approvers'])
      expect(shown).toContain(part);
  });
});

describe('settings', () => {
  it.each([
    ['quorum', 'name, ='],
    ['quorum=many', 'whole number'],
    ['colour=red', 'no such setting'],
    ['approver.dave=ab', '64 hex'],
    ['approver.eve=none', 'does not name'],
    ['perTransfer.bitcoin=0.1', 'unit'],
    ['allow.bitcoin.bcrt1qnone=none', 'does not have it'],
    ['strictDailyLimit=maybe', 'true or false'],
  ])('%s is refused by name', (setting, why) => {
    expect(() => set(setting)).toThrow(
      expect.objectContaining({ code: 'InvalidInput', message: expect.stringContaining(why) }),
    );
  });

  it('takes a key from an approver’s file, and from nobody else’s', async () => {
    const file = join(folder, 'dave.json');
    const admin = join(folder, 'ada-as-approver.json');
    const passphrase = 'a long enough one';
    writeFileSync(file, await sealKey({ role: 'approver', name: 'dave' }, seed(9), passphrase));
    writeFileSync(
      admin,
      await sealKey({ role: 'administrator', name: 'ada' }, seed(10), passphrase),
    );
    expect(set(`approver.dave=@${file}`).approvers.at(-1)).toEqual({
      name: 'dave',
      publicKey: publicKeyOf(seed(9)),
    });
    expect(() => set(`approver.erin=@${file}`)).toThrow(/dave’s/);
    expect(() => set(`approver.ada=@${admin}`)).toThrow(/administrator’s/);
  });
});

describe('a file that several sign', () => {
  const admins = ['ada', 'barbara', 'edsger'].map((name, i) => ({
    name,
    secretKey: seed(20 + i),
    publicKey: publicKeyOf(seed(20 + i)),
  }));
  const path = join(folder, 'demo-2.json');
  const draft: Draft<Policy> = { document: following({ quorum: 3 }), signatures: [] };
  const sign = (of: Draft<Policy>, who: (typeof admins)[number], as = draft.document) =>
    addSignature(POLICY_KIND, of, {
      name: who.name,
      publicKey: who.publicKey,
      sign: () => signObject('policy', as, who.secretKey),
    });

  it('collects signatures, says who is missing, and is what parties verify', async () => {
    const [ada, barbara] = admins;
    if (ada === undefined || barbara === undefined) throw new Error('no administrators');
    writeDocument(POLICY_KIND, path, draft);
    writeDocument(POLICY_KIND, path, await sign(readDocument(POLICY_KIND, path), ada));
    const one = missingSignatures(POLICY_KIND, readDocument(POLICY_KIND, path), admins, 2);
    expect(one).toMatchObject({ signed: ['ada'], missing: ['barbara', 'edsger'], enough: false });
    expect(signatureLine(one)).toBe('signed by ada; 1 more of barbara, edsger needed');
    // Again by the same person: one signature.
    writeDocument(POLICY_KIND, path, await sign(readDocument(POLICY_KIND, path), ada));
    writeDocument(POLICY_KIND, path, await sign(readDocument(POLICY_KIND, path), barbara));
    const full = readDocument(POLICY_KIND, path);
    expect(full.signatures).toHaveLength(2);
    expect(missingSignatures(POLICY_KIND, full, admins, 2).enough).toBe(true);
    expect(
      verifySignedPolicy({ policy: full.document, signatures: [...full.signatures] }, admins, 2),
    ).toBe(documentDigest(POLICY_KIND, full));
  });

  it('does not count what covers another document, another key or an unknown name', async () => {
    const [ada, barbara] = admins;
    if (ada === undefined || barbara === undefined) throw new Error('no administrators');
    const signed = await sign(draft, ada);
    const edited = { ...signed, document: { ...signed.document, quorum: 1 } };
    expect(missingSignatures(POLICY_KIND, edited, admins, 1)).toMatchObject({
      signed: [],
      enough: false,
      invalid: [{ name: 'ada', reason: 'signed something else' }],
    });
    expect(
      missingSignatures(POLICY_KIND, signed, [{ name: 'ada', publicKey: barbara.publicKey }], 1)
        .invalid,
    ).toEqual([{ name: 'ada', reason: 'has another key here' }]);
    expect(missingSignatures(POLICY_KIND, signed, [barbara], 1).invalid).toEqual([
      { name: 'ada', reason: 'is not pinned here' },
    ]);
    await expect(sign(draft, ada, v1)).rejects.toMatchObject({ code: 'SignatureInvalid' });
  });

  it('is refused with a clear error when it is not one', () => {
    const broken = join(folder, 'broken.json');
    expect(() => readDocument(POLICY_KIND, join(folder, 'absent.json'))).toThrow(
      expect.objectContaining({ code: 'NotFound' }),
    );
    writeFileSync(broken, '{');
    expect(() => readDocument(POLICY_KIND, broken)).toThrow(/not JSON/);
    writeFileSync(broken, JSON.stringify({ policy: { ...v1, quorum: 0 }, signatures: [] }));
    expect(() => readDocument(POLICY_KIND, broken)).toThrow(
      expect.objectContaining({ code: 'InvalidInput' }),
    );
    writeFileSync(broken, JSON.stringify({ policy: v1, signatures: [], extra: 1 }));
    expect(() => readDocument(POLICY_KIND, broken)).toThrow(
      expect.objectContaining({ code: 'InvalidInput' }),
    );
  });
});

describe('keysaga policy sign, on a machine without a deployment', () => {
  const passphrase = join(folder, 'passphrase');
  const before = join(folder, 'demo-1.json');
  const file = join(folder, 'to-sign.json');
  const keys = { admin: join(folder, 'ada.json'), approver: join(folder, 'alice.json') };
  type Run = { code: number | null; stdout: string; stderr: string };
  const run = (...args: string[]): Promise<Run> =>
    new Promise((resolve) => {
      const child = spawn(join(repoRoot, 'cli/keysaga'), args, {
        cwd: folder,
        env: { PATH: process.env.PATH, HOME: folder, KEYSAGA_DATA: join(folder, 'none') },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      const result: Run = { code: null, stdout: '', stderr: '' };
      child.stdout.on('data', (chunk) => {
        result.stdout += chunk;
      });
      child.stderr.on('data', (chunk) => {
        result.stderr += chunk;
      });
      child.once('close', (code) => resolve({ ...result, code }));
    });
  beforeAll(async () => {
    writeFileSync(passphrase, 'a long enough one\n');
    writeDocument(POLICY_KIND, before, { document: v1, signatures: [] });
    writeDocument(POLICY_KIND, file, { document: following({ quorum: 3 }), signatures: [] });
    for (const [role, name, path] of [
      ['administrator', 'ada', keys.admin],
      ['approver', 'alice', keys.approver],
    ] as const) {
      const made = await run(
        ...[`${role}-key`, name, '--key-file', path, '--passphrase-file', passphrase],
      );
      expect(made.code).toBe(EXIT.ok);
      expect(existsSync(path)).toBe(true);
    }
  });

  it('shows the change in words, signs it, and says so in JSON', async () => {
    const done = await run(
      ...['policy', 'sign', file, '--key', keys.admin, '--against', before],
      ...['--passphrase-file', passphrase, '--yes', '--json'],
    );
    expect(done).toMatchObject({ code: EXIT.ok });
    expect(done.stderr).toContain('ada is about to sign');
    expect(done.stderr).toContain('~ quorum: 2 of 3 approvers -> 3 of 3 approvers');
    expect(JSON.parse(done.stdout)).toMatchObject({ administrator: 'ada', signed: ['ada'] });
    const { signatures } = readDocument(POLICY_KIND, file);
    expect(signatures.map(({ administrator }) => administrator)).toEqual(['ada']);
  });

  it('refuses an approver’s key, an unconfirmed signature, and a document that does not follow', async () => {
    const text = readFileSync(file, 'utf8');
    const common = ['--passphrase-file', passphrase, '--yes'];
    const approver = await run('policy', 'sign', file, '--key', keys.approver, ...common);
    expect(approver.code).toBe(EXIT.usage);
    expect(approver.stderr).toContain('an approver’s key file (alice)');
    const unread = await run(
      ...['policy', 'sign', file, '--key', keys.admin, '--passphrase-file', passphrase],
    );
    expect(unread.code).toBe(EXIT.usage);
    expect(unread.stderr).toContain('Nobody is there to confirm');
    const other = join(folder, 'other-1.json');
    writeDocument(POLICY_KIND, other, { document: { ...v1, quorum: 1 }, signatures: [] });
    const forked = await run(
      ...['policy', 'sign', file, '--key', keys.admin, '--against', other, ...common],
    );
    expect(forked.code).toBe(EXIT.refused);
    expect(forked.stderr).toContain('error PolicyViolation');
    expect(readFileSync(file, 'utf8')).toBe(text);
  });

  it('without the version before it shows the whole policy, and says why', async () => {
    const done = await run(
      ...['policy', 'sign', file, '--key', keys.admin, '--passphrase-file', passphrase, '--yes'],
    );
    expect(done.code).toBe(EXIT.ok);
    expect(done.stderr).toContain('The version before is not known here');
    expect(done.stderr).toContain(publicKeyOf(seed(1)));
  });

  it('approve and reject refuse an administrator’s key file, before anything is asked', async () => {
    for (const decision of ['approve', 'reject']) {
      const { code, stderr } = await run(decision, 't-1', '--key-file', keys.admin, '--yes');
      expect(code).toBe(EXIT.usage);
      expect(stderr).toContain('an administrator’s key file (ada); an approver’s is needed');
    }
    // With the right role it is the deployment that is missing.
    expect((await run('approve', 't-1', '--key-file', keys.approver, '--yes')).code).toBe(
      EXIT.partMissing,
    );
  });
});
