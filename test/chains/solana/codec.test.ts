import {
  PublicKey,
  SystemProgram,
  TransactionInstruction,
  TransactionMessage,
  VersionedTransaction,
} from '@solana/web3.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  createSolanaCodec,
  encodeTransfer,
  feeOf,
  type TransferPlan,
} from '../../../chains/solana/codec.ts';
import { isKeysagaError } from '../../../schema/contracts/errors.ts';
import type { UnsignedTransaction } from '../../../schema/contracts/transaction.ts';
import {
  base58Of,
  compileWithWeb3,
  hex,
  instructions,
  keypair,
  local,
  nonceOf,
  refusal,
  signWith,
  unhex,
  unsignedOf,
} from './support.ts';

const codec = createSolanaCodec(local);
const walletKey = keypair('wallet');
const wallet = walletKey.publicKey;
const publicKey = wallet.toBytes();
const nonceAccount = keypair('nonce').publicKey;
const nonce = nonceOf(nonceAccount, 'some blockhash');
const destination = keypair('destination').publicKey;
const blockhash = base58Of(nonce.value);
const { advance, limit, pay, price } = instructions;

const plan: TransferPlan = {
  wallet: publicKey,
  nonce,
  units: 2000,
  microLamports: 12_345n,
  payment: { destination: destination.toBase58(), lamports: 1_000_000n },
};
const { payment: _, ...voidPlan } = plan;
const payment = encodeTransfer(local, plan);
const whole = [
  advance(nonceAccount, wallet),
  limit(2000),
  price(12_345n),
  pay(wallet, destination, 1_000_000n),
];

/** Web3.js's message with our order of accounts, so that only the difference under test remains. */
const web3 = (
  list: TransactionInstruction[],
  proof: typeof nonce | null = nonce,
  hash = blockhash,
) => unsignedOf(compileWithWeb3(wallet, hash, list), proof ?? undefined);
const decode = (unsigned: UnsignedTransaction) => codec.decode(unsigned, publicKey);
const code = (unsigned: UnsignedTransaction) => {
  const { code: name, details } = refusal(() => decode(unsigned));
  return [name, details.field];
};
const withBytes = (change: (bytes: Uint8Array) => Uint8Array): UnsignedTransaction => ({
  ...payment,
  bytes: hex(change(unhex(payment.bytes))),
});
const others = (unsigned: UnsignedTransaction) =>
  decode(unsigned).effects.flatMap((effect) =>
    effect.kind === 'other' ? [effect.description] : [],
  );

