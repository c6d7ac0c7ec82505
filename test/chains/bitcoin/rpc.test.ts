/** The way to the node: repeats, limits, other nodes' dialects, and what a broadcast's answer means. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { RawTx } from '@scure/btc-signer/script.js';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { parseBlock } from '../../../chains/bitcoin/block.ts';
import { outcomeOf } from '../../../chains/bitcoin/broadcast.ts';
import { bitcoinNetwork } from '../../../chains/bitcoin/networks.ts';
import { createNode } from '../../../chains/bitcoin/node.ts';
import { createRpc, type RpcOptions } from '../../../chains/bitcoin/rpc.ts';
import { isKeysagaError } from '../../../schema/contracts/errors.ts';
import { type Rig, startRig } from './stack.ts';
import { hex, REGTEST, randomTxid, unhex } from './support.ts';

type Request = { id: number; method: string; params: unknown[] };
type Reply = { status?: number; body?: unknown; text?: string; hang?: boolean; destroy?: boolean };

const genesis = '0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206';
let server: Server;
let url: string;
let asked: string[] = [];
let seenAuthorization: string | undefined;
let answer: (request: Request, count: number) => Reply = () => ({});
beforeAll(async () => {
  server = createServer((request: IncomingMessage, response: ServerResponse) => {
    seenAuthorization = request.headers.authorization;
    let text = '';
    request.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    request.on('end', () => {
      const call = JSON.parse(text) as Request;
      asked.push(call.method);
      const reply =
        call.method === 'getblockhash' && call.params[0] === 0
          ? { body: { result: genesis, error: null } }
          : answer(call, asked.filter((method) => method === call.method).length);
      if (reply.hang) return;
      if (reply.destroy) {
        request.socket.destroy();
        return;
      }
      response.writeHead(reply.status ?? 200, { 'content-type': 'application/json' });
      response.end(reply.text ?? JSON.stringify({ id: call.id, ...(reply.body as object) }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://us%40er:pa%3Ass@127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(() => {
  asked = [];
});
afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const rpc = (options: Partial<RpcOptions> = {}) => createRpc({ url, timeoutMs: 2_000, ...options });
const node = (options: Partial<RpcOptions> = {}) =>
  createNode(rpc(options), bitcoinNetwork(REGTEST));
const ok = (result: unknown): Reply => ({ body: { result, error: null } });
const err = (code: number, message: string): Reply => ({
  status: 500,
  body: { result: null, error: { code, message } },
});
const failure = async (work: Promise<unknown>) => {
  try {
    await work;
  } catch (error) {
    if (isKeysagaError(error)) return error;
    throw error;
  }
  throw new Error('it was expected to fail');
};

describe('a read', () => {
  it('is asked again while no answer comes', async () => {
    const replies: Reply[] = [
      { destroy: true },
      { status: 503, text: 'Work queue depth exceeded' },
      err(-28, 'Loading block index…'),
      ok(7),
    ];
    answer = (_, count) => replies[count - 1] ?? ok(7);
    expect(await rpc().read('getblockcount', [])).toEqual({ ok: true, result: 7 });
    expect(asked).toHaveLength(4);
    expect(seenAuthorization).toBe(`Basic ${Buffer.from('us@er:pa:ss').toString('base64')}`);
  });

  it('gives up after its repeats, and says why without the password', async () => {
    answer = () => ({ destroy: true });
    const error = await failure(rpc({ retries: 2 }).read('getblockcount', []));
    expect(error).toMatchObject({
      code: 'ChainUnavailable',
      retryable: true,
      details: { method: 'getblockcount' },
    });
    expect(asked).toHaveLength(3);
    expect(error.message + JSON.stringify(error.details) + String(error.cause)).not.toMatch(
      /pa(:|%3A)ss/,
    );
  });

  it('that is never answered ends with its time limit', async () => {
    answer = () => ({ hang: true });
    const error = await failure(rpc({ timeoutMs: 50, retries: 0 }).read('getblockcount', []));
    expect(error.details.reason).toBe('no answer in 50 ms');
  });

  it('ends when its caller gives up', async () => {
    answer = () => ({ hang: true });
    const abort = new AbortController();
    const work = failure(
      rpc({ timeoutMs: 60_000 }).read('getblockcount', [], { signal: abort.signal }),
    );
    abort.abort();
    expect(await work).toMatchObject({ code: 'ChainUnavailable', retryable: false });
  });

  it.each<[string, Reply]>([
    ['HTML', { text: '<html>' }],
    ["another request's answer", { body: { id: 999, result: 1, error: null } }],
    ['no result', { body: {} }],
    ['an error without a code', { body: { error: 'no' } }],
    ['a list', { text: '[]' }],
    ['a number where a hash belongs', ok(5)],
  ])('refuses %s', async (_, reply) => {
    answer = () => reply;
    expect((await failure(node({ retries: 0 }).blockHash(3))).code).toBe('ChainUnavailable');
  });
});

describe('a write', () => {
  it('is sent once, whatever happens', async () => {
    answer = () => ({ destroy: true });
    expect((await failure(node().send('00'))).code).toBe('ChainUnavailable');
    expect(asked.filter((method) => method === 'sendrawtransaction')).toHaveLength(1);
  });
});

describe("bitcoind's dialect", () => {
  it('is understood', async () => {
    const txid = randomTxid();
    const block = randomTxid();
    answer = ({ method }) => {
      if (method === 'estimatesmartfee') return ok({ feerate: 0.00012345, blocks: 6 });
      if (method === 'getmempoolinfo') {
        return ok({ mempoolminfee: 0.00002, minrelaytxfee: 0.00001, incrementalrelayfee: 0.00001 });
      }
      if (method === 'getrawtransaction') return ok({ confirmations: 3, blockhash: block });
      if (method === 'gettxspendingprevout') return ok([{ txid, vout: 0, spendingtxid: block }]);
      return err(-8, 'Block height out of range');
    };
    expect(await node().feeRate(6)).toBe(12_345n);
    expect(await node().relay()).toEqual({ floor: 2_000n, increment: 1_000n });
    expect(await node().transaction(txid)).toEqual({ confirmations: 3, block });
    expect(await node().spender(txid, 0)).toBe(block);
    expect(await node().blockHash(9)).toBeUndefined();
  });

  it('may have no estimate, no index and an older version', async () => {
    answer = ({ method }) => {
      if (method === 'estimatesmartfee')
        return ok({ errors: ['Insufficient data or no feerate found'], blocks: 2 });
      if (method === 'getrawtransaction')
        return err(-5, 'No such mempool transaction. Use -txindex');
      return err(-32601, 'Method not found');
    };
    expect(await node().feeRate(6)).toBeUndefined();
    expect(await node().transaction(randomTxid())).toBeUndefined();
    expect(await node().spender(randomTxid(), 0)).toBeUndefined();
  });
});

describe('the answer to a broadcast', () => {
  const txid = randomTxid();
  it.each<[number, string, string]>([
    // bitcoind
    [-27, 'Transaction already in block chain', 'already-known'],
    [-27, 'Transaction outputs already in utxo set', 'already-known'],
    [-26, 'txn-already-in-mempool', 'already-known'],
    [-26, 'txn-already-known', 'already-known'],
    [-25, 'bad-txns-inputs-missingorspent', 'unclear'],
    [-25, 'Missing inputs', 'unclear'],
    [-26, 'txn-mempool-conflict', 'unclear'],
    [-26, 'txn-same-nonwitness-data-in-mempool', 'unclear'],
    [-26, 'mempool full', 'unclear'],
    [-26, 'insufficient fee, rejecting replacement', 'rejected'],
    [-26, 'min relay fee not met, 100 < 200', 'rejected'],
    [-26, 'mandatory-script-verify-flag-failed (Invalid Schnorr signature)', 'rejected'],
    [-26, 'dust', 'rejected'],
    [-22, 'TX decode failed', 'rejected'],
    [-25, 'something new', 'unclear'],
    [-1, 'something else', 'unclear'],
    // btcd
    [-27, 'TX rejected: transaction already exists in blockchain', 'already-known'],
    [-26, `TX rejected: already have transaction in mempool ${txid}`, 'already-known'],
    [
      -25,
      `TX rejected: orphan transaction ${txid} references outputs of unknown or fully-spent transaction`,
      'unclear',
    ],
    [-26, 'TX rejected: output already spent in mempool: output=…, tx=…', 'unclear'],
    [-26, 'TX rejected: replacement transaction has an insufficient fee', 'rejected'],
    [-25, 'TX rejected: failed to validate input', 'rejected'],
  ])('%i %s is %s', (code, message, status) => {
    expect(outcomeOf({ ok: false, code, message }, txid).status).toBe(status);
  });
  it('is accepted only with the expected id', () => {
    expect(outcomeOf({ ok: true, result: txid }, txid)).toEqual({ status: 'accepted' });
    expect(outcomeOf({ ok: true, result: randomTxid() }, txid).status).toBe('unclear');
  });
});

describe('a raw block', () => {
  let rig: Rig;
  beforeAll(async () => {
    rig = await startRig();
  });
  afterAll(() => rig?.stop());

  it('is read as the library reads its transactions, and not when a byte is changed', async () => {
    const txids = [];
    for (let i = 0; i < 3; i++) {
      txids.push(await rig.pay('bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080', 50_000n));
    }
    const [hash = ''] = await rig.mine(1);
    const raw = unhex(await rig.rpc.call<string>('getblock', hash, 0));
    const block = parseBlock(hash, raw);
    expect(block.previous).toBe(
      await rig.rpc.call('getblockhash', (await rig.rpc.call<number>('getblockcount')) - 1),
    );
    expect(block.transactions.map(({ coinbase }) => coinbase)).toEqual([true, false, false, false]);
    expect(
      block.transactions
        .slice(1)
        .map(({ txid }) => txid)
        .sort(),
    ).toEqual([...txids].sort());
    for (const { txid, spends, outputs } of block.transactions.slice(1)) {
      const tx = RawTx.decode(unhex(await rig.rpc.call<string>('getrawtransaction', txid, 0)));
      expect(spends).toEqual(
        tx.inputs.map((input: { txid: Uint8Array; index: number }) => ({
          txid: hex(input.txid),
          vout: input.index,
        })),
      );
      expect(outputs.map(({ amount, script }) => [amount, hex(script)])).toEqual(
        tx.outputs.map(({ amount, script }: { amount: bigint; script: Uint8Array }) => [
          amount,
          hex(script),
        ]),
      );
    }

    const refused = (bytes: Uint8Array, id = hash) => {
      try {
        parseBlock(id, bytes);
      } catch (error) {
        return isKeysagaError(error, 'ChainUnavailable');
      }
      return false;
    };
    expect(refused(raw, randomTxid())).toBe(true);
    expect(refused(raw.subarray(0, -1))).toBe(true);
    expect(refused(Uint8Array.from([...raw, 0]))).toBe(true);
    // The header and the beginning of the first transaction, which hash and merkle root cover.
    for (let at = 0; at < 90; at++) {
      const changed = Uint8Array.from(raw);
      changed[at] = (changed[at] ?? 0) ^ 1;
      expect([at, refused(changed)]).toEqual([at, true]);
    }
  });
});
