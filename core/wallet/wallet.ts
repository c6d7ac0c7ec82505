/**
 * The `Wallet` aggregate: what is reserved and what was spent, so that no approved sum exceeds the balance or the
 * policy's limits, and no request is reserved twice. Amounts in the smallest unit.
 *
 * The state stays small: an ended reservation leaves it a day later, by the times in the events. That a request id
 * is never used again, even later, is the `claims` table's doing (kind `transfer`), in the same transaction.
 */
import { canonicalJson } from '../../schema/contracts/canonical.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { DomainEvent } from '../../schema/contracts/events.ts';
import type { KeyDescriptor } from '../../schema/contracts/key.ts';
import type { Policy } from '../../schema/contracts/policy.ts';
import { RequestId } from '../../schema/contracts/primitives.ts';
import { anchorDemanded } from '../anchor.ts';
import { effectiveDailyLimit, limitFor } from '../policy.ts';
import type { Fold } from '../ports/ledger.ts';
import { linesOf, type PaymentIntent, totalOf } from '../ports/payment.ts';

export const DAY_MS = 86_400_000;

type Reserved = {
  readonly asset: string;
  readonly amount: string;
  readonly feeCap: string;
  readonly at: string;
  /** The child account that pays; absent: the wallet's own. */
  readonly path?: string;
};
type Ended = Reserved & {
  readonly requestId: string;
  readonly how: 'spent' | 'released';
  readonly endedAt: string;
};

export type WalletState = {
  readonly key: KeyDescriptor | null;
  readonly open: { readonly [requestId: string]: Reserved };
  /** Of the last 24 h, by event time. */
  readonly ended: readonly Ended[];
  /** Newest event time seen; never goes back. */
  readonly latest: string;
  /** Reservations spent so far: tells that a balance read earlier may be stale. */
  readonly spends: number;
};

const EPOCH = new Date(0).toISOString();
const later = (a: string, b: string): string => (a > b ? a : b);
const recent = (ended: readonly Ended[], now: string): readonly Ended[] => {
  const since = Date.parse(now) - DAY_MS;
  return ended.filter((e) => Date.parse(e.endedAt) > since);
};

function end(state: WalletState, requestId: string, how: Ended['how'], at: string): WalletState {
  const { [requestId]: reserved, ...open } = state.open;
  if (reserved === undefined) return state;
  const latest = later(state.latest, at);
  const ended = recent([...state.ended, { ...reserved, requestId, how, endedAt: latest }], latest);
  return { ...state, open, latest, ended, spends: state.spends + (how === 'spent' ? 1 : 0) };
}

export const walletFold: Fold<WalletState> = {
  name: 'wallet',
  schemaVersion: 1,
  initial: { key: null, open: {}, ended: [], latest: EPOCH, spends: 0 },
  apply: (state, event) => {
    switch (event.type) {
      case 'keysaga.wallet.activated.v1':
        return { ...state, key: event.data.key };
      case 'keysaga.wallet.funds-reserved.v1': {
        const { requestId, asset, amount, feeCap, at, path } = event.data;
        const from = path === undefined ? {} : { path };
        const latest = later(state.latest, at);
        return {
          ...state,
          latest,
          open: { ...state.open, [requestId]: { asset, amount, feeCap, at, ...from } },
          ended: recent(state.ended, latest),
        };
      }
      case 'keysaga.wallet.funds-released.v1':
        return end(state, event.data.requestId, 'released', state.latest);
      case 'keysaga.wallet.funds-spent.v1':
        return end(state, event.data.requestId, 'spent', event.data.at);
      default:
        return state;
    }
  },
};

/** Amount of `asset` that open reservations may take from one account's balance; fee caps are native. */
export function reservedOf(state: WalletState, asset: string, path?: string): bigint {
  let sum = 0n;
  for (const r of Object.values(state.open)) {
    if (r.path !== path) continue;
    if (r.asset === asset) sum += BigInt(r.amount);
    if (asset === 'native') sum += BigInt(r.feeCap);
  }
  return sum;
}

