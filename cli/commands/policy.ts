/** `keysaga policy show | propose | sign | submit | status` */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { Command } from 'commander';
import type { KeysagaClient, PolicyInfo, PolicyVersionView } from '../../client/index.ts';
import { checkPolicy, checkSuccession, policyHash } from '../../core/policy.ts';
import type { ClientConfig } from '../../schema/contracts/config.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { Policy, SignedPolicy } from '../../schema/contracts/policy.ts';
import type { PolicyQuery } from '../../schema/contracts/policy-change.ts';
import { contextOf, leaf } from '../command.ts';
import { COMMAND, sagaLink, shown } from '../context.ts';
import {
  type Draft,
  documentJson,
  missingSignatures,
  readDocument,
  signatureLine,
  writeDocument,
} from '../documents.ts';
import { EXIT } from '../exit-codes.ts';
import { type Io, table, writeLine } from '../io.ts';
import { POLICY_KIND, pinnedLine, pinsOf, signedDraft } from '../policy-files.ts';
import { applySettings, SETTINGS_HELP } from '../policy-settings.ts';
import { diffLines, groupText, policyDiff, policyLines } from '../policy-words.ts';
import { signCommand } from './policy-sign.ts';
import { networkOf } from './wallet.ts';

type Which = { readonly wallet?: string; readonly policy?: string; readonly json?: boolean };

/** The policy asked for: a wallet's, one by its id, or the configuration's. */
function queryOf(which: Which, config: ClientConfig): PolicyQuery {
  if (which.wallet !== undefined) return { walletId: which.wallet as never };
  const policyId = which.policy ?? config.policyId;
  if (policyId !== undefined) return { policyId: policyId as never };
  throw new KeysagaError('InvalidInput', 'Say which: --policy <id> or --wallet <id>.', {
    field: 'policy',
  });
}
const which = (command: Command): Command =>
  command
    .option('--wallet <id>', 'the policy that rules this wallet')
    .option('--policy <id>', 'by its id; default: the configuration’s');

const newestOf = (info: PolicyInfo): PolicyVersionView => {
  const newest = info.versions.at(-1);
  if (newest === undefined)
    throw new KeysagaError('PolicyUnknown', `No policy ${info.policyId}.`, { field: 'policy' });
  return newest;
};
/** How a version stands, in a few words. */
const standing = (info: PolicyInfo, one: PolicyVersionView): string =>
  one.version === info.inForce
    ? one.complete
      ? 'in force'
      : 'in force, not at every party yet'
    : one.usable
      ? 'usable'
      : 'on its way';

const showCommand = (io: Io): Command =>
  which(leaf('show', 'The policy in force, and versions on their way'))
    .option('--out <path>', 'write the newest version with its signatures into a file')
    .action(async (options: Which & { readonly out?: string }) => {
      const context = contextOf(io, options);
      await context.withClient(async (client, { config }) => {
        const info = await client.policy(queryOf(options, config));
        const { style } = context;
        if (options.out !== undefined)
          writeDocument(POLICY_KIND, resolve(options.out), signedDraft(newestOf(info).signed));
        const blocks = info.versions.map((one, i) => {
          const before = info.versions[i - 1];
          const title = `${style.bold(`version ${one.version}`)}  ${standing(info, one)}; ${pinnedLine(config, signedDraft(one.signed))}`;
          return [
            title,
            policyLines(one.signed.policy, style),
            ...(before === undefined
              ? []
              : [diffLines(before.signed.policy, one.signed.policy, style)]),
          ].join('\n');
        });
        context.print(info, blocks.join('\n\n'));
      });
    });

type ProposeOptions = Which & {
  readonly from: string;
  readonly set: readonly string[];
  readonly file?: string;
  readonly out?: string;
  readonly force?: boolean;
};

const proposeCommand = (io: Io): Command =>
  which(leaf('propose', 'Write the next version into a file for the administrators to sign'))
    .option('--from <file>', 'what it is made from: current, or a policy file', 'current')
    .option(
      '--set <name=value>',
      'a change, repeatable; see below',
      (value: string, all: readonly string[]) => [...all, value],
      [],
    )
    .option('--file <path>', 'take everything but the chain from this policy file')
    .option('--out <path>', 'where to write it; default <policy>-<version>.json')
    .option('--force', 'replace the file')
    .addHelpText('after', `\n${SETTINGS_HELP}`)
    .action(async (options: ProposeOptions) => {
      const context = contextOf(io, options);
      await context.withClient(async (client, { config }) => {
        const info = await client.policy(queryOf(options, config));
        const current = newestOf(info).signed.policy;
        const base = options.file ?? (options.from === 'current' ? undefined : options.from);
        const source = base === undefined ? current : readDocument(POLICY_KIND, base).document;
        const { previous: _, ...rest } = source;
        const next = applySettings(
          {
            ...rest,
            policyId: current.policyId,
            version: current.version + 1,
            previous: policyHash(current),
            issuedAt: new Date().toISOString(),
          },
          options.set,
          (name) => networkOf(config, name),
        );
        checkPolicy(next);
        checkSuccession(current, next);
        const out = resolve(options.out ?? `${next.policyId}-${next.version}.json`);
        if (existsSync(out) && options.force !== true)
          throw new KeysagaError('InvalidInput', `${shown(out)} exists.`, {
            field: 'out',
            remedy: 'Choose another with --out, or replace it with --force.',
          });
        const draft: Draft<Policy> = { document: next, signatures: [] };
        writeDocument(POLICY_KIND, out, draft);
        const { names, quorum } = pinsOf(config);
        context.print(
          {
            file: out,
            policyHash: policyHash(next),
            policy: next,
            changes: policyDiff(current, next),
          },
          [
            diffLines(current, next, context.style),
            `written to ${shown(out)}; ${quorum} of ${names.map(({ name }) => name).join(', ') || 'the administrators'} sign it:`,
            `  ${COMMAND} policy sign ${shown(out)} --as <administrator>`,
            `  ${COMMAND} policy submit ${shown(out)}`,
          ].join('\n'),
        );
      });
    });

