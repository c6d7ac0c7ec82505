/** `keysaga pool fill | list | show | drop`: presignature pools (docs/pools.md). */
import { Command, InvalidArgumentError, Option } from 'commander';
import type { PoolMarks, PoolStatus, PoolStock } from '../../schema/contracts/pool.ts';
import { parseSpan } from '../amounts.ts';
import { contextOf, leaf } from '../command.ts';
import { sagaLink } from '../context.ts';
import { type Io, type Style, table } from '../io.ts';

const count = (text: string): number => {
  if (!/^[1-9]\d{0,4}$/.test(text))
    throw new InvalidArgumentError('a whole number of at least 1 is needed');
  return Number(text);
};
const names = (text: string): readonly string[] => text.split(',').filter((name) => name !== '');
const signersOption = () =>
  new Option('--signers <a,b>', 'which parties sign; default: the first of the wallet’s').argParser(
    names,
  );

type FillOptions = {
  readonly signers?: readonly string[];
  readonly low?: number;
  readonly high?: number;
  readonly batch?: number;
  readonly life?: string;
  readonly json?: boolean;
};

const fillCommand = (io: Io): Command =>
  leaf('fill', 'Keep presignatures in stock for a wallet and a set of signers')
    .argument('<wallet>')
    .addOption(signersOption())
    .option('--low <n>', 'filled when fewer than this are left', count)
    .option('--high <n>', 'filled up to this', count)
    .option('--batch <n>', 'made in one session', count)
    .option('--life <span>', 'how long one may wait for its message: 12h, 7d')
    .action(async (id: string, options: FillOptions) => {
      const context = contextOf(io, options);
      const { low, high, batch, life, signers } = options;
      const marks: Partial<PoolMarks> = {
        ...(low === undefined ? {} : { low }),
        ...(high === undefined ? {} : { high }),
        ...(batch === undefined ? {} : { batch }),
        ...(life === undefined ? {} : { lifeSeconds: parseSpan(life, 'life') }),
      };
      await context.withClient(async (client, { config }) => {
        const wallet = await client.wallet(id);
        const begun = await client.fillPool(wallet, {
          marks,
          ...(signers === undefined ? {} : { signers }),
        });
        const link = sagaLink(config, begun.workflowId);
        context.print(
          begun,
          [
            `the pool of ${begun.signers.join(', ')} is kept filled`,
            ...(link === undefined ? [] : [context.style.dim(link)]),
          ].join('\n'),
        );
      });
    });

const stockTable = (pools: readonly PoolStock[], style: Style): string =>
  table(
    ['wallet', 'epoch', 'signers', 'available', 'lent', 'spent', 'dropped', 'next ends'],
    pools.map((pool) => [
      pool.keyId,
      `${pool.epoch}`,
      pool.signers.join(','),
      `${pool.available}`,
      `${pool.leased}`,
      `${pool.spent}`,
      `${pool.dropped}`,
      pool.expiresAt ?? '',
    ]),
    style,
  );

const listCommand = (io: Io): Command =>
  leaf('list', 'What the pools hold, by the coordinator’s ledger')
    .argument('[wallet]')
    .action(async (id: string | undefined, options: { readonly json?: boolean }) => {
      const context = contextOf(io, options);
      await context.withClient(async (client) => {
        const pools = await client.pools(id);
        context.print(
          { pools },
          pools.length === 0
            ? 'no pool yet: keysaga pool fill <wallet>'
            : stockTable(pools, context.style),
        );
      });
    });

const statusText = (status: PoolStatus, style: Style): string => {
  const { marks, waitingFor } = status;
  return [
    `${style.bold(status.phase)}${waitingFor === '' ? '' : `  ${waitingFor}`}`,
    `filled below ${marks.low} up to ${marks.high}, ${marks.batch} at a time, each for ${marks.lifeSeconds} s`,
    `${status.packs} packs made by this run`,
    ...(status.stock === undefined ? [] : [stockTable([status.stock], style)]),
  ].join('\n');
};

/** Those that were asked for, or the wallet's first. */
const chosen = async (
  client: Parameters<Parameters<ReturnType<typeof contextOf>['withClient']>[0]>[0],
  id: string,
  signers: readonly string[] | undefined,
): Promise<readonly string[]> => {
  if (signers !== undefined) return signers;
  const { key } = await client.wallet(id);
  return key.parties.slice(0, key.threshold);
};

type Which = { readonly signers?: readonly string[]; readonly json?: boolean };

const showCommand = (io: Io): Command =>
  leaf('show', 'The workflow that keeps a pool filled')
    .argument('<wallet>')
    .addOption(signersOption())
    .action(async (id: string, options: Which) => {
      const context = contextOf(io, options);
      await context.withClient(async (client) => {
        const status = await client.poolStatus(id, await chosen(client, id, options.signers));
        context.print(status, statusText(status, context.style));
      });
    });

const dropCommand = (io: Io): Command =>
  leaf('drop', 'End a pool: nothing of it is lent any more')
    .argument('<wallet>')
    .addOption(signersOption())
    .option('--reason <text>', 'for the record', 'on request')
    .action(async (id: string, options: Which & { readonly reason: string }) => {
      const context = contextOf(io, options);
      await context.withClient(async (client) => {
        const signers = await chosen(client, id, options.signers);
        const dropped = await client.dropPool(id, signers, options.reason);
        context.print({ id, signers, dropped }, `${dropped} presignatures will not be used`);
      });
    });

export const poolCommand = (io: Io): Command =>
  [fillCommand, listCommand, showCommand, dropCommand].reduce(
    (command, sub) => command.addCommand(sub(io)),
    new Command('pool').description(
      'Presignatures made ahead of time, so that signing is one round',
    ),
  );
