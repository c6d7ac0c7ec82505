/** JSON-RPC to the local Ethereum node. */
import { KeysagaError } from '../../schema/contracts/errors.ts';

export interface EthereumDevRpc {
  readonly url: string;
  /** @throws KeysagaError `ChainUnavailable`; `BroadcastRejected` with the node's own words. */
  call<T>(method: string, ...params: readonly unknown[]): Promise<T>;
}

export function ethereumRpc(url: string, timeoutMs = 20_000): EthereumDevRpc {
  return {
    url,
    async call<T>(method: string, ...params: readonly unknown[]): Promise<T> {
      let answer: { result?: T; error?: { code: number; message: string } };
      try {
        const response = await fetch(url, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
          signal: AbortSignal.timeout(timeoutMs),
        });
        answer = (await response.json()) as typeof answer;
      } catch (error) {
        throw new KeysagaError(
          'ChainUnavailable',
          `the Ethereum node did not answer ${method}`,
          { method },
          { cause: error },
        );
      }
      if (answer.error) {
        throw new KeysagaError(
          'BroadcastRejected',
          `the Ethereum node refuses ${method}: ${answer.error.message}`,
          { method, reason: answer.error.message },
        );
      }
      return answer.result as T;
    },
  };
}

/** @throws KeysagaError `ChainMismatch` (`chains.ethereum.network`) when the node serves another network. */
export async function checkNetwork(rpc: EthereumDevRpc, network: string): Promise<void> {
  const actual = `eip155:${BigInt(await rpc.call<string>('eth_chainId'))}`;
  if (actual === network) return;
  throw new KeysagaError('ChainMismatch', `the Ethereum node serves ${actual}, not ${network}`, {
    field: 'chains.ethereum.network',
    network: actual,
  });
}
