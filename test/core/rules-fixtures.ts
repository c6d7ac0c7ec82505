/** Sound objects that the tests of the core's rules break one thing at a time. */
import * as fc from 'fast-check';
import { expect } from 'vitest';
import { certificateOf } from '../../core/certificates.ts';
import { policyHash } from '../../core/policy.ts';
import type { DecodedTransaction } from '../../core/ports/blockchain.ts';
import { requestHash } from '../../core/session/session.ts';
import { publicKeyOf, signObject } from '../../core/signed.ts';
import { Approval } from '../../schema/contracts/approval.ts';
import {
  type ErrorCode,
  isKeysagaError,
  type KeysagaError,
} from '../../schema/contracts/errors.ts';
import { TransferIntent } from '../../schema/contracts/intent.ts';
import { KeyDescriptor, type SignedCertificate } from '../../schema/contracts/key.ts';
import { PrepareRequest, type SignedPrepareAnswer } from '../../schema/contracts/party.ts';
import { Policy, type SignedPolicy } from '../../schema/contracts/policy.ts';
import { AttemptId, PartyId } from '../../schema/contracts/primitives.ts';

/** Calls, and returns the refusal; fails when nothing or something else is thrown. */
export function refusal(call: () => unknown, code: ErrorCode, field?: string): KeysagaError {
  let thrown: unknown;
  try {
    call();
  } catch (error) {
    thrown = error;
  }
  expect(isKeysagaError(thrown), `expected ${code}, got ${String(thrown)}`).toBe(true);
  const error = thrown as KeysagaError;
  expect({
    code: error.code,
    field: field === undefined ? undefined : error.details.field,
  }).toEqual({ code, field });
  return error;
}

/** Every way to change one leaf of a JSON value a little, keeping its type; yields the path and the changed copy. */
export function* changedLeaves<T>(
  value: T,
  path: readonly string[] = [],
): Generator<{ path: string; value: T }> {
  if (typeof value === 'string') {
    const changed = /^[0-9a-f-]*[0-9a-f]$/.test(value)
      ? `${value.slice(0, -1)}${(Number.parseInt(value.slice(-1), 16) ^ 1).toString(16)}`
      : /^\d{4}-.*Z$/.test(value)
        ? new Date(Date.parse(value) + 1).toISOString()
        : `${value.slice(0, -1)}${value.endsWith('x') ? 'y' : 'x'}`;
    yield { path: path.join('.'), value: changed as T };
  } else if (typeof value === 'number') yield { path: path.join('.'), value: (value + 1) as T };
  else if (typeof value === 'boolean') yield { path: path.join('.'), value: !value as T };
  else if (Array.isArray(value))
    for (const [i, item] of value.entries())
      for (const change of changedLeaves(item, [...path, `${i}`]))
        yield { path: change.path, value: value.with(i, change.value) as T };
  else if (typeof value === 'object' && value !== null)
    for (const [name, item] of Object.entries(value))
      for (const change of changedLeaves(item, [...path, name]))
        yield { path: change.path, value: { ...value, [name]: change.value } };
}

/** `fc.assert` for a synchronous property: it throws with seed and counterexample, and there is no promise to await. */
export function forAll<T>(property: fc.IProperty<T>, parameters?: fc.Parameters<T>): void {
  void fc.assert(property, parameters);
}

/** One bit of a hex string flipped. */
export function flipBit(hex: string, bit: number): string {
  const nibble = Math.floor(bit / 4) % hex.length;
  const changed = (Number.parseInt(hex.charAt(nibble), 16) ^ (1 << (bit % 4))).toString(16);
  return `${hex.slice(0, nibble)}${changed}${hex.slice(nibble + 1)}`;
}

export const seed = (n: number): Uint8Array => new Uint8Array(32).fill(n);
export const hex32 = (n: number): string => n.toString(16).padStart(2, '0').repeat(32);
export const NOW = Date.parse('2025-06-01T12:00:00.000Z');
export const at = (ms: number): string => new Date(NOW + ms).toISOString();
export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

export const BITCOIN = 'bip122:0f9188f13cb7b2c71f2a335e3a4fc328';
export const SOLANA = 'solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1';
export const OWN = 'bcrt1pownaddressofthewallet';
export const PAYEE = 'bcrt1pdestinationofthepayee';
export const SOLANA_OWN = 'So1anaWa11etAddressOwn1111111111111111111';
export const SOLANA_PAYEE = 'So1anaWa11etAddressPayee11111111111111111';
export const NONCE_ACCOUNT = 'NonceAccount11111111111111111111111111111';

export const APPROVERS = ['alice', 'bob', 'carol'] as const;
export type Who = (typeof APPROVERS)[number];
export const approverSeed = (who: string): Uint8Array => seed(1 + APPROVERS.indexOf(who as Who));
export const ADMINS = ['ada', 'barbara', 'edsger'].map((name, i) => ({
  name,
  publicKey: publicKeyOf(seed(21 + i)),
  seed: seed(21 + i),
}));

export const policy = (patch: Record<string, unknown> = {}): Policy =>
  Policy.parse({
    policyId: 'demo',
    version: 1,
    issuedAt: at(-DAY),
    approvers: APPROVERS.map((name) => ({ name, publicKey: publicKeyOf(approverSeed(name)) })),
    quorum: 2,
    limits: [
      {
        network: BITCOIN,
        asset: 'native',
        perTransfer: '50000',
        perDay: '200000',
        anchorFrom: '40000',
      },
      { network: SOLANA, asset: 'native', perTransfer: '5000', perDay: '20000' },
    ],
    strictDailyLimit: false,
    voidFeeCaps: [
      { network: BITCOIN, cap: '10000' },
      { network: SOLANA, cap: '10000' },
    ],
    startDelaySeconds: 0,
    ...patch,
  });

