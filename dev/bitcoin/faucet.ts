/**
 * Coins for the local chain. Neither node can be asked for a foreign address' coins (btcd has no `scantxoutset`, and runs
 * without a wallet), so the faucet follows the blocks and remembers what pays its own key.
 */
import { join } from 'node:path';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { Address, OutScript, p2wpkh, Transaction } from '@scure/btc-signer';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { readIfThere, readOrCreate, writeAtomic } from '../files.ts';
import { withLock } from '../process/lock.ts';
import { type ParsedTransaction, parseBlock, parseTransaction } from './block.ts';
import { type BitcoinRpc, BitcoinRpcError } from './rpc.ts';

/** Address encodings of regtest. */
export const regtest = { bech32: 'bcrt', pubKeyHash: 0x6f, scriptHash: 0xc4, wif: 0xef } as const;

const coinbaseMaturity = 100;
/** More than anyone needs; a chain that mines for days would otherwise fill the state file with block rewards. */
const maxCoins = 300;
const feeRate = 5n; // sat per virtual byte
const dust = 546n;

interface Coin {
  readonly txid: string;
  readonly vout: number;
  readonly amount: string;
  /** Height from which it may be spent; 0 for a change output that is still unconfirmed. */
  readonly spendableAt: number;
}
interface State {
  height: number;
  hash: string;
  coins: Coin[];
}

export interface FaucetKey {
  readonly privateKey: Uint8Array;
  /** P2WPKH; also the mining address. */
  readonly address: string;
  readonly script: Uint8Array;
}

/** The faucet's key of a data folder, made at first use. Worthless outside this regtest chain. */
export function faucetKey(dataDir: string): FaucetKey {
  const text = readOrCreate(join(dataDir, 'bitcoin-faucet.key'), () =>
    Buffer.from(secp256k1.utils.randomSecretKey()).toString('hex'),
  );
  const privateKey = Uint8Array.from(Buffer.from(text.trim(), 'hex'));
  const payment = p2wpkh(secp256k1.getPublicKey(privateKey, true), regtest);
  if (!payment.address) throw new KeysagaError('Internal', 'the faucet key has no address', {});
  return { privateKey, address: payment.address, script: payment.script };
}

const sameCoin = (a: { txid: string; vout: number }, b: { txid: string; vout: number }): boolean =>
  a.txid === b.txid && a.vout === b.vout;

function apply(
  coins: Coin[],
  transaction: ParsedTransaction,
  script: string,
  spendableAt: number,
): Coin[] {
  const left = coins.filter((coin) => !transaction.inputs.some((input) => sameCoin(input, coin)));
  transaction.outputs.forEach((output, vout) => {
    if (output.script === script && left.length < maxCoins) {
      left.push({ txid: transaction.txid, vout, amount: String(output.amount), spendableAt });
    }
  });
  return left;
}

export interface BitcoinFaucet {
  readonly address: string;
  /**
   * Pays `sats` to a regtest address and returns the transaction id; it waits for a block. Safe to call from several
   * processes at once. @throws KeysagaError `InvalidInput`, `InsufficientFunds`, `BroadcastRejected`, `ChainUnavailable`.
   */
  pay(address: string, sats: bigint): Promise<string>;
}

