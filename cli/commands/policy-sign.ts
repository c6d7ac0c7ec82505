/** `keysaga policy sign`: shown in words, signed with a key that only this machine has. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { checkPolicy, checkSuccession, policyHash } from '../../core/policy.ts';
import { signObject } from '../../core/signed.ts';
import type { ClientConfig } from '../../schema/contracts/config.ts';
import { isKeysagaError, KeysagaError } from '../../schema/contracts/errors.ts';
import type { Policy } from '../../schema/contracts/policy.ts';
import { type Context, contextOf, leaf } from '../command.ts';
import { settings, shown } from '../context.ts';
import {
  addSignature,
  type Draft,
  missingSignatures,
  readDocument,
  writeDocument,
} from '../documents.ts';
import { type Io, styleOf, writeLine } from '../io.ts';
import { openKey, readKeyFile, requireRole } from '../keyfile.ts';
import { confirmed, passphraseFor } from '../passphrase.ts';
import { POLICY_KIND, pinnedLine, pinsOf } from '../policy-files.ts';
import { diffLines, policyLines } from '../policy-words.ts';

/** Undefined on a machine that has no configuration: an administrator's need not have one. */
function configOf(io: Io): ClientConfig | undefined {
  try {
    return settings(io.env).config;
  } catch (error) {
    if (isKeysagaError(error, 'PartMissing')) return undefined;
    throw error;
  }
}

type SignOptions = {
  readonly as?: string;
  readonly key?: string;
  readonly passphraseFile?: string;
  readonly against?: string;
  readonly yes?: boolean;
  readonly json?: boolean;
};

/** The version that the document follows: from a file, else asked of the deployment. Undefined: it cannot be had. */
async function predecessor(
  context: Context,
  options: SignOptions,
  policy: Policy,
): Promise<Policy | undefined> {
  if (policy.version === 1) return undefined;
  if (options.against !== undefined) return readDocument(POLICY_KIND, options.against).document;
  try {
    return await context.withClient(async (client) => {
      const info = await client.policy({ policyId: policy.policyId });
      return info.versions.find((one) => one.policyHash === policy.previous)?.signed.policy;
    });
  } catch (error) {
    // An administrator's machine need not reach the deployment.
    if (isKeysagaError(error, 'PartMissing') || isKeysagaError(error, 'PartFailed'))
      return undefined;
    throw error;
  }
}

function administratorKeyFile(config: ClientConfig | undefined, options: SignOptions): string {
  if (options.key !== undefined) return resolve(options.key);
  const known = (config?.administrators ?? []).filter((one) => one.keyFile !== undefined);
  const found = known.find((one) => one.name === options.as);
  if (found?.keyFile !== undefined) return found.keyFile;
  throw new KeysagaError(
    options.as === undefined ? 'InvalidInput' : 'NotFound',
    options.as === undefined
      ? 'Say who signs: --as <administrator> or --key <path>.'
      : `No key file of ${options.as} here.`,
    { field: 'as', known: known.map(({ name }) => name) },
  );
}

export const signCommand = (io: Io): Command =>
  leaf('sign', 'Sign a policy file with an administrator’s key, on this machine')
    .argument('<file>')
    .option('--as <administrator>', 'an administrator whose key file the configuration names')
    .option('--key <path>', 'the administrator’s key file')
    .option('--passphrase-file <path>', 'else KEYSAGA_PASSPHRASE, else a prompt')
    .option('--against <file>', 'the version before, when the deployment cannot be reached')
    .option('--yes', 'do not ask; for those who have read it elsewhere')
    .action(async (file: string, options: SignOptions) => {
      const context = contextOf(io, options);
      const config = configOf(io);
      const draft = readDocument(POLICY_KIND, file);
      const policy = draft.document;
      checkPolicy(policy);
      const text = readKeyFile(administratorKeyFile(config, options));
      const owner = requireRole(text, 'administrator');
      const pinned = config?.administrators?.find((one) => one.name === owner.name);
      if (config?.administrators !== undefined && pinned?.publicKey !== owner.publicKey)
        throw new KeysagaError(
          'InvalidInput',
          pinned === undefined
            ? `${owner.name} is no administrator here.`
            : `Another key is pinned for ${owner.name}.`,
          { field: 'key' },
        );
      const before = await predecessor(context, options, policy);
      if (before !== undefined) checkSuccession(before, policy);
      const style = styleOf(io.stderr, io.env);
      writeLine(io.stderr, `${owner.name} is about to ${style.bold('sign')}:`);
      writeLine(
        io.stderr,
        before === undefined ? policyLines(policy, style) : diffLines(before, policy, style),
      );
      if (before === undefined && policy.version > 1)
        writeLine(
          io.stderr,
          style.yellow('The version before is not known here, so the whole policy is shown.'),
        );
      if (options.yes !== true && !(await confirmed(io, 'Sign this policy?')))
        throw new KeysagaError('Cancelled', 'Nothing was signed.');
      const key = await openKey(
        text,
        await passphraseFor(io, owner.name, options.passphraseFile),
        'administrator',
      );
      let signed: Draft<Policy>;
      try {
        signed = await addSignature(POLICY_KIND, draft, {
          name: owner.name,
          publicKey: owner.publicKey,
          sign: () => signObject('policy', policy, key.seed),
        });
      } finally {
        key.seed.fill(0);
      }
      writeDocument(POLICY_KIND, file, signed);
      const { names, quorum } = pinsOf(config ?? {});
      context.print(
        {
          file,
          administrator: owner.name,
          policyHash: policyHash(policy),
          ...(names.length === 0
            ? { signed: signed.signatures.map((one) => one.administrator) }
            : missingSignatures(POLICY_KIND, signed, names, quorum)),
        },
        `signed by ${owner.name}, ${shown(resolve(file))}\n${config === undefined ? '' : pinnedLine(config, signed)}`.trimEnd(),
      );
    });
