/** `keysaga party sign`: an order shown in words, signed with a key that only this machine has. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { checkOrder, requireTimely } from '../../core/orders.ts';
import { signObject } from '../../core/signed.ts';
import type { ClientConfig } from '../../schema/contracts/config.ts';
import { isKeysagaError, KeysagaError } from '../../schema/contracts/errors.ts';
import { contextOf, leaf } from '../command.ts';
import { COMMAND, settings, shown } from '../context.ts';
import {
  addSignature,
  documentDigest,
  missingSignatures,
  readDocument,
  signatureLine,
  writeDocument,
} from '../documents.ts';
import { type Io, styleOf, writeLine } from '../io.ts';
import { openKey, readKeyFile, requireRole } from '../keyfile.ts';
import { ORDER_KIND, orderLines } from '../order-files.ts';
import { confirmed, passphraseFor } from '../passphrase.ts';
import { pinsOf } from '../policy-files.ts';

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
  readonly yes?: boolean;
  readonly json?: boolean;
};

function keyFileOf(config: ClientConfig | undefined, options: SignOptions): string {
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

export const signOrderCommand = (io: Io): Command =>
  leaf('sign', 'Sign an order file with an administrator’s key, on this machine')
    .argument('<file>')
    .option('--as <administrator>', 'an administrator whose key file the configuration names')
    .option('--key <path>', 'the administrator’s key file')
    .option('--passphrase-file <path>', 'else KEYSAGA_PASSPHRASE, else a prompt')
    .option('--yes', 'do not ask; for those who have read it elsewhere')
    .action(async (file: string, options: SignOptions) => {
      const config = configOf(io);
      const draft = readDocument(ORDER_KIND, file);
      checkOrder(draft.document);
      requireTimely(draft.document, Date.now());
      const text = readKeyFile(keyFileOf(config, options));
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
      const style = styleOf(io.stderr, io.env);
      writeLine(io.stderr, `${owner.name} is about to ${style.bold('sign')}:`);
      writeLine(io.stderr, orderLines(draft.document, style));
      writeLine(io.stderr, `${style.dim('Digest  ')}${documentDigest(ORDER_KIND, draft)}`);
      if (options.yes !== true && !(await confirmed(io, 'Sign this order?')))
        throw new KeysagaError('Cancelled', 'Nothing was signed.');
      const passphrase = await passphraseFor(io, owner.name, options.passphraseFile);
      const key = await openKey(text, passphrase, 'administrator');
      const signed = await addSignature(ORDER_KIND, draft, {
        name: owner.name,
        publicKey: owner.publicKey,
        sign: () => signObject('order', draft.document, key.seed),
      }).finally(() => key.seed.fill(0));
      writeDocument(ORDER_KIND, file, signed);
      const { names, quorum } = pinsOf(config ?? {});
      const state = missingSignatures(ORDER_KIND, signed, names, quorum);
      contextOf(io, options).print(
        {
          file,
          administrator: owner.name,
          orderHash: documentDigest(ORDER_KIND, signed),
          ...(names.length === 0
            ? { signed: signed.signatures.map((one) => one.administrator) }
            : state),
        },
        [
          `signed by ${owner.name}, ${shown(resolve(file))}`,
          ...(names.length === 0 ? [] : [signatureLine(state)]),
          ...(names.length > 0 && state.enough
            ? [`  ${COMMAND} party submit ${shown(resolve(file))}`]
            : []),
        ].join('\n'),
      );
    });
