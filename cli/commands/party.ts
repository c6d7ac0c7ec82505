/** `keysaga party status | unfence | quarantine | release | destroy | sign | submit` */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { Command } from 'commander';
import type { KeysagaClient, PartyState } from '../../client/index.ts';
import { checkOrder } from '../../core/orders.ts';
import { parseWith } from '../../core/parse.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { AdministratorOrder, type SignedOrder } from '../../schema/contracts/order.ts';
import { parseSpan } from '../amounts.ts';
import { contextOf, leaf } from '../command.ts';
import { COMMAND, sagaLink, shown } from '../context.ts';
import {
  documentDigest,
  documentJson,
  missingSignatures,
  readDocument,
  signatureLine,
  writeDocument,
} from '../documents.ts';
import { EXIT } from '../exit-codes.ts';
import { type Io, type Style, table, writeLine } from '../io.ts';
import { ORDER_KIND, orderLines } from '../order-files.ts';
import { pinsOf } from '../policy-files.ts';
import { signOrderCommand } from './party-sign.ts';

export function partyStatusTable(parties: readonly PartyState[], style: Style): string {
  return table(
    ['party', 'reachable', 'version', 'fenced', 'chain', 'quarantined keys', 'open sessions'],
    parties.map(({ party, state, health, reason }) => [
      party,
      state === 'up' ? style.green('yes') : style.red(reason ?? state),
      health?.version ?? '',
      health === undefined
        ? ''
        : health.fenced
          ? style.red(`since ${health.fence?.since ?? '?'}: ${health.fence?.reason ?? 'unknown'}`)
          : 'no',
      health?.chainEpoch === undefined ? '' : `epoch ${health.chainEpoch}, ${health.headSequence}`,
      (health?.quarantined ?? []).join(', '),
      health === undefined ? '' : `${health.openSessions}`,
    ]),
    style,
  );
}

const statusCommand = (io: Io): Command =>
  leaf('status', 'Fences, release chains, quarantines and sessions, asked of each party').action(
    async (options: { json?: boolean }) => {
      const context = contextOf(io, options);
      await context.withClient(async (client) => {
        const parties = await client.parties();
        const fenced = parties.filter(({ health }) => health?.fenced === true);
        context.print(
          parties,
          [
            partyStatusTable(parties, context.style),
            ...fenced.map(
              ({ party }) =>
                `${party} was restored from an older state and signs nothing: ${COMMAND} party unfence ${party} --reason …`,
            ),
          ].join('\n'),
        );
        if (fenced.length > 0 || parties.some(({ state }) => state !== 'up'))
          process.exitCode = EXIT.failed;
      });
    },
  );

type DraftOptions = {
  readonly reason: string;
  readonly out?: string;
  readonly validFor: string;
  readonly force?: boolean;
  readonly chainEpoch?: string;
  readonly json?: boolean;
};

const whole = (text: string, field: string): number => {
  if (/^(0|[1-9][0-9]{0,8})$/.test(text)) return Number(text);
  throw new KeysagaError('InvalidInput', `${field}: a number`, { field });
};

/** The epoch that the fence is of, as the party itself says. */
async function fencedEpoch(client: KeysagaClient, party: string): Promise<number> {
  const state = (await client.parties()).find((one) => one.party === party);
  if (state === undefined)
    throw new KeysagaError('NotFound', `No party ${party} is pinned here.`, { field: 'party' });
  const remedy = 'Ask the party’s operator, and name it with --chain-epoch.';
  if (state.health === undefined)
    throw new KeysagaError('PartyUnavailable', `${party} cannot be asked what its fence is of.`, {
      party,
      remedy,
    });
  if (state.health.fence === undefined)
    throw new KeysagaError('StateConflict', `${party} is not fenced.`, { party });
  return state.health.fence.chainEpoch;
}

