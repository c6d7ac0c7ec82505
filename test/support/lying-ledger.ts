/** A wallet as honest parties certified it, and what a ledger could say about it instead. */
import { randomBytes } from 'node:crypto';
import { addressCodecs } from '../../client/index.ts';
import { certificateOf } from '../../core/certificates.ts';
import { publicKeyOf, signObject } from '../../core/signed.ts';
import { KeyDescriptor, type SignedCertificate } from '../../schema/contracts/key.ts';
import { AttemptId, PartyId } from '../../schema/contracts/primitives.ts';
import { BITCOIN } from './parties.ts';

export type Member = { readonly party: PartyId; readonly seed: Uint8Array };
export const members: readonly Member[] = ['alpha', 'beta', 'gamma'].map((name) => ({
  party: PartyId.parse(name),
  seed: new Uint8Array(randomBytes(32)),
}));
export const directory = members.map(({ party, seed }) => ({
  party,
  publicKey: publicKeyOf(seed),
}));
export const pinned = new Map(directory.map(({ party, publicKey }) => [party, publicKey]));
export const ATTEMPT = AttemptId.parse('6ba7b810-9dad-41d1-80b4-00c04fd430c8');

export const keyOf = (walletId: string, change: object = {}): KeyDescriptor => {
  // An x-only key is any 32 bytes to the address rule.
  const publicKey = randomBytes(32).toString('hex');
  return KeyDescriptor.parse({
    keyId: walletId,
    walletId,
    epoch: 0,
    network: BITCOIN,
    protocol: 'frost-bip340',
    threshold: 2,
    parties: members.map(({ party }) => party),
    publicKey,
    publicPackage: randomBytes(40).toString('hex'),
    address: addressCodecs.address(BITCOIN, Buffer.from(publicKey, 'hex')),
    policyId: 'treasury',
    policyHash: '11'.repeat(32),
    transcriptHash: '22'.repeat(32),
    ...change,
  });
};

export const certify = (
  key: KeyDescriptor,
  by: readonly Member[] = members,
  attempt = ATTEMPT,
): SignedCertificate[] =>
  by.map(({ party, seed }) => {
    const certificate = certificateOf(party, attempt, key);
    return { certificate, signature: signObject('certificate', certificate, seed) };
  });

export type Answer = {
  readonly key: KeyDescriptor;
  readonly certificates: readonly SignedCertificate[];
  readonly activated: readonly PartyId[];
};
export const honest = (walletId: string): Answer => {
  const key = keyOf(walletId);
  return { key, certificates: certify(key), activated: members.map(({ party }) => party) };
};

type Lie = {
  /** What the refusal must name. */
  readonly field: string;
  readonly tell: (truth: Answer) => unknown;
};
const says = (field: keyof KeyDescriptor, value: unknown, named: string = field): Lie => ({
  field: named,
  tell: (truth) => ({ ...truth, key: { ...truth.key, [field]: value } }),
});
const [alpha, beta, gamma] = members as [Member, Member, Member];
const mallory: Member = { party: alpha.party, seed: new Uint8Array(randomBytes(32)) };
const stolen = keyOf('thief');

