/** Administrators' orders: verified here, whoever delivers them, and carried out once. */
import { CLOCK_SKEW_MS } from '../../core/approvals.ts';
import { destroy as decideDestroy } from '../../core/keyshare/keyshare.ts';
import { requireTimely, verifySignedOrder } from '../../core/orders.ts';
import { parseWith } from '../../core/parse.ts';
import type {
  ChainState,
  PartyTransaction,
  ReleaseHead,
  SessionRow,
  ShareRow,
} from '../../core/ports/party-store.ts';
import { digestHex } from '../../core/signed.ts';
import { signedBytes } from '../../schema/contracts/canonical.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import {
  type AdministratorOrder,
  DeliverOrderInput,
  type OrderReceipt,
  type SignedOrderReceipt,
} from '../../schema/contracts/order.ts';
import { advance, noteCommitted, notePending } from './chain.ts';
import type { PartyDeps } from './deps.ts';
import { checkChain, dropSessions, guarded } from './fence.ts';
import type { LiveRuns } from './live-runs.ts';
import { backupName, closeSession, erase, eraseClosed } from './sessions.ts';
import { shareAggregate } from './undo.ts';

type Order<K extends AdministratorOrder['kind']> = Extract<AdministratorOrder, { kind: K }>;

/** What the order ended, to be erased after its commit. */
type Effect = {
  readonly intentsAfter?: number;
  readonly sessions?: readonly SessionRow[];
  readonly share?: ShareRow;
};

export async function order(
  deps: PartyDeps,
  live: LiveRuns,
  input: unknown,
): Promise<SignedOrderReceipt> {
  const { signed } = parseWith(DeliverOrderInput, input, 'order');
  const { party, administrators, administratorQuorum } = deps.settings;
  const hash = verifySignedOrder(signed, {
    party,
    administrators,
    quorum: administratorQuorum,
    verify: deps.verify,
  });
  const body = signed.order;
  const { receipt, effect } = await guarded(deps, live, async () => {
    const fenced = (await checkChain(deps, live)) === 'fenced';
    // What raced with the fence and could not be closed then.
    if (fenced && body.kind === 'unfence') await dropSessions(deps, live);
    return deps.store.transaction(async (tx) => {
      // One delivery of an id after another: the second finds the first one's receipt.
      await tx.lockAttempt(`order ${body.orderId}`);
      const known = await tx.order(body.orderId);
      if (known !== undefined) {
        if (known.receipt.receipt.orderHash !== hash)
          throw new KeysagaError('RequestConflict', 'This order id was used for another order.', {
            field: 'orderId',
          });
        return { receipt: known.receipt, effect: await unfinished(tx, body) };
      }
      const now = deps.clock.now();
      requireTimely(body, now);
      return carryOut(deps, tx, { signed, hash, fenced, now });
    });
  });
  await deps.failPoints.at('party.order:after-commit');
  await noteCommitted(deps);
  for (const session of effect.sessions ?? []) live.drop(session.attempt);
  await eraseClosed(deps, effect.sessions ?? []);
  if (effect.share !== undefined) {
    await erase(deps, [effect.share.dataKeyId]);
    await deps.backup.remove(backupName(effect.share));
  }
  return receipt;
}

async function carryOut(
  deps: PartyDeps,
  tx: PartyTransaction,
  order: {
    readonly signed: DeliverOrderInput['signed'];
    readonly hash: string;
    readonly fenced: boolean;
    readonly now: number;
  },
): Promise<{ receipt: SignedOrderReceipt; effect: Effect }> {
  const { signed, hash, fenced, now } = order;
  const body = signed.order;
  if (body.kind === 'unfence') return unfence(deps, tx, body, order);
  const effect =
    body.kind === 'quarantine'
      ? await quarantine(tx, body, now)
      : body.kind === 'release'
        ? await release(tx, body)
        : await destroyShare(tx, body, now);
  await audit(tx, body, now);
  // A fenced party's chain does not move; what follows the unfence order begins a new one.
  const link = { kind: 'order' as const, attempt: null, sessionId: '', outboxHash: hash };
  const head = fenced ? (await tx.chain()).head : await advance(deps, tx, link, now);
  const receipt = await keep(deps, tx, signed, hash, head, now, {});
  return { receipt, effect };
}

async function keep(
  deps: PartyDeps,
  tx: PartyTransaction,
  signed: DeliverOrderInput['signed'],
  orderHash: string,
  { chainEpoch }: ReleaseHead,
  now: number,
  more: Pick<OrderReceipt, 'intentsAfter'>,
): Promise<SignedOrderReceipt> {
  const { orderId, kind } = signed.order;
  const { party } = deps.settings;
  const at = new Date(now).toISOString();
  const body: OrderReceipt = { party, orderId, orderHash, kind, at, chainEpoch, ...more };
  const receipt = {
    receipt: body,
    signature: deps.identity.sign(signedBytes('order-receipt', body)),
  };
  await tx.insertOrder(signed, receipt, now);
  await deps.failPoints.at('party.order:before-commit');
  return receipt;
}

const audit = (tx: PartyTransaction, order: AdministratorOrder, at: number): Promise<void> =>
  tx.audit({
    kind: `order-${order.kind}`,
    ...('keyId' in order ? { keyId: order.keyId } : {}),
    at,
    detail: { orderId: order.orderId, reason: order.reason },
  });

const refused = (field: string, message: string): KeysagaError =>
  new KeysagaError('OrderRefused', message, { field });

