// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are passages of source text
/** Shares, certificates, addresses, locks. */
import type { Change, Mutation } from './mutation.ts';

const CERTIFICATES = 'core/certificates.ts';

const signature: Change = {
  file: CERTIFICATES,
  find: "if (!verifySigned('certificate', certificate, identity, signature, verify))",
  put: "if (identity === '' && signature && verify)",
};
const count: Change = {
  file: CERTIFICATES,
  find: 'if (certificates.length !== members.length)',
  put: 'if (certificates.length < 0)',
};
const once: Change = {
  file: CERTIFICATES,
  find: 'if (seen.has(party)) refuse(',
  put: "if (seen.has('' as never)) refuse(",
};
const attempt: Change = {
  file: CERTIFICATES,
  find: 'if (certificate.attempt !== attempt)',
  put: "if (attempt === '')",
};
const fields: Change = {
  file: CERTIFICATES,
  find: 'if (`${certificate[field]}` !== `${expected[field]}`)',
  put: 'if (`${certificate[field]}` !== `${expected[field]}` && field === undefined)',
};

export const keyMutations: readonly Mutation[] = [
  {
    name: 'an active share goes on an order alone',
    cases: ['active-share-destroyed'],
    changes: [
      {
        file: 'core/keyshare/keyshare.ts',
        find: "if (live ? proof !== 'order' : proof === 'none') return { outcome: 'kept', events: [] };",
        put: '',
      },
    ],
  },
  {
    name: 'k administrators sign an order',
    cases: ['forged-order'],
    changes: [
      {
        file: 'core/orders.ts',
        find: 'if (counted.size < quorum)',
        put: 'if (counted.size < 0)',
      },
    ],
  },
  {
    name: 'an order is for one party',
    cases: ['forged-order'],
    changes: [
      {
        file: 'core/orders.ts',
        find: 'if (order.party !== party)',
        put: "if (order.party === '')",
      },
    ],
  },
  {
    name: 'an order has an end',
    cases: ['forged-order'],
    changes: [
      {
        file: 'core/orders.ts',
        find: 'if (Date.parse(order.validUntil) <= now)',
        put: 'if (now < 0)',
      },
    ],
  },
  {
    name: 'a share is activated on n certificates',
    cases: ['fewer-than-n-certificates'],
    changes: [count],
  },
  {
    name: 'a party certifies once',
    cases: ['fewer-than-n-certificates'],
    changes: [once],
  },
  {
    name: 'a certificate is signed by its party’s pinned key',
    cases: ['forged-certificate', 'uncertified-address'],
    changes: [signature],
  },
  {
    name: 'a certificate is about this key: ceremony and every field',
    cases: ['certificates-of-another-key', 'address-of-another-key'],
    changes: [attempt, fields],
  },
  {
    name: 'an address is shown with n certificates',
    cases: ['uncertified-address'],
    changes: [count, once],
  },
  {
    name: 'a wallet’s certificates name the wallet',
    cases: ['address-of-another-wallet'],
    changes: [
      {
        file: 'client/wallet.ts',
        find: 'if (key.walletId !== walletId)',
        put: "if (walletId === '')",
      },
      {
        file: 'client/wallet.ts',
        find: 'if (`${key.keyId}` !== walletId)',
        put: "if (walletId === '')",
      },
    ],
  },
  {
    name: 'a session has an end: at the line, in the sweep',
    cases: ['lock-for-ever'],
    changes: [
      {
        file: 'activities/party/prepare-sign.ts',
        find: 'const expired = sessions.filter((s) => s.expiresAt <= now);',
        put: 'const expired = sessions.filter((s) => s.expiresAt < 0);',
      },
      {
        file: 'activities/party/sweep.ts',
        find: 'const rows = await tx.expiredSessions(now);',
        put: 'const rows = (await tx.expiredSessions(now)).slice(0, 0);',
      },
    ],
  },
  {
    name: 'an administrator counts once (order)',
    cases: ['forged-order'],
    changes: [
      {
        file: 'core/orders.ts',
        find: 'counted.add(pinned.name);',
        put: 'counted.add(`${pinned.name}${index}`);',
      },
    ],
  },
  {
    name: 'an order’s signature verifies',
    cases: ['forged-order'],
    changes: [
      {
        file: 'core/orders.ts',
        find: "!verifySigned('order', order, pinned.publicKey, entry.signature, verify)",
        put: "entry.signature === ''",
      },
    ],
  },
  {
    name: 'an administrator’s key is the pinned one (order)',
    cases: ['forged-order'],
    changes: [
      {
        file: 'core/orders.ts',
        find: "pinned.publicKey !== entry.publicKey ||\n      !verifySigned('order', order, pinned.publicKey,",
        put: "!verifySigned('order', order, entry.publicKey,",
      },
    ],
  },
  {
    name: 'nothing is begun under a quarantine',
    cases: ['quarantined-key'],
    changes: [
      {
        file: 'activities/party/chain.ts',
        find: 'if (standing.quarantined)',
        put: "if (standing.quarantined && key.keyId === '')",
      },
    ],
  },
  {
    name: 'a quarantine ends what is under way',
    cases: ['quarantined-key'],
    changes: [
      {
        file: 'activities/party/orders.ts',
        find: "  for (const session of sessions)\n    await closeSession(tx, session, 'aborted', now, {\n      code: 'KeyQuarantined',\n      message: 'The key was quarantined.',\n    });\n",
        put: '  void closeSession;\n  void now;\n',
      },
      {
        file: 'activities/party/orders.ts',
        find: '  return { sessions };\n',
        put: '  return { sessions: sessions.slice(0, 0) };\n',
      },
    ],
  },
];