describe('a Solana transfer', () => {
  it('decodes to what was asked for', () => {
    expect(decode(payment)).toEqual({
      network: local,
      from: wallet.toBase58(),
      effects: [
        {
          kind: 'advance-nonce',
          account: nonce.account,
          authority: wallet.toBase58(),
          value: nonce.value,
        },
        { kind: 'pay', destination: destination.toBase58(), asset: 'native', amount: 1_000_000n },
      ],
      // 2000 units × 12,345 µlamports = 24.69 lamports, rounded up.
      fee: 5025n,
      conflictKeys: [`solana:${nonce.account}:${nonce.value}`],
    });
  });

  it('is the message that another implementation reads: same accounts, flags, instructions', () => {
    const message = new VersionedTransaction(
      TransactionMessage.decompile(
        VersionedTransaction.deserialize(unhex(`01${'00'.repeat(64)}${payment.bytes}`)).message,
      ).compileToLegacyMessage(),
    ).message;
    const theirs = TransactionMessage.decompile(message);
    expect(theirs.payerKey.toBase58()).toBe(wallet.toBase58());
    expect(theirs.recentBlockhash).toBe(blockhash);
    const flags = (list: TransactionInstruction[]) =>
      list.map(({ programId, keys, data }) => [
        programId.toBase58(),
        // The fee payer is a writable signer wherever it stands; that is all a decompiled message can show.
        keys.map((k) => [k.pubkey.toBase58(), k.isSigner, k.isWritable || k.pubkey.equals(wallet)]),
        data.toString('hex'),
      ]);
    expect(flags(theirs.instructions)).toEqual(flags(whole));
  });

  it('without a payment is the void, in conflict with the payment', () => {
    const decoded = decode(encodeTransfer(local, voidPlan));
    expect(decoded.effects.map(({ kind }) => kind)).toEqual(['advance-nonce']);
    expect(decoded.conflictKeys).toEqual(decode(payment).conflictKeys);
  });

  it('may go to an address off the curve, which a program owns', () => {
    const [owned] = PublicKey.findProgramAddressSync(
      [Buffer.from('vault')],
      keypair('program').publicKey,
    );
    expect(PublicKey.isOnCurve(owned.toBytes())).toBe(false);
    codec.checkAddress(owned.toBase58());
    const unsigned = encodeTransfer(local, {
      ...plan,
      payment: { destination: owned.toBase58(), lamports: 5n },
    });
    expect(decode(unsigned).effects[1]).toMatchObject({ destination: owned.toBase58() });
  });

  it('takes the signature of the message, and its id is that signature', () => {
    const [message] = codec.messages(payment, publicKey);
    expect(hex(message ?? new Uint8Array())).toBe(payment.bytes);
    const signature = signWith(walletKey, unhex(payment.bytes));
    const signed = codec.attach(payment, publicKey, [signature]);
    const theirs = VersionedTransaction.deserialize(unhex(signed.bytes));
    expect(hex(theirs.signatures[0] ?? new Uint8Array())).toBe(hex(signature));
    expect(hex(theirs.message.serialize())).toBe(payment.bytes);
    expect(signed).toEqual({
      network: local,
      id: expect.any(String),
      bytes: `01${hex(signature)}${payment.bytes}`,
    });
  });
});