/**
 * The next chain epoch. What this party signed before the restore it no longer knows, so it never pays an intent that can
 * have been issued before (an intent may be dated five minutes ahead), and the day's limits count as spent.
 */
async function unfence(
  deps: PartyDeps,
  tx: PartyTransaction,
  body: Order<'unfence'>,
  {
    signed,
    hash,
    now,
  }: {
    readonly signed: DeliverOrderInput['signed'];
    readonly hash: string;
    readonly now: number;
  },
): Promise<{ receipt: SignedOrderReceipt; effect: Effect }> {
  const { head, fenced }: ChainState = await tx.chain({ lock: true });
  const row = await tx.fence();
  const reading = await deps.headFile.read();
  const fence = reading.kind === 'whole' ? reading.record.fenced : undefined;
  if (!fenced || row === undefined || fence === undefined || reading.kind !== 'whole')
    throw refused('kind', 'This party is not fenced.');
  if (body.chainEpoch !== fence.chainEpoch)
    throw refused(
      'chainEpoch',
      `The order ends chain epoch ${body.chainEpoch}, this fence is of ${fence.chainEpoch}.`,
    );
  const intentsAfter = Math.max(
    now,
    Date.parse(body.issuedAt),
    Math.min(fence.at, row.fencedAt) + CLOCK_SKEW_MS,
  );
  const next: ReleaseHead = {
    chainEpoch: fence.chainEpoch + 1,
    sequence: 0,
    hash: digestHex('head', { previous: head.hash, order: hash, chainEpoch: fence.chainEpoch + 1 }),
  };
  await audit(tx, body, now);
  const receipt = await keep(deps, tx, signed, hash, next, now, {
    intentsAfter: new Date(intentsAfter).toISOString(),
  });
  await tx.liftFence({
    orderId: body.orderId,
    at: now,
    intentsAfter,
    link: { kind: 'order', attempt: null, sessionId: '', outboxHash: hash },
    next,
  });
  await deps.failPoints.at('party.head:before-pending');
  await notePending(deps, reading.record.last, next);
  await deps.failPoints.at('party.head:after-pending');
  return { receipt, effect: { intentsAfter } };
}

/**
 * Sessions of the key end here and now; those that are about to begin wait for its lock and see the quarantine. Of several
 * orders the one issued last stands, in whatever order they are delivered.
 */
async function quarantine(
  tx: PartyTransaction,
  { keyId, orderId, issuedAt }: Order<'quarantine'>,
  now: number,
): Promise<Effect> {
  await tx.lockKey(keyId, 'update');
  await tx.sharesOfKey(keyId);
  const sessions = await tx.openSessionsOfKey(keyId, undefined, { lock: true });
  for (const session of sessions)
    await closeSession(tx, session, 'aborted', now, {
      code: 'KeyQuarantined',
      message: 'The key was quarantined.',
    });
  // The sweep destroys their data keys.
  await tx.dropPacks({ by: 'key', keyId }, 'KeyQuarantined', now);
  const standing = await tx.quarantineOrder(keyId);
  if (standing === undefined || Date.parse(standing.issuedAt) < Date.parse(issuedAt))
    await tx.quarantine(keyId, orderId, now);
  return { sessions };
}

/** One that was withheld and comes late must not end a quarantine that was ordered after it. */
async function release(
  tx: PartyTransaction,
  { keyId, issuedAt }: Order<'release'>,
): Promise<Effect> {
  await tx.lockKey(keyId, 'update');
  await tx.sharesOfKey(keyId);
  const standing = await tx.quarantineOrder(keyId);
  if (standing !== undefined && Date.parse(issuedAt) <= Date.parse(standing.issuedAt))
    throw refused('issuedAt', `The key was quarantined by an order of ${standing.issuedAt}.`);
  if (!(await tx.endQuarantine(keyId)))
    throw refused('keyId', 'The key is not under quarantine here.');
  return {};
}

/** The one way an active share goes. Throws `KeyLocked` while sessions hold it: quarantine the key first. */
async function destroyShare(
  tx: PartyTransaction,
  { keyId, epoch }: Order<'destroy'>,
  now: number,
): Promise<Effect> {
  await tx.lockKey(keyId, 'update');
  const share = (await tx.sharesOfKey(keyId)).find((row) => row.epoch === epoch);
  if (share === undefined)
    throw new KeysagaError('KeyUnknown', 'This party holds no share of that key and epoch.', {
      field: 'epoch',
    });
  const open = await tx.openSessionsOfKey(keyId, epoch, { lock: true });
  const leases = open
    .filter((s) => s.kind !== 'keygen')
    .map((s) => ({ session: s.attempt, expiresAt: s.expiresAt }));
  decideDestroy(shareAggregate(share, leases), 'order', now);
  await tx.setShareState(keyId, share.attempt, 'destroyed', now);
  await tx.dropPacks({ by: 'key', keyId, epoch }, 'destroyed', now);
  const detail = { on: 'order', epoch: `${epoch}` };
  await tx.audit({ kind: 'share-destroyed', keyId, attempt: share.attempt, at: now, detail });
  return { share };
}

/** What a crash after the order's commit may have left to erase. */
async function unfinished(tx: PartyTransaction, body: AdministratorOrder): Promise<Effect> {
  if (body.kind !== 'destroy') return {};
  const share = await tx.destroyedShare(body.keyId, body.epoch);
  return share === undefined ? {} : { share };
}
