/**
 * What each answer of a provider means, over HTTP and through the adapters' own clients: every row of the tables in
 * docs/providers.md is played here, and every row played here stands there.
 */
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { outcomeOf as bitcoinOutcome } from '../../chains/bitcoin/broadcast.ts';
import { bitcoinNetwork } from '../../chains/bitcoin/networks.ts';
import { createNode } from '../../chains/bitcoin/node.ts';
import { createRpc } from '../../chains/bitcoin/rpc.ts';
import { outcomeOf as ethereumOutcome } from '../../chains/ethereum/broadcast.ts';
import { ethereumNetwork } from '../../chains/ethereum/networks.ts';
import { EthereumRpc } from '../../chains/ethereum/rpc.ts';
import { createProviders, type Providers } from '../../chains/providers.ts';
import { outcomeOf as solanaOutcome } from '../../chains/solana/broadcast.ts';
import { solanaLocal, solanaMainnet } from '../../chains/solana/networks.ts';
import { SolanaRpc } from '../../chains/solana/rpc.ts';
import { isKeysagaError } from '../../schema/contracts/errors.ts';
import type { BroadcastOutcome } from '../../schema/contracts/transaction.ts';

type Call = { readonly id: unknown; readonly method: string };
type Reply =
  | { readonly result: unknown }
  | { readonly error: { readonly code: number; readonly message: string } }
  | { readonly http: number; readonly text?: string }
  | { readonly raw: (call: Call) => string }
  | 'cut'
  | 'silence';

const REGTEST = 'bip122:0f9188f13cb7b2c71f2a335e3a4fc328';
const genesis = '0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206';
const TXID = 'ab'.repeat(32);
const SIGNATURE = '5'.repeat(88);

