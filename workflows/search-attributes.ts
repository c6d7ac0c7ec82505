/** Typed search attributes: the list view answers "what waits for whom" with every coordinator down. */
import { defineSearchAttributeKey, type SearchAttributeUpdatePair } from '@temporalio/common';
import { upsertSearchAttributes } from '@temporalio/workflow';

const WALLET = defineSearchAttributeKey('KeysagaWallet', 'KEYWORD');
const CHAIN = defineSearchAttributeKey('KeysagaChain', 'KEYWORD');
const PHASE = defineSearchAttributeKey('KeysagaPhase', 'KEYWORD');
const PROTOCOL = defineSearchAttributeKey('KeysagaProtocol', 'KEYWORD');
const APPROVER = defineSearchAttributeKey('KeysagaApprover', 'KEYWORD_LIST');

export type Searchable = {
  readonly wallet?: string;
  readonly chain?: string;
  readonly phase?: string;
  readonly protocol?: string;
  /** Whom the transfer waits for; empty: nobody. */
  readonly approvers?: readonly string[];
};

/** Writes only what changed: each upsert is an event and a row in the visibility store. */
export class SearchAttributes {
  #written: Searchable = {};

  update(next: Searchable): void {
    const pairs: SearchAttributeUpdatePair[] = [];
    const { wallet, chain, phase, protocol, approvers } = next;
    if (wallet !== undefined && wallet !== this.#written.wallet)
      pairs.push({ key: WALLET, value: wallet });
    if (chain !== undefined && chain !== this.#written.chain)
      pairs.push({ key: CHAIN, value: chain });
    if (phase !== undefined && phase !== this.#written.phase)
      pairs.push({ key: PHASE, value: phase });
    if (protocol !== undefined && protocol !== this.#written.protocol)
      pairs.push({ key: PROTOCOL, value: protocol });
    if (approvers !== undefined && approvers.join() !== (this.#written.approvers ?? []).join())
      pairs.push({ key: APPROVER, value: approvers.length === 0 ? null : [...approvers] });
    if (pairs.length === 0) return;
    this.#written = { ...this.#written, ...next };
    upsertSearchAttributes(pairs);
  }
}
