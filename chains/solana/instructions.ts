/**
 * The instructions a transfer is made of, as the System and Compute Budget programs define them:
 * AdvanceNonceAccount (4), Transfer (2), SetComputeUnitLimit (2), SetComputeUnitPrice (3).
 */
import { base58 } from '@scure/base';
import { type Instruction, type ParsedInstruction, sameBytes } from './message.ts';

const key = (address: string): Uint8Array => base58.decode(address);
export const systemProgram = key('11111111111111111111111111111111');
export const computeBudgetProgram = key('ComputeBudget111111111111111111111111111111');
export const recentBlockhashesSysvar = key('SysvarRecentB1ockHashes11111111111111111111');

const u32 = (value: number): number[] => [0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff);
const u64 = (value: bigint): number[] =>
  [...Array(8).keys()].map((i) => Number((value >> BigInt(8 * i)) & 0xffn));
const little = (bytes: Uint8Array): bigint =>
  bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);

export const maxU64 = (1n << 64n) - 1n;

/** What an instruction means; `other`: not one of ours, or not in its one shape. */
export type Meaning =
  | { readonly kind: 'advance-nonce'; readonly account: Uint8Array; readonly authority: Uint8Array }
  | {
      readonly kind: 'transfer';
      readonly from: Uint8Array;
      readonly to: Uint8Array;
      readonly lamports: bigint;
    }
  | { readonly kind: 'unit-limit'; readonly units: number }
  /** In millionths of a lamport per compute unit. */
  | { readonly kind: 'unit-price'; readonly microLamports: bigint }
  | { readonly kind: 'other' };

export const advanceNonce = (account: Uint8Array, authority: Uint8Array): Instruction => ({
  program: systemProgram,
  accounts: [
    { key: account, signer: false, writable: true },
    { key: recentBlockhashesSysvar, signer: false, writable: false },
    { key: authority, signer: true, writable: false },
  ],
  data: Uint8Array.from(u32(4)),
});

export const transfer = (from: Uint8Array, to: Uint8Array, lamports: bigint): Instruction => ({
  program: systemProgram,
  accounts: [
    { key: from, signer: true, writable: true },
    { key: to, signer: false, writable: true },
  ],
  data: Uint8Array.from([...u32(2), ...u64(lamports)]),
});

export const unitLimit = (units: number): Instruction => ({
  program: computeBudgetProgram,
  accounts: [],
  data: Uint8Array.from([2, ...u32(units)]),
});

export const unitPrice = (microLamports: bigint): Instruction => ({
  program: computeBudgetProgram,
  accounts: [],
  data: Uint8Array.from([3, ...u64(microLamports)]),
});

export function meaningOf({ program, accounts, data }: ParsedInstruction): Meaning {
  const [first, second, third] = accounts;
  if (sameBytes(program, systemProgram)) {
    const tag = data.length >= 4 ? little(data.subarray(0, 4)) : -1n;
    if (tag === 4n && data.length === 4 && accounts.length === 3 && first && second && third) {
      if (sameBytes(second, recentBlockhashesSysvar)) {
        return { kind: 'advance-nonce', account: first, authority: third };
      }
    }
    if (tag === 2n && data.length === 12 && accounts.length === 2 && first && second) {
      return { kind: 'transfer', from: first, to: second, lamports: little(data.subarray(4)) };
    }
  }
  if (sameBytes(program, computeBudgetProgram) && accounts.length === 0) {
    if (data[0] === 2 && data.length === 5) {
      return { kind: 'unit-limit', units: Number(little(data.subarray(1))) };
    }
    if (data[0] === 3 && data.length === 9) {
      return { kind: 'unit-price', microLamports: little(data.subarray(1)) };
    }
  }
  return { kind: 'other' };
}
