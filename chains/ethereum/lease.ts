/** Lends a nonce to a transfer: assigned when its transaction is built, so after the approvals, unless they named it. */
import type { LeaseRequest, Leaser } from '../../core/ports/blockchain.ts';
import {
  type EthereumNonces,
  type NonceCounts,
  nonceResource,
} from '../../core/ports/ethereum-nonces.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { TransferIntent } from '../../schema/contracts/intent.ts';

export type LeasedNonce = { readonly nonce: bigint; readonly lease: LeaseRequest };

export const leaseOf = (network: string, address: string, nonce: bigint): LeaseRequest => ({
  resource: nonceResource(network, address, nonce),
  detail: { address, nonce: nonce.toString() },
});

export type NonceSource = {
  readonly network: string;
  readonly address: string;
  readonly nonces: EthereumNonces;
  readonly counts: NonceCounts;
  readonly now: number;
};

const conflict = (message: string, field: string): KeysagaError =>
  new KeysagaError('StateConflict', message, { field });

function anchorOf({ anchor }: TransferIntent): bigint | undefined {
  if (anchor === undefined) return undefined;
  if (anchor.kind === 'ethereum-nonce') return BigInt(anchor.nonce);
  throw new KeysagaError('InvalidInput', 'the anchor belongs to another chain', {
    field: 'anchor',
  });
}

/** The nonce among the leases that the transfer holds already. */
function heldNonce({ network, address, counts }: NonceSource, leaser: Leaser): bigint | undefined {
  const prefix = nonceResource(network, address, 0n).slice(0, -1);
  const [held] = leaser.held.flatMap(({ resource }) => {
    const digits = resource.startsWith(prefix) ? resource.slice(prefix.length) : '';
    return /^\d{1,20}$/.test(digits) ? [BigInt(digits)] : [];
  });
  if (held !== undefined && held < counts.latest)
    throw conflict('the nonce that this transfer holds was used on chain', 'lease');
  return held;
}

/**
 * The nonce that the transfer holds already, its anchor, or the lowest free one.
 * @throws KeysagaError `LeaseUnavailable` (the anchor is taken), `StateConflict`, `InvalidInput` (`anchor`), `WalletUnknown`.
 */
export async function leaseNonce(
  source: NonceSource,
  intent: TransferIntent,
  leaser: Leaser,
): Promise<LeasedNonce> {
  const { network, address, nonces, counts, now } = source;
  const leased = (nonce: bigint): LeasedNonce => ({
    nonce,
    lease: leaseOf(network, address, nonce),
  });
  const anchor = anchorOf(intent);
  const held = heldNonce(source, leaser);
  if (held !== undefined) {
    if (anchor !== undefined && anchor !== held)
      throw conflict('the transfer holds another nonce than its anchor', 'anchor');
    return leased(held);
  }
  if (anchor !== undefined && anchor < counts.latest)
    throw conflict('the anchored nonce was used on chain', 'anchor');
  const take = (nonce: bigint): Promise<boolean> => {
    const { resource, detail } = leaseOf(network, address, nonce);
    return leaser.tryTake(resource, detail);
  };
  const nonce = await nonces.lend(network, address, counts, now, take, anchor);
  if (nonce !== undefined) return leased(nonce);
  throw new KeysagaError('LeaseUnavailable', 'another transfer holds the anchored nonce', {
    field: 'anchor',
    resource: nonceResource(network, address, anchor ?? 0n),
  });
}