export function bitcoinFaucet(rpc: BitcoinRpc, dataDir: string): BitcoinFaucet {
  const key = faucetKey(dataDir);
  const script = Buffer.from(key.script).toString('hex');
  const stateFile = join(dataDir, 'bitcoin-faucet.json');

  const load = (): State => {
    const text = readIfThere(stateFile);
    try {
      if (text !== undefined) return JSON.parse(text) as State;
    } catch {
      // damaged: follow the chain again
    }
    return { height: 0, hash: '', coins: [] };
  };

  /** Follows the best chain up to its tip; after a reorg it starts again, which takes a moment only. */
  async function follow(state: State): Promise<State> {
    const tip = await rpc.call<number>('getblockcount');
    const onChain =
      state.hash !== '' &&
      state.height <= tip &&
      (await rpc.call<string>('getblockhash', state.height)) === state.hash;
    let { height, hash, coins } = onChain ? state : { height: 0, hash: '', coins: [] as Coin[] };
    while (height < tip) {
      const heights = Array.from({ length: Math.min(16, tip - height) }, (_, i) => height + 1 + i);
      const blocks = await Promise.all(
        heights.map(async (at) => {
          const id = await rpc.call<string>('getblockhash', at);
          return { id, at, transactions: parseBlock(await rpc.call<string>('getblock', id, 0)) };
        }),
      );
      for (const { id, at, transactions } of blocks) {
        for (const [index, transaction] of transactions.entries()) {
          coins = apply(coins, transaction, script, index === 0 ? at + coinbaseMaturity : at);
        }
        [height, hash] = [at, id];
      }
    }
    return { height, hash, coins };
  }

  /** What may be spent now: the chain's coins, less what waiting transactions spend, plus their change. */
  async function spendable(state: State): Promise<Coin[]> {
    let coins = state.coins.filter((coin) => coin.spendableAt <= state.height + 1);
    let waiting: ParsedTransaction[] = [];
    for (const txid of await rpc.call<string[]>('getrawmempool')) {
      try {
        waiting.push(parseTransaction(await rpc.call<string>('getrawtransaction', txid, 0)));
      } catch (error) {
        if (!(error instanceof BitcoinRpcError)) throw error; // mined meanwhile
      }
    }
    // A child may be listed before its parent; its input then is added after it was "spent". Parents first.
    const known = new Set(waiting.map((transaction) => transaction.txid));
    while (waiting.length > 0) {
      const free = waiting.filter(({ inputs }) => !inputs.some((input) => known.has(input.txid)));
      if (free.length === 0) break;
      for (const transaction of free) {
        coins = apply(coins, transaction, script, 0);
        known.delete(transaction.txid);
      }
      waiting = waiting.filter((transaction) => known.has(transaction.txid));
    }
    // Confirmed and large ones first: few inputs, short chains of unconfirmed change.
    return coins.sort(
      (a, b) =>
        Number(b.spendableAt > 0) - Number(a.spendableAt > 0) ||
        (BigInt(a.amount) < BigInt(b.amount) ? 1 : -1),
    );
  }

  function build(coins: readonly Coin[], destination: Uint8Array, sats: bigint): string {
    const inputs: Coin[] = [];
    let sum = 0n;
    for (const coin of coins) {
      inputs.push(coin);
      sum += BigInt(coin.amount);
      const fee = feeRate * BigInt(11 + 68 * inputs.length + 43 * 2);
      if (sum < sats + fee) continue;
      const transaction = new Transaction();
      for (const input of inputs) {
        transaction.addInput({
          txid: input.txid,
          index: input.vout,
          witnessUtxo: { script: key.script, amount: BigInt(input.amount) },
        });
      }
      transaction.addOutput({ script: destination, amount: sats });
      const change = sum - sats - fee;
      if (change >= dust) transaction.addOutput({ script: key.script, amount: change });
      transaction.sign(key.privateKey);
      transaction.finalize();
      return transaction.hex;
    }
    throw new KeysagaError(
      'InsufficientFunds',
      `the local faucet has ${sum} sats to spend; mine more blocks`,
      {
        available: String(sum),
      },
    );
  }

  return {
    address: key.address,
    pay(address, sats) {
      if (sats < dust || sats > 21_000_000n * 100_000_000n) {
        throw new KeysagaError('InvalidInput', `sats: at least ${dust}, at most 21 million BTC`, {
          field: 'sats',
        });
      }
      let destination: Uint8Array;
      try {
        destination = OutScript.encode(Address(regtest).decode(address));
      } catch (error) {
        throw new KeysagaError(
          'InvalidInput',
          'address: not a regtest address',
          { field: 'address' },
          { cause: error },
        );
      }
      return withLock(
        `${stateFile}.lock`,
        async () => {
          for (let attempt = 1; ; attempt++) {
            const state = await follow(load());
            writeAtomic(stateFile, JSON.stringify(state));
            try {
              const coins = await spendable(state);
              return await rpc.call<string>('sendrawtransaction', build(coins, destination, sats));
            } catch (error) {
              if (!(error instanceof BitcoinRpcError)) throw error;
              // A block that came between following and sending has spent what was chosen: look again.
              const moved = (await rpc.call<number>('getblockcount')) !== state.height;
              if (moved && attempt < 10) continue;
              throw new KeysagaError(
                'BroadcastRejected',
                `the node refuses the faucet's transaction: ${error.message}`,
                { reason: error.message },
                { cause: error },
              );
            }
          }
        },
        { deadlineMs: 60_000 },
      );
    },
  };
}
