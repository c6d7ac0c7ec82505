/** No address without n certificates under the pinned keys, and none that the public key does not give. */
import { randomBytes } from 'node:crypto';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { describe, expect, it } from 'vitest';
import { createBitcoinCodec } from '../../chains/bitcoin/codec.ts';
import { BITCOIN_NETWORKS } from '../../chains/bitcoin/networks.ts';
import { createEthereumCodec } from '../../chains/ethereum/codec.ts';
import { ETHEREUM_NETWORKS } from '../../chains/ethereum/networks.ts';
import { createSolanaCodec } from '../../chains/solana/codec.ts';
import { addressCodecs, verifyWallet } from '../../client/index.ts';
import { certificateOf } from '../../core/certificates.ts';
import { publicKeyOf, signObject } from '../../core/signed.ts';
import { KeyDescriptor } from '../../schema/contracts/key.ts';
import { AttemptId, PartyId } from '../../schema/contracts/primitives.ts';
import bip341 from '../vectors/bip341-wallet.json' with { type: 'json' };

const BITCOIN = 'bip122:0f9188f13cb7b2c71f2a335e3a4fc328';
const SOLANA = 'solana:surfnet-local';
// Output key of BIP-341's first wallet vector: a point on both conventions' terms.
const publicKey = bip341.scriptPubKey[0]?.intermediary.tweakedPubkey ?? '';
const attempt = AttemptId.parse('6ba7b810-9dad-41d1-80b4-00c04fd430c8');
const members = ['alpha', 'beta', 'gamma'].map((name) => ({
  party: PartyId.parse(name),
  seed: randomBytes(32),
}));
const pinned = new Map(members.map(({ party, seed }) => [party, publicKeyOf(seed)]));

const key = (change: object = {}): KeyDescriptor =>
  KeyDescriptor.parse({
    keyId: 'w',
    walletId: 'w',
    epoch: 0,
    network: BITCOIN,
    protocol: 'frost-bip340',
    threshold: 2,
    parties: members.map(({ party }) => party),
    publicKey,
    publicPackage: 'aa',
    address: addressCodecs.address(BITCOIN, Buffer.from(publicKey, 'hex')),
    policyId: 'demo',
    policyHash: '11'.repeat(32),
    transcriptHash: '22'.repeat(32),
    ...change,
  });
const outcome = (descriptor: KeyDescriptor, signers = members) => ({
  key: descriptor,
  certificates: signers.map(({ party, seed }) => {
    const certificate = certificateOf(party, attempt, descriptor);
    return { certificate, signature: signObject('certificate', certificate, seed) };
  }),
  activated: members.map(({ party }) => party),
});
const verify = (answer: unknown, id = 'w') => verifyWallet(id, answer, addressCodecs, pinned);
const refused = (field: string) =>
  expect.objectContaining({
    code: 'CertificateInvalid',
    details: expect.objectContaining({ field }),
  });

describe('a wallet', () => {
  it('is shown with n certificates and its own address', () => {
    expect(verify(outcome(key()))).toMatchObject({
      walletId: 'w',
      network: BITCOIN,
      address: key().address,
    });
  });
  it('is not shown with a certificate less, or one of somebody else', () => {
    expect(() => verify(outcome(key(), members.slice(1)))).toThrow(refused('certificates'));
    const strangers = members.map((member, i) =>
      i === 0 ? { ...member, seed: randomBytes(32) } : member,
    );
    expect(() => verify(outcome(key(), strangers))).toThrow(refused('signature'));
  });
  it('is not shown when the answer differs from what was certified', () => {
    const answer = outcome(key());
    expect(() =>
      verify({ ...answer, key: { ...answer.key, transcriptHash: '33'.repeat(32) } }),
    ).toThrow(refused('transcriptHash'));
    expect(() => verify(answer, 'other')).toThrow(refused('walletId'));
  });
  it('is not shown with an address that its key does not give, certified or not', () => {
    expect(() =>
      verify(outcome(key({ address: 'bcrt1qq3cgglefef6krymrw34zsk68edsp2ktux9r2fl' }))),
    ).toThrow(refused('address'));
  });
  it('is not shown when the members are not those that are pinned', () => {
    const mallory = { party: PartyId.parse('mallory'), seed: randomBytes(32) };
    const swapped = [members[0], members[1], mallory].map((member) => member ?? mallory);
    expect(() =>
      verify(outcome(key({ parties: swapped.map(({ party }) => party) }), swapped)),
    ).toThrow(refused('parties'));
  });
});

describe('addresses', () => {
  it('BIP-341’s wallet vectors', () => {
    for (const { intermediary, expected } of bip341.scriptPubKey)
      expect(
        addressCodecs.address(
          'bip122:000000000019d6689c085ae165831e93',
          Buffer.from(intermediary.tweakedPubkey, 'hex'),
        ),
      ).toBe(expected.bip350Address);
  });
  it('agree with the chains’ own codecs', () => {
    for (const { id } of BITCOIN_NETWORKS)
      expect(addressCodecs.address(id, Buffer.from(publicKey, 'hex'))).toBe(
        createBitcoinCodec(id).address(Buffer.from(publicKey, 'hex')),
      );
    const compressed = secp256k1.getPublicKey(secp256k1.utils.randomSecretKey());
    for (const { id } of BITCOIN_NETWORKS)
      expect(addressCodecs.address(id, compressed)).toBe(
        createBitcoinCodec(id).address(compressed),
      );
    for (const { id } of ETHEREUM_NETWORKS)
      expect(addressCodecs.address(id, compressed)).toBe(
        createEthereumCodec(id).address(compressed),
      );
    const ed25519 = Buffer.from(publicKeyOf(randomBytes(32)), 'hex');
    expect(addressCodecs.address(SOLANA, ed25519)).toBe(createSolanaCodec(SOLANA).address(ed25519));
  });
  it('the addresses of the private key 1, for ECDSA keys', () => {
    // The generator point; BIP-173 has its P2WPKH address, every block explorer its Ethereum one.
    const one = Buffer.from(
      '0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798',
      'hex',
    );
    expect(addressCodecs.address('bip122:000000000019d6689c085ae165831e93', one)).toBe(
      'bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4',
    );
    expect(addressCodecs.address('eip155:1', one)).toBe(
      '0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf',
    );
  });
  it('are refused for networks without a rule and keys of another size', () => {
    expect(() => addressCodecs.address('eip155:10', new Uint8Array(33))).toThrow(
      expect.objectContaining({ code: 'ChainUnsupported' }),
    );
    expect(() => addressCodecs.address('bip122:toString', new Uint8Array(32))).toThrow(
      expect.objectContaining({ code: 'ChainUnsupported' }),
    );
    for (const network of ['eip155:1', 'bip122:000000000019d6689c085ae165831e93'])
      for (const key of [new Uint8Array(31), new Uint8Array(33).fill(5), new Uint8Array(65)])
        expect(() => addressCodecs.address(network, key)).toThrow(
          expect.objectContaining({ details: { field: 'publicKey' } }),
        );
    expect(() => addressCodecs.address(SOLANA, new Uint8Array(33))).toThrow(
      expect.objectContaining({ details: { field: 'publicKey' } }),
    );
  });
});
