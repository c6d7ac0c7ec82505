/** What page and bench say to each other: the page posts an answer and gets its next order for it. */
import type { WorkName } from '../dkls23-work.ts';

export type Answer =
  | { readonly kind: 'ready' }
  | { readonly kind: 'prepared' }
  | { readonly kind: 'sample'; readonly milliseconds: number }
  | { readonly kind: 'failed'; readonly message: string };

export type Order = { readonly kind: 'prepare' | 'run'; readonly work: WorkName };

export const ORDERS_PATH = '/orders';
