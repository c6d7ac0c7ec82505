/**
 * Wycheproof's edge cases over our own entry points: what verifies a signature, reads a point, opens a seal or an envelope
 * and derives keys here, not the libraries beneath. Each set ends with the number of cases that it ran.
 */
import { createHash, createHmac, hkdfSync } from 'node:crypto';
import { Aes256Gcm, CipherSuite, DhkemX25519HkdfSha256, HkdfSha256 } from '@hpke/core';
import { expand, extract, hkdf } from '@noble/hashes/hkdf.js';
import { hmac } from '@noble/hashes/hmac.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { describe, expect, it } from 'vitest';
import { verifyStrict } from '../../chains/solana/ed25519.ts';
import { verifyEd25519 } from '../../core/signed.ts';
import { concatBytes } from '../../mpc/bytes.ts';
import { dkls23 } from '../../mpc/dkls23/adapter.ts';
import { multiply, readOpenPoint, readPoint } from '../../mpc/dkls23/curve.ts';
import { verifyAll } from '../../mpc/dkls23/ecdsa.ts';
import { Q, readScalar, scalarBytes } from '../../mpc/dkls23/scalars.ts';
import { held } from '../../mpc/faults.ts';
import { frostEd25519 } from '../../mpc/frost/adapter.ts';
import { createEnvelopeCrypto } from '../../storage/party/hpke.ts';
import { openBytes } from '../../storage/party/key-store.ts';
import { hex, seedOf, unhex } from '../support/mpc.ts';
import { opensslEd25519 } from '../support/schnorr-verifiers.ts';
import gcm from '../vectors/wycheproof/aes_gcm_test.json' with { type: 'json' };
import ecdh from '../vectors/wycheproof/ecdh_secp256k1_test.json' with { type: 'json' };
import ecdsa from '../vectors/wycheproof/ecdsa_secp256k1_sha256_p1363_test.json' with {
  type: 'json',
};
import eddsa from '../vectors/wycheproof/ed25519_test.json' with { type: 'json' };
import hkdfVectors from '../vectors/wycheproof/hkdf_sha256_test.json' with { type: 'json' };
import hmacVectors from '../vectors/wycheproof/hmac_sha256_test.json' with { type: 'json' };
import x25519 from '../vectors/wycheproof/x25519_test.json' with { type: 'json' };

const sha = (bytes: Uint8Array) => new Uint8Array(createHash('sha256').update(bytes).digest());

describe('ECDSA on secp256k1', () => {
  /** r ‖ s with s in its lower half, as a signature of ours has it. */
  const lowered = (signature: Uint8Array): Uint8Array => {
    const s = readScalar(signature.slice(32, 64));
    return s === undefined || s <= Q / 2n
      ? signature
      : concatBytes(signature.subarray(0, 32), scalarBytes(Q - s));
  };
  const recoveries = [0, 1, 2, 3].map((id) => Uint8Array.of(id));
  /** The recovery ids under which it verifies. */
  const accepted = (key: Uint8Array, digest: Uint8Array, signature: Uint8Array): Uint8Array[] =>
    recoveries
      .map((id) => concatBytes(signature, id))
      .filter((whole) => dkls23.verify(key, digest, whole));

  it('verifies what is valid under one recovery id and with low s, and nothing else', () => {
    let high = 0;
    for (const group of ecdsa.testGroups) {
      const point = held(readOpenPoint(unhex(group.publicKey.uncompressed)));
      const key = point.toBytes(true);
      for (const test of group.tests) {
        const name = `${test.tcId} ${test.comment}`;
        const digest = sha(unhex(test.msg));
        const signature = unhex(test.sig);
        const low = lowered(signature);
        expect(accepted(key, digest, low).length, name).toBe(test.result === 'valid' ? 1 : 0);
        if (low === signature) continue;
        high += 1;
        expect(accepted(key, digest, signature), name).toEqual([]);
      }
    }
    expect(high).toBeGreaterThan(50);
    expect(ecdsa.testGroups.flatMap(({ tests }) => tests).length).toBe(252);
  });

  it('verifies the valid ones of a key together, and not with one invalid among them', () => {
    let together = 0;
    let refused = 0;
    for (const { publicKey, tests } of ecdsa.testGroups) {
      const point = held(readOpenPoint(unhex(publicKey.uncompressed)));
      const key = point.toBytes(true);
      const whole = (test: (typeof tests)[number]) => {
        const digest = sha(unhex(test.msg));
        const [signature] = accepted(key, digest, lowered(unhex(test.sig)));
        return { digest, signature: held(signature) };
      };
      const good = tests.filter(({ result }) => result === 'valid').map(whole);
      if (good.length < 3) continue;
      /** The point that r and the recovery id name; what names none has another's. */
      const nonce = (signature: Uint8Array) => {
        const id = held(signature[64]);
        const r = readScalar(signature.slice(0, 32)) ?? 0n;
        const x = Buffer.from((r + (id & 2 ? Q : 0n)).toString(16).padStart(64, '0'), 'hex');
        return readPoint(concatBytes(Uint8Array.of(2 + (id & 1)), x)) ?? point;
      };
      const verified = (all: typeof good) =>
        verifyAll(
          point,
          all.map(({ digest }) => digest),
          all.map(({ signature }) => signature),
          all.map(({ signature }) => nonce(signature)),
        );
      expect(verified(good)).toBe(true);
      together += good.length;
      for (const { msg, sig, result } of tests) {
        const signature = lowered(unhex(sig));
        if (result === 'valid' || signature.length !== 64) continue;
        for (const id of recoveries) {
          const bad = { digest: sha(unhex(msg)), signature: concatBytes(signature, id) };
          expect(verified([...good.slice(0, 2), bad]), `${sig} among valid ones`).toBe(false);
        }
        refused += 1;
      }
    }
    expect(together).toBeGreaterThan(60);
    expect(refused).toBeGreaterThan(40);
  });
});

