/**
 * Whether typed data may be signed. Off-chain signatures move money too: a permit lets somebody else take tokens later, so
 * such types are transfers and count as such; what looks like one but is not understood is refused, and everything else
 * needs a policy that lists network, contract and type.
 */
import { eip55, erc20Asset } from '../../schema/contracts/asset.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { TypedDataRule } from '../../schema/contracts/message.ts';
import { hexToBytes } from '../signed.ts';
import type { TypedData, TypedStruct, TypedValue } from './eip712.ts';

/** What somebody else may take once he holds the signature. Amounts in the token's smallest unit. */
export type TypedPayment = {
  readonly destination: string;
  /** CAIP-19. */
  readonly asset: string;
  readonly amount: bigint;
};

export type TypedDataCheck = {
  readonly data: TypedData;
  /** CAIP-2, of the key. */
  readonly network: string;
  /** The wallet's address, EIP-55. */
  readonly address: string;
  /** The policy's list. */
  readonly allowed: readonly TypedDataRule[];
};

const UNLIMITED = 2n ** 256n - 1n;
/** Names by which contracts call what lets others move value. */
const VALUE_MOVING =
  /permit|transfer|approv|authori[sz]|allowance|delegat|spend|withdraw|order|sell|bid|swap|mint|burn/i;

const mismatch = (field: string, message: string): KeysagaError =>
  new KeysagaError('TransactionMismatch', message, { field });

const addressOf = (value: TypedValue | undefined, field: string): string => {
  if (typeof value === 'string' && /^0x[0-9a-f]{40}$/.test(value))
    return eip55(hexToBytes(value.slice(2)));
  throw mismatch(field, 'The typed data has no address where its type should.');
};
const amountOf = (value: TypedValue | undefined, field: string): bigint => {
  if (typeof value === 'bigint' && value >= 0n) return value;
  throw mismatch(field, 'The typed data has no amount where its type should.');
};
const structOf = (value: TypedValue | undefined, field: string): TypedStruct => {
  if (typeof value === 'object' && !Array.isArray(value)) return value as TypedStruct;
  throw mismatch(field, 'The typed data has no struct where its type should.');
};
const structsOf = (value: TypedValue | undefined, field: string): readonly TypedStruct[] => {
  if (Array.isArray(value)) return value.map((one) => structOf(one as TypedValue, field));
  throw mismatch(field, 'The typed data has no list where its type should.');
};

type Context = { readonly network: string; readonly contract: string; readonly address: string };

/** The signer must be the wallet: in another's name the signature is worthless, or means something else. */
function requireOwner(value: TypedValue | undefined, field: string, { address }: Context): void {
  if (addressOf(value, field) !== address)
    throw mismatch(field, 'The typed data is about another account than the wallet.');
}

const permitted = (
  tokens: readonly TypedStruct[],
  destination: string,
  { network }: Context,
): TypedPayment[] =>
  tokens.map(({ token, amount }) => ({
    destination,
    asset: erc20Asset(network, addressOf(token, 'token')),
    amount: amountOf(amount, 'amount'),
  }));

/** By primary type and member names: who may take how much of what. */
const KNOWN: Readonly<
  Record<string, (message: TypedStruct, context: Context) => readonly TypedPayment[]>
> = {
  // ERC-2612
  'Permit(owner,spender,value,nonce,deadline)': (m, context) => {
    requireOwner(m.owner, 'owner', context);
    return [
      {
        destination: addressOf(m.spender, 'spender'),
        asset: erc20Asset(context.network, context.contract),
        amount: amountOf(m.value, 'value'),
      },
    ];
  },
  // DAI
  'Permit(holder,spender,nonce,expiry,allowed)': (m, context) => {
    requireOwner(m.holder, 'holder', context);
    return [
      {
        destination: addressOf(m.spender, 'spender'),
        asset: erc20Asset(context.network, context.contract),
        amount: m.allowed === false ? 0n : UNLIMITED,
      },
    ];
  },
  // Permit2
  'PermitSingle(details,spender,sigDeadline)': (m, context) =>
    permitted([structOf(m.details, 'details')], addressOf(m.spender, 'spender'), context),
  'PermitBatch(details,spender,sigDeadline)': (m, context) =>
    permitted(structsOf(m.details, 'details'), addressOf(m.spender, 'spender'), context),
  'PermitTransferFrom(permitted,spender,nonce,deadline)': (m, context) =>
    permitted([structOf(m.permitted, 'permitted')], addressOf(m.spender, 'spender'), context),
  'PermitBatchTransferFrom(permitted,spender,nonce,deadline)': (m, context) =>
    permitted(structsOf(m.permitted, 'permitted'), addressOf(m.spender, 'spender'), context),
  // EIP-3009
  'TransferWithAuthorization(from,to,value,validAfter,validBefore,nonce)': authorised,
  'ReceiveWithAuthorization(from,to,value,validAfter,validBefore,nonce)': authorised,
};

function authorised(m: TypedStruct, context: Context): readonly TypedPayment[] {
  requireOwner(m.from, 'from', context);
  return [
    {
      destination: addressOf(m.to, 'to'),
      asset: erc20Asset(context.network, context.contract),
      amount: amountOf(m.value, 'value'),
    },
  ];
}

/**
 * Answers with what others may take, which the caller judges and counts as transfers (destination on the allow-list, limits
 * per transfer and day). Throws `ChainMismatch` (`domain.chainId`), `PolicyViolation` (`type`), `TransactionMismatch`.
 */
export function checkTypedData(check: TypedDataCheck): readonly TypedPayment[] {
  const { data, network, address, allowed } = check;
  const { primaryType, domain, types, message } = data;
  if (network !== `eip155:${domain.chainId}`)
    throw new KeysagaError('ChainMismatch', 'The typed data is for another chain.', {
      field: 'domain.chainId',
      expected: network,
    });
  const contract = eip55(hexToBytes(domain.verifyingContract.slice(2)));
  const violated = (message: string): KeysagaError =>
    new KeysagaError('PolicyViolation', message, {
      field: 'type',
      network,
      contract,
      type: primaryType,
    });
  const listed = allowed.some(
    (rule) => rule.network === network && rule.contract === contract && rule.type === primaryType,
  );
  if (!listed)
    throw violated(`The policy does not list ${primaryType} for ${contract} on ${network}.`);
  const members = (types[primaryType] ?? []).map(({ name }) => name).join(',');
  const signature = `${primaryType}(${members})`;
  const read = Object.hasOwn(KNOWN, signature) ? KNOWN[signature] : undefined;
  if (read !== undefined) return read(message, { network, contract, address });
  const named = [primaryType, ...Object.keys(types)].find((name) => VALUE_MOVING.test(name));
  if (named !== undefined)
    throw violated(`${named} could move value in a way that is not understood here.`);
  return [];
}
