// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are passages of source text
/** Who has a say, when, and under which policy. */
import type { Mutation } from './mutation.ts';

const APPROVALS = 'core/approvals.ts';

export const approvalMutations: readonly Mutation[] = [
  {
    name: 'an intent has an end',
    cases: ['expired-intent'],
    changes: [
      {
        file: 'core/rules/time.ts',
        find: 'if (Date.parse(intent.expiresAt) <= now + sessionLifeMs)',
        put: 'if (sessionLifeMs < 0)',
      },
    ],
  },
  {
    name: 'no session outlives its intent',
    cases: ['expired-intent'],
    changes: [
      {
        file: 'core/rules/time.ts',
        find: 'if (Date.parse(intent.expiresAt) <= now + sessionLifeMs)',
        put: 'if (Date.parse(intent.expiresAt) <= now - 0 * sessionLifeMs)',
      },
    ],
  },
  {
    name: 'an approval has an end: now, and within the session’s life',
    cases: ['expired-approvals'],
    changes: [
      {
        file: APPROVALS,
        find: 'if (Date.parse(approval.validUntil) <= check.now)',
        put: 'if (check.now < 0)',
      },
      {
        file: APPROVALS,
        find: 'if (Date.parse(validUntil) <= input.now + input.horizonMs)',
        put: 'if (input.horizonMs < 0)',
      },
    ],
  },
  {
    name: 'no session outlives its approvals',
    cases: ['expired-approvals'],
    changes: [
      {
        file: APPROVALS,
        find: 'if (Date.parse(validUntil) <= input.now + input.horizonMs)',
        put: 'if (input.horizonMs < 0)',
      },
    ],
  },
  {
    name: 'a rejection stands against approvals, its author’s own included',
    cases: ['withdrawn-approvals', 'withheld-rejection'],
    changes: [
      {
        file: APPROVALS,
        find: 'if (count.rejected.length > 0)',
        put: 'if (count.rejected.length < 0)',
      },
      {
        file: APPROVALS,
        find: 'const approved = distinct(granted).filter((name) => !rejected.has(name));',
        put: 'const approved = distinct(granted);',
      },
    ],
  },
  {
    name: 'a rejection is kept by whoever has seen it',
    cases: ['withheld-rejection'],
    changes: [
      {
        file: 'activities/party/prepare-sign.ts',
        find: 'approvals: [...request.approvals, ...(await tx.rejectionsOf(digest))],',
        put: 'approvals: [...request.approvals],',
      },
    ],
  },
  {
    name: 'an approval names the digest of this very intent',
    cases: ['replayed-approvals'],
    changes: [
      {
        file: APPROVALS,
        find: 'if (approval.intentDigest !== intentDigest)',
        put: "if (intentDigest === '')",
      },
    ],
  },
  {
    name: 'the policy names the approver, and with this key',
    cases: ['strangers-approvals', 'impostors-approvals'],
    changes: [
      { file: APPROVALS, find: 'if (named.length === 0)', put: 'if (named.length < 0)' },
      {
        file: APPROVALS,
        find: 'if (!named.some((a) => a.publicKey === publicKey))',
        put: 'if (named.length < 0)',
      },
    ],
  },
  {
    name: 'the approver’s key is the policy’s',
    cases: ['impostors-approvals'],
    changes: [
      {
        file: APPROVALS,
        find: 'if (!named.some((a) => a.publicKey === publicKey))',
        put: 'if (named.length === 0)',
      },
    ],
  },
  {
    name: 'an approval’s signature verifies',
    cases: ['forged-approvals'],
    changes: [
      {
        file: APPROVALS,
        find: "if (!verifySigned('approval', approval, publicKey, signature, verify))",
        put: "if (!verifySigned('approval', approval, publicKey, signature, () => true))",
      },
    ],
  },
  {
    name: 'a name counts once, and so does a key',
    cases: ['approver-counted-twice'],
    changes: [
      {
        file: APPROVALS,
        find: '    if (names.has(approval.approver) || keys.has(publicKey)) continue;\n    names.add(approval.approver);',
        put: '    names.add(`${approval.approver}${keys.size}${names.size}` as never);',
      },
    ],
  },
  {
    name: 'approvals are counted under the policy in force',
    cases: ['older-policy'],
    changes: [
      {
        file: 'activities/party/prepare-sign.ts',
        find: 'const { policy, hash } = await currentPolicy(tx, key.policyId);',
        put: 'const { policy, hash } = (await tx.policyVersions(key.policyId)).map((v) => ({ policy: v.document.policy, hash: v.hash })).find((v) => v.hash === request.policyHash) ?? (await currentPolicy(tx, key.policyId));',
      },
    ],
  },
  {
    name: 'a new policy ends the sessions of the old one',
    cases: ['session-of-an-older-policy'],
    changes: [
      {
        file: 'activities/party/policy.ts',
        find: "for (const session of open) await closeSession(tx, session, 'superseded', now);",
        put: 'open.splice(0);',
      },
    ],
  },
  {
    name: 'k administrators sign a policy',
    cases: ['policy-of-its-own'],
    changes: [
      { file: 'core/policy.ts', find: 'if (counted.size < k)', put: 'if (counted.size < 0)' },
    ],
  },
  {
    name: 'an administrator counts once (policy)',
    cases: ['policy-of-its-own'],
    changes: [
      {
        file: 'core/policy.ts',
        find: 'counted.add(pinned.name);',
        put: 'counted.add(`${pinned.name}${index}`);',
      },
    ],
  },
  {
    name: 'a policy’s signature verifies',
    cases: ['policy-of-its-own'],
    changes: [
      {
        file: 'core/policy.ts',
        find: "!verifySigned('policy', policy, pinned.publicKey, entry.signature, verify)",
        put: "entry.signature === ''",
      },
    ],
  },
  {
    name: 'an administrator’s key is the pinned one (policy)',
    cases: ['policy-of-its-own'],
    changes: [
      {
        file: 'core/policy.ts',
        find: "pinned.publicKey !== entry.publicKey ||\n      !verifySigned('policy', policy, pinned.publicKey,",
        put: "!verifySigned('policy', policy, entry.publicKey,",
      },
    ],
  },
  {
    name: 'a policy follows the one before: its version and the hash that it names',
    cases: ['policy-out-of-its-chain'],
    changes: [
      {
        file: 'core/policy.ts',
        find: "if (next.version !== current.version + 1) violated('version');",
        put: 'void violated;',
      },
      {
        file: 'core/policy.ts',
        find: "if (next.previous !== policyHash(current)) violated('previous');",
        put: '',
      },
    ],
  },
  {
    name: 'a policy names the one before by its hash',
    cases: ['policy-out-of-its-chain'],
    changes: [
      {
        file: 'core/policy.ts',
        find: "if (next.previous !== policyHash(current)) violated('previous');",
        put: '',
      },
    ],
  },
  {
    name: 'the first document of a version stays',
    cases: ['policy-out-of-its-chain'],
    changes: [
      {
        file: 'activities/party/policy.ts',
        find: 'if (same.hash !== hash)',
        put: "if (same.hash === '')",
      },
    ],
  },
  {
    name: 'an intent is not dated ahead',
    cases: ['intent-dated-ahead'],
    changes: [
      {
        file: 'core/rules/time.ts',
        find: 'if (issuedAt > now + CLOCK_SKEW_MS)',
        put: 'if (issuedAt > now + 1000 * CLOCK_SKEW_MS)',
      },
    ],
  },
];
