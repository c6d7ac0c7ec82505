/**
 * A JSON-RPC provider that is not to be trusted, in front of a real node: it delays, answers with HTTP errors, delivers and
 * then loses the answer, answers an earlier request, asks something else, or lies. What is not told otherwise passes through.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export type RpcCall = { readonly method: string; readonly params: readonly unknown[] };
export type Fault =
  /** The node is asked this much later. */
  | { readonly kind: 'delay'; readonly ms: number }
  /** The node is not asked; this comes back, or the connection is cut. */
  | { readonly kind: 'status'; readonly status: number }
  | { readonly kind: 'error'; readonly code: number; readonly message: string }
  | { readonly kind: 'away' }
  /** The node has answered; the connection is cut instead. */
  | { readonly kind: 'drop-after-delivery' }
  /** The answer to the request before this one. */
  | { readonly kind: 'previous-answer' }
  /** The node is asked with these parameters, as one that is behind would answer. */
  | { readonly kind: 'ask'; readonly params: readonly unknown[] }
  /** Another result under the right id. */
  | { readonly kind: 'lie'; readonly result: (truth: unknown) => unknown };

export type RpcProxy = {
  /** With the user and password of the node's own. */
  readonly url: string;
  /** What is done to a call; undefined: nothing. Replaced by tests at any time. */
  fault: (call: RpcCall) => Fault | undefined;
  /** What was asked since the last `heal`. */
  readonly calls: RpcCall[];
  /** No more faults, and no calls remembered. */
  heal(): void;
  close(): Promise<void>;
};

export async function startRpcProxy(target: string): Promise<RpcProxy> {
  const node = new URL(target);
  const { username, password } = node;
  node.username = '';
  node.password = '';
  const calls: RpcCall[] = [];
  let previous = '{}';

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = JSON.parse(Buffer.concat(chunks).toString()) as RpcCall & { id: unknown };
    calls.push({ method: body.method, params: body.params });
    const fault = proxy.fault({ method: body.method, params: body.params });
    if (fault?.kind === 'away') return void response.destroy();
    if (fault?.kind === 'status') return void response.writeHead(fault.status).end('no');
    if (fault?.kind === 'error') {
      const { code, message } = fault;
      const { id } = body;
      return void response.end(JSON.stringify({ jsonrpc: '2.0', id, error: { code, message } }));
    }
    if (fault?.kind === 'delay') await sleep(fault.ms);
    const { authorization } = request.headers;
    const passed = await fetch(node, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(authorization === undefined ? {} : { authorization }),
      },
      body: JSON.stringify(fault?.kind === 'ask' ? { ...body, params: fault.params } : body),
    });
    const [text, before] = [await passed.text(), previous];
    previous = text;
    if (fault?.kind === 'drop-after-delivery') return void response.destroy();
    response.writeHead(passed.status, { 'content-type': 'application/json' });
    if (fault?.kind === 'previous-answer') return void response.end(before);
    const told = JSON.parse(text) as { result?: unknown };
    if (fault?.kind === 'lie') {
      const { error: _, ...rest } = told as Record<string, unknown>;
      return void response.end(JSON.stringify({ ...rest, result: fault.result(told.result) }));
    }
    response.end(text);
  }

  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  url.username = username;
  url.password = password;
  const proxy: RpcProxy = {
    url: url.href,
    fault: () => undefined,
    calls,
    heal() {
      proxy.fault = () => undefined;
      calls.length = 0;
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return proxy;
}
