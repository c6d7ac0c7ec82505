/**
 * `staticSummary` and `staticDetails` of the sagas: what the Temporal UI shows about one before anything ran.
 * The client sets them at the start; both are payloads, so the codec encrypts them.
 */
import type { AnchorRequest, TransferIntent } from './intent.ts';
import type { GenerateKeyRequest } from './key.ts';
import type { MessageIntent } from './message.ts';
import type { AdministratorOrder } from './order.ts';
import type { PayoutIntent } from './payout.ts';
import type { Policy } from './policy.ts';
import type { PoolInput } from './pool.ts';

/** Untrusted text inside Markdown: no line breaks, no characters that Markdown or HTML reads. */
export const plain = (text: string, limit = 200): string =>
  text
    .replace(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, ' ')
    .replace(/[\\`*_{}[\]<>#|~!&]/g, '\\$&')
    .slice(0, limit);

/** Lines of `name: value` as a Markdown list with padded names, which the UI shows in a fixed-width font. */
const lines = (rows: readonly (readonly [string, string])[]): string =>
  ['```', ...rows.map(([name, value]) => `${`${name}:`.padEnd(13)}${value}`), '```'].join('\n');

/** Inside a code fence only the fence itself and control characters matter. */
const fenced = (text: string, limit = 300): string =>
  text
    .replace(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, ' ')
    .replaceAll('`', "'")
    .slice(0, limit);

/** One line, at most 200 characters. */
export const summaryOf = (intent: TransferIntent): string =>
  plain(`${intent.walletId}: ${intent.amount} ${intent.asset} to ${intent.destination}`);

export const detailsOf = (intent: TransferIntent, intentDigest: string): string =>
  lines([
    ['request', intent.requestId],
    ['wallet', intent.walletId],
    ...(intent.path === undefined ? [] : ([['from path', intent.path]] as const)),
    ['chain', intent.chain],
    ['to', fenced(intent.destination)],
    ['amount', `${intent.amount} ${fenced(intent.asset)}`],
    ['fee at most', intent.feeCap],
    ['issued', intent.issuedAt],
    ['expires', intent.expiresAt],
    ...(intent.memo === undefined ? [] : [['memo', fenced(intent.memo)] as const]),
    ...(intent.anchor === undefined
      ? []
      : [['anchor', fenced(Object.values(intent.anchor).join(' '))] as const]),
    ['digest', intentDigest],
  ]);

export const summaryOfPayout = (intent: PayoutIntent): string =>
  plain(
    `${intent.walletId}: ${intent.total} ${intent.asset} to ${intent.lines.length} destinations`,
  );

export const detailsOfPayout = (intent: PayoutIntent, intentDigest: string): string =>
  lines([
    ['request', intent.requestId],
    ['wallet', intent.walletId],
    ['chain', intent.chain],
    ['payments', String(intent.lines.length)],
    ['together', `${intent.total} ${fenced(intent.asset)}`],
    ['fee at most', intent.feeCap],
    ['issued', intent.issuedAt],
    ['expires', intent.expiresAt],
    ...(intent.memo === undefined ? [] : [['memo', fenced(intent.memo)] as const]),
    ['digest', intentDigest],
  ]);

export const summaryOfMessage = (intent: MessageIntent): string =>
  plain(`${intent.walletId}: signs a message (${intent.message.kind})`);

export const detailsOfMessage = (intent: MessageIntent, intentDigest: string): string =>
  lines([
    ['request', intent.requestId],
    ['wallet', intent.walletId],
    ['chain', intent.chain],
    ['kind', intent.message.kind],
    [
      'message',
      fenced(intent.message.kind === 'eip712' ? intent.message.json : intent.message.text, 1_000),
    ],
    ['issued', intent.issuedAt],
    ['expires', intent.expiresAt],
    ...(intent.memo === undefined ? [] : [['memo', fenced(intent.memo)] as const]),
    ['digest', intentDigest],
  ]);

export const summaryOfAnchor = (request: AnchorRequest): string =>
  plain(`${request.walletId}: anchor for ${request.requestId}`);

export const detailsOfAnchor = (request: AnchorRequest): string =>
  lines([
    ['request', request.requestId],
    ['wallet', request.walletId],
    ['amount', request.amount],
    ['until', request.expiresAt],
  ]);

export const summaryOfPolicy = (policy: Policy): string =>
  plain(`policy ${policy.policyId}: version ${policy.version} to every party`);

export const detailsOfPolicy = (policy: Policy, hash: string): string =>
  lines([
    ['policy', policy.policyId],
    ['version', String(policy.version)],
    ['issued', policy.issuedAt],
    ['quorum', `${policy.quorum} of ${policy.approvers.map(({ name }) => name).join(', ')}`],
    ['hash', hash],
  ]);

export const summaryOfOrder = (order: AdministratorOrder): string =>
  plain(`${order.kind} at ${order.party}${'keyId' in order ? `: ${order.keyId}` : ''}`);

export const detailsOfOrder = (order: AdministratorOrder): string =>
  lines([
    ['order', order.orderId],
    ['party', order.party],
    ['reason', order.reason],
    ['valid until', order.validUntil],
  ]);

export const summaryOfPool = ({ walletId, signers }: PoolInput): string =>
  plain(`${walletId}: presignatures of ${signers.join(', ')}`);

export const detailsOfPool = ({ marks }: PoolInput): string =>
  lines([
    ['kept between', `${marks.low} and ${marks.high}`],
    ['made at a time', `${marks.batch}`],
    ['life', `${marks.lifeSeconds} s`],
  ]);

export const summaryOfKey = (request: GenerateKeyRequest): string =>
  plain(
    `${request.requestId}: key of ${request.threshold} of ${request.parties.length} on ${request.network}`,
  );

export const detailsOfKey = (request: GenerateKeyRequest): string =>
  lines([
    ['wallet', request.requestId],
    ['network', request.network],
    ['protocol', request.protocol ?? 'chosen by rule'],
    ['threshold', `${request.threshold} of ${request.parties.length}`],
    ['parties', request.parties.join(', ')],
    ['policy', request.policyId],
  ]);