/** What counts against the wallet's rolling day's limit of `asset` at `now`: everything reserved, and what was spent in 24 h. */
export function countedToday(state: WalletState, asset: string, now: string): bigint {
  let sum = 0n;
  for (const r of Object.values(state.open)) if (r.asset === asset) sum += BigInt(r.amount);
  // A clock behind the newest event must not make spends look older than they are.
  for (const e of recent(state.ended, later(now, state.latest)))
    if (e.how === 'spent' && e.asset === asset) sum += BigInt(e.amount);
  return sum;
}

/** The active wallet's key, or `WalletUnknown` / `WalletNotActive`. */
export function activeKey(state: WalletState, walletId: string): KeyDescriptor {
  if (state.key === null)
    throw new KeysagaError('WalletNotActive', `Wallet ${walletId} is not active.`, {
      field: 'walletId',
      walletId,
    });
  return state.key;
}

/** Once; again with the same key is nothing, with another a `StateConflict`. */
export function activate(state: WalletState, key: KeyDescriptor): DomainEvent[] {
  if (state.key === null)
    return [{ type: 'keysaga.wallet.activated.v1', data: { walletId: key.walletId, key } }];
  if (canonicalJson(state.key) === canonicalJson(key)) return [];
  throw new KeysagaError('StateConflict', `Wallet ${key.walletId} is active with another key.`, {
    field: 'key',
    walletId: key.walletId,
  });
}

/** Of the account that pays, as the chain shows it, smallest unit; `native` is the fee asset's. */
export type ObservedBalance = { readonly asset: bigint; readonly native: bigint };

export type ReserveCommand = {
  readonly intent: PaymentIntent;
  readonly policy: Policy;
  /** ISO time of the command. */
  readonly now: string;
  readonly balance: ObservedBalance;
};

/**
 * Reserves amount + fee cap. Throws `WalletNotActive`, `ChainMismatch`, `RequestConflict` (reserved before),
 * `PolicyViolation` (`asset`, `destination`, `anchor`), `LimitExceeded` (`amount`), `InsufficientFunds` (`amount`,
 * `feeCap`). Nothing when this request's reservation is open.
 */
export function reserve(
  state: WalletState,
  { intent, policy, now, balance }: ReserveCommand,
): DomainEvent[] {
  const key = activeKey(state, intent.walletId);
  const { requestId, asset, feeCap, path } = intent;
  const amount = totalOf(intent);
  if (key.network !== intent.chain)
    throw new KeysagaError(
      'ChainMismatch',
      `Wallet ${intent.walletId} belongs to ${key.network}.`,
      {
        field: 'chain',
        network: key.network,
      },
    );
  const before = state.open[requestId];
  if (
    before !== undefined &&
    before.asset === asset &&
    before.amount === amount &&
    before.feeCap === feeCap &&
    before.path === path
  )
    return [];
  if (before !== undefined || state.ended.some((e) => e.requestId === requestId))
    throw new KeysagaError('RequestConflict', `Request ${requestId} had its reservation.`, {
      field: 'requestId',
      requestId,
    });
  checkPolicyRules(intent, policy);
  checkLimits(state, intent, policy, now, key);
  checkBalance(state, intent, balance);
  return [
    {
      type: 'keysaga.wallet.funds-reserved.v1',
      data: {
        walletId: intent.walletId,
        requestId,
        asset,
        amount,
        feeCap,
        at: now,
        ...(path === undefined ? {} : { path }),
      },
    },
  ];
}