describe('points of secp256k1', () => {
  const SPKI = /^30[35]6301006072a8648ce3d020106052b8104000a03[24]200/;

  it('on the curve are read and multiplied right, others are refused', () => {
    const [{ tests }] = ecdh.testGroups as [(typeof ecdh.testGroups)[number]];
    let valid = 0;
    for (const test of tests) {
      const encoded = unhex(test.public.replace(SPKI, ''));
      const point = encoded.length === 33 ? readPoint(encoded) : readOpenPoint(encoded);
      // Encodings of the structure around the key are a matter of whoever reads that.
      if (test.flags.includes('InvalidAsn')) continue;
      const name = `${test.tcId} ${test.comment}`;
      expect(point !== undefined, name).toBe(test.result !== 'invalid');
      if (point === undefined) continue;
      const shared = multiply(point, BigInt(`0x${test.private}`)).toBytes(true);
      expect(hex(shared.slice(1)), name).toBe(test.shared);
      valid += 1;
      // The other reader takes only its own length.
      expect(encoded.length === 33 ? readOpenPoint(encoded) : readPoint(encoded)).toBeUndefined();
    }
    expect(valid).toBe(474);
    expect(tests.length).toBe(497);
  });
});

describe('Ed25519', () => {
  const verifiers = { approvals: verifyEd25519, wallets: frostEd25519.verify };

  it('signatures of documents, wallets and Solana are judged as they should be', () => {
    let count = 0;
    for (const { publicKey, tests } of eddsa.testGroups) {
      const key = unhex(publicKey.pk);
      for (const { tcId, comment, msg, sig, result } of tests) {
        const [message, signature] = [unhex(msg), unhex(sig)];
        const valid = result === 'valid';
        for (const [name, verify] of Object.entries(verifiers))
          expect(verify(key, message, signature), `${name}: ${tcId} ${comment}`).toBe(valid);
        expect(verifyStrict(signature, message, key), `strict: ${tcId} ${comment}`).toBe(valid);
        expect(opensslEd25519(key, message, signature), `OpenSSL: ${tcId}`).toBe(valid);
        count += 1;
      }
    }
    expect(count).toBe(151);
  });
});

describe('AES-256-GCM', () => {
  it('seals of data keys open as they should, and only then', () => {
    let opened = 0;
    let refused = 0;
    for (const { ivSize, keySize, tests } of gcm.testGroups) {
      // A seal has one layout: a version and 96 bits of nonce before the ciphertext.
      if (ivSize !== 96) continue;
      for (const { tcId, key, iv, aad, msg, ct, tag, result } of tests) {
        const text = Buffer.from(aad, 'hex').toString();
        if (!Buffer.from(text).equals(Buffer.from(aad, 'hex'))) continue;
        const open = () => openBytes(unhex(key), unhex(`01${iv}${ct}${tag}`), text);
        if (keySize === 256 && result === 'valid') {
          expect(hex(open()), `${tcId}`).toBe(msg);
          expect(() => openBytes(unhex(key), unhex(`01${iv}${ct}${tag}`), `${text}x`)).toThrow();
          opened += 1;
        } else {
          // Shorter keys are no keys of ours, whatever they open elsewhere.
          expect(open, `${tcId}`).toThrowError(expect.objectContaining({ code: 'SealBroken' }));
          refused += 1;
        }
      }
    }
    expect(opened).toBeGreaterThan(20);
    expect(refused).toBeGreaterThan(100);
  });
});

