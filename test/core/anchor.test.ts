/** Anchors before their transfer, as decisions: who may have one, until when, and which intent may begin on it. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ANCHOR_MARGIN_MS,
  type AnchorState,
  anchorDemanded,
  anchorFold,
  anchorUntil,
  giveBack,
  leasedBefore,
  requireAnchorLeased,
} from '../../core/anchor.ts';
import type { Lease } from '../../core/ports/ledger.ts';
import { anchorKey, anchorResource } from '../../core/rules/effects.ts';
import type { DomainEvent } from '../../schema/contracts/events.ts';
import type { Anchor, AnchorRequest } from '../../schema/contracts/intent.ts';
import { forAll, hex32, intent, refusal } from './rules-fixtures.ts';

const anchor: Anchor = { kind: 'bitcoin-outpoint', txid: hex32(7), vout: '1' };
const request = {
  requestId: intent().requestId,
  walletId: intent().walletId,
  amount: '5',
  feeCap: '5',
  expiresAt: intent().expiresAt,
} as AnchorRequest;
const until = new Date(Date.parse(request.expiresAt) + ANCHOR_MARGIN_MS).toISOString();
const leased = {
  type: 'keysaga.anchor.leased.v1',
  data: {
    requestId: request.requestId,
    walletId: request.walletId,
    network: intent().chain,
    anchor,
    resource: anchorResource(anchor, intent().chain, ''),
    until,
  },
} as DomainEvent;
const folded = (...events: readonly DomainEvent[]): AnchorState =>
  events.reduce(anchorFold.apply, anchorFold.initial);
const back = giveBack(folded(), request.requestId, 'x');

describe('a lease ahead', () => {
  it('lasts a little longer than the intent, which lives at most 90 days', () => {
    const expires = Date.parse(request.expiresAt);
    expect(anchorUntil(request, expires - 1)).toBe(until);
    refusal(() => anchorUntil(request, expires), 'IntentExpired', 'expiresAt');
    const quarter = 90 * 86_400_000;
    expect(anchorUntil(request, expires - quarter)).toBe(until);
    refusal(() => anchorUntil(request, expires - quarter - 1), 'InvalidInput', 'expiresAt');
  });

  it('is answered again, of its own wallet only, and never after it was given back', () => {
    expect(leasedBefore(folded(), request)).toBeUndefined();
    expect(leasedBefore(folded(leased), request)).toEqual({ anchor, until });
    const other = { ...request, walletId: 'other' } as AnchorRequest;
    refusal(() => leasedBefore(folded(leased), other), 'RequestConflict', 'walletId');
    refusal(() => leasedBefore(folded(leased, ...back), request), 'StateConflict', 'anchor');
    // A late try after it was given up must not lease either.
    refusal(() => leasedBefore(folded(...back), request), 'StateConflict', 'anchor');
    expect(giveBack(folded(...back), request.requestId, 'again')).toEqual([]);
  });
});

describe('an intent that names an anchor', () => {
  const anchored = intent({ anchor });
  const lease = {
    resource: anchorResource(anchor, anchored.chain, ''),
    detail: {},
    network: anchored.chain,
    walletId: anchored.walletId,
    owner: anchored.requestId,
    state: 'held',
  } as Lease;

  it('begins only on a lease of its own: held, of its wallet, network and resource', () => {
    requireAnchorLeased(anchored, '', [lease]);
    requireAnchorLeased(intent(), '', []);
    const wrong: readonly (readonly Lease[])[] = [
      [],
      [{ ...lease, state: 'released' }],
      [{ ...lease, state: 'consumed' }],
      [{ ...lease, walletId: 'other' }],
      [{ ...lease, network: 'solana:x' }],
      [{ ...lease, resource: `${lease.resource}0` }],
    ];
    for (const leases of wrong)
      refusal(() => requireAnchorLeased(anchored, '', leases), 'StateConflict', 'anchor');
  });

  it('is leased under the resource that its transactions consume', () => {
    const anchors: Anchor[] = [
      anchor,
      { kind: 'solana-nonce', account: 'A'.repeat(32), value: hex32(1) },
      { kind: 'ethereum-nonce', nonce: '7' },
    ];
    for (const one of anchors) {
      const [family, ...rest] = anchorKey(one, '0xabc').split(':');
      expect(anchorResource(one, 'net:1', '0xabc')).toBe([family, 'net:1', ...rest].join(':'));
    }
  });
});

it('an anchor is demanded from the amount on, and never without a rule', () => {
  forAll(
    fc.property(
      fc.bigInt({ min: 0n, max: 10n ** 30n }),
      fc.bigInt({ min: 1n, max: 10n ** 30n }),
      (from, amount) => {
        expect(anchorDemanded(`${from}`, amount)).toBe(amount >= from);
        expect(anchorDemanded(`${from}`, `${amount}`)).toBe(amount >= from);
        expect(anchorDemanded(undefined, amount)).toBe(false);
      },
    ),
  );
});
