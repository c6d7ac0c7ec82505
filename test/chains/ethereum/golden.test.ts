/** Golden transactions, byte for byte: EIP-155's example, EIP-1559 vectors (Besu's, as ethereumjs keeps them), ERC-20. */

import { secp256k1 } from '@noble/curves/secp256k1.js';
import { keccak_256 } from '@noble/hashes/sha3.js';
import { encodeFunctionData, erc20Abi, parseTransaction, serializeTransaction } from 'viem';
import { privateKeyToAccount } from 'viem/accounts';
import { describe, expect, it } from 'vitest';
import { checksummed } from '../../../chains/ethereum/address.ts';
import { createEthereumCodec } from '../../../chains/ethereum/codec.ts';
import { encodeTransfer } from '../../../chains/ethereum/erc20.ts';
import { recoverable } from '../../../chains/ethereum/signature.ts';
import { serialize, type Transaction } from '../../../chains/ethereum/transaction.ts';
import { bytes, hex, LOCAL, MAINNET, testKey, unhex, unsignedOf } from './support.ts';

describe('EIP-155', () => {
  const key = testKey(unhex('46'.repeat(32)));
  const payload =
    'ec098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a764000080018080';
  const codec = createEthereumCodec(MAINNET);
  const unsigned = unsignedOf(unhex(payload), MAINNET);

  it('reads the example', () => {
    expect(codec.decode(unsigned, key.publicKey)).toEqual({
      network: MAINNET,
      from: '0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F',
      effects: [
        {
          kind: 'pay',
          destination: `0x${'35'.repeat(20)}`,
          asset: 'native',
          amount: 10n ** 18n,
        },
      ],
      fee: 21_000n * 20n * 10n ** 9n,
      conflictKeys: ['ethereum:0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F:9'],
    });
  });

  it('signs the hash of the example into its signed transaction', () => {
    const [digest = bytes()] = codec.messages(unsigned, key.publicKey);
    expect(hex(digest)).toBe('daf5a779ae972f972197303d7b574746c7ef83eadac0f2791ad23db92e4c8e53');
    expect(codec.attach(unsigned, key.publicKey, [key.sign(digest)]).bytes).toBe(
      'f86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025' +
        'a028ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276' +
        'a067cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83',
    );
  });
});

describe('EIP-1559', () => {
  const secret = unhex('8f2a55949038a9610f50fb23b5883af3b4ecb3c3bb792cbcefbd1542c692be63');
  it.each([
    [
      819n,
      75853n,
      121212n,
      35552n,
      43203529n,
      '02f870821e8e8203338301284d8301d97c828ae094000000000000000000000000000000000000aaaa8402933bc980c080a0d067f2167008c59219652f91cbf8788dbca5f771f6e91e2b7657e85b78b472e0a01d305af9fe81fdba43f0dfcd400ed24dcace0a7e30d4e85701dcaaf484cd079e',
    ],
    [
      985n,
      66377n,
      136097n,
      68541n,
      32531825n,
      '02f871821e8e8203d983010349830213a183010bbd94000000000000000000000000000000000000aaaa8401f0657180c001a0e6d23c5ecc0f388a4d41a9523c3ad171e98083a61288c340b968dfe0903a6741a07319e8d54a4fd8f0c081d3ce093d869f9df598481991c8534bfd8f2c163884b4',
    ],
    [
      119n,
      24721n,
      107729n,
      62341n,
      65456115n,
      '02f86d821e8e778260918301a4d182f38594000000000000000000000000000000000000aaaa8403e6c7f380c001a0e38e239770801eb995498c821e55ac9c19ae09184bb27b34be105e02fe3b7615a067c64ca6bd6d9107e85fd581ab2e70a14b637eb36505bb40861ef9d6e800cab6',
    ],
  ])('nonce %s is signed as published', (nonce, priority, max, gasLimit, value, signed) => {
    const transaction: Transaction = {
      chainId: 7822n,
      nonce,
      gasLimit,
      to: unhex('000000000000000000000000000000000000aaaa'),
      value,
      data: bytes(),
      fees: { type: 'eip1559', maxFeePerGas: max, maxPriorityFeePerGas: priority },
    };
    const digest = keccak_256(serialize(transaction));
    const signature = secp256k1.sign(digest, secret, { prehash: false });
    const { r, s, yParity } = recoverable(digest, signature, secp256k1.getPublicKey(secret));
    expect(hex(serialize(transaction, [BigInt(yParity), r, s]))).toBe(signed);
  });
});

