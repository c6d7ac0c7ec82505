/** Several Ethereum nodes read as one: amounts and counts that enough of them see, fees as the first one sees them. */
import type { NonceCounts } from '../../core/ports/ethereum-nonces.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { supported } from '../agreement.ts';
import { createProviders, type ProviderOptions, type Providers } from '../providers.ts';
import { addressBytes, checksummed } from './address.ts';
import { encodeBalanceOf } from './erc20.ts';
import type { Market } from './fees.ts';
import type { EthereumNetwork } from './networks.ts';
import { EthereumRpc } from './rpc.ts';

export type PoolOptions = ProviderOptions & {
  readonly network: EthereumNetwork;
  readonly finality: number;
  readonly legacy?: boolean;
  readonly requestTimeoutMs?: number;
  readonly logger: { warn(details: Readonly<Record<string, unknown>>, message: string): void };
};

export type EthereumPool = {
  readonly providers: Providers<EthereumRpc>;
  /** What enough providers see, so that none can make it look larger, nor one of three smaller. */
  amount(ask: (rpc: EthereumRpc) => Promise<bigint>): Promise<bigint>;
  /** @throws KeysagaError `InvalidInput` (`asset`) when there is no token. */
  tokenBalance(token: Uint8Array, address: string): Promise<bigint>;
  countsOf(address: string): Promise<NonceCounts>;
  /** One provider's word: what it may cost is bounded by the approved cap. */
  marketOf(): Promise<Market>;
};

/** @throws KeysagaError `InvalidInput` (`rpcUrl`, `agreement`). No I/O. */
export function createPool(options: PoolOptions): EthereumPool {
  const { network, finality, legacy, requestTimeoutMs } = options;
  const providers = createProviders({
    ...options,
    network: network.id,
    connect: (url, retries) =>
      new EthereumRpc({
        network,
        url,
        retries,
        ...(requestTimeoutMs === undefined ? {} : { timeoutMs: requestTimeoutMs }),
      }),
  });
  const amount: EthereumPool['amount'] = async (ask) =>
    supported(await providers.views(ask), providers.agreement);

  async function countsAt(rpc: EthereumRpc, address: string): Promise<NonceCounts> {
    const tip = (await rpc.latest()).number;
    const deep = tip - BigInt(finality) + 1n;
    const [final, latest, pending] = await Promise.all([
      deep < 0n ? 0n : rpc.nonceThen(address, deep),
      rpc.nonce(address, 'latest'),
      rpc.nonce(address, 'pending'),
    ]);
    // A node that forgot that state adds nothing to what is recorded.
    return { final: final ?? 0n, latest, pending };
  }

  return {
    providers,
    amount,

    async countsOf(address) {
      const views = await providers.views((rpc) => countsAt(rpc, address));
      const of = (which: keyof NonceCounts) =>
        supported(
          views.map((view) => view[which]),
          providers.agreement,
        );
      return { final: of('final'), latest: of('latest'), pending: of('pending') };
    },

    marketOf: () =>
      providers.first(async (rpc) => {
        const { baseFee } = await rpc.latest();
        if (legacy || baseFee === undefined)
          return { baseFee: undefined, tip: await rpc.gasPrice() };
        return { baseFee, tip: (await rpc.priorityFee()) ?? 1_000_000_000n };
      }),

    tokenBalance(token, address) {
      const data = encodeBalanceOf(addressBytes(address, 'address'));
      return amount(async (rpc) => {
        const answer = await rpc.call({ from: address, to: checksummed(token), data });
        if (!answer.ok || answer.data.length !== 66)
          throw new KeysagaError('InvalidInput', 'there is no ERC-20 token at this address', {
            field: 'asset',
          });
        return BigInt(answer.data);
      });
    },
  };
}
