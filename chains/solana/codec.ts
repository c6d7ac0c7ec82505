/**
 * Pure codec of Solana transfers on durable nonces. Parties judge bytes with it alone.
 *
 * A transaction is a legacy message of exactly: AdvanceNonceAccount with the wallet as authority; at most one
 * SetComputeUnitLimit; at most one SetComputeUnitPrice; then one System Transfer from the wallet (a payment) or nothing
 * (a void). The wallet is the one signer and pays the fee. Decoding rebuilds the message from what it understood and
 * wants the same bytes, so a meaning has one spelling and no flag or account can hide in it.
 */
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js';
import { base58 } from '@scure/base';
import type {
  DecodedTransaction,
  TransactionCodec,
  TransactionEffect,
} from '../../core/ports/blockchain.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { SignedTransaction, UnsignedTransaction } from '../../schema/contracts/transaction.ts';
import { UnsignedTransaction as UnsignedTransactionSchema } from '../../schema/contracts/transaction.ts';
import { addressBytes, addressOf, isReserved } from './address.ts';
import { requireProof } from './durable-nonce.ts';
import { verifyStrict } from './ed25519.ts';
import { advanceNonce, maxU64, meaningOf, transfer, unitLimit, unitPrice } from './instructions.ts';
import { compileMessage, malformed, maxMessageBytes, parseMessage, sameBytes } from './message.ts';
import { solanaNetwork } from './networks.ts';

/** What a validator takes for each signature, in lamports. */
export const lamportsPerSignature = 5000n;
/** No transaction gets more compute units. */
export const maxUnits = 1_400_000;

/** The most a transaction can cost, in lamports: the signature and the priority fee for all units it may use. */
export const feeOf = (units: number, microLamports: bigint): bigint =>
  lamportsPerSignature + (BigInt(units) * microLamports + 999_999n) / 1_000_000n;

export type DurableNonce = {
  /** Base58. */
  readonly account: string;
  /** Hex. */
  readonly value: string;
  readonly preimage: string;
};

export type TransferPlan = {
  readonly wallet: Uint8Array;
  readonly nonce: DurableNonce;
  readonly units: number;
  readonly microLamports: bigint;
  /** Absent: the void, which does nothing but advance the nonce. */
  readonly payment?: { readonly destination: string; readonly lamports: bigint };
};

/** Entry of `conflictKeys` for a nonce account at a value. */
export const conflictKey = (account: string, value: string): string => `solana:${account}:${value}`;

function compile(
  wallet: Uint8Array,
  account: Uint8Array,
  value: Uint8Array,
  budget: { units?: number; microLamports?: bigint },
  payment?: { to: Uint8Array; lamports: bigint },
): Uint8Array {
  return compileMessage(wallet, value, [
    advanceNonce(account, wallet),
    ...(budget.units === undefined ? [] : [unitLimit(budget.units)]),
    ...(budget.microLamports === undefined ? [] : [unitPrice(budget.microLamports)]),
    ...(payment === undefined ? [] : [transfer(wallet, payment.to, payment.lamports)]),
  ]);
}

/**
 * The unsigned transaction of a plan. The price is left out when it is 0.
 * @throws KeysagaError `InvalidInput` (`destination`, `amount`), `NonceUnproven`.
 */
export function encodeTransfer(networkId: string, plan: TransferPlan): UnsignedTransaction {
  const account = addressBytes(plan.nonce.account, 'nonce');
  const value = hexToBytes(plan.nonce.value);
  requireProof(plan.nonce, account, value);
  const budget = {
    units: plan.units,
    ...(plan.microLamports > 0n ? { microLamports: plan.microLamports } : {}),
  };
  if (plan.payment === undefined) {
    return unsignedOf(networkId, compile(plan.wallet, account, value, budget), plan.nonce);
  }
  const to = addressBytes(plan.payment.destination, 'destination');
  const problem = destinationProblem(to, plan.wallet, account);
  if (problem !== undefined)
    throw new KeysagaError('InvalidInput', problem, { field: 'destination' });
  if (plan.payment.lamports < 1n || plan.payment.lamports > maxU64) {
    throw new KeysagaError('InvalidInput', 'the amount is not within 1 and 2^64 − 1 lamports', {
      field: 'amount',
    });
  }
  const payment = { to, lamports: plan.payment.lamports };
  return unsignedOf(networkId, compile(plan.wallet, account, value, budget, payment), plan.nonce);
}

const unsignedOf = (
  network: string,
  message: Uint8Array,
  nonce: DurableNonce,
): UnsignedTransaction => ({
  network,
  format: 'solana-message',
  bytes: bytesToHex(message),
  nonceProof: { account: nonce.account, value: nonce.value, preimage: nonce.preimage },
});

/** Why nobody can be paid there; undefined when it is fine. */
function destinationProblem(
  to: Uint8Array,
  wallet: Uint8Array,
  nonce: Uint8Array,
): string | undefined {
  if (sameBytes(to, wallet)) return 'the wallet would pay itself';
  if (sameBytes(to, nonce)) return "the destination is the transaction's own nonce account";
  return isReserved(to)
    ? 'the destination is a program or sysvar, from which nothing returns'
    : undefined;
}

const unitsInRange = (units: number): void => {
  if (units > maxUnits)
    throw malformed('computeUnitLimit', `the compute unit limit is above ${maxUnits}`);
};