const draft = (
  io: Io,
  kind: AdministratorOrder['kind'],
  description: string,
  subject: readonly string[],
): Command => {
  const command = leaf(kind, description).argument('<party>');
  for (const name of subject) command.argument(`<${name}>`);
  if (kind === 'unfence')
    command.option(
      '--chain-epoch <n>',
      'the chain epoch that it ends; default: asked of the party',
    );
  return command
    .requiredOption('--reason <text>', 'why; every administrator and the audit reads it')
    .option('--valid-for <time>', 'how long it may be delivered: 12h, 7d at most', '24h')
    .option('--out <path>', 'where to write it; default <kind>-<party>-<id>.json')
    .option('--force', 'replace the file')
    .action(async (party: string, ...rest: unknown[]) => {
      const options = rest.at(-2) as DraftOptions;
      const [keyId, epoch] = rest.slice(0, subject.length) as string[];
      const context = contextOf(io, options);
      const now = Date.now();
      const orderId = `${kind}-${party}-${randomBytes(4).toString('hex')}`;
      const named = options.chainEpoch;
      const order = parseWith(
        AdministratorOrder,
        {
          orderId,
          party,
          kind,
          ...(keyId === undefined ? {} : { keyId }),
          ...(epoch === undefined ? {} : { epoch: whole(epoch, 'epoch') }),
          ...(kind === 'unfence'
            ? {
                chainEpoch:
                  named === undefined
                    ? await context.withClient((client) => fencedEpoch(client, party))
                    : whole(named, 'chain-epoch'),
              }
            : {}),
          issuedAt: new Date(now).toISOString(),
          validUntil: new Date(now + parseSpan(options.validFor, 'valid-for')).toISOString(),
          reason: options.reason,
        },
        'order',
      );
      checkOrder(order);
      const out = resolve(options.out ?? `${orderId}.json`);
      if (existsSync(out) && options.force !== true)
        throw new KeysagaError('InvalidInput', `${shown(out)} exists.`, {
          field: 'out',
          remedy: 'Choose another with --out, or replace it with --force.',
        });
      const document = { document: order, signatures: [] };
      writeDocument(ORDER_KIND, out, document);
      context.print(
        { file: out, order, orderHash: documentDigest(ORDER_KIND, document) },
        [
          orderLines(order, context.style),
          `written to ${shown(out)}; the administrators sign it, each on a machine of their own:`,
          `  ${COMMAND} party sign ${shown(out)} --as <administrator>`,
          `  ${COMMAND} party submit ${shown(out)}`,
        ].join('\n'),
      );
    });
};

const submitCommand = (io: Io): Command =>
  leaf('submit', 'Deliver a signed order to its party, and wait for the party’s receipt')
    .argument('<file>')
    .option('--wait <time>', 'how long to wait for the receipt', '30s')
    .action(async (file: string, options: { wait: string; json?: boolean }) => {
      const context = contextOf(io, options);
      const order = readDocument(ORDER_KIND, file);
      await context.withClient(async (client, { config }) => {
        const { names, quorum } = pinsOf(config);
        const state = missingSignatures(ORDER_KIND, order, names, quorum);
        if (names.length > 0 && !state.enough)
          throw new KeysagaError('QuorumMissing', `${signatureLine(state)}.`, {
            field: 'signatures',
            have: state.signed.length,
            need: quorum,
            missing: [...state.missing],
          });
        const signed = documentJson(ORDER_KIND, order) as unknown as SignedOrder;
        const started = await client.deliverOrder(signed);
        const link = sagaLink(config, started.workflowId);
        if (!context.json)
          writeLine(
            io.stderr,
            `${started.fresh ? 'started' : 'known already:'} ${started.workflowId}${link === undefined ? '' : `\n${link}`}`,
          );
        const receipt = await client.orderReceipt(signed, parseSpan(options.wait, 'wait'));
        context.print(
          { ...started, link, receipt },
          `${receipt.party} carried out ${receipt.kind} at ${receipt.at}${
            receipt.intentsAfter === undefined
              ? ''
              : `; it pays intents issued after ${receipt.intentsAfter}, from 24 hours later on`
          }`,
        );
      });
    });

export const partyCommand = (io: Io): Command =>
  new Command('party')
    .description('How the parties stand, and administrators’ orders to one of them')
    .addCommand(statusCommand(io))
    .addCommand(draft(io, 'unfence', 'Draft the order that ends a party’s fence', []))
    .addCommand(draft(io, 'quarantine', 'Draft the order that stops a key at a party', ['key']))
    .addCommand(draft(io, 'release', 'Draft the order that ends a quarantine', ['key']))
    .addCommand(
      draft(io, 'destroy', 'Draft the order that destroys a share for ever', ['key', 'epoch']),
    )
    .addCommand(signOrderCommand(io))
    .addCommand(submitCommand(io));
