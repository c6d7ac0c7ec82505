/** `keysaga approvals`, `approve`, `reject`, and making an approver's key. */
import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { Decision } from '../../schema/contracts/approval.ts';
import type { ClientConfig } from '../../schema/contracts/config.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { parseSpan } from '../amounts.ts';
import { contextOf, leaf } from '../command.ts';
import { COMMAND } from '../context.ts';
import { decide } from '../decide.ts';
import { type Io, styleOf, writeLine } from '../io.ts';
import {
  describeKeyFile,
  type KeyRole,
  openKey,
  readKeyFile,
  requireRole,
  sealKey,
} from '../keyfile.ts';
import { confirmed, passphraseFor } from '../passphrase.ts';
import { decidedBy, intentLines } from '../words.ts';

type Who = { readonly as?: string; readonly keyFile?: string };

/** The approver's key file: named directly, or by the approver's name in the configuration. */
export function keyFileOf(config: ClientConfig, who: Who): string {
  if (who.keyFile !== undefined) return resolve(who.keyFile);
  const known = config.approvers ?? [];
  const name = who.as ?? (known.length === 1 ? known[0]?.name : undefined);
  const found = known.find((one) => one.name === name);
  if (found !== undefined) return found.keyFile;
  throw new KeysagaError(
    name === undefined ? 'InvalidInput' : 'NotFound',
    name === undefined
      ? 'Say who decides: --as <approver> or --key-file <path>.'
      : `No key file of ${name} here.`,
    { field: 'as', known: known.map((one) => one.name) },
  );
}

export const approvalsCommand = (io: Io): Command =>
  leaf('approvals', 'What waits for an approver, in words')
    .option('--as <approver>', 'whose; default: everybody’s')
    .option('--key-file <path>', 'whose: by key file')
    .action(async (options: Who & { json?: boolean }) => {
      const context = contextOf(io, options);
      await context.withClient(async (client) => {
        const approver =
          options.keyFile === undefined
            ? options.as
            : requireRole(readKeyFile(options.keyFile), 'approver').name;
        const filter = approver === undefined ? { open: true } : { approver };
        const found = await Promise.all([
          client.transfers(filter),
          client.payouts(filter),
          client.messages(filter),
        ]);
        const waiting = found
          .flat()
          .filter(
            (one) =>
              one.waitingFor.length > 0 &&
              (approver === undefined || one.waitingFor.includes(approver)),
          );
        const { style } = context;
        const text = waiting.map((one) =>
          [
            `${style.bold(one.requestId)}  waits for ${one.waitingFor.join(', ')}`,
            one.intent === undefined
              ? '  its text cannot be read here: it was not started by this SDK'
              : `  ${intentLines(one.intent, style).split('\n').join('\n  ')}`,
            `  ${style.dim(`${COMMAND} approve ${one.requestId} --as ${approver ?? one.waitingFor[0]}`)}`,
          ].join('\n'),
        );
        context.print(
          waiting.map(({ requestId, workflowId, intent, waitingFor }) => ({
            requestId,
            workflowId,
            intent,
            waitingFor,
          })),
          waiting.length === 0 ? 'nothing waits' : text.join('\n\n'),
        );
      });
    });

type DecideCliOptions = Who & {
  readonly passphraseFile?: string;
  readonly validFor: string;
  readonly yes?: boolean;
  readonly json?: boolean;
};

export const decideCommand = (io: Io, decision: Decision): Command =>
  leaf(
    decision,
    decision === 'approve'
      ? 'Sign the intent of a transfer, a payout or a message with an approver’s key, on this machine'
      : 'Refuse a transfer, a payout or a message; one rejection ends it',
  )
    .argument('<request>', 'its request id')
    .option('--as <approver>', 'an approver whose key file the configuration names')
    .option('--key-file <path>', 'the approver’s key file')
    .option('--passphrase-file <path>', 'else KEYSAGA_PASSPHRASE, else a prompt')
    .option('--valid-for <time>', 'how long the approval counts: 30m, 24h, 7d', '24h')
    .option('--yes', 'do not ask; for those who have read it elsewhere')
    .action(async (id: string, options: DecideCliOptions) => {
      const context = contextOf(io, options);
      // A key of another role is refused before anything is asked of anybody.
      if (options.keyFile !== undefined) requireRole(readKeyFile(options.keyFile), 'approver');
      await context.withClient(async (client, { config }) => {
        const text = readKeyFile(keyFileOf(config, options));
        const { name: approver } = requireRole(text, 'approver');
        const { signed, status } = await decide(client, {
          requestId: id,
          decision,
          validForMs: parseSpan(options.validFor, 'valid-for'),
          show: async ({ intent, intentDigest }) => {
            const style = styleOf(io.stderr, io.env);
            writeLine(io.stderr, `${approver} is about to ${style.bold(decision)}:`);
            writeLine(io.stderr, intentLines(intent, style));
            writeLine(io.stderr, `${style.dim('Digest')}  ${intentDigest}`);
            if (
              options.yes !== true &&
              !(await confirmed(
                io,
                `Sign this ${decision === 'approve' ? 'approval' : 'rejection'}?`,
              ))
            )
              throw new KeysagaError('Cancelled', 'Nothing was signed.');
          },
          key: async () =>
            openKey(text, await passphraseFor(io, approver, options.passphraseFile), 'approver'),
        });
        const given = decidedBy(status, 'approve').length;
        context.print(
          {
            requestId: id,
            signed,
            approved: given,
            quorum: status.quorum,
            missing: status.missing,
            phase: status.phase,
          },
          decision === 'reject'
            ? `rejected by ${approver}; it is undone (${status.phase})`
            : `counted: ${given} of ${status.quorum} approvals${given >= status.quorum ? ', it goes on' : `, missing ${status.missing.join(', ')}`}`,
        );
      });
    });

/** `keysaga approver-key` and `administrator-key`: two roles, two files, never one key. */
export const keyCommand = (io: Io, role: KeyRole): Command =>
  leaf(
    `${role}-key`,
    role === 'approver'
      ? 'Make an approver’s passphrase-protected key file; the public key goes into a policy'
      : 'Make an administrator’s passphrase-protected key file; every party pins the public key',
  )
    .argument(
      `<${role}>`,
      role === 'approver' ? 'the name that the policy will have' : 'the name that parties pin',
    )
    .requiredOption('--key-file <path>', 'where to write it; must not exist')
    .option('--passphrase-file <path>', 'else KEYSAGA_PASSPHRASE, else a prompt')
    .action(
      async (
        name: string,
        options: { keyFile: string; passphraseFile?: string; json?: boolean },
      ) => {
        const passphrase = await passphraseFor(io, `${name} (new)`, options.passphraseFile);
        const seed = randomBytes(32);
        const text = await sealKey({ role, name }, seed, passphrase);
        seed.fill(0);
        let fd: number;
        try {
          fd = openSync(options.keyFile, 'wx', 0o600);
        } catch (cause) {
          throw new KeysagaError(
            'InvalidInput',
            `${options.keyFile} exists, or cannot be written.`,
            { field: 'key-file' },
            { cause },
          );
        }
        writeSync(fd, text);
        fsyncSync(fd);
        closeSync(fd);
        const { publicKey } = describeKeyFile(text);
        contextOf(io, options).print(
          { [role]: name, role, publicKey, keyFile: options.keyFile },
          `${name}  ${publicKey}\nwritten to ${options.keyFile}`,
        );
      },
    );
