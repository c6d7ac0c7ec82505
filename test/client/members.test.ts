/** Who the members of a wallet are, for a client that pins more parties than a wallet could do with. */
import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { addressCodecs, requireAsRequested, verifyWallet } from '../../client/index.ts';
import { certificateOf } from '../../core/certificates.ts';
import { publicKeyOf, signObject } from '../../core/signed.ts';
import { GenerateKeyRequest, type KeyDescriptor } from '../../schema/contracts/key.ts';
import type { PartyId } from '../../schema/contracts/primitives.ts';
import { KITS } from '../adversary/chains.ts';

describe('a client that pins five parties', () => {
  const pinned = ['alpha', 'beta', 'gamma', 'delta', 'epsilon'].map((name) => ({
    party: name as PartyId,
    seed: new Uint8Array(randomBytes(32)),
  }));
  const directory = new Map(pinned.map(({ party, seed }) => [party, publicKeyOf(seed)]));
  const publicKey = publicKeyOf(randomBytes(32));
  const keyOf = (members: readonly { party: PartyId }[], threshold: number) =>
    ({
      keyId: 'w',
      walletId: 'w',
      epoch: 0,
      network: KITS.solana.network,
      protocol: KITS.solana.protocol,
      threshold,
      parties: members.map((m) => m.party),
      publicKey,
      publicPackage: 'aa',
      address: addressCodecs.address(KITS.solana.network, Buffer.from(publicKey, 'hex')),
      policyId: 'treasury',
      policyHash: '11'.repeat(32),
      transcriptHash: '22'.repeat(32),
    }) as unknown as KeyDescriptor;
  const attempt = '6ba7b810-9dad-41d1-80b4-00c04fd430c8' as never;
  const shown = (
    key: KeyDescriptor,
    change: Partial<KeyDescriptor> = {},
    committees: readonly (readonly PartyId[])[] = [],
  ) => {
    const certificates = pinned
      .filter(({ party }) => key.parties.includes(party))
      .map(({ party, seed }) => {
        const certificate = certificateOf(party, attempt, key);
        return { certificate, signature: signObject('certificate', certificate, seed) };
      });
    const outcome = { key: { ...key, ...change }, certificates, activated: key.parties };
    return verifyWallet('w', outcome, addressCodecs, directory, { committees });
  };
  const request = GenerateKeyRequest.parse({
    requestId: 'w',
    network: KITS.solana.network,
    threshold: 3,
    parties: pinned.map((p) => p.party),
    policyId: 'treasury',
  });

  // Two of five are below the threshold of every true wallet there, and their certificates agree with one another.
  it('shows no wallet that two of them have made by themselves', () => {
    const two = pinned.slice(0, 2);
    expect(() => shown(keyOf(two, 2))).toThrow(/members are alpha, beta/);
    expect(shown(keyOf(pinned, 3)).key.threshold).toBe(3);
    const committee = two.map((p) => p.party);
    expect(shown(keyOf(two, 2), {}, [committee]).key.threshold).toBe(2);
    expect(() => shown(keyOf(pinned.slice(1, 3), 2), {}, [committee])).toThrow(/committee/);
  });

  // The certificates name the policy's hash; the id beside it is the ledger's word.
  it('refuses a key under another policy than the one asked for', () => {
    const wallet = shown(keyOf(pinned, 3), { policyId: 'petty-cash' as never });
    expect(() => requireAsRequested(wallet, request)).toThrow(/policyId/);
    expect(() => requireAsRequested(shown(keyOf(pinned, 3)), request)).not.toThrow();
  });
});
