/** What is decided without a node: strict signatures, fees, and what a node's refusal means. */
import { ed25519 } from '@noble/curves/ed25519.js';
import { sha512 } from '@noble/hashes/sha2.js';
import { concatBytes } from '@noble/hashes/utils.js';
import { describe, expect, it } from 'vitest';
import { outcomeOf } from '../../../chains/solana/broadcast.ts';
import { feeOf } from '../../../chains/solana/codec.ts';
import { verifyStrict } from '../../../chains/solana/ed25519.ts';
import { chooseUnitPrice, maxUnitPrice, transferUnits } from '../../../chains/solana/fees.ts';
import {
  servesNetwork,
  solanaDevnet,
  solanaLocal,
  solanaMainnet,
  solanaTestnet,
} from '../../../chains/solana/networks.ts';
import { refusal, unhex } from './support.ts';

describe('Ed25519 as validators verify it', () => {
  const { Point } = ed25519;
  const order = Point.Fn.ORDER;
  const little = (bytes: Uint8Array) =>
    bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
  const bytesOf = (value: bigint) =>
    Uint8Array.from([...Array(32).keys()].map((i) => Number((value >> BigInt(8 * i)) & 255n)));
  const message = new TextEncoder().encode('message');
  const a = 123456789n;
  const publicKey = Point.BASE.multiply(a).toBytes();
  /** A signature whose R is moved by a point of the torsion subgroup. */
  const sign = (torsion = Point.ZERO, key = publicKey) => {
    const r = 987654321n;
    const R = Point.BASE.multiply(r).add(torsion).toBytes();
    const k = little(sha512(concatBytes(R, key, message))) % order;
    return concatBytes(R, bytesOf((r + k * a) % order));
  };
  // A point of order 8.
  const torsion = Point.fromBytes(
    unhex('c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a'),
    true,
  );

  it('takes a plain signature', () => {
    expect(verifyStrict(sign(), message, publicKey)).toBe(true);
    expect(verifyStrict(sign(), concatBytes(message, message), publicKey)).toBe(false);
  });

  it('refuses what only the equation with the cofactor lets pass', () => {
    expect(torsion.isSmallOrder()).toBe(true);
    const lax = sign(torsion);
    expect(ed25519.verify(lax, message, publicKey, { zip215: true })).toBe(true);
    expect(verifyStrict(lax, message, publicKey)).toBe(false);
  });

  it('refuses points of small order as key and as R', () => {
    const identity = Point.ZERO.toBytes();
    const anything = concatBytes(identity, new Uint8Array(32));
    expect(ed25519.verify(anything, message, identity, { zip215: true })).toBe(true);
    expect(verifyStrict(anything, message, identity)).toBe(false);
    expect(verifyStrict(concatBytes(identity, sign().slice(32)), message, publicKey)).toBe(false);
  });
});

describe('the compute unit price', () => {
  it('is the upper quartile of what others paid', () => {
    expect(chooseUnitPrice([4n, 1n, 3n, 2n], 1_000_000n)).toBe(4n);
    expect(chooseUnitPrice([0n, 0n, 0n, 0n, 0n, 9n], 1_000_000n)).toBe(0n);
    expect(chooseUnitPrice([], 1_000_000n)).toBe(0n);
  });

  it('never takes the fee above the cap or above our own bound', () => {
    const high = [10n ** 15n];
    for (const cap of [5000n, 5001n, 5555n, 10_000n, 25_000n, 10n ** 12n]) {
      const price = chooseUnitPrice(high, cap);
      expect(price).toBeLessThanOrEqual(maxUnitPrice);
      expect(feeOf(transferUnits, price)).toBeLessThanOrEqual(cap);
    }
    expect(chooseUnitPrice(high, 10n ** 12n)).toBe(maxUnitPrice);
  });

  it('is refused when the cap does not cover the signature', () => {
    const error = refusal(() => chooseUnitPrice([], 4999n));
    expect([error.code, error.details.fee, error.details.feeCap]).toEqual([
      'FeeAboveCap',
      '5000',
      '4999',
    ]);
  });
});

describe("a node's answer to a broadcast", () => {
  it.each([
    ['Transaction simulation failed: This transaction has already been processed', 'already-known'],
    ['Transaction simulation failed: Blockhash not found', 'unclear'],
    ['Node is behind by 142 slots', 'unclear'],
    ['Node is unhealthy', 'unclear'],
    ['Minimum context slot has not been reached', 'unclear'],
    ['Too many requests for a specific RPC call', 'unclear'],
    [
      'Transaction simulation failed: Error processing Instruction 1: custom program error: 0x1',
      'rejected',
    ],
    [
      'Transaction simulation failed: Attempt to debit an account but found no record of a prior credit.',
      'rejected',
    ],
    ['Transaction signature verification failure', 'rejected'],
  ])('%j is %s', (reason, status) => {
    expect(outcomeOf({ ok: false, reason }).status).toBe(status);
  });
});

describe('genesis hashes', () => {
  const genesis = {
    mainnet: '5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuGsc5PJmmnG',
    devnet: 'EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxPkrZBG',
    testnet: '4uhcVJyU9pJkvQyS88uRDiswHXSCkY3zQawwpjk2NsNY',
  };
  it('tell the networks apart, and a local runtime is none of the public ones', () => {
    const networks = [solanaMainnet, solanaDevnet, solanaTestnet, solanaLocal];
    const served = (hash: string) =>
      networks.filter((network) => servesNetwork(network, hash)).map(({ name }) => name);
    expect(served(genesis.mainnet)).toEqual(['mainnet']);
    expect(served(genesis.devnet)).toEqual(['devnet']);
    expect(served(genesis.testnet)).toEqual(['testnet']);
    expect(served('HFQepZ49K2VtdP7VRMgvmBxo8BtwuC6cjwDpxFf14gfx')).toEqual(['local']);
  });
});
