/** The operator's sponsor key: it pays for nonce accounts and can do nothing with a wallet's money. */
import { readFileSync } from 'node:fs';
import { base58 } from '@scure/base';
import { Keypair, PublicKey, SystemProgram, Transaction } from '@solana/web3.js';
import * as z from 'zod';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { nonceAccountBytes, seededAddress } from './durable-nonce.ts';

const KeyFile = z.array(z.int().min(0).max(255)).length(64);

export type Sponsor = {
  /** Public key. */
  readonly address: Uint8Array;
  /** Address of the nonce account with this seed. */
  nonceAccount(seed: string): Uint8Array;
  /**
   * The signed transaction that makes it. `missing`: lamports it still needs for rent exemption. Allocating instead of
   * creating works too when somebody has sent lamports to the address before, which would block a plain creation.
   */
  createNonceAccount(options: {
    seed: string;
    authority: Uint8Array;
    missing: bigint;
    blockhash: string;
  }): { id: string; bytes: Uint8Array };
};

/**
 * Reads a key file of the Solana tools: a JSON array of 64 bytes, secret then public half.
 * @throws KeysagaError `InvalidInput` (`sponsor`); the message holds nothing of the file's content.
 */
export function readSponsor(path: string): Sponsor {
  let keypair: Keypair;
  try {
    keypair = Keypair.fromSecretKey(
      Uint8Array.from(KeyFile.parse(JSON.parse(readFileSync(path, 'utf8')))),
    );
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    throw new KeysagaError(
      'InvalidInput',
      `the sponsor's key file ${code === 'ENOENT' ? 'is missing' : 'is no JSON array of 64 bytes that fit together'}: ${path}`,
      { field: 'sponsor' },
    );
  }
  const { publicKey } = keypair;
  const address = publicKey.toBytes();
  const nonceAccount = (seed: string) => seededAddress(address, seed);
  return {
    address,
    nonceAccount,
    createNonceAccount({ seed, authority, missing, blockhash }) {
      const account = new PublicKey(nonceAccount(seed));
      const transaction = new Transaction();
      transaction.feePayer = publicKey;
      transaction.recentBlockhash = blockhash;
      if (missing > 0n) {
        transaction.add(
          SystemProgram.transfer({ fromPubkey: publicKey, toPubkey: account, lamports: missing }),
        );
      }
      transaction.add(
        SystemProgram.allocate({
          accountPubkey: account,
          basePubkey: publicKey,
          seed,
          space: nonceAccountBytes,
          programId: SystemProgram.programId,
        }),
        SystemProgram.nonceInitialize({
          noncePubkey: account,
          authorizedPubkey: new PublicKey(authority),
        }),
      );
      transaction.sign(keypair);
      const bytes = Uint8Array.from(transaction.serialize());
      return { id: base58.encode(bytes.slice(1, 65)), bytes };
    },
  };
}
