/** The public surface: what a release may not lose without a word in the changelog. */
import { describe, expect, it } from 'vitest';
import { KeysagaClient } from '../../client/client.ts';
import * as client from '../../client/index.ts';
import { MessageClient } from '../../client/message-client.ts';
import { PayoutClient } from '../../client/payout-client.ts';
import { PolicyClient } from '../../client/policy-client.ts';
import * as workflows from '../../workflows/index.ts';

const names = (module: object) => Object.keys(module).sort();

describe('exports', () => {
  it('of the SDK', () => {
    expect(names(client)).toMatchInlineSnapshot(`
      [
        "WalletFile",
        "addressCodecs",
        "anchorDemandedBy",
        "anchorRequestFor",
        "anchoredOn",
        "clientOptions",
        "createClient",
        "depositAddress",
        "pinnedCommittees",
        "pinnedKeys",
        "readClientConfig",
        "requireAsRequested",
        "verifyWallet",
        "verifyWalletFile",
        "walletFile",
        "xpubOf",
      ]
    `);
  });
  it('of the SDK’s client', () => {
    const methods = Object.getOwnPropertyNames(KeysagaClient.prototype).sort();
    expect(methods).toMatchInlineSnapshot(`
      [
        "anchor",
        "approve",
        "balances",
        "cancel",
        "close",
        "constructor",
        "generateKey",
        "giveAnchorBack",
        "keygenStatus",
        "keys",
        "parties",
        "pollers",
        "reject",
        "result",
        "signalDecision",
        "status",
        "temporal",
        "transfer",
        "transfers",
        "wallet",
        "watch",
        "watchKeygen",
      ]
    `);
  });
  it('of the client’s part about policies', () => {
    expect(Object.getOwnPropertyNames(PolicyClient.prototype).sort()).toEqual([
      'changePolicy',
      'constructor',
      'policy',
      'policyStatus',
      'watchPolicyChange',
    ]);
  });
  it('of the client’s part about messages', () => {
    expect(Object.getOwnPropertyNames(MessageClient.prototype).sort()).toMatchInlineSnapshot(`
      [
        "cancelMessage",
        "constructor",
        "decideMessage",
        "messageResult",
        "messageStatus",
        "messages",
        "signMessage",
        "signalMessageDecision",
      ]
    `);
  });
  it('of the client’s part about payouts', () => {
    expect(Object.getOwnPropertyNames(PayoutClient.prototype).sort()).toEqual([
      'cancelPayout',
      'constructor',
      'decidePayout',
      'payout',
      'payoutResult',
      'payoutStatus',
      'payouts',
      'signalPayoutDecision',
    ]);
  });
  it('of the workflow bundle: a name here is a workflow type in running histories', () => {
    expect(names(workflows)).toMatchInlineSnapshot(`
      [
        "anchor",
        "changePolicy",
        "deliverOrder",
        "deliverUndo",
        "generateKey",
        "payout",
        "presignaturePool",
        "signMessage",
        "transfer",
      ]
    `);
  });
});
