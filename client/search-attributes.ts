/** Typed keys of the search attributes, as the sagas write them and the lists read them. */
import { defineSearchAttributeKey } from '@temporalio/common';

export const WALLET = defineSearchAttributeKey('KeysagaWallet', 'KEYWORD');
export const CHAIN = defineSearchAttributeKey('KeysagaChain', 'KEYWORD');
export const PHASE = defineSearchAttributeKey('KeysagaPhase', 'KEYWORD');
export const APPROVER = defineSearchAttributeKey('KeysagaApprover', 'KEYWORD_LIST');