describe('a message that is not ours to sign', () => {
  it('an extra instruction is an effect of its own, and is never signed', () => {
    const extra = new TransactionInstruction({
      programId: keypair('program').publicKey,
      keys: [],
      data: Buffer.from('x'),
    });
    const unsigned = web3([...whole, extra]);
    expect(others(unsigned)).toEqual([
      expect.stringContaining(keypair('program').publicKey.toBase58()),
    ]);
    expect(refusal(() => codec.messages(unsigned, publicKey)).code).toBe('TransactionMalformed');
    const signature = signWith(walletKey, unhex(unsigned.bytes));
    expect(refusal(() => codec.attach(unsigned, publicKey, [signature])).code).toBe(
      'TransactionMalformed',
    );
  });

  it('a second payment is an effect of its own', () => {
    expect(others(web3([...whole, pay(wallet, keypair('thief').publicKey, 1n)]))).toHaveLength(1);
  });

  it('assigning the wallet to a program is an effect of its own', () => {
    expect(
      others(
        web3([
          ...whole,
          SystemProgram.assign({ accountPubkey: wallet, programId: keypair('p').publicKey }),
        ]),
      ),
    ).toHaveLength(1);
  });

  it('withdrawing from and re-authorising the nonce account are effects of their own', () => {
    const withdraw = SystemProgram.nonceWithdraw({
      noncePubkey: nonceAccount,
      authorizedPubkey: wallet,
      toPubkey: keypair('thief').publicKey,
      lamports: 1,
    });
    const authorize = SystemProgram.nonceAuthorize({
      noncePubkey: nonceAccount,
      authorizedPubkey: wallet,
      newAuthorizedPubkey: keypair('thief').publicKey,
    });
    expect(others(web3([...whole, withdraw, authorize]))).toHaveLength(2);
  });

  it('advancing a second nonce account is an effect of its own', () => {
    expect(others(web3([...whole, advance(keypair('nonce 2').publicKey, wallet)]))).toHaveLength(1);
  });

  it.each(['limit', 'price'] as const)(
    'a second compute unit %s is an effect of its own',
    (which) => {
      const twice = which === 'limit' ? limit(3000) : price(1n);
      expect(others(web3([...whole, twice]))).toHaveLength(1);
    },
  );

  it('a second signer is refused', () => {
    expect(code(web3([...whole, pay(keypair('other').publicKey, destination, 1n)]))).toEqual([
      'TransactionMalformed',
      'header',
    ]);
  });

  it('another fee payer is refused', () => {
    const other = keypair('other').publicKey;
    const list = [advance(nonceAccount, other), pay(other, destination, 1n)];
    expect(code(unsignedOf(compileWithWeb3(other, blockhash, list), nonce))).toEqual([
      'TransactionMalformed',
      'feePayer',
    ]);
  });

  it('a nonce advanced later than first is refused', () => {
    const [first, ...rest] = whole;
    if (first === undefined) throw new Error('empty');
    expect(code(web3([...rest, first]))).toEqual(['NonceUnproven', 'instructions[0]']);
  });

  it('a plain transfer without nonce is refused', () => {
    expect(code(web3([pay(wallet, destination, 1n)]))).toEqual([
      'NonceUnproven',
      'instructions[0]',
    ]);
  });

  it('another authority than the wallet is refused', () => {
    // Made by hand: web3.js would list the authority as a second signer.
    const forged = new TransactionInstruction({
      programId: SystemProgram.programId,
      keys: advance(nonceAccount, wallet).keys.map((k, i) =>
        i === 2 ? { pubkey: keypair('other').publicKey, isSigner: false, isWritable: false } : k,
      ),
      data: advance(nonceAccount, wallet).data,
    });
    expect(code(web3([forged, pay(wallet, destination, 1n)]))).toEqual([
      'TransactionMalformed',
      'authority',
    ]);
  });

  it('an instruction of ours in another shape is not taken for ours', () => {
    const reshaped = (
      instruction: TransactionInstruction,
      change: Partial<TransactionInstruction>,
    ) =>
      new TransactionInstruction({
        programId: instruction.programId,
        keys: change.keys ?? instruction.keys,
        data: change.data ?? instruction.data,
      });
    const longer = (data: Buffer) => Buffer.concat([data, Buffer.of(0)]);
    const first = advance(nonceAccount, wallet);
    const last = pay(wallet, destination, 1n);
    const otherSysvar = first.keys.map((meta, i) =>
      i === 1
        ? { ...meta, pubkey: new PublicKey('SysvarC1ock11111111111111111111111111111111') }
        : meta,
    );
    for (const change of [
      { data: longer(first.data) },
      { keys: otherSysvar },
      { keys: [...first.keys, ...first.keys] },
    ]) {
      expect(code(web3([reshaped(first, change), last]))).toEqual([
        'NonceUnproven',
        'instructions[0]',
      ]);
    }
    // From an account that does not sign; web3.js would list it as a second signer.
    const unsignedFrom = last.keys.map((meta, i) =>
      i === 0 ? { pubkey: keypair('other').publicKey, isSigner: false, isWritable: true } : meta,
    );
    for (const change of [
      { data: longer(last.data) },
      { keys: unsignedFrom },
      { keys: [...last.keys, ...last.keys] },
    ]) {
      expect(others(web3([first, reshaped(last, change)]))).toHaveLength(1);
    }
    expect(
      others(web3([first, reshaped(limit(1), { data: longer(limit(1).data) }), last])),
    ).toHaveLength(1);
    expect(others(web3([first, reshaped(limit(1), { keys: last.keys }), last]))).toHaveLength(1);
  });

  it('a versioned message is refused, with or without lookup tables', () => {
    const v0 = new TransactionMessage({
      payerKey: wallet,
      recentBlockhash: blockhash,
      instructions: whole,
    }).compileToV0Message([]);
    expect(code(unsignedOf(v0.serialize(), nonce))).toEqual(['TransactionMalformed', 'version']);
  });

  it('an account made writable that need not be is refused', () => {
    const greedy = whole.map(
      (instruction) =>
        new TransactionInstruction({
          ...instruction,
          keys: instruction.keys.map((k) => ({ ...k, isWritable: true })),
        }),
    );
    expect(code(web3(greedy))).toEqual(['TransactionMalformed', 'bytes']);
  });

  it('an account made read-only that must be writable is refused', () => {
    expect(code(withBytes((bytes) => bytes.map((byte, i) => (i === 2 ? byte + 1 : byte))))).toEqual(
      ['TransactionMalformed', 'bytes'],
    );
  });

  it('an account that no instruction uses is refused', () => {
    const keys = [keypair('unused').publicKey.toBytes()];
    const bytes = unhex(payment.bytes);
    const count = bytes[3] ?? 0;
    const end = 4 + 32 * count;
    const longer = Uint8Array.from([
      ...bytes.slice(0, 2),
      (bytes[2] ?? 0) + 1,
      count + 1,
      ...bytes.slice(4, end),
      ...keys.flatMap((k) => [...k]),
      ...bytes.slice(end),
    ]);
    expect(code({ ...payment, bytes: hex(longer) })).toEqual(['TransactionMalformed', 'bytes']);
  });

  it('an account listed twice is refused', () => {
    const bytes = unhex(payment.bytes);
    bytes.set(bytes.slice(4 + 32, 4 + 64), 4 + 64);
    expect(code({ ...payment, bytes: hex(bytes) })).toEqual(['TransactionMalformed', 'keys']);
  });

  it('instructions in another order are refused', () => {
    expect(
      code(
        web3([advance(nonceAccount, wallet), price(1n), limit(2000), pay(wallet, destination, 1n)]),
      ),
    ).toEqual(['TransactionMalformed', 'bytes']);
    expect(
      code(web3([advance(nonceAccount, wallet), pay(wallet, destination, 1n), limit(2000)])),
    ).toEqual(['TransactionMalformed', 'bytes']);
  });

  it('a price without a limit, which leaves the fee to the network, is refused', () => {
    expect(
      code(web3([advance(nonceAccount, wallet), price(1n), pay(wallet, destination, 1n)])),
    ).toEqual(['TransactionMalformed', 'computeUnitLimit']);
  });

  it('a limit above what any transaction gets is refused', () => {
    expect(code(encodeTransfer(local, { ...plan, units: 1_400_001 }))).toEqual([
      'TransactionMalformed',
      'computeUnitLimit',
    ]);
  });

  it('a huge compute unit price shows as the fee', () => {
    const greedy = encodeTransfer(local, {
      ...plan,
      units: 1_400_000,
      microLamports: 2n ** 64n - 1n,
    });
    expect(decode(greedy).fee).toBe(
      5000n + ((2n ** 64n - 1n) * 1_400_000n + 999_999n) / 1_000_000n,
    );
    expect(decode(greedy).fee).toBe(feeOf(1_400_000, 2n ** 64n - 1n));
  });

  it('trailing bytes and a lengthened length are refused', () => {
    expect(code(withBytes((bytes) => Uint8Array.from([...bytes, 0])))).toEqual([
      'TransactionMalformed',
      'bytes',
    ]);
    // compact-u16 0x86 0x00 is 6 once more, in two bytes.
    expect(
      code(
        withBytes((bytes) =>
          Uint8Array.from([...bytes.slice(0, 3), (bytes[3] ?? 0) | 0x80, 0, ...bytes.slice(4)]),
        ),
      ),
    ).toEqual(['TransactionMalformed', 'keys']);
  });

  it('a payment to the wallet itself, its nonce account, a program or a sysvar is refused', () => {
    for (const to of [
      wallet,
      nonceAccount,
      SystemProgram.programId,
      new PublicKey('SysvarC1ock11111111111111111111111111111111'),
    ]) {
      expect(code(web3([advance(nonceAccount, wallet), pay(wallet, to, 1n)]))).toEqual([
        'TransactionMalformed',
        'destination',
      ]);
      const error = refusal(() =>
        encodeTransfer(local, { ...plan, payment: { destination: to.toBase58(), lamports: 1n } }),
      );
      expect([error.code, error.details.field]).toEqual(['InvalidInput', 'destination']);
    }
  });

  it("another network's transaction is refused", () => {
    expect(code({ ...payment, network: 'solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp' })).toEqual([
      'ChainMismatch',
      'network',
    ]);
  });

  it('another format, other hex and no hex are refused', () => {
    expect(code({ ...payment, format: 'bitcoin-psbt' })).toEqual([
      'TransactionMalformed',
      'format',
    ]);
    expect(code({ ...payment, bytes: payment.bytes.toUpperCase() })[0]).toBe(
      'TransactionMalformed',
    );
    expect(code({ ...payment, bytes: 'zz' })[0]).toBe('TransactionMalformed');
    expect(code({ ...payment, bytes: '00'.repeat(5000) })[0]).toBe('TransactionMalformed');
  });
});