export const signPolicy = (p: Policy, admins = ADMINS.slice(0, 2)): SignedPolicy => ({
  policy: p,
  signatures: admins.map((a) => ({
    administrator: a.name as SignedPolicy['signatures'][number]['administrator'],
    publicKey: a.publicKey,
    signature: signObject('policy', p, a.seed),
  })),
});

export const intent = (patch: Record<string, unknown> = {}): TransferIntent =>
  TransferIntent.parse({
    requestId: 'pay-1',
    walletId: 'wallet-1',
    chain: BITCOIN,
    destination: PAYEE,
    asset: 'native',
    amount: '30000',
    feeCap: '5000',
    issuedAt: at(-HOUR),
    expiresAt: at(DAY),
    ...patch,
  });
export const solanaIntent = (patch: Record<string, unknown> = {}): TransferIntent =>
  intent({ chain: SOLANA, destination: SOLANA_PAYEE, amount: '3000', ...patch });

export const INPUT = `bitcoin:${hex32(7)}:1`;
export const bitcoinPayment = (patch: Partial<DecodedTransaction> = {}): DecodedTransaction => ({
  network: BITCOIN,
  from: OWN,
  effects: [
    { kind: 'pay', destination: PAYEE, asset: 'native', amount: 30000n },
    { kind: 'change', address: OWN, amount: 900n },
  ],
  fee: 400n,
  conflictKeys: [INPUT],
  ...patch,
});
export const ADVANCE = {
  kind: 'advance-nonce',
  account: NONCE_ACCOUNT,
  authority: SOLANA_OWN,
  value: hex32(9),
} as const;
export const NONCE_KEY = `solana:${NONCE_ACCOUNT}:${hex32(9)}`;
export const solanaPayment = (patch: Partial<DecodedTransaction> = {}): DecodedTransaction => ({
  network: SOLANA,
  from: SOLANA_OWN,
  effects: [ADVANCE, { kind: 'pay', destination: SOLANA_PAYEE, asset: 'native', amount: 3000n }],
  fee: 400n,
  conflictKeys: [NONCE_KEY],
  ...patch,
});

export const approval = (
  who: string,
  digest: string,
  patch: Record<string, unknown> = {},
): Approval =>
  Approval.parse({
    intentDigest: digest,
    approver: who,
    decision: 'approve',
    at: at(-MINUTE),
    validUntil: at(HOUR),
    ...patch,
  });

export const PARTIES = ['alpha', 'beta', 'gamma'].map((p) => PartyId.parse(p));
export const [ALPHA, BETA, GAMMA] = PARTIES as [PartyId, PartyId, PartyId];
export const partySeed = (party: PartyId): Uint8Array => seed(11 + PARTIES.indexOf(party));
export const IDENTITIES: ReadonlyMap<PartyId, string> = new Map(
  PARTIES.map((p) => [p, publicKeyOf(partySeed(p))]),
);
export const ATTEMPT = AttemptId.parse('6f1c1f1a-3c50-4c55-9b51-0d4a2b7f3a10');
export const OTHER_ATTEMPT = AttemptId.parse('0e4d7d52-6c1b-4f0e-8a55-5f7f2b9c8d11');

export const key = (patch: Record<string, unknown> = {}): KeyDescriptor =>
  KeyDescriptor.parse({
    keyId: 'wallet-1',
    walletId: 'wallet-1',
    epoch: 0,
    network: BITCOIN,
    protocol: 'frost-bip340',
    threshold: 2,
    parties: PARTIES,
    publicKey: hex32(3),
    publicPackage: 'a1b2c3',
    address: OWN,
    policyId: 'demo',
    policyHash: policyHash(policy()),
    transcriptHash: hex32(5),
    ...patch,
  });
export const certify = (party: PartyId, k = key(), attempt = ATTEMPT): SignedCertificate => {
  const certificate = certificateOf(party, attempt, k);
  return { certificate, signature: signObject('certificate', certificate, partySeed(party)) };
};

export const keygenRequest = (patch: Record<string, unknown> = {}): PrepareRequest =>
  PrepareRequest.parse({
    kind: 'keygen',
    requestId: 'wallet-1',
    attempt: ATTEMPT,
    keyId: 'wallet-1',
    walletId: 'wallet-1',
    epoch: 0,
    network: BITCOIN,
    protocol: 'frost-bip340',
    threshold: 2,
    signers: PARTIES,
    policyId: 'demo',
    policyHash: policyHash(policy()),
    ...patch,
  });

export function prepareAnswer(
  party: PartyId,
  request = keygenRequest(),
  patch: Record<string, unknown> = {},
  signer = partySeed(party),
): SignedPrepareAnswer {
  const head = { party, chainEpoch: 0, sequence: 4, hash: hex32(30 + PARTIES.indexOf(party)) };
  const answer = {
    party,
    attempt: request.attempt,
    requestHash: requestHash(request),
    nonce: hex32(40 + PARTIES.indexOf(party)),
    hpkePublicKey: hex32(50 + PARTIES.indexOf(party)),
    policyHash: request.policyHash,
    machineVersion: 'frost-bip340/keygen/1',
    expiresAt: at(MINUTE),
    head: { head, signature: signObject('head', head, partySeed(party)) },
    witnessed: [],
    ...patch,
  };
  return { answer, signature: signObject('prepare-answer', answer, signer) };
}
