// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are passages of source text
/** Once per line. */
import type { Change, Mutation } from './mutation.ts';

const LINE = 'core/rules/line.ts';

/** Judged at `prepare` and again in the releasing transaction, both by this one function. */
const conflictRule: Change = {
  file: 'core/rules/conflict.ts',
  find: 'if (!other.some((key) => keys.has(key)))',
  put: 'if (keys.size < 0 || other.length < 0)',
};
const voidRule: Change = {
  file: LINE,
  find: "if (candidate.purpose === 'payment' && standing.some((t) => t.purpose === 'void'))",
  put: 'if (standing.length < 0)',
};

/** The database's own word on it. */
const oneOpenSession: Change = {
  file: 'schema/db/migrations/party/0000_parties.sql',
  find: 'CREATE UNIQUE INDEX "one_open_session_per_line"',
  put: 'CREATE INDEX "one_open_session_per_line"',
};
/** The conflict rule in the releasing transaction. */
const secondLook: Change = {
  file: 'activities/party/commit.ts',
  find: '  checkLine(own, history);\n',
  put: '  void checkLine;\n',
};

export const lineMutations: readonly Mutation[] = [
  {
    name: 'the conflict rule, at prepare and at the release',
    cases: ['second-after-first', 'void-beside-payment'],
    changes: [conflictRule],
  },
  {
    name: 'sessions of a line: open ones count, one is open, the release looks again',
    cases: ['two-racing-sessions', 'killed-race'],
    changes: [
      {
        file: LINE,
        find: "history.filter((t) => t.state !== 'closed' && t.attempt !== candidate.attempt)",
        put: "history.filter((t) => t.state === 'released' && t.attempt !== candidate.attempt)",
      },
      {
        file: 'activities/party/prepare-sign.ts',
        find: "  for (const session of open) await closeSession(tx, session, 'superseded', now);\n  await tx.insertLineTransaction({",
        put: '  await tx.insertLineTransaction({',
      },
      {
        file: 'activities/party/prepare-sign.ts',
        find: '  return [...expired, ...open];',
        put: '  return [...expired];',
      },
      oneOpenSession,
      secondLook,
    ],
  },
  {
    name: 'the line’s lock, the database’s one open session, the second look at the release',
    cases: ['two-racing-sessions'],
    changes: [
      {
        file: 'storage/party/session-queries.ts',
        find: "    const [row] = await tx\n      .insert(t.lines)\n      .values({ intentDigest, line, keyId, state: 'open', createdAt: now })\n      .onConflictDoUpdate({\n        target: [t.lines.intentDigest, t.lines.line],\n        set: { state: sql`${t.lines.state}` },\n      })\n      .returning();",
        put: "    await tx\n      .insert(t.lines)\n      .values({ intentDigest, line, keyId, state: 'open', createdAt: now })\n      .onConflictDoNothing();\n    const [row] = await tx.select().from(t.lines).where(and(eq(t.lines.intentDigest, intentDigest), eq(t.lines.line, line)));\n    void sql;",
      },
      oneOpenSession,
      secondLook,
    ],
  },
  {
    name: 'an intent has one line',
    cases: ['another-line-number'],
    changes: [{ file: LINE, find: 'if (line !== 0)', put: 'if (line < 0)' }],
  },
  {
    name: 'after a void the line is closed',
    cases: ['payment-after-void'],
    changes: [voidRule],
  },
  {
    name: 'a void pays nobody',
    cases: ['void-that-pays'],
    changes: [
      {
        file: 'core/rules/void.ts',
        find: "if (payments.length > 0) mismatch('effects', 'A void pays nobody.');",
        put: 'void payments;',
      },
      {
        file: 'core/rules/void.ts',
        find: "if (family === 'solana' && decoded.effects.length !== 1)",
        put: "if (family === 'solana' && decoded.effects.length === 0)",
      },
    ],
  },
  {
    name: 'a void is of an intent that was approved once',
    cases: ['void-never-approved'],
    changes: [
      {
        file: 'core/approvals.ts',
        find: 'requireEnough(best.length, input.policy.quorum, []);',
        put: 'requireEnough(best.length, 0, []);',
      },
      {
        file: 'core/approvals.ts',
        find: 'if (have >= need && need >= 1) return;',
        put: 'if (have >= need) return;',
      },
    ],
  },
  {
    name: 'a Solana nonce is proven by its preimage',
    cases: ['blockhash-for-nonce', 'unproven-nonce'],
    chains: ['solana'],
    changes: [
      {
        file: 'chains/solana/codec.ts',
        find: '  requireProof(unsigned.nonceProof, first.account, message.recentBlockhash);\n',
        put: '',
      },
    ],
  },
  {
    name: 'a Solana transaction begins with the advance of its nonce',
    cases: ['blockhash-for-nonce'],
    chains: ['solana'],
    changes: [
      {
        file: 'chains/solana/codec.ts',
        find: "  const [first, ...rest] = message.instructions.map(meaningOf);\n  if (first?.kind !== 'advance-nonce') {",
        put: "  const all = message.instructions.map(meaningOf);\n  const advances = all[0]?.kind === 'advance-nonce';\n  const first = advances ? all[0] : ({ kind: 'advance-nonce', account: new Uint8Array(32).fill(7), authority: publicKey } as const);\n  const rest = advances ? all.slice(1) : all;\n  if (first?.kind !== 'advance-nonce') {",
      },
      {
        file: 'chains/solana/codec.ts',
        find: '  requireProof(unsigned.nonceProof, first.account, message.recentBlockhash);\n',
        put: '  if (advances) requireProof(unsigned.nonceProof, first.account, message.recentBlockhash);\n',
      },
      {
        file: 'chains/solana/codec.ts',
        find: '    !foreign &&\n    !sameBytes(compile(',
        put: '    advances &&\n    !foreign &&\n    !sameBytes(compile(',
      },
    ],
  },
  {
    name: 'a void keeps to its own cap',
    cases: ['void-above-its-cap'],
    changes: [
      {
        file: 'core/rules/void.ts',
        find: 'if (decoded.fee > cap)',
        put: 'if (cap < 0n)',
      },
    ],
  },
];