describe("the nonce's proof", () => {
  const recent = keypair('a recent blockhash').publicKey;

  it('a recent blockhash in place of the nonce is refused, whatever is claimed about it', () => {
    const claim = {
      account: nonce.account,
      value: hex(recent.toBytes()),
      preimage: nonce.preimage,
    };
    expect(code(web3(whole, null, recent.toBase58()))).toEqual(['NonceUnproven', 'nonceProof']);
    expect(code(web3(whole, nonce, recent.toBase58()))).toEqual([
      'NonceUnproven',
      'nonceProof.value',
    ]);
    expect(code(web3(whole, claim, recent.toBase58()))).toEqual([
      'NonceUnproven',
      'nonceProof.preimage',
    ]);
  });

  it('must be there, and about this account, this value and its preimage', () => {
    const { nonceProof: _proof, ...bare } = payment;
    expect(code(bare)).toEqual(['NonceUnproven', 'nonceProof']);
    expect(code({ ...payment, nonceProof: { ...nonce, account: destination.toBase58() } })).toEqual(
      ['NonceUnproven', 'nonceProof.account'],
    );
    expect(code({ ...payment, nonceProof: { ...nonce, value: '00'.repeat(32) } })).toEqual([
      'NonceUnproven',
      'nonceProof.value',
    ]);
    expect(code({ ...payment, nonceProof: { ...nonce, preimage: '00'.repeat(32) } })).toEqual([
      'NonceUnproven',
      'nonceProof.preimage',
    ]);
  });

  it('is wanted of the builder too', () => {
    expect(
      refusal(() =>
        encodeTransfer(local, { ...plan, nonce: { ...nonce, preimage: '00'.repeat(32) } }),
      ).code,
    ).toBe('NonceUnproven');
  });
});

