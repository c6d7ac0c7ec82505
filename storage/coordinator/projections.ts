/**
 * How each event changes the read tables. Every value comes from the event, none from the clock, so that a rebuild
 * gives the very same rows. A statement finds nothing to change when an event names a row that an older history
 * does not have; it never fails.
 */
import { and, eq, sql } from 'drizzle-orm';
import type { StoredEvent } from '../../core/ports/ledger.ts';
import { isPayout, totalOf } from '../../core/ports/payment.ts';
import { approvals, parties, policies, transfers, wallets } from '../../schema/db/coordinator.ts';
import type { FollowTransaction } from './follow.ts';

type Of<T extends StoredEvent['type']> = StoredEvent & { readonly type: T };
type Apply<T extends StoredEvent['type']> = (
  tx: FollowTransaction,
  event: Of<T>,
) => Promise<unknown>;

/** Tables that `rebuild` empties. */
export const PROJECTED = [wallets, transfers, approvals, parties, policies] as const;

const transfer = (id: string) => eq(transfers.requestId, id);
const wallet = (id: string) => eq(wallets.walletId, id);

type PartyChange = {
  wallets?: number;
  activations?: number;
  signatures?: number;
  owed?: number;
  signedAt?: string;
};
const countParty = (tx: FollowTransaction, party: string, change: PartyChange) =>
  tx
    .insert(parties)
    .values({
      party,
      wallets: change.wallets ?? 0,
      activations: change.activations ?? 0,
      signatures: change.signatures ?? 0,
      undosOwed: Math.max(0, change.owed ?? 0),
      lastSignedAt: change.signedAt ?? null,
    })
    .onConflictDoUpdate({
      target: parties.party,
      set: {
        wallets: sql`${parties.wallets} + ${change.wallets ?? 0}`,
        activations: sql`${parties.activations} + ${change.activations ?? 0}`,
        signatures: sql`${parties.signatures} + ${change.signatures ?? 0}`,
        undosOwed: sql`greatest(0, ${parties.undosOwed} + ${change.owed ?? 0}::int)`,
        lastSignedAt: sql`coalesce(excluded.last_signed_at, ${parties.lastSignedAt})`,
      },
    });

/** A row for each approver of the version who has not decided. */
const expectApprovals = (
  tx: FollowTransaction,
  { requestId, policyHash }: { requestId: string; policyHash: string },
  at: string,
) =>
  tx.execute(sql`
      insert into approvals (request_id, approver, status, updated_at)
      select ${requestId}, approver->>'name', 'waiting', ${at}::timestamptz
      from policies, jsonb_array_elements(policies.signed->'policy'->'approvers') as approver
      where policies.policy_hash = ${policyHash}
      on conflict do nothing`);

/** A transfer's row, or a payout's. */
const initiated = async (
  tx: FollowTransaction,
  { data, position, at }: Of<'keysaga.transfer.initiated.v1' | 'keysaga.payout.initiated.v1'>,
): Promise<void> => {
  const { intent } = data;
  await tx
    .insert(transfers)
    .values({
      requestId: data.requestId,
      position,
      workflowId: data.workflowId,
      walletId: intent.walletId,
      network: intent.chain,
      asset: intent.asset,
      amount: totalOf(intent),
      feeCap: intent.feeCap,
      destination: isPayout(intent) ? `${intent.lines.length} destinations` : intent.destination,
      intent,
      intentDigest: data.intentDigest,
      policyHash: data.policyHash,
      phase: 'Initiated',
      reservation: 'open',
      pivotPassed: false,
      confirmations: 0,
      undoOwed: 0,
      createdAt: at,
      updatedAt: at,
    })
    .onConflictDoNothing();
  await expectApprovals(tx, data, at);
};

