/** Order files: the document kind, and an order in words. */
import {
  type AdministratorOrder,
  AdministratorOrder as Schema,
} from '../schema/contracts/order.ts';
import type { DocumentKind } from './documents.ts';
import type { Style } from './io.ts';

export const ORDER_KIND: DocumentKind<AdministratorOrder> = { type: 'order', schema: Schema };

const EFFECT: Record<AdministratorOrder['kind'], string> = {
  unfence:
    'the party signs again, but no intent issued before, and no payment for the next 24 hours',
  quarantine: 'the party takes part in nothing with this key; sessions under way end',
  release: 'the quarantine of the key ends',
  destroy: 'the share and its backup are destroyed for ever; nothing brings them back',
};

export function orderLines(order: AdministratorOrder, style: Style): string {
  const rows: (readonly [string, string])[] = [
    ['Order', `${style.bold(order.kind)} ${order.party}`],
    ...('keyId' in order ? [['Key', order.keyId] as const] : []),
    ...(order.kind === 'destroy' ? [['Epoch', `${order.epoch}`] as const] : []),
    ...(order.kind === 'unfence' ? [['Ends', `chain epoch ${order.chainEpoch}`] as const] : []),
    ['Effect', order.kind === 'destroy' ? style.red(EFFECT.destroy) : EFFECT[order.kind]],
    ['Reason', order.reason.replace(/\s+/g, ' ')],
    ['Valid', `${order.issuedAt} to ${order.validUntil}`],
    ['Id', order.orderId],
  ];
  return rows.map(([name, value]) => `${style.dim(name.padEnd(8))}${value}`).join('\n');
}