let server: Server;
let url: string;
/** Of the identity question and of every other. */
let identity: Reply | undefined;
let reply: Reply = { result: null };
beforeAll(async () => {
  server = createServer(async (request, response) => {
    let text = '';
    for await (const part of request) text += part;
    const call = JSON.parse(text) as Call & { params: unknown[] };
    const asksWho =
      ['eth_chainId', 'getGenesisHash'].includes(call.method) ||
      (call.method === 'getblockhash' && call.params[0] === 0);
    const honest = {
      eth_chainId: { result: '0x7a69' },
      getGenesisHash: { result: 'local' },
      getblockhash: { result: genesis },
    }[call.method];
    const now = asksWho ? (identity ?? honest ?? reply) : reply;
    if (now === 'silence') return;
    if (now === 'cut') return void response.destroy();
    if ('http' in now) return void response.writeHead(now.http).end(now.text ?? 'no');
    const { id } = call;
    response.end('raw' in now ? now.raw(call) : JSON.stringify({ jsonrpc: '2.0', id, ...now }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/secret-access-key`;
});
afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

type Client = {
  read(): Promise<unknown>;
  send(): Promise<BroadcastOutcome>;
  /** A question to which a node may say that it has none. */
  find(): Promise<unknown>;
};
const timeoutMs = 400;
const client = <T>(connect: () => T, asks: Record<keyof Client, (node: T) => Promise<unknown>>) => {
  const providers: Providers<T> = createProviders({ network: 'test', rpcUrl: 'url', connect });
  return {
    read: () => providers.first(asks.read),
    find: () => providers.first(asks.find),
    send: () => providers.send(asks.send as (node: T) => Promise<BroadcastOutcome>),
  };
};
const clients: Record<string, () => Client> = {
  bitcoin: () =>
    client(() => createNode(createRpc({ url, retries: 0, timeoutMs }), bitcoinNetwork(REGTEST)), {
      read: (node) => node.relay(),
      find: (node) => node.transaction(TXID),
      send: async (node) => bitcoinOutcome(await node.send('00'), TXID),
    }),
  ethereum: () =>
    client(
      () =>
        new EthereumRpc({ network: ethereumNetwork('eip155:31337'), url, retries: 0, timeoutMs }),
      {
        read: (node) => node.balance(`0x${'00'.repeat(20)}`),
        find: (node) => node.nonceThen(`0x${'00'.repeat(20)}`, 1n),
        send: async (node) => ethereumOutcome(await node.send('00'), `0x${TXID}`),
      },
    ),
  solana: () =>
    client(() => new SolanaRpc({ network: solanaLocal, url, retries: 0, timeoutMs }), {
      read: (node) => node.slot(),
      find: (node) => node.blockhashOf(SIGNATURE),
      send: async (node) => solanaOutcome(await node.send(Uint8Array.of(1))),
    }),
};

/** As the documentation names it. */
async function named(work: Promise<unknown>): Promise<string> {
  try {
    const answer = await work;
    if (answer === undefined) return 'not there';
    return (answer as { status?: string } | null)?.status ?? 'an answer';
  } catch (error) {
    if (!isKeysagaError(error)) throw error;
    expect(`${error.message} ${JSON.stringify(error.details)} ${error.cause}`).not.toContain(
      'secret',
    );
    return `${error.code}${error.retryable ? ', tried again' : ''}`;
  }
}
const documentation = readFileSync(new URL('../../docs/providers.md', import.meta.url), 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('|'))
  .map((line) => line.replace(/\s+/g, ' ').trim());
const stands = (...cells: readonly string[]) =>
  expect(documentation).toContain(`| ${cells.join(' | ')} |`);

const AGAIN = 'ChainUnavailable, tried again';
const error = (code: number, message: string): Reply => ({ error: { code, message } });
const transport: [string, Reply, string, string][] = [
  ['no connection, or one that is cut', 'cut', AGAIN, 'unclear'],
  ['no answer within the time limit', 'silence', AGAIN, 'unclear'],
  ['HTTP 5xx, 429', { http: 503 }, AGAIN, 'unclear'],
  ['HTTP 401, 403', { http: 401 }, 'ChainUnavailable', 'unclear'],
  ['no JSON', { raw: () => 'Work queue depth exceeded' }, AGAIN, 'unclear'],
  [
    'an answer to another request',
    { raw: () => JSON.stringify({ jsonrpc: '2.0', id: 'other', result: 1 }) },
    AGAIN,
    'unclear',
  ],
];
describe.each(Object.keys(clients))('%s', (chain) => {
  const asked = () => (clients[chain] as () => Client)();
  it.each(transport)('%s', async (words, answer, read, send) => {
    identity = undefined;
    reply = answer;
    expect(await named(asked().read())).toBe(read);
    expect(await named(asked().send())).toBe(send);
    stands(words, read, send);
  });

  it('a result of another form', async () => {
    reply = { result: { an: 'object' } };
    if (chain === 'bitcoin') reply = { result: 'words' };
    expect(await named(asked().read())).toBe(AGAIN);
    stands('a result of another form', AGAIN, 'unclear');
  });

  it('another chain id or genesis hash', async () => {
    reply = { result: null };
    identity = {
      result: { bitcoin: '00'.repeat(32), ethereum: '0x1', solana: `${solanaMainnet.genesis}xyz` }[
        chain
      ],
    };
    expect(await named(asked().read())).toBe('ChainMismatch');
    expect(await named(asked().send())).toBe('ChainMismatch');
    identity = undefined;
    stands('another chain id or genesis hash', 'ChainMismatch', 'ChainMismatch');
  });
});

const codes: [string, string, number, string, string, string][] = [
  [
    'bitcoin',
    '−28, −9, −10: it starts, or is not connected',
    -28,
    'Loading block index…',
    AGAIN,
    'unclear',
  ],
  ['ethereum', '−32005, −32016, 429: limit exceeded', -32005, 'limit exceeded', AGAIN, 'unclear'],
  [
    'solana',
    '−32004, −32005, −32014, −32016: behind or unhealthy',
    -32005,
    'Node is behind by 42 slots',
    AGAIN,
    'unclear',
  ],
  ['bitcoin', 'any other error', -1, 'something', AGAIN, 'unclear'],
  ['ethereum', 'any other error', -32603, 'internal error', AGAIN, 'unclear'],
  ['solana', '−32603: internal error', -32603, 'Internal error', AGAIN, 'unclear'],
];
it.each(codes)('%s, %s', async (chain, words, code, message, read, send) => {
  reply = error(code, message);
  const asked = clients[chain] as () => Client;
  expect(await named(asked().read())).toBe(read);
  expect(await named(asked().send())).toBe(send);
  stands(chain, words, read, send);
});

const absent: [string, string, number, string][] = [
  ['bitcoin', '−5: no such transaction, or no index of them', -5, 'No such mempool transaction'],
  ['ethereum', 'it has forgotten that state', -32000, 'missing trie node'],
  ['solana', '−32011 and others: it keeps no history', -32011, 'history is not available'],
];
it.each(absent)('%s, %s', async (chain, words, code, message) => {
  reply = error(code, message);
  expect(await named((clients[chain] as () => Client)().find())).toBe('not there');
  stands(chain, words, 'not there', '–');
});

const sent: [string, string, Reply, string][] = [
  ['bitcoin', 'the transaction’s id', { result: TXID }, 'accepted'],
  ['bitcoin', 'another id', { result: 'cd'.repeat(32) }, 'unclear'],
  [
    'bitcoin',
    '−27 already in utxo set',
    error(-27, 'Transaction outputs already in utxo set'),
    'already-known',
  ],
  ['bitcoin', 'txn-already-in-mempool', error(-26, 'txn-already-in-mempool'), 'already-known'],
  [
    'bitcoin',
    'already have transaction (btcd)',
    error(-26, 'already have transaction in mempool ab'),
    'already-known',
  ],
  [
    'bitcoin',
    'bad-txns-inputs-missingorspent',
    error(-25, 'bad-txns-inputs-missingorspent'),
    'unclear',
  ],
  [
    'bitcoin',
    'orphan transaction (btcd)',
    error(-25, 'orphan transaction ab references outputs of unknown or fully-spent transaction cd'),
    'unclear',
  ],
  ['bitcoin', 'txn-mempool-conflict', error(-26, 'txn-mempool-conflict'), 'unclear'],
  ['bitcoin', 'mempool full', error(-26, 'mempool full'), 'unclear'],
  ['bitcoin', '−22 does not decode', error(-22, 'TX decode failed'), 'rejected'],
  ['bitcoin', '−26 any other rule or policy', error(-26, 'min relay fee not met'), 'rejected'],
  [
    'bitcoin',
    '−25 TX rejected (btcd)',
    error(-25, 'TX rejected: failed to validate input'),
    'rejected',
  ],
  ['ethereum', 'the transaction’s id', { result: `0x${TXID}` }, 'accepted'],
  ['ethereum', 'another id', { result: `0x${'cd'.repeat(32)}` }, 'unclear'],
  ['ethereum', 'already known', error(-32000, 'already known'), 'already-known'],
  [
    'ethereum',
    'nonce too low',
    error(-32000, 'nonce too low: next nonce 5, tx nonce 4'),
    'unclear',
  ],
  [
    'ethereum',
    'replacement transaction underpriced',
    error(-32000, 'replacement transaction underpriced'),
    'unclear',
  ],
  [
    'ethereum',
    'max fee less than block base fee',
    error(-32000, 'max fee per gas less than block base fee'),
    'unclear',
  ],
  ['ethereum', 'txpool is full', error(-32000, 'txpool is full'), 'unclear'],
  [
    'ethereum',
    '−32000, −32003 any other reason',
    error(-32000, 'insufficient funds for gas * price + value'),
    'rejected',
  ],
  ['ethereum', '−32602 bytes that it cannot read', error(-32602, 'rlp: expected List'), 'rejected'],
  ['solana', 'a signature', { result: SIGNATURE }, 'accepted'],
  [
    'solana',
    'already been processed',
    error(-32002, 'Transaction simulation failed: This transaction has already been processed'),
    'already-known',
  ],
  [
    'solana',
    'Blockhash not found',
    error(-32002, 'Transaction simulation failed: Blockhash not found'),
    'unclear',
  ],
  [
    'solana',
    'any other reason',
    error(
      -32002,
      'Transaction simulation failed: Attempt to debit an account but found no record of a prior credit',
    ),
    'rejected',
  ],
];
it.each(sent)('%s sends: %s', async (chain, words, answer, outcome) => {
  reply = answer;
  expect(await named((clients[chain] as () => Client)().send())).toBe(outcome);
  stands(chain, words, outcome);
});

it('the documentation has no row that is not played', () => {
  const rows = documentation.filter((line) => !/^\| (-+|answer|chain|what) /.test(line));
  expect(rows).toHaveLength(transport.length + 2 + codes.length + absent.length + sent.length);
});