const APPLY: { readonly [T in StoredEvent['type']]: Apply<T> } = {
  'keysaga.transfer.initiated.v1': initiated,
  'keysaga.payout.initiated.v1': initiated,
  'keysaga.transfer.policy-changed.v1': async (tx, { data, at }) => {
    await tx
      .update(transfers)
      .set({ policyHash: data.policyHash, updatedAt: at })
      .where(transfer(data.requestId));
    // Nobody waits any more for whom the new version does not name; what was decided stays.
    await tx
      .delete(approvals)
      .where(and(eq(approvals.requestId, data.requestId), eq(approvals.status, 'waiting')));
    await expectApprovals(tx, data, at);
  },
  'keysaga.transfer.decision-recorded.v1': (tx, { data, at }) => {
    const { approver, decision } = data.signed.approval;
    const row = { status: decision, signed: data.signed, updatedAt: at };
    return tx
      .insert(approvals)
      .values({ requestId: data.requestId, approver, ...row })
      .onConflictDoUpdate({ target: [approvals.requestId, approvals.approver], set: row });
  },
  'keysaga.transfer.transaction-built.v1': (tx, { data, at }) =>
    tx
      .update(transfers)
      .set(data.purpose === 'payment' ? { fee: data.fee, updatedAt: at } : { updatedAt: at })
      .where(transfer(data.requestId)),
  // A void that only fills a nonce has no payment's pivot before it.
  'keysaga.transfer.pivot-passed.v1': (tx, { data, at }) =>
    tx
      .update(transfers)
      .set({ ...(data.purpose === 'payment' ? { pivotPassed: true } : {}), updatedAt: at })
      .where(transfer(data.requestId)),
  'keysaga.transfer.transaction-signed.v1': async (tx, { data, at }) => {
    await tx
      .update(transfers)
      .set(
        data.purpose === 'payment'
          ? {
              payment: data.signed,
              transactionId: data.signed.id,
              signers: data.signers,
              updatedAt: at,
            }
          : { void: data.signed, updatedAt: at },
      )
      .where(transfer(data.requestId));
    for (const party of [...data.signers].sort())
      await countParty(tx, party, { signatures: 1, signedAt: at });
  },
  'keysaga.transfer.broadcast.v1': (tx, { data, at }) =>
    tx.update(transfers).set({ updatedAt: at }).where(transfer(data.requestId)),
  'keysaga.transfer.confirmed.v1': (tx, { data, at }) =>
    tx
      .update(transfers)
      .set({ confirmations: data.confirmations, updatedAt: at })
      .where(transfer(data.requestId)),
  'keysaga.transfer.finalized.v1': (tx, { data, at }) =>
    tx
      .update(transfers)
      .set({ confirmations: data.confirmations, updatedAt: at })
      .where(transfer(data.requestId)),
  'keysaga.transfer.phase-changed.v1': (tx, { data, at }) =>
    tx
      .update(transfers)
      .set({ phase: data.phase, phaseReason: data.reason ?? null, updatedAt: at })
      .where(transfer(data.requestId)),
  'keysaga.transfer.lease-released.v1': (tx, { data, at }) =>
    tx.update(transfers).set({ updatedAt: at }).where(transfer(data.requestId)),
  'keysaga.transfer.gap-claimed.v1': (tx, { data, at }) =>
    tx.update(transfers).set({ updatedAt: at }).where(transfer(data.requestId)),
  'keysaga.transfer.undo-recorded.v1': async (tx, { data, at }) => {
    const owed = data.outcome === 'owed' ? 1 : data.outcome === 'delivered' ? -1 : 0;
    await tx
      .update(transfers)
      .set({ undoOwed: sql`greatest(0, ${transfers.undoOwed} + ${owed}::int)`, updatedAt: at })
      .where(transfer(data.requestId));
    if (data.party !== undefined && owed !== 0) await countParty(tx, data.party, { owed });
  },
  'keysaga.transfer.completed.v1': (tx, { data, at }) =>
    tx
      .update(transfers)
      .set({
        phase: 'Completed',
        transactionId: data.transactionId,
        confirmations: data.confirmations,
        updatedAt: at,
        endedAt: at,
      })
      .where(transfer(data.requestId)),
  'keysaga.transfer.failed.v1': (tx, { data, at }) =>
    tx
      .update(transfers)
      .set({ phase: 'Failed', failure: data.failure, updatedAt: at, endedAt: at })
      .where(transfer(data.requestId)),
  'keysaga.wallet.activated.v1': (tx, { data, at }) =>
    tx.update(wallets).set({ status: 'active', updatedAt: at }).where(wallet(data.walletId)),
  'keysaga.wallet.funds-reserved.v1': (tx, { data, at }) =>
    tx.update(wallets).set({ updatedAt: at }).where(wallet(data.walletId)),
  'keysaga.wallet.funds-released.v1': (tx, { data, at }) =>
    tx
      .update(transfers)
      .set({ reservation: 'released', updatedAt: at })
      .where(transfer(data.requestId)),
  'keysaga.wallet.funds-spent.v1': (tx, { data, at }) =>
    tx
      .update(transfers)
      .set({ reservation: 'spent', updatedAt: at })
      .where(transfer(data.requestId)),
  'keysaga.key.requested.v1': (tx, { data, at }) => {
    const { request } = data;
    return tx
      .insert(wallets)
      .values({
        walletId: request.requestId,
        workflowId: data.workflowId,
        status: 'requested',
        network: request.network,
        protocol: data.protocol,
        threshold: request.threshold,
        parties: request.parties,
        policyId: request.policyId,
        policyHash: data.policyHash,
        certificates: [],
        activated: [],
        createdAt: at,
        updatedAt: at,
      })
      .onConflictDoNothing();
  },
  'keysaga.key.certified.v1': async (tx, { data, at }) => {
    const { key } = data;
    await tx
      .update(wallets)
      .set({
        status: 'certified',
        publicKey: key.publicKey,
        address: key.address,
        key,
        certificates: data.certificates,
        updatedAt: at,
      })
      .where(wallet(key.walletId));
    for (const party of [...key.parties].sort()) await countParty(tx, party, { wallets: 1 });
  },
  'keysaga.key.generated.v1': (tx, { data, at }) =>
    tx.update(wallets).set({ updatedAt: at }).where(wallet(data.key.walletId)),
  'keysaga.key.party-activated.v1': async (tx, { data, at }) => {
    await tx
      .update(wallets)
      .set({
        activated: sql`${wallets.activated} || to_jsonb(array[${data.party}::text])`,
        updatedAt: at,
      })
      .where(wallet(data.keyId));
    await countParty(tx, data.party, { activations: 1 });
  },
  'keysaga.key.failed.v1': (tx, { data, at }) =>
    tx
      .update(wallets)
      .set({ status: 'failed', failure: data.failure, updatedAt: at })
      .where(and(wallet(data.requestId), sql`${wallets.status} <> 'active'`)),
  // Only what counts for some wallet is read from the tables.
  'keysaga.policy.proposed.v1': async () => {},
  'keysaga.policy.receipt-recorded.v1': async () => {},
  'keysaga.policy.forked.v1': async () => {},
  'keysaga.policy.adopted.v1': (tx, { data, at }) =>
    tx
      .insert(policies)
      .values({
        policyHash: data.policyHash,
        policyId: data.signed.policy.policyId,
        version: data.signed.policy.version,
        signed: data.signed,
        adoptedAt: at,
      })
      .onConflictDoNothing(),
  // Lists of messages come from Temporal's own store, their history from the log.
  'keysaga.message.initiated.v1': async () => undefined,
  'keysaga.message.decision-recorded.v1': async () => undefined,
  'keysaga.message.pivot-passed.v1': async () => undefined,
  'keysaga.message.signed.v1': async (tx, { data, at }) => {
    for (const party of [...data.signers].sort())
      await countParty(tx, party, { signatures: 1, signedAt: at });
  },
  'keysaga.message.undo-recorded.v1': async (tx, { data: { party, outcome } }) => {
    const owed = outcome === 'owed' ? 1 : outcome === 'delivered' ? -1 : 0;
    if (party !== undefined && owed !== 0) await countParty(tx, party, { owed });
  },
  'keysaga.message.failed.v1': async () => undefined,
  // No list shows anchors: an intent names its own, and its transfer's row has the intent.
  'keysaga.anchor.leased.v1': async () => undefined,
  'keysaga.anchor.given-back.v1': async () => undefined,
};

/** Applies one event to the read tables. */
export async function project(tx: FollowTransaction, event: StoredEvent): Promise<void> {
  await (APPLY[event.type] as Apply<StoredEvent['type']>)(tx, event);
}