describe('signatures and addresses', () => {
  const message = unhex(payment.bytes);
  const good = signWith(walletKey, message);
  const attach = (signatures: readonly Uint8Array[]) =>
    refusal(() => codec.attach(payment, publicKey, signatures)).code;

  it('a signature by another key, of another message, too short, missing or one too many is refused', () => {
    expect(attach([signWith(keypair('other'), message)])).toBe('SignatureInvalid');
    expect(attach([signWith(walletKey, message.slice(1))])).toBe('SignatureInvalid');
    expect(attach([good.slice(1)])).toBe('SignatureInvalid');
    expect(attach([])).toBe('SignatureInvalid');
    expect(attach([good, good])).toBe('SignatureInvalid');
  });

  it('S plus the group order, which is the same signature to a lax verifier, is refused', () => {
    const order = 2n ** 252n + 27742317777372353535851937790883648493n;
    const s = good.slice(32).reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n) + order;
    const malleated = Uint8Array.from([
      ...good.slice(0, 32),
      ...[...Array(32).keys()].map((i) => Number((s >> BigInt(8 * i)) & 255n)),
    ]);
    expect(attach([malleated])).toBe('SignatureInvalid');
  });

  it('any changed byte of the signature is refused', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 63 }), fc.integer({ min: 1, max: 255 }), (at, by) => {
        expect(attach([good.map((byte, i) => (i === at ? byte ^ by : byte))])).toBe(
          'SignatureInvalid',
        );
      }),
      { numRuns: 60 },
    );
  });

  it('the address is the public key in base58; keys that are none are refused', () => {
    expect(codec.address(publicKey)).toBe(wallet.toBase58());
    // y = 1 (the neutral element), the point of order 2, y ≥ p, and a y without x.
    for (const bad of [
      `01${'00'.repeat(31)}`,
      `ec${'ff'.repeat(30)}7f`,
      'ff'.repeat(32),
      `02${'00'.repeat(31)}`,
      '00',
    ]) {
      const error = refusal(() => codec.address(unhex(bad)));
      expect([error.code, error.details.field]).toEqual(['InvalidInput', 'publicKey']);
    }
  });

  it.each([
    '',
    '1',
    'O'.repeat(44),
    '0x'.repeat(20),
    '1'.repeat(31),
    '1'.repeat(32),
    'z'.repeat(44),
    'x'.repeat(45),
    'bcrt1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqdku202',
  ])('the address %j is refused', (address) => {
    const error = refusal(() => codec.checkAddress(address));
    expect([error.code, error.details.field]).toEqual(['InvalidInput', 'destination']);
  });
});

