/** The page's program: prepares a work of `dkls23-work.ts`, runs it once an order, and answers with the time that took. */
import { WORKS } from '../dkls23-work.ts';
import { wallMilliseconds } from '../figures.ts';
import { type Answer, ORDERS_PATH, type Order } from './orders.ts';

let work = (): void => {
  throw new Error('nothing was prepared');
};

function obey({ kind, work: name }: Order): Answer {
  try {
    if (kind === 'run') return { kind: 'sample', milliseconds: wallMilliseconds(work) };
    work = WORKS[name].prepare();
    return { kind: 'prepared' };
  } catch (error) {
    return { kind: 'failed', message: error instanceof Error ? error.message : String(error) };
  }
}

async function serve(): Promise<void> {
  let answer: Answer = { kind: 'ready' };
  // Until the bench has gone.
  for (;;) {
    const response = await fetch(ORDERS_PATH, { method: 'POST', body: JSON.stringify(answer) });
    answer = obey((await response.json()) as Order);
  }
}
void serve();
