/** Shares destroyed, keys activated too soon, addresses of the adversary's own, locks that do not end. */
import { randomBytes, randomUUID } from 'node:crypto';
import { ed25519 } from '@noble/curves/ed25519.js';
import { schnorr } from '@noble/curves/secp256k1.js';
import { addressCodecs } from '../../../client/index.ts';
import { certificateOf } from '../../../core/certificates.ts';
import { signedBytes } from '../../../schema/contracts/canonical.ts';
import type { KeyDescriptor, SignedCertificate } from '../../../schema/contracts/key.ts';
import type { AdministratorOrder, SignedOrder } from '../../../schema/contracts/order.ts';
import type { PartyId } from '../../../schema/contracts/primitives.ts';
import { identityFromSeed } from '../../../storage/party/identity.ts';
import { person } from '../../support/parties.ts';
import type { Kit } from '../chains.ts';
import { AttackSucceeded, CaseBroken, type Field } from '../field.ts';
import { type AdministratorSignature, ordered } from '../people.ts';
import {
  again,
  ceremony,
  denied,
  drive,
  type Expected,
  isRefused,
  isSigned,
  keygen,
  newWallet,
  nextRound,
  payment,
  signersOf,
  type Wallet,
  wallet,
} from '../tools.ts';
import { BOTH, type Case } from './case.ts';

/** The same key, but the adversary's. */
function ownKey(kit: Kit, key: KeyDescriptor): KeyDescriptor {
  const publicKey =
    kit.name === 'solana'
      ? ed25519.keygen().publicKey
      : schnorr.getPublicKey(schnorr.utils.randomSecretKey());
  const hex = Buffer.from(publicKey).toString('hex');
  return {
    ...key,
    publicKey: hex as never,
    address: addressCodecs.address(key.network, publicKey),
  };
}

/** Certificates under keys that the adversary made up. */
function forgedFor(key: KeyDescriptor): SignedCertificate[] {
  const attempt = randomUUID() as never;
  return key.parties.map((party) => {
    const certificate = certificateOf(party, attempt, key);
    const bytes = signedBytes('certificate', certificate);
    return { certificate, signature: identityFromSeed(randomBytes(32)).sign(bytes) };
  });
}

/** What a lying ledger answers for a wallet; the user must not be shown the address. */
async function notShown(
  field: Field,
  key: KeyDescriptor,
  certificates: readonly SignedCertificate[],
) {
  const outcome = { key, certificates, activated: key.parties };
  await denied(`an address is shown: ${key.address}`, field.show(key.walletId, outcome), {
    code: ['CertificateInvalid', 'InvalidInput'],
  });
}

async function isShown(field: Field, { key, certificates }: Wallet) {
  const shown = await field.show(key.walletId, { key, certificates, activated: key.parties });
  if (shown.length === 0 || shown.some(({ address }) => address !== key.address))
    throw new CaseBroken('the honest address is not shown');
}

/** Pinned keys beside signatures of one's own. */
const underPinnedKeys = (
  order: SignedOrder,
  pinned: readonly AdministratorSignature[],
): SignedOrder => ({
  ...order,
  signatures: order.signatures.map((s, i) => ({
    ...s,
    publicKey: pinned[i]?.publicKey ?? s.publicKey,
  })),
});

/** Certificates with the last one replaced. */
const lastAs = (
  certificates: readonly SignedCertificate[],
  ...last: readonly SignedCertificate[]
): SignedCertificate[] => [...certificates.slice(0, -1), ...last];