/** Each differs from the truth in one respect, as far as a liar without the parties' keys can make it. */
export const LIES: Readonly<Record<string, Lie>> = {
  'another address': says('address', stolen.address),
  'an address and public key of the liar’s own': {
    field: 'publicKey',
    tell: (truth) => ({
      ...truth,
      key: { ...truth.key, publicKey: stolen.publicKey, address: stolen.address },
    }),
  },
  'the liar’s own key, written into the certificates too': {
    field: 'signature',
    tell: ({ key, certificates, ...rest }) => {
      const { publicKey, address } = stolen;
      return {
        ...rest,
        key: { ...key, publicKey, address },
        certificates: certificates.map(({ certificate, signature }) => ({
          certificate: { ...certificate, publicKey, address },
          signature,
        })),
      };
    },
  },
  'the liar’s own key under certificates of his own': {
    field: 'signature',
    tell: ({ key, ...rest }) => {
      const own = { ...key, publicKey: stolen.publicKey, address: stolen.address };
      const forgers = members.map(({ party }) => ({ ...mallory, party }));
      return { ...rest, key: own, certificates: certify(own, forgers) };
    },
  },
  'one certificate of somebody else under a party’s name': {
    field: 'signature',
    tell: (truth) => ({ ...truth, certificates: certify(truth.key, [mallory, beta, gamma]) }),
  },
  'n − 1 certificates': {
    field: 'certificates',
    tell: (truth) => ({ ...truth, certificates: truth.certificates.slice(1) }),
  },
  'no certificates': { field: 'certificates', tell: (truth) => ({ ...truth, certificates: [] }) },
  'one certificate twice': {
    field: 'party',
    tell: (truth) => ({
      ...truth,
      certificates: [truth.certificates[0], truth.certificates[1], truth.certificates[1]],
    }),
  },
  'a certificate more': {
    field: 'certificates',
    tell: (truth) => ({
      ...truth,
      certificates: [...truth.certificates, truth.certificates[0]],
    }),
  },
  'a party named twice': says('parties', [alpha.party, beta.party, beta.party]),
  'fewer parties, each with its certificate': {
    field: 'parties',
    tell: (truth) => ({
      ...truth,
      key: { ...truth.key, parties: [alpha.party, beta.party] },
      certificates: truth.certificates.slice(0, 2),
    }),
  },
  'a party that nobody pins': {
    field: 'parties',
    tell: (truth) => {
      const stranger = { ...mallory, party: PartyId.parse('mallory') };
      const key = { ...truth.key, parties: [alpha.party, beta.party, stranger.party] };
      return { ...truth, key, certificates: certify(key, [alpha, beta, stranger]) };
    },
  },
  'another wallet’s key and certificates': { field: 'walletId', tell: () => honest('other') },
  'another wallet’s key under this one’s name': {
    field: 'keyId',
    tell: ({ key }) => {
      const other = honest('other');
      const named = { ...other.key, walletId: key.walletId, keyId: key.keyId };
      return { ...other, key: named };
    },
  },
  'a party’s certificate of another ceremony': {
    field: 'attempt',
    tell: (truth) => ({
      ...truth,
      certificates: [
        ...certify(truth.key, [alpha], AttemptId.parse('6ba7b811-9dad-41d1-80b4-00c04fd430c8')),
        ...truth.certificates.slice(1),
      ],
    }),
  },
  'a party’s certificate of another epoch': {
    field: 'epoch',
    tell: (truth) => ({
      ...truth,
      certificates: [
        ...certify({ ...truth.key, epoch: 1 as never }, [alpha]),
        ...truth.certificates.slice(1),
      ],
    }),
  },
  'another epoch': says('epoch', 1),
  'another network': says('network', 'bip122:000000000933ea01ad0ee984209779ba'),
  'another policy': says('policyHash', '33'.repeat(32)),
  'another transcript': says('transcriptHash', '33'.repeat(32)),
  'another public package': says('publicPackage', 'ff'.repeat(40), 'publicPackageHash'),
  'another protocol': says('protocol', 'frost-ed25519'),
  'a higher threshold': says('threshold', 3),
  'a threshold of two disjoint signer sets': {
    field: 'threshold',
    tell: (truth) => {
      const delta = { ...mallory, party: PartyId.parse('delta') };
      const key = { ...truth.key, parties: [...truth.key.parties, delta.party] };
      return { ...truth, key, certificates: certify(key, [...members, delta]) };
    },
  },
  'a certified address that the key does not give': {
    field: 'address',
    tell: ({ key, ...rest }) => {
      const wrong = { ...key, address: stolen.address };
      return { ...rest, key: wrong, certificates: certify(wrong) };
    },
  },
};
