/** Lends a proven nonce to a transfer. */
import type { AnchorCandidate, LeaseRequest, Leaser } from '../../core/ports/blockchain.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { TransferIntent } from '../../schema/contracts/intent.ts';
import type { DurableNonce } from './codec.ts';
import type { NoncePool } from './nonce-pool.ts';

/**
 * The resource is the account at its value: what a final transaction consumed is gone for good, while the account
 * lives on with its next value. Two transfers never hold the same value.
 */
export const nonceResource = (network: string, account: string, value: string): string =>
  `solana:${network}:${account}:${value}`;

export type LeasedNonce = DurableNonce & { readonly lease: LeaseRequest };

type ProvenNonce = DurableNonce & { readonly resource: string };

/** The wallet's proven nonces, freshly read, with their resources. */
async function provenNonces(
  network: string,
  pool: Pick<NoncePool, 'proven'>,
  walletId: string,
): Promise<ProvenNonce[]> {
  return (await pool.proven(walletId)).flatMap(({ account, value, preimage }) =>
    value === null || preimage === null
      ? []
      : [{ account, value, preimage, resource: nonceResource(network, account, value) }],
  );
}

const leased = ({ resource, ...nonce }: ProvenNonce): LeasedNonce => ({
  ...nonce,
  lease: { resource, detail: { ...nonce } },
});

/** What a transfer of this wallet could be anchored to: its nonces at their finalized values. */
export const nonceAnchors = async (
  network: string,
  pool: Pick<NoncePool, 'proven'>,
  walletId: string,
): Promise<AnchorCandidate[]> =>
  (await provenNonces(network, pool, walletId)).map((nonce) => ({
    anchor: { kind: 'solana-nonce', account: nonce.account, value: nonce.value },
    lease: leased(nonce).lease,
  }));

/**
 * The nonce that the transfer holds already, or the first free one; the anchor's when the intent has one.
 * @throws KeysagaError `LeaseUnavailable`; `StateConflict` when the held or anchored nonce has moved on;
 * `InvalidInput` (`anchor`).
 */
export async function leaseNonce(
  network: string,
  pool: Pick<NoncePool, 'proven'>,
  intent: TransferIntent,
  leaser: Leaser,
): Promise<LeasedNonce> {
  const { anchor } = intent;
  if (anchor !== undefined && anchor.kind !== 'solana-nonce') {
    throw new KeysagaError('InvalidInput', 'the anchor belongs to another chain', {
      field: 'anchor',
    });
  }
  const candidates = await provenNonces(network, pool, intent.walletId);
  const held = leaser.held.filter(({ resource }) => resource.startsWith(`solana:${network}:`));
  if (held.length > 0) {
    const found = candidates.find(({ resource }) =>
      held.some((lease) => lease.resource === resource),
    );
    if (found === undefined)
      throw moved(
        'the nonce that this transfer holds has moved on',
        anchor === undefined ? 'lease' : 'anchor',
      );
    if (
      anchor !== undefined &&
      (found.account !== anchor.account || found.value !== anchor.value)
    ) {
      throw moved('the transfer holds another nonce than its anchor', 'anchor');
    }
    return leased(found);
  }
  if (anchor !== undefined) {
    const found = candidates.find(
      ({ account, value }) => account === anchor.account && value === anchor.value,
    );
    if (found === undefined)
      throw moved('the anchor is no proven nonce of the wallet, or has moved on', 'anchor');
    if (await leaser.tryTake(found.resource, leased(found).lease.detail)) return leased(found);
    throw unavailable(intent.walletId, 1);
  }
  // Transfers that start together begin at different accounts, so that they rarely wait for the same row.
  const start = [...intent.requestId].reduce((sum, char) => sum + char.charCodeAt(0), 0);
  for (let i = 0; i < candidates.length; i++) {
    const candidate = candidates[(start + i) % candidates.length];
    if (candidate === undefined) continue;
    if (await leaser.tryTake(candidate.resource, leased(candidate).lease.detail))
      return leased(candidate);
  }
  throw unavailable(intent.walletId, candidates.length);
}

const moved = (message: string, field: string): KeysagaError =>
  new KeysagaError('StateConflict', message, { field });

const unavailable = (walletId: string, proven: number): KeysagaError =>
  new KeysagaError(
    'LeaseUnavailable',
    proven === 0 ? 'the wallet has no proven nonce account yet' : 'every nonce account is in use',
    { resource: 'nonce', walletId, proven },
  );
