/** ERC-20 contracts of a few instructions, set straight into Anvil's state: balances lie in the slots of their owners. */
import type { EthereumDevRpc } from '../../../dev/ethereum/rpc.ts';

const TRANSFER_EVENT = 'ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef';
const byte = (n: number): string => n.toString(16).padStart(2, '0');

function code(transfer: (revertAt: number, at: number) => string): string {
  const balanceOf = '5b60043554600052' + '60206000f3';
  const start = '60003560e01c';
  const jump = (selector: string, to: number) => `8063${selector}1460${byte(to)}57`;
  const first = start.length / 2 + 10 + 10 + 4;
  const second = first + balanceOf.length / 2;
  const head = `${start}${jump('70a08231', first)}${jump('a9059cbb', second)}600080fd${balanceOf}`;
  const length = transfer(0, second).length / 2;
  return `0x${head}${transfer(second + length, second)}5b600080fd`;
}

/** Moves, logs, answers true; reverts when the balance is short. */
const honest = code(
  (revertAt) =>
    '5b3354602435818111' + // balance, amount, amount > balance
    `60${byte(revertAt)}57` +
    '809103' + // balance − amount
    '3355' +
    '6004358054820181' + // to, its balance + amount
    '55' +
    '90600052' +
    `337f${TRANSFER_EVENT}60206000a3` +
    '600160005260206000f3',
);
/** Answers false and does nothing, as some old tokens refuse. */
const mute = code(() => '5b600060005260206000f3');

export type Token = { readonly address: string; readonly asset: string };

export async function deploy(
  rpc: EthereumDevRpc,
  address: string,
  kind: 'honest' | 'mute' = 'honest',
): Promise<Token> {
  await rpc.call('anvil_setCode', address, kind === 'honest' ? honest : mute);
  return { address, asset: `eip155:31337/erc20:${address}` };
}

const slot = (owner: string): string => `0x${owner.slice(2).toLowerCase().padStart(64, '0')}`;

export const mint = (rpc: EthereumDevRpc, token: Token, owner: string, amount: bigint) =>
  rpc.call(
    'anvil_setStorageAt',
    token.address,
    slot(owner),
    `0x${amount.toString(16).padStart(64, '0')}`,
  );

export const tokenBalance = async (rpc: EthereumDevRpc, token: Token, owner: string) =>
  BigInt(await rpc.call<string>('eth_getStorageAt', token.address, slot(owner), 'latest'));
