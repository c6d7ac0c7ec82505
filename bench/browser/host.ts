/** A page in a headless Chromium that does what it is told: its server on 127.0.0.1, its browser, and the end of both. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { ensureChromium } from '../../dev/parts/chromium.ts';
import { until } from '../../dev/until.ts';
import type { WorkName } from '../dkls23-work.ts';
import { browserBundle } from './bundle.ts';
import { type Answer, ORDERS_PATH, type Order } from './orders.ts';

export type Page = {
  /** Product and version. */
  readonly browser: string;
  /** The page makes its keys and does the work once, checked. */
  prepare(work: WorkName): Promise<void>;
  /** Wall milliseconds of one run of what was prepared last, by the page's own clock. */
  run(work: WorkName): Promise<number>;
  close(): Promise<void>;
};

/** The first answer after a start, and the slowest work on a machine that is busy otherwise. */
const DEADLINE_MS = 120_000;
const STOP_MS = 5_000;

/** The page waits here for an order, the bench for an answer. */
function exchange() {
  let hand: (order: Order) => void = () => {};
  let answer: (answer: Answer) => void = () => {};
  let failed: (reason: Error) => void = () => {};
  const over = new Promise<never>((_, reject) => {
    failed = reject;
  });
  over.catch(() => {});
  const answered = async (): Promise<Answer> => {
    let timer: NodeJS.Timeout | undefined;
    const given = new Promise<Answer>((resolve, reject) => {
      answer = resolve;
      timer = setTimeout(
        () => reject(new Error(`the page gave no answer within ${DEADLINE_MS / 1_000} s`)),
        DEADLINE_MS,
      );
    });
    return Promise.race([given, over]).finally(() => clearTimeout(timer));
  };
  return {
    answered,
    /** Ends every wait, now and later. */
    fail: (reason: Error) => failed(reason),
    async order(order: Order): Promise<Answer> {
      const next = answered();
      hand(order);
      return next;
    },
    async post(request: IncomingMessage, response: ServerResponse): Promise<void> {
      const given = JSON.parse(await text(request)) as Answer;
      hand = (order) => void response.end(JSON.stringify(order));
      answer(given);
    },
  };
}

async function listen(script: string, meeting: ReturnType<typeof exchange>): Promise<Server> {
  const server = createServer((request, response) => {
    // A page of its own origin only gets the clock of 5 µs; others get one of 100 µs.
    response.setHeader('cross-origin-opener-policy', 'same-origin');
    response.setHeader('cross-origin-embedder-policy', 'require-corp');
    if (request.method === 'POST' && request.url === ORDERS_PATH) {
      response.setHeader('content-type', 'application/json');
      meeting.post(request, response).catch(() => response.destroy());
    } else if (request.url === '/page.js') {
      response.setHeader('content-type', 'text/javascript; charset=utf-8');
      response.end(script);
    } else {
      response.setHeader('content-type', 'text/html; charset=utf-8');
      response.end('<!doctype html><title>bench</title><script src="/page.js"></script>');
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

/** In this process's group, so that Ctrl-C reaches it; the pipe ends it when this process is gone in any other way. */
function startChromium(path: string, profile: string, url: string): ChildProcess {
  return spawn(
    path,
    [
      '--headless=new',
      '--remote-debugging-pipe',
      `--user-data-dir=${profile}`,
      // Chromium's sandbox refuses root.
      ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
      '--disable-gpu',
      '--disable-dev-shm-usage',
      '--disable-extensions',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--no-first-run',
      url,
    ],
    { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] },
  );
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
  await gone;
  clearTimeout(timer);
}

/** @throws KeysagaError `PartMissing` when there is no Chromium. */
export async function openPage(): Promise<Page> {
  const { path, version } = await ensureChromium();
  const script = await browserBundle({ entryPoints: ['bench/browser/page.ts'] });
  const meeting = exchange();
  const server = await listen(script, meeting);
  const profile = mkdtempSync(join(tmpdir(), 'keysaga-chromium-'));
  const { port } = server.address() as AddressInfo;
  const child = startChromium(path, profile, `http://127.0.0.1:${port}/`);
  child.once('error', (error) => meeting.fail(error));
  child.once('exit', (code, signal) =>
    meeting.fail(new Error(`${path} ended with ${signal ?? code}`)),
  );
  const close = async () => {
    await stop(child);
    server.closeAllConnections();
    server.close();
    // Its helpers write for a moment longer than it lives.
    await until(
      () => {
        rmSync(profile, { recursive: true, force: true });
        return true;
      },
      { deadlineMs: STOP_MS, what: 'the profile of Chromium is removed' },
    );
  };
  const obeyed = async (order: Order): Promise<Answer> => {
    const answer = await meeting.order(order);
    if (answer.kind === 'failed') throw new Error(`in the page: ${answer.message}`);
    return answer;
  };
  try {
    await meeting.answered();
  } catch (error) {
    await close();
    throw error;
  }
  return {
    browser: `Chromium ${version}`,
    prepare: async (work) => {
      await obeyed({ kind: 'prepare', work });
    },
    run: async (work) => {
      const answer = await obeyed({ kind: 'run', work });
      if (answer.kind !== 'sample') throw new Error('the page answered something else');
      return answer.milliseconds;
    },
    close,
  };
}