describe('X25519 in envelopes', () => {
  const kem = new CipherSuite({
    kem: new DhkemX25519HkdfSha256(),
    kdf: new HkdfSha256(),
    aead: new Aes256Gcm(),
  }).kem;
  const exact = (bytes: Uint8Array): ArrayBuffer => new Uint8Array(bytes).buffer;
  const [{ tests }] = x25519.testGroups as [(typeof x25519.testGroups)[number]];
  const zero = '00'.repeat(32);
  const text = new TextEncoder();
  const suite = concatBytes(text.encode('HPKE-v1KEM'), Uint8Array.of(0, 0x20));

  it('agree on the secret of RFC 9180 over the shared x, and refuse a shared zero', async () => {
    for (const test of tests) {
      const recipientKey = await kem.importKey('raw', exact(unhex(test.private)), false);
      const decap = kem.decap({ recipientKey, enc: exact(unhex(test.public)) });
      if (test.shared === zero) {
        await expect(decap, `${test.tcId}`).rejects.toThrow();
        continue;
      }
      const label = (name: string) => concatBytes(suite, text.encode(name));
      const eae = extract(sha256, concatBytes(label('eae_prk'), unhex(test.shared)));
      const info = concatBytes(
        Uint8Array.of(0, 32),
        label('shared_secret'),
        unhex(test.public),
        await publicKeyOf(recipientKey),
      );
      expect(hex(new Uint8Array(await decap)), `${test.tcId}`).toBe(
        hex(expand(sha256, eae, info, 32)),
      );
    }
    expect(tests.length).toBe(518);
  });

  async function publicKeyOf(
    privateKey: Awaited<ReturnType<typeof kem.importKey>>,
  ): Promise<Uint8Array> {
    const nine = Uint8Array.of(9, ...new Uint8Array(31));
    const base = await kem.deserializePublicKey(nine.buffer);
    const bits = await crypto.subtle.deriveBits({ name: 'X25519', public: base }, privateKey, 256);
    return new Uint8Array(bits);
  }

  it('a one-time key of low order is refused as such, by who seals and by who opens', async () => {
    const envelopes = createEnvelopeCrypto();
    const nothing = new Uint8Array();
    const pair = await envelopes.deriveKeyPair(seedOf('low order'));
    const low = new Set(tests.filter(({ shared }) => shared === zero).map((test) => test.public));
    expect(low.size).toBeGreaterThan(10);
    const invalid = expect.objectContaining({ code: 'EnvelopeInvalid' });
    for (const key of low) {
      await expect(envelopes.seal(unhex(key), nothing, nothing, nothing)).rejects.toThrowError(
        invalid,
      );
      await expect(
        pair.open(unhex(key), new Uint8Array(16), nothing, nothing),
      ).rejects.toThrowError(invalid);
    }
  });
});

describe('HKDF and HMAC with SHA-256', () => {
  it('give the output of the standard by both libraries in use, and no more than it allows', () => {
    let count = 0;
    for (const { tests } of hkdfVectors.testGroups)
      for (const { tcId, ikm, salt, info, size, okm, result } of tests) {
        const [key, salted, label] = [unhex(ikm), unhex(salt), unhex(info)];
        const all = [
          () => hkdf(sha256, key, salted, label, size),
          () => expand(sha256, extract(sha256, key, salted), label, size),
          () => new Uint8Array(hkdfSync('sha256', key, salted, label, size)),
        ];
        for (const derive of all)
          if (result === 'valid') expect(hex(derive()), `${tcId}`).toBe(okm);
          else expect(derive, `${tcId}`).toThrow();
        count += 1;
      }
    expect(count).toBe(86);
    let tags = 0;
    for (const { tagSize, tests } of hmacVectors.testGroups)
      for (const { tcId, key, msg, tag, result } of tests) {
        const ours = [
          hmac(sha256, unhex(key), unhex(msg)),
          createHmac('sha256', unhex(key)).update(unhex(msg)).digest(),
        ];
        for (const made of ours)
          expect(hex(made.subarray(0, tagSize / 8)) === tag, `${tcId}`).toBe(result === 'valid');
        tags += 1;
      }
    expect(tags).toBe(174);
  });
});