describe('against viem, which had no part in it', () => {
  const secret = unhex('4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318');
  const key = testKey(secret);
  const account = privateKeyToAccount(`0x${hex(secret)}`);
  const codec = createEthereumCodec(LOCAL);
  const token = '0x5FbDB2315678afecb367f032d93F642f64180aa3';
  const to = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8';

  it('an ERC-20 transfer is the same bytes, digest, signature and id', async () => {
    const data = encodeFunctionData({
      abi: erc20Abi,
      functionName: 'transfer',
      args: [to, 1_234_567_890_123_456_789n],
    });
    expect(`0x${hex(encodeTransfer(unhex(to), 1_234_567_890_123_456_789n))}`).toBe(data);
    const request = {
      type: 'eip1559' as const,
      chainId: 31337,
      nonce: 7,
      gas: 65_000n,
      maxFeePerGas: 30_000_000_000n,
      maxPriorityFeePerGas: 1_000_000_000n,
      to: token as `0x${string}`,
      data,
    };
    const unsigned = unsignedOf(unhex(serializeTransaction(request)));
    expect(unsigned.bytes).toBe(
      '02f86f827a6907843b9aca008506fc23ac0082fde8945fbdb2315678afecb367f032d93f642f64180aa380' +
        'b844a9059cbb00000000000000000000000070997970c51812dc3a010c7d01b50e0d17dc79c8' +
        '000000000000000000000000000000000000000000000000112210f47de98115c0',
    );
    expect(codec.decode(unsigned, key.publicKey)).toMatchObject({
      from: account.address,
      effects: [
        {
          kind: 'pay',
          destination: to,
          asset: `eip155:31337/erc20:${token}`,
          amount: 1_234_567_890_123_456_789n,
        },
      ],
      fee: 65_000n * 30_000_000_000n,
    });
    const signed = codec.attach(
      unsigned,
      key.publicKey,
      codec.messages(unsigned, key.publicKey).map(key.sign),
    );
    const theirs = await account.signTransaction(request);
    expect(`0x${signed.bytes}`).toBe(theirs);
    expect(parseTransaction(theirs)).toMatchObject({
      chainId: 31337,
      nonce: 7,
      to: token.toLowerCase(),
    });
  });

  it('legacy and EIP-1559 payments of random keys are the same bytes', async () => {
    for (let i = 0; i < 25; i++) {
      const one = secp256k1.utils.randomSecretKey();
      const signer = testKey(one);
      const theirs = privateKeyToAccount(`0x${hex(one)}`);
      expect(signer.address).toBe(theirs.address);
      const common = {
        chainId: 31337,
        nonce: i * 300,
        gas: 21_000n,
        to: to as `0x${string}`,
        value: 10n ** BigInt(i),
      };
      const request =
        i % 2 === 0
          ? { ...common, type: 'legacy' as const, gasPrice: 1_000_000_007n }
          : {
              ...common,
              type: 'eip1559' as const,
              maxFeePerGas: 3_000_000_000n,
              maxPriorityFeePerGas: 0n,
            };
      const unsigned = unsignedOf(unhex(serializeTransaction(request)));
      const [digest = bytes()] = codec.messages(unsigned, signer.publicKey);
      const signed = codec.attach(unsigned, signer.publicKey, [signer.sign(digest)]);
      expect(`0x${signed.bytes}`).toBe(await theirs.signTransaction(request));
    }
  });

  it.each([
    // EIP-55's own examples.
    '0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed',
    '0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359',
    '0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB',
    '0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb',
  ])('%s is spelled as EIP-55 wants', (address) => {
    expect(checksummed(unhex(address))).toBe(address);
    codec.checkAddress(address);
  });
});
