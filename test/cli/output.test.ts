/** What people see, without colour; and that colour changes nothing else. */
import { describe, expect, it } from 'vitest';
import { formatMs, parseAmount, parseSpan } from '../../cli/amounts.ts';
import { doctorTable } from '../../cli/commands/doctor.ts';
import { partiesTable } from '../../cli/commands/parties.ts';
import {
  asKeysagaError,
  errorJson,
  type Io,
  printError,
  type Sink,
  styleOf,
} from '../../cli/io.ts';
import { rowsOf } from '../../cli/live.ts';
import { waitingTable } from '../../cli/start/report.ts';
import { intentLines, transferBoard, transferLine } from '../../cli/words.ts';
import { intentDigest } from '../../core/intent.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { TransferIntent } from '../../schema/contracts/intent.ts';
import { TransferStatus } from '../../schema/contracts/saga.ts';

const sink = (isTTY = false): Sink & { text: string } => ({
  text: '',
  isTTY,
  write(chunk) {
    this.text += chunk;
  },
});
const plain = styleOf(sink(), {});
const coloured = styleOf(sink(true), {});
// biome-ignore lint/suspicious/noControlCharactersInRegex: the escape character is what is looked for
const bare = (text: string): string => text.replace(/\u001b\[[0-9;]*m/g, '');

const intent = TransferIntent.parse({
  requestId: 'rent-2026-11',
  walletId: 'treasury',
  chain: 'bip122:0f9188f13cb7b2c71f2a335e3a4fc328',
  destination: 'bcrt1qq3cgglefef6krymrw34zsk68edsp2ktux9r2fl',
  asset: 'native',
  amount: '150000',
  feeCap: '20000',
  issuedAt: '2026-11-23T10:00:00.000Z',
  expiresAt: '2026-11-24T10:00:00.000Z',
  memo: 'office, November',
});
const approval = (approver: string) => ({
  approval: {
    intentDigest: intentDigest(intent),
    approver,
    decision: 'approve',
    at: '2026-11-23T10:01:00.000Z',
    validUntil: '2026-11-24T10:01:00.000Z',
  },
  publicKey: '11'.repeat(32),
  signature: '22'.repeat(64),
});
const status = (rest: object = {}) =>
  TransferStatus.parse({
    phase: 'AwaitingApprovals',
    intent,
    intentDigest: intentDigest(intent),
    quorum: 2,
    approvals: [approval('alice')],
    missing: ['bob', 'carol'],
    refusedMessages: [],
    attempts: 0,
    parties: [],
    waitingFor: '',
    pivotPassed: false,
    confirmations: 0,
    cancelRequested: false,
    undos: [],
    phasesMs: { Initiated: 93 },
    ...rest,
  });
const signing = status({
  phase: 'Signing',
  approvals: [approval('alice'), approval('bob')],
  missing: ['carol'],
  attempts: 2,
  parties: ['alpha', 'gamma'].map((party, i) => ({
    party,
    steps: [
      { name: 'prepare', state: 'done' },
      { name: 'round 1', state: i === 0 ? 'done' : 'waiting' },
      { name: 'round 2', state: 'waiting' },
    ],
  })),
  refusedMessages: [
    {
      at: '2026-11-23T10:02:00.000Z',
      code: 'ApproverUnknown',
      message: 'The policy names no approver mallory.',
    },
  ],
  phasesMs: { Initiated: 93, AwaitingApprovals: 53_700, Preparing: 624 },
});
const failed = status({
  phase: 'Failed',
  undos: [{ step: 'release the reservation', state: 'done', tries: 1 }],
  failure: {
    code: 'IntentRejected',
    message: 'Rejected by carol.',
    at: '2026-11-23T10:02:00.000Z',
  },
  phasesMs: { Initiated: 93, AwaitingApprovals: 2_000, Compensating: 80 },
});

describe('boards and tables', () => {
  it('shows an intent, every signed field of it', () => {
    expect(intentLines(intent, plain)).toMatchInlineSnapshot(`
      "Request      rent-2026-11
      From wallet  treasury
      Network      Bitcoin regtest (bip122:0f9188f13cb7b2c71f2a335e3a4fc328)
      Asset        BTC
      Pay to       bcrt1qq3cgglefef6krymrw34zsk68edsp2ktux9r2fl
      Amount       0.0015 BTC (150000 sats)
      Fee at most  0.0002 BTC (20000 sats)
      Issued       2026-11-23 10:00:00.000 UTC
      Expires      2026-11-24 10:00:00.000 UTC
      Memo         office, November"
    `);
  });
  it('shows a transfer that waits', () => {
    expect(transferBoard(status(), 12_000, plain)).toMatchInlineSnapshot(`
      "transfer rent-2026-11  12.0 s
        pays       0.0015 BTC (150000 sats) to bcrt1qq3cgglefef6krymrw34zsk68edsp2ktux9r2fl
        from       treasury on Bitcoin regtest
        phase      Initiated 93 ms > AwaitingApprovals > Preparing > Signing > Broadcasting >
                   Confirming > Completed
        approvals  1 of 2; given alice; missing bob, carol
        digest     a425901293a603741e24e60c83d83d6da90d18ded869ce9765dfbdcd8cb35e73"
    `);
  });
  it('shows a transfer that signs', () => {
    expect(transferBoard(signing, 61_000, plain)).toMatchInlineSnapshot(`
      "transfer rent-2026-11  1 min 1 s
        pays         0.0015 BTC (150000 sats) to bcrt1qq3cgglefef6krymrw34zsk68edsp2ktux9r2fl
        from         treasury on Bitcoin regtest
        phase        Initiated 93 ms > AwaitingApprovals 53.7 s > Preparing 624 ms > Signing >
                     Broadcasting > Confirming > Completed
        approvals    2 of 2; given alice, bob
        parties      attempt 2
                            prepare  round 1  round 2
                     alpha  ok       ok       .
                     gamma  ok       .        .
        digest       a425901293a603741e24e60c83d83d6da90d18ded869ce9765dfbdcd8cb35e73
        not counted  ApproverUnknown: The policy names no approver mallory."
    `);
  });
  it('shows a transfer that failed, with its undo', () => {
    expect(transferBoard(failed, 61_000, plain)).toMatchInlineSnapshot(`
      "transfer rent-2026-11  1 min 1 s
        pays       0.0015 BTC (150000 sats) to bcrt1qq3cgglefef6krymrw34zsk68edsp2ktux9r2fl
        from       treasury on Bitcoin regtest
        phase      Initiated 93 ms > AwaitingApprovals 2.0 s > Compensating 80 ms > Failed
        approvals  1 of 2; given alice
        digest     a425901293a603741e24e60c83d83d6da90d18ded869ce9765dfbdcd8cb35e73
        undo       release the reservation: done
        failure    IntentRejected: Rejected by carol."
    `);
  });
  it('says the same in a line each', () => {
    expect([status(), signing, failed].map(transferLine)).toMatchInlineSnapshot(`
      [
        "waits for approvals: 1 of 2; given alice; missing bob, carol",
        "Signing, 3 of 6 party steps",
        "Failed: IntentRejected: Rejected by carol.",
      ]
    `);
  });
  it('shows what waits', () => {
    expect(waitingTable([status()], plain)).toMatchInlineSnapshot(`
      "transfer      pays                      approvals  waits for
      rent-2026-11  0.0015 BTC (150000 sats)  1 of 2     bob, carol"
    `);
  });
  it('shows parts and parties, and what to do about what is down', () => {
    expect(
      doctorTable(
        [
          { part: 'node', up: true, version: '24.1.0', where: '/usr/bin/node' },
          {
            part: 'party beta',
            up: false,
            version: '',
            where: '',
            remedy: 'no answer within 3000 ms. Start its worker.',
          },
        ],
        plain,
      ),
    ).toMatchInlineSnapshot(`
      "part              version  where
      node        up    24.1.0   /usr/bin/node
      party beta  down

      party beta: no answer within 3000 ms. Start its worker."
    `);
    expect(
      partiesTable(
        [
          {
            party: 'beta' as never,
            state: 'down',
            publicKey: 'ab'.repeat(32),
            reason: 'no answer within 3000 ms',
          },
        ],
        plain,
      ),
    ).toMatchInlineSnapshot(`
      "party  state  version  keys  sessions  policy  answer                    identity
      beta   down                                    no answer within 3000 ms  abababababababab…"
    `);
  });
  it('is the same text in colour', () => {
    const drawn = transferBoard(signing, 61_000, coloured);
    expect(drawn).not.toBe(bare(drawn));
    expect(bare(drawn)).toBe(transferBoard(signing, 61_000, plain));
    expect(rowsOf(drawn, 120)).toBe(bare(drawn).split('\n').length);
  });
  it('counts wrapped lines as the terminal draws them', () => {
    expect(rowsOf(`${'x'.repeat(81)}\n\ny`, 80)).toBe(4);
  });
});

describe('colour', () => {
  const painted = (sinkIsTTY: boolean, env: Record<string, string>) =>
    styleOf(sink(sinkIsTTY), env).red('x') !== 'x';
  it('is for terminals, and NO_COLOR wins', () => {
    expect(painted(true, {})).toBe(true);
    expect(painted(false, {})).toBe(false);
    expect(painted(true, { NO_COLOR: '1' })).toBe(false);
    expect(painted(true, { NO_COLOR: '1', FORCE_COLOR: '1' })).toBe(false);
    expect(painted(false, { FORCE_COLOR: '1' })).toBe(true);
    expect(painted(true, { TERM: 'dumb' })).toBe(false);
  });
});

describe('errors', () => {
  const printed = (error: unknown, env: Record<string, string> = {}) => {
    const stderr = sink();
    printError({ env, stdin: process.stdin, stdout: sink(), stderr } satisfies Io, error);
    return stderr.text;
  };
  it('are one line, the remedy and the place in the documentation', () => {
    expect(printed(new KeysagaError('WalletUnknown', 'No wallet x.'))).toBe(
      'error WalletUnknown: No wallet x.\n  Generate the wallet first.\n  docs/errors.md#walletunknown\n',
    );
  });
  it('of another kind show no text and no stack, since either may hold anything', () => {
    const secret = new TypeError('password=hunter2');
    expect(printed(secret)).toContain('error Internal: a defect (TypeError)');
    expect(printed(secret)).not.toContain('hunter2');
    expect(printed(secret)).not.toContain('at ');
    expect(printed(secret, { KEYSAGA_DEBUG: '1' })).toContain('hunter2');
    expect(JSON.stringify(errorJson(asKeysagaError(secret)))).not.toContain('hunter2');
  });
});

describe('amounts', () => {
  const bitcoin = intent.chain;
  it.each([
    ['1500', bitcoin, '1500'],
    ['0.0015btc', bitcoin, '150000'],
    ['0.0015 BTC', bitcoin, '150000'],
    ['1btc', bitcoin, '100000000'],
    ['7sats', bitcoin, '7'],
    ['1.5sol', 'solana:surfnet-local', '1500000000'],
    ['0.000000001 sol', 'solana:surfnet-local', '1'],
  ])('%s on %s is %s', (text, network, expected) => {
    expect(parseAmount(text, network, 'amount')).toBe(expected);
  });
  it.each(['0', '0.5', '-1', '1e3', '0.000000001btc', '1sol', '', 'btc', '1,5btc', '0x10'])(
    '%s is refused',
    (text) => {
      expect(() => parseAmount(text, bitcoin, 'amount')).toThrow(
        expect.objectContaining({ code: 'InvalidInput', details: { field: 'amount' } }),
      );
    },
  );
  it('times', () => {
    expect([parseSpan('90s', 'x'), parseSpan('24h', 'x'), parseSpan('7d', 'x')]).toEqual([
      90_000, 86_400_000, 604_800_000,
    ]);
    for (const text of ['', '0h', '5', '5y', '-1h'])
      expect(() => parseSpan(text, 'expires')).toThrow(/expires/);
    expect([5, 999, 12_340, 250_000, 11_100_000].map(formatMs)).toEqual([
      '5 ms',
      '999 ms',
      '12.3 s',
      '4 min 10 s',
      '3 h 5 min',
    ]);
  });
});