function decode(network: string, unsigned: UnsignedTransaction, publicKey: Uint8Array) {
  if (!UnsignedTransactionSchema.safeParse(unsigned).success) {
    throw malformed('bytes', 'not an unsigned transaction');
  }
  if (unsigned.network !== network) {
    throw new KeysagaError('ChainMismatch', 'the transaction is for another network', {
      field: 'network',
      expected: network,
    });
  }
  if (unsigned.format !== 'solana-message') throw malformed('format', 'not a Solana message');
  if (unsigned.bytes.length > 2 * maxMessageBytes)
    throw malformed('bytes', 'too long for a packet');
  const wallet = addressOf(publicKey);
  const bytes = hexToBytes(unsigned.bytes);
  const message = parseMessage(bytes);
  if (!sameBytes(message.feePayer, publicKey)) {
    throw malformed('feePayer', 'the wallet is not the fee payer and signer');
  }
  const [first, ...rest] = message.instructions.map(meaningOf);
  if (first?.kind !== 'advance-nonce') {
    throw new KeysagaError('NonceUnproven', 'the first instruction does not advance a nonce', {
      field: 'instructions[0]',
    });
  }
  if (!sameBytes(first.authority, publicKey)) {
    throw malformed('authority', "the wallet is not the nonce account's authority");
  }
  if (sameBytes(first.account, publicKey))
    throw malformed('instructions[0]', 'the wallet is no nonce account');
  requireProof(unsigned.nonceProof, first.account, message.recentBlockhash);

  const account = base58.encode(first.account);
  const value = bytesToHex(message.recentBlockhash);
  const effects: TransactionEffect[] = [
    { kind: 'advance-nonce', account, authority: wallet, value },
  ];
  let units: number | undefined;
  let microLamports: bigint | undefined;
  let payment: { to: Uint8Array; lamports: bigint } | undefined;
  let foreign = false;
  rest.forEach((meaning, i) => {
    if (meaning.kind === 'unit-limit' && units === undefined) {
      unitsInRange(meaning.units);
      units = meaning.units;
    } else if (meaning.kind === 'unit-price' && microLamports === undefined) {
      microLamports = meaning.microLamports;
    } else if (
      meaning.kind === 'transfer' &&
      payment === undefined &&
      sameBytes(meaning.from, publicKey)
    ) {
      const problem = destinationProblem(meaning.to, publicKey, first.account);
      if (problem !== undefined) throw malformed('destination', problem);
      payment = { to: meaning.to, lamports: meaning.lamports };
      effects.push({
        kind: 'pay',
        destination: base58.encode(meaning.to),
        asset: 'native',
        amount: meaning.lamports,
      });
    } else {
      foreign = true;
      effects.push({ kind: 'other', description: describe(message.instructions[i + 1], i + 1) });
    }
  });
  if (microLamports !== undefined && units === undefined) {
    // The network would then choose the limit, and with it the fee.
    throw malformed('computeUnitLimit', 'a price without a limit leaves the fee open');
  }
  const budget = {
    ...(units === undefined ? {} : { units }),
    ...(microLamports === undefined ? {} : { microLamports }),
  };
  if (
    !foreign &&
    !sameBytes(compile(publicKey, first.account, message.recentBlockhash, budget, payment), bytes)
  ) {
    throw malformed('bytes', 'the message is not in its canonical form');
  }
  const decoded: DecodedTransaction = {
    network,
    from: wallet,
    effects,
    fee: feeOf(units ?? 0, microLamports ?? 0n),
    conflictKeys: [conflictKey(account, value)],
  };
  return { decoded, bytes, foreign };
}

const describe = (
  instruction: { program: Uint8Array; data: Uint8Array } | undefined,
  position: number,
): string =>
  `instruction ${position} of program ${base58.encode(instruction?.program ?? new Uint8Array())}, data ${bytesToHex(
    (instruction?.data ?? new Uint8Array()).subarray(0, 32),
  )}`;

/** @throws KeysagaError `ChainUnsupported` for a network that is not in `networks.ts`. */
export function createSolanaCodec(networkId: string): TransactionCodec {
  const { id } = solanaNetwork(networkId);

  /** The bytes to be signed, of a transaction that does nothing unknown. */
  const signable = (unsigned: UnsignedTransaction, publicKey: Uint8Array): Uint8Array => {
    const { bytes, foreign } = decode(id, unsigned, publicKey);
    if (foreign)
      throw malformed('instructions', 'the message holds an instruction that is none of ours');
    return bytes;
  };

  return {
    network: id,
    family: 'solana',
    curve: 'ed25519',
    scheme: 'eddsa',
    address: addressOf,
    checkAddress(address) {
      const bytes = addressBytes(address, 'destination');
      if (isReserved(bytes)) {
        throw new KeysagaError('InvalidInput', 'a program or sysvar cannot be paid', {
          field: 'destination',
        });
      }
    },
    decode: (unsigned, publicKey) => decode(id, unsigned, publicKey).decoded,
    messages: (unsigned, publicKey) => [signable(unsigned, publicKey)],
    attach(unsigned, publicKey, signatures): SignedTransaction {
      const message = signable(unsigned, publicKey);
      const [signature] = signatures;
      if (
        signatures.length !== 1 ||
        signature === undefined ||
        !verifyStrict(signature, message, publicKey)
      ) {
        throw new KeysagaError(
          'SignatureInvalid',
          'the signature does not verify for the message',
          {
            field: 'signatures',
          },
        );
      }
      return {
        network: id,
        id: base58.encode(signature),
        bytes: `01${bytesToHex(signature)}${unsigned.bytes}`,
      };
    },
  };
}