function checkPolicyRules(intent: PaymentIntent, policy: Policy): void {
  const { allowList } = policy;
  for (const { destination, prefix } of linesOf(intent)) {
    const listed = (e: { network: string; destination: string }) =>
      e.network === intent.chain && e.destination === destination;
    if (allowList !== undefined && !allowList.some(listed))
      throw new KeysagaError('PolicyViolation', 'The destination is not on the allow-list.', {
        field: `${prefix}destination`,
        rule: 'allowList',
      });
  }
  const { anchorFrom } = limitFor(policy, intent.chain, intent.asset);
  if (intent.anchor === undefined && anchorDemanded(anchorFrom, totalOf(intent)))
    throw new KeysagaError(
      'PolicyViolation',
      `An amount of ${anchorFrom} or more must name an anchor (--anchor), leased before the transfer begins.`,
      {
        field: 'anchor',
        rule: 'anchorFrom',
      },
    );
}

/** Mirrors what each party enforces by itself, so that a hopeless transfer fails before anyone is asked. */
function checkLimits(
  state: WalletState,
  intent: PaymentIntent,
  policy: Policy,
  now: string,
  key: KeyDescriptor,
): void {
  const limit = limitFor(policy, intent.chain, intent.asset);
  const amount = BigInt(totalOf(intent));
  const exceeded = (rule: string, most: bigint): never => {
    throw new KeysagaError(
      'LimitExceeded',
      `${amount} exceeds the policy's ${rule} limit; ${most} is left.`,
      {
        field: 'amount',
        rule,
        left: String(most),
      },
    );
  };
  if (amount > BigInt(limit.perTransfer)) exceeded('perTransfer', BigInt(limit.perTransfer));
  const daily = effectiveDailyLimit(policy, limit, key.threshold, key.parties.length);
  const counted = countedToday(state, intent.asset, now);
  if (counted + amount > daily) exceeded('perDay', daily > counted ? daily - counted : 0n);
}

function checkBalance(state: WalletState, intent: PaymentIntent, balance: ObservedBalance): void {
  const short = (field: string, asset: string, missing: bigint): never => {
    throw new KeysagaError(
      'InsufficientFunds',
      `${missing} of ${asset} is missing beside what is reserved.`,
      {
        field,
        asset,
        missing: String(missing),
      },
    );
  };
  const amount = BigInt(totalOf(intent));
  const fee = BigInt(intent.feeCap);
  const nativeNeed = fee + (intent.asset === 'native' ? amount : 0n);
  const nativeFree = balance.native - reservedOf(state, 'native', intent.path);
  if (nativeFree < nativeNeed)
    short(intent.asset === 'native' ? 'amount' : 'feeCap', 'native', nativeNeed - nativeFree);
  if (intent.asset === 'native') return;
  const free = balance.asset - reservedOf(state, intent.asset, intent.path);
  if (free < amount) short('amount', intent.asset, amount - free);
}

/** Gives the reservation back; nothing when none is open. */
export function release(
  state: WalletState,
  walletId: string,
  requestId: string,
  reason: string,
): DomainEvent[] {
  if (state.open[requestId] === undefined) return [];
  return [
    {
      type: 'keysaga.wallet.funds-released.v1',
      data: {
        walletId: activeKey(state, walletId).walletId,
        requestId: RequestId.parse(requestId),
        reason,
      },
    },
  ];
}

/** Turns the reservation into a spend that counts for a day. `StateConflict` when it was given back. */
export function spend(
  state: WalletState,
  walletId: string,
  { requestId, transactionId, at }: { requestId: string; transactionId: string; at: string },
): DomainEvent[] {
  if (state.open[requestId] === undefined) {
    if (state.ended.find((e) => e.requestId === requestId)?.how === 'released')
      throw new KeysagaError('StateConflict', `The reservation of ${requestId} was given back.`, {
        requestId,
      });
    return [];
  }
  return [
    {
      type: 'keysaga.wallet.funds-spent.v1',
      data: {
        walletId: activeKey(state, walletId).walletId,
        requestId: RequestId.parse(requestId),
        transactionId,
        at: later(at, state.latest),
      },
    },
  ];
}
