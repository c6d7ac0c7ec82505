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
];
