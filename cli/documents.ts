/**
 * Files that a quorum of people signs, one after another and each on a machine of their own: a policy, an
 * administrators' order. A file holds the document under its kind's name and the signatures so far; every signature
 * is made and checked over the canonical form (`schema/contracts/canonical.ts`), never over the file's text.
 */
import { readFileSync } from 'node:fs';
import * as z from 'zod';
import { parseWith } from '../core/parse.ts';
import { digestHex, verifySigned } from '../core/signed.ts';
import { writeAtomic } from '../dev/files.ts';
import { type SignedType, signedBytes } from '../schema/contracts/canonical.ts';
import { KeysagaError } from '../schema/contracts/errors.ts';
import { PolicySignature } from '../schema/contracts/policy.ts';

/** What may stand in such a file: `policy` → `{ "policy": …, "signatures": […] }`. */
export type DocumentKind<T> = {
  /** Domain of the signature, and the name of the field that holds the document. */
  readonly type: SignedType;
  readonly schema: z.ZodType<T>;
};

export type DocumentSignature = z.infer<typeof PolicySignature>;
/** A document with the signatures that it has so far; none at first. */
export type Draft<T> = { readonly document: T; readonly signatures: readonly DocumentSignature[] };
/** As a configuration pins them. */
export type Signatory = { readonly name: string; readonly publicKey: string };

/** Hex; what the signatories compare by voice. */
export const documentDigest = <T>(kind: DocumentKind<T>, draft: Draft<T>): string =>
  digestHex(kind.type, draft.document);

/** Throws `NotFound` for a file that cannot be read and `InvalidInput` for one that holds something else. */
export function readDocument<T>(kind: DocumentKind<T>, path: string): Draft<T> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new KeysagaError(
      'NotFound',
      `The file ${path} cannot be read.`,
      { field: 'file' },
      { cause },
    );
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new KeysagaError('InvalidInput', `${path} is not JSON.`, { field: 'file' });
  }
  const shape = z.strictObject({
    [kind.type]: kind.schema,
    signatures: z.array(PolicySignature).max(64),
  });
  const read = parseWith(shape, json, kind.type) as Record<string, unknown>;
  return { document: read[kind.type] as T, signatures: read.signatures as DocumentSignature[] };
}

/** What the file holds, as JSON: also what is submitted. */
export const documentJson = <T>(
  kind: DocumentKind<T>,
  draft: Draft<T>,
): Record<string, unknown> => ({
  [kind.type]: draft.document,
  signatures: [...draft.signatures],
});

/** Replaces the file as a whole: a reader sees the old content or the new. */
export function writeDocument<T>(kind: DocumentKind<T>, path: string, draft: Draft<T>): void {
  try {
    writeAtomic(path, `${JSON.stringify(documentJson(kind, draft), null, 2)}\n`, 0o644);
  } catch (cause) {
    throw new KeysagaError(
      'InvalidInput',
      `The file ${path} cannot be written.`,
      { field: 'file' },
      { cause },
    );
  }
}

/**
 * The draft with one more signature, checked as soon as it is made; signing again replaces the earlier one. `sign`
 * gets the bytes and answers with hex. Throws `SignatureInvalid` when the fresh signature does not verify.
 */
export async function addSignature<T>(
  kind: DocumentKind<T>,
  draft: Draft<T>,
  signer: Signatory & { sign(bytes: Uint8Array): string | Promise<string> },
): Promise<Draft<T>> {
  const signature = await signer.sign(signedBytes(kind.type, draft.document));
  if (!verifySigned(kind.type, draft.document, signer.publicKey, signature))
    throw new KeysagaError('SignatureInvalid', 'The fresh signature does not verify.');
  const entry = parseWith(
    PolicySignature,
    { administrator: signer.name, publicKey: signer.publicKey, signature },
    'signature',
  );
  const others = draft.signatures.filter((one) => one.administrator !== entry.administrator);
  return { document: draft.document, signatures: [...others, entry] };
}

export type SignatureState = {
  /** Pinned signatories whose signature verifies. */
  readonly signed: readonly string[];
  /** Pinned signatories without one. */
  readonly missing: readonly string[];
  /** Names in the file whose signature counts for nothing: not pinned, another key, or it does not verify. */
  readonly invalid: readonly { readonly name: string; readonly reason: string }[];
  readonly quorum: number;
  readonly enough: boolean;
};

/** Who has signed and who is missing, by the keys that the reader pins. */
export function missingSignatures<T>(
  kind: DocumentKind<T>,
  draft: Draft<T>,
  pinned: readonly Signatory[],
  quorum: number,
): SignatureState {
  const signed = new Set<string>();
  const invalid: { name: string; reason: string }[] = [];
  for (const { administrator, publicKey, signature } of draft.signatures) {
    const known = pinned.find((one) => one.name === administrator);
    const reason =
      known === undefined
        ? 'is not pinned here'
        : known.publicKey !== publicKey
          ? 'has another key here'
          : verifySigned(kind.type, draft.document, publicKey, signature)
            ? undefined
            : 'signed something else';
    if (reason === undefined) signed.add(administrator);
    else invalid.push({ name: administrator, reason });
  }
  return {
    signed: [...signed],
    missing: pinned.map(({ name }) => name).filter((name) => !signed.has(name)),
    invalid,
    quorum,
    enough: signed.size >= quorum,
  };
}

/** `signed by ada; 1 more of barbara, edsger is needed` */
export function signatureLine(state: SignatureState): string {
  const { signed, missing, invalid, quorum, enough } = state;
  return [
    signed.length === 0 ? 'signed by nobody yet' : `signed by ${signed.join(', ')}`,
    enough
      ? `${quorum} are needed: enough`
      : `${quorum - signed.length} more of ${missing.join(', ') || 'nobody'} needed`,
    ...invalid.map(({ name, reason }) => `${name} does not count: ${reason}`),
  ].join('; ');
}