export const keyCases: readonly Case[] = [
  {
    id: 'active-share-destroyed',
    title: 'has the active share of a key destroyed',
    chains: BOTH,
    async run(field, kit) {
      const made = await newWallet(field, kit, 'kept');
      const { keyId } = made.key;
      const { attempt } = made;
      await isSigned(field, await payment(field, made, kit));
      const body = { party: field.parties[1], attempt, keyId, at: new Date().toISOString() };
      const own = identityFromSeed(randomBytes(32));
      const never = { never: body, signature: own.sign(signedBytes('never', body)) };
      for (const party of field.parties) {
        const { outcome } = await field.ask(party, 'destroy', { keyId, attempt });
        if (outcome !== 'kept') throw new AttackSucceeded(`${party}: ${outcome}`);
        await denied(
          `${party} believed a forged never`,
          field.ask(party, 'destroy', { keyId, attempt, never }),
          {
            code: 'CertificateInvalid',
          },
        );
        await field.ask(party, 'abort', { keyId, attempt, reason: 'the ceremony is undone' });
      }
      await isSigned(field, await payment(field, made, kit));
    },
  },
  {
    id: 'forged-order',
    title: 'has an active share destroyed by an order that the administrators did not give',
    chains: BOTH,
    async run(field, kit) {
      const made = await newWallet(field, kit, 'ordered');
      const [alpha, beta] = field.parties as [PartyId, PartyId];
      await isSigned(field, await payment(field, made, kit));
      const orderTo = (party: PartyId, key: KeyDescriptor, validFor = 600_000) =>
        ({
          kind: 'destroy',
          orderId: `order-${randomBytes(6).toString('hex')}`,
          party,
          issuedAt: new Date(Date.now() - 900_000).toISOString(),
          validUntil: new Date(Date.now() + validFor).toISOString(),
          reason: 'the key is retired',
          keyId: key.keyId,
          epoch: key.epoch,
        }) as AdministratorOrder;
      // The control: a real order of the same kind, about a key that nobody needs.
      const retired = await newWallet(field, kit, 'retired');
      const real = await field.people.signOrder(orderTo(alpha, retired.key));
      await field.ask(alpha, 'order', { signed: real });
      const asked = orderTo(alpha, made.key);
      const strangers = ['mallory', 'trudy'].map(person);
      const late = await field.people.signOrder(orderTo(alpha, made.key, -60_000));
      const another = await field.people.signOrder(orderTo(beta, made.key));
      const signed = await field.people.signOrder(asked);
      const [once] = signed.signatures as [AdministratorSignature];
      const pinned = field.people.signedPolicy.signatures;
      const impostors = pinned.map(({ administrator }) => person(administrator));
      const attacks: [SignedOrder, Expected][] = [
        [ordered(asked, strangers), { code: 'QuorumMissing' }],
        // One administrator's word twice.
        [{ ...signed, signatures: [once, once] }, { code: 'QuorumMissing' }],
        [ordered(asked, impostors), { code: 'ApprovalInvalid' }],
        [underPinnedKeys(ordered(asked, impostors), pinned), { code: 'ApprovalInvalid' }],
        // Signed for one party and brought to another; signed for one order and put under another.
        [another, { code: 'OrderRefused', field: 'party' }],
        [{ ...another, order: asked }, { code: 'ApprovalInvalid' }],
        [late, { code: 'OrderRefused', field: 'validUntil' }],
      ];
      for (const [attack, expected] of attacks)
        await denied(
          'a share is destroyed',
          field.ask(alpha, 'order', { signed: attack }),
          expected,
        );
      await isSigned(field, await payment(field, made, kit));
    },
  },
  {
    id: 'quarantined-key',
    title: 'has anything signed under a key that the administrators put under quarantine',
    chains: BOTH,
    async run(field, kit) {
      const made = await newWallet(field, kit, 'quarantined');
      await isSigned(field, await payment(field, made, kit));
      const orderTo = (party: PartyId, kind: 'quarantine' | 'release') =>
        ({
          kind,
          orderId: `order-${randomBytes(6).toString('hex')}`,
          party,
          issuedAt: new Date(Date.now() - 60_000).toISOString(),
          validUntil: new Date(Date.now() + 600_000).toISOString(),
          reason: 'a share may have leaked',
          keyId: made.key.keyId,
        }) as AdministratorOrder;
      const toAll = async (kind: 'quarantine' | 'release') => {
        for (const party of field.parties) {
          const signed = await field.people.signOrder(orderTo(party, kind));
          await field.ask(party, 'order', { signed });
        }
      };
      const open = await payment(field, made, kit);
      const { talk } = await drive(field, open.request, { until: 1 });
      await toAll('quarantine');
      for (const party of signersOf(field))
        await denied(
          `${party} released its share of a key under quarantine`,
          field.ask(party, 'round', nextRound(party, talk)),
          { code: 'SessionSuperseded' },
        );
      await isRefused(field, await payment(field, made, kit), { code: 'KeyQuarantined' });
      const strangers = ['mallory', 'trudy'].map(person);
      for (const party of field.parties)
        await denied(
          'the adversary ended a quarantine',
          field.ask(party, 'order', { signed: ordered(orderTo(party, 'release'), strangers) }),
          { code: 'QuorumMissing' },
        );
      await toAll('release');
      await isSigned(field, await payment(field, made, kit));
    },
  },
  {
    id: 'fewer-than-n-certificates',
    title: 'has a key activated on fewer than n certificates',
    chains: BOTH,
    async run(field, kit) {
      await isSigned(field, await payment(field, await wallet(field, kit), kit));
      const name = () => `few-${randomBytes(4).toString('hex')}`;
      const { key, certificates, attempt } = await ceremony(field, keygen(field, kit, name()));
      const { keyId } = key;
      for (const list of [
        certificates.slice(0, -1),
        lastAs(certificates, certificates[0] as never),
      ])
        for (const party of field.parties)
          await denied(
            `${party} activated its share`,
            field.ask(party, 'activate', { keyId, attempt, certificates: list }),
            { code: 'CertificateInvalid' },
          );
      const made = { key, certificates, attempt, policy: field.people.policy };
      await isRefused(field, await payment(field, made, kit), { code: 'KeyNotActive' });
    },
  },
  {
    id: 'forged-certificate',
    title: 'has a key activated on a certificate that a party did not give',
    chains: BOTH,
    async run(field, kit) {
      await isSigned(field, await payment(field, await wallet(field, kit), kit));
      const name = () => `forged-${randomBytes(4).toString('hex')}`;
      const { key, certificates, attempt } = await ceremony(field, keygen(field, kit, name()));
      const { keyId } = key;
      const forged = lastAs(certificates, forgedFor(key).at(-1) as never).map((s) => ({
        ...s,
        certificate: { ...s.certificate, attempt },
      }));
      for (const party of field.parties)
        await denied(
          `${party} activated its share`,
          field.ask(party, 'activate', { keyId, attempt, certificates: forged }),
          { code: 'CertificateInvalid', field: 'signature' },
        );
    },
  },
  {
    id: 'certificates-of-another-key',
    title: 'has a key activated on the certificates of another',
    chains: BOTH,
    async run(field, kit) {
      const other = await wallet(field, kit);
      await isSigned(field, await payment(field, other, kit));
      const id = `mixed-${randomBytes(4).toString('hex')}`;
      const { key, certificates, attempt } = await ceremony(field, keygen(field, kit, id));
      const { keyId } = key;
      const mixed = lastAs(certificates, other.certificates.at(-1) as never);
      for (const list of [mixed, other.certificates])
        for (const party of field.parties)
          await denied(
            `${party} activated its share`,
            field.ask(party, 'activate', { keyId, attempt, certificates: list }),
            { code: 'CertificateInvalid' },
          );
    },
  },
  {
    id: 'uncertified-address',
    title: 'has an address of its own shown, without certificates or with some of its own',
    chains: BOTH,
    async run(field, kit) {
      const made = await wallet(field, kit);
      await isShown(field, made);
      const own = ownKey(kit, made.key);
      await notShown(field, own, forgedFor(own));
      const few = made.certificates.slice(0, -1);
      await notShown(field, made.key, few);
      await notShown(field, made.key, lastAs(made.certificates, few[0] as never));
    },
  },
  {
    id: 'address-of-another-key',
    title: 'has an address of its own shown under the certificates of a real wallet',
    chains: BOTH,
    async run(field, kit) {
      const made = await wallet(field, kit);
      await isShown(field, made);
      await notShown(field, ownKey(kit, made.key), made.certificates);
    },
  },
  {
    id: 'address-of-another-wallet',
    title: 'has the address of one wallet shown as another’s',
    chains: BOTH,
    async run(field, kit) {
      const made = await wallet(field, kit);
      const other = await wallet(field, kit, 'other');
      await isShown(field, made);
      const { key, certificates } = other;
      await denied(
        'the address of another wallet is shown',
        field.show(made.key.walletId, { key, certificates, activated: key.parties }),
        { code: 'CertificateInvalid', field: 'walletId' },
      );
    },
  },
  {
    id: 'lock-for-ever',
    title: 'holds a line and its limit for ever with a session that it never ends',
    chains: BOTH,
    slow: true,
    async run(field, kit) {
      const made = await newWallet(field, kit, 'held');
      await isSigned(field, await payment(field, made, kit));
      const held = await payment(field, made, kit);
      await drive(field, held.request, { until: 1 });
      const other = kit.resource(made.key);
      const rival = () => again(held, {}, other);
      await isRefused(field, rival(), { code: 'ConflictRule' });
      const free = await field.outlast(async () => {
        const { refusals } = await drive(field, rival().request, { until: 0 });
        return refusals.size === 0;
      });
      if (!free) throw new AttackSucceeded('the line is held although its session is over');
    },
  },
];