describe('properties', () => {
  const plans = fc.record({
    units: fc.integer({ min: 0, max: 1_400_000 }),
    microLamports: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    lamports: fc.option(fc.bigInt({ min: 1n, max: 2n ** 64n - 1n })),
    to: fc.string({ minLength: 1 }),
    account: fc.string({ minLength: 1 }),
  });
  const planned = ({
    units,
    microLamports,
    lamports,
    to,
    account,
  }: typeof plans extends fc.Arbitrary<infer T> ? T : never): TransferPlan => ({
    wallet: publicKey,
    nonce: nonceOf(keypair(`nonce ${account}`).publicKey, account),
    units,
    microLamports,
    ...(lamports === null
      ? {}
      : { payment: { destination: keypair(`to ${to}`).publicKey.toBase58(), lamports } }),
  });
  const meaning = (unsigned: UnsignedTransaction) =>
    JSON.stringify(decode(unsigned), (_key, value) =>
      typeof value === 'bigint' ? value.toString() : value,
    );

  it('what is encoded decodes to the same amounts, fee and nonce', () => {
    fc.assert(
      fc.property(plans, (some) => {
        const wanted = planned(some);
        const decoded = decode(encodeTransfer(local, wanted));
        const paid = decoded.effects.find((effect) => effect.kind === 'pay');
        expect(paid?.amount).toBe(wanted.payment?.lamports);
        expect(paid?.destination).toBe(wanted.payment?.destination);
        expect(decoded.effects).toHaveLength(wanted.payment === undefined ? 1 : 2);
        expect(decoded.fee).toBe(feeOf(wanted.units, wanted.microLamports));
        expect(decoded.conflictKeys).toEqual([
          `solana:${wanted.nonce.account}:${wanted.nonce.value}`,
        ]);
      }),
      { numRuns: 60 },
    );
  });

  it('every changed, removed or added byte is refused or visibly means something else', () => {
    // A limit and a price of which every unit shows in the fee, which is rounded up to whole lamports.
    const exact = encodeTransfer(local, {
      ...plan,
      units: 1_000_000,
      microLamports: 1_000_000_000n,
    });
    const original = meaning(exact);
    const bytes = unhex(exact.bytes);
    let refused = 0;
    for (let at = 0; at < bytes.length; at++) {
      for (const by of [1, 2, 0x80, 0xff]) {
        const mutated = {
          ...exact,
          bytes: hex(bytes.map((byte, i) => (i === at ? byte ^ by : byte))),
        };
        try {
          expect([at, meaning(mutated)]).not.toEqual([at, original]);
        } catch (error) {
          if (!isKeysagaError(error)) throw error;
          refused++;
        }
      }
      refusal(() => decode({ ...exact, bytes: hex(bytes.filter((_b, i) => i !== at)) }));
    }
    expect(refused).toBeGreaterThan(bytes.length);
  });

  it('random bytes never crash the decoder', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (noise, keepHead) => {
        const head = keepHead ? unhex(payment.bytes).slice(0, 4 + 32) : new Uint8Array();
        const error = refusal(() =>
          decode({ ...payment, bytes: hex(Uint8Array.from([...head, ...noise])) }),
        );
        expect(['TransactionMalformed', 'NonceUnproven']).toContain(error.code);
      }),
      { numRuns: 300 },
    );
  });
});
