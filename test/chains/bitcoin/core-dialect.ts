/**
 * Bitcoin Core's dialect before a btcd: an HTTP server that answers as Core's RPC documentation says (methods, argument
 * and error forms, HTTP states, no transaction index), and takes what it answers from the real node behind it. Core itself
 * is in no package registry that the tests may use; where it is installed, the local stack starts it instead of btcd.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { RawTx } from '@scure/btc-signer';
import { type BitcoinRpc, BitcoinRpcError, bitcoinRpc } from '../../../dev/bitcoin/rpc.ts';
import { hex, unhex } from './support.ts';

/** An error in the form of Core's `protocol.h`. */
class CoreError extends Error {
  readonly code: number;
  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

type Method = (node: BitcoinRpc, params: readonly unknown[]) => Promise<unknown>;

/** Core's words for what btcd refuses, by what btcd says; the codes are `RPC_VERIFY_ERROR`, `…_REJECTED` and `…_ALREADY_IN_UTXO_SET`. */
const REFUSALS: readonly [RegExp, number, string][] = [
  [/already exists in blockchain/, -27, 'Transaction outputs already in utxo set'],
  [/orphan transaction/, -25, 'bad-txns-inputs-missingorspent'],
  [/already spent in mempool/, -26, 'txn-mempool-conflict'],
  [
    /replacement transaction has an insufficient (fee|absolute fee)/,
    -26,
    'insufficient fee, rejecting replacement',
  ],
  [/under the required amount|insufficient priority/, -26, 'min relay fee not met'],
  [
    /failed to validate input|signature/,
    -26,
    'mandatory-script-verify-flag-failed (Invalid Schnorr signature)',
  ],
  [/dust/, -26, 'dust'],
  [/decode/i, -22, 'TX decode failed. Make sure the tx has at least one input.'],
];

async function mempool(node: BitcoinRpc) {
  const ids = await node.call<string[]>('getrawmempool');
  const raw = await Promise.all(
    ids.map((id) => node.call<string>('getrawtransaction', id, 0).catch(() => undefined)),
  );
  return ids.flatMap((txid, i) => {
    const bytes = raw[i];
    return bytes === undefined ? [] : [{ txid, tx: RawTx.decode(unhex(bytes)) }];
  });
}

const sendRawTransaction: Method = async (node, [transaction]) => {
  try {
    return await node.call('sendrawtransaction', transaction);
  } catch (error) {
    if (!(error instanceof BitcoinRpcError)) throw error;
    // What is in the mempool already is no error to Core: it answers with the id and tells its peers once more.
    const known = /already have transaction in mempool ([0-9a-f]{64})/.exec(error.message)?.[1];
    if (known !== undefined) return known;
    const [, code, words] = REFUSALS.find(([pattern]) => pattern.test(error.message)) ?? [];
    throw new CoreError(code ?? -26, words ?? error.message);
  }
};

const methods: Readonly<Record<string, Method>> = {
  getblockcount: (node) => node.call('getblockcount'),
  getbestblockhash: (node) => node.call('getbestblockhash'),
  getrawmempool: (node) => node.call('getrawmempool'),
  invalidateblock: (node, [hash]) => node.call('invalidateblock', hash),
  async getblockhash(node, [height]) {
    if (Number(height) > (await node.call<number>('getblockcount')))
      throw new CoreError(-8, 'Block height out of range');
    return node.call('getblockhash', height);
  },
  async getblock(node, [hash, verbosity]) {
    if (verbosity !== 0) throw new CoreError(-1, 'only raw blocks are told here');
    try {
      return await node.call('getblock', hash, 0);
    } catch (error) {
      if (error instanceof BitcoinRpcError) throw new CoreError(-5, 'Block not found');
      throw error;
    }
  },
  // btcd mines to the one address that it was started with; Core to any.
  generatetoaddress: (node, [count]) => node.call('generate', count),
  // Of a regtest node that has seen too few blocks.
  estimatesmartfee: async (_node, [blocks]) => ({
    errors: ['Insufficient data or no feerate found'],
    blocks,
  }),
  async getmempoolinfo(node) {
    const { size } = await node.call<{ size: number }>('getmempoolinfo');
    return {
      loaded: true,
      size,
      mempoolminfee: 0.00001,
      minrelaytxfee: 0.00001,
      incrementalrelayfee: 0.00001,
      fullrbf: true,
    };
  },
  async getrawtransaction(node, [txid, verbosity]) {
    const pool = await node.call<string[]>('getrawmempool');
    if (!pool.includes(String(txid)))
      throw new CoreError(
        -5,
        'No such mempool transaction. Use -txindex or provide a block hash to enable blockchain transaction queries. Use gettransaction for wallet transactions.',
      );
    const transaction = await node.call<string>('getrawtransaction', txid, 0);
    return verbosity === 0 || verbosity === false || verbosity === undefined
      ? transaction
      : { txid, hex: transaction, in_active_chain: false };
  },
  async gettxspendingprevout(node, [outputs]) {
    const pool = await mempool(node);
    return (outputs as { txid: string; vout: number }[]).map(({ txid, vout }) => {
      const spender = pool.find(({ tx }) =>
        tx.inputs.some(
          (input: { txid: Uint8Array; index: number }) =>
            hex(input.txid) === txid && input.index === vout,
        ),
      );
      return { txid, vout, ...(spender === undefined ? {} : { spendingtxid: spender.txid }) };
    });
  },
  sendrawtransaction: sendRawTransaction,
};

async function answer(node: BitcoinRpc, request: IncomingMessage, response: ServerResponse) {
  let text = '';
  for await (const chunk of request) text += chunk;
  const { id, method, params } = JSON.parse(text) as {
    id: unknown;
    method: string;
    params?: unknown[];
  };
  const reply = (status: number, result: unknown, error: unknown) => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(`${JSON.stringify({ result, error, id })}\n`);
  };
  const known = methods[method];
  // Of JSON-RPC 1.0, as Core answers it: 404 for a missing method, 500 for every other error.
  if (known === undefined) return reply(404, null, { code: -32601, message: 'Method not found' });
  try {
    reply(200, await known(node, params ?? []), null);
  } catch (error) {
    if (error instanceof CoreError || error instanceof BitcoinRpcError) {
      const code = error instanceof CoreError ? error.code : error.rpcCode;
      return reply(500, null, { code, message: error.message });
    }
    // The node behind is away: so is this one.
    response.destroy();
  }
}

/** `rpcUrl` of a btcd → a URL that speaks Core's dialect, with the same user and password. */
export async function startCoreDialect(rpcUrl: string) {
  const node = bitcoinRpc(rpcUrl);
  const { username, password } = new URL(rpcUrl);
  const wanted = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
  const server = createServer((request, response) => {
    if (request.headers.authorization !== wanted) {
      response.writeHead(401).end();
      return;
    }
    answer(node, request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    rpcUrl: `http://${username}:${password}@127.0.0.1:${port}`,
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