type SubmitOptions = {
  readonly again?: boolean;
  readonly until: string;
  readonly wait: boolean;
  readonly json?: boolean;
};

const submitCommand = (io: Io): Command =>
  leaf('submit', 'Bring a signed policy to every party, and follow it')
    .argument('<file>')
    .option('--until <state>', 'follow until usable, or until complete', 'usable')
    .option('--again', 'once more to every party: one that was restored from a copy lacks it')
    .option('--no-wait', 'return once the saga has started')
    .action(async (file: string, options: SubmitOptions) => {
      if (options.until !== 'usable' && options.until !== 'complete')
        throw new KeysagaError('InvalidInput', 'until: usable or complete', { field: 'until' });
      const context = contextOf(io, options);
      const draft = readDocument(POLICY_KIND, file);
      const { policyId, version } = draft.document;
      await context.withClient(async (client, { config }) => {
        const { names, quorum } = pinsOf(config);
        const state = missingSignatures(POLICY_KIND, draft, names, quorum);
        if (names.length > 0 && !state.enough)
          throw new KeysagaError('QuorumMissing', `${signatureLine(state)}.`, {
            field: 'signatures',
            have: state.signed.length,
            need: quorum,
            missing: [...state.missing],
          });
        const started = await client.changePolicy(
          documentJson(POLICY_KIND, draft) as unknown as SignedPolicy,
          { redeliver: options.again === true },
        );
        const link = sagaLink(config, started.workflowId);
        if (!context.json)
          writeLine(
            io.stderr,
            `${started.fresh ? 'started' : 'known already:'} ${started.workflowId}${link === undefined ? '' : `\n${link}`}`,
          );
        if (!options.wait)
          return context.print({ ...started, link }, `started ${started.workflowId}`);
        const last = await follow(io, client, policyId, version, options.until);
        if (last?.failure !== undefined)
          throw new KeysagaError(
            last.failure.code as 'PolicyViolation',
            last.failure.message,
            last.failure.field === undefined ? {} : { field: last.failure.field },
          );
        context.print(
          { ...started, link, status: last },
          last?.complete === true
            ? `policy ${policyId} version ${version} is at every party`
            : `policy ${policyId} version ${version} is in force; still to take it: ${last?.parties
                .filter((one) => one.state !== 'received')
                .map((one) => one.party)
                .join(', ')}`,
        );
      });
    });

async function follow(
  io: Io,
  client: KeysagaClient,
  policyId: string,
  version: number,
  until: string,
) {
  let line = '';
  let last: Awaited<ReturnType<KeysagaClient['policyStatus']>>['change'];
  for await (const status of client.watchPolicyChange(policyId, version, {
    onUnavailable: (error) => writeLine(io.stderr, error.message),
  })) {
    last = status;
    const next = `${status.phase}: ${status.parties.filter((one) => one.state === 'received').length} of ${status.parties.length} receipts${status.waitingFor === '' ? '' : ` (${status.waitingFor})`}`;
    if (next !== line) writeLine(io.stderr, next);
    line = next;
    if (until === 'usable' && status.usable) break;
  }
  return last;
}

const statusCommand = (io: Io): Command =>
  which(leaf('status', 'Which version each party holds, and what that means for wallets')).action(
    async (options: Which) => {
      const context = contextOf(io, options);
      await context.withClient(async (client, { config }) => {
        const status = await client.policyStatus(queryOf(options, config));
        const { style } = context;
        const newest = newestOf(status);
        const rows = status.parties.map(({ party, state, holds }) => [
          party,
          state === 'up' ? style.green(state) : style.red(state),
          holds === undefined ? '' : `version ${holds.version}`,
          newest.installed ? 'installed' : newest.received.includes(party) ? 'received' : 'no',
          newest.forked.includes(party) ? style.red('holds another document') : '',
        ]);
        const phase = status.change?.phase;
        context.print(
          status,
          [
            `policy ${style.bold(status.policyId)}: version ${status.inForce ?? 'none'} in force${newest.version === status.inForce ? '' : `, version ${newest.version} on its way`}`,
            table(
              ['party', 'state', 'holds', `receipt of version ${newest.version}`, ''],
              rows,
              style,
            ),
            ...newest.groups.map((group) => `  ${groupText(group)}`),
            `version ${newest.version}: ${newest.complete ? 'complete' : newest.usable ? 'usable, not complete' : newest.previousDead ? 'the version before is dead, this one is not usable yet' : 'not usable yet'}${phase === undefined ? '' : `; saga ${phase}${status.change?.waitingFor ? `, waits for ${status.change.waitingFor}` : ''}`}`,
          ].join('\n'),
        );
        if (newest.forked.length > 0) process.exitCode = EXIT.failed;
      });
    },
  );

export const policyCommand = (io: Io): Command =>
  new Command('policy')
    .description('Show, change and follow the rules that the parties enforce')
    .addCommand(showCommand(io))
    .addCommand(proposeCommand(io))
    .addCommand(signCommand(io))
    .addCommand(submitCommand(io))
    .addCommand(statusCommand(io));
