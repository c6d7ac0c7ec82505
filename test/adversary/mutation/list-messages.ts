// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are passages of source text
/** Digests, rounds and envelopes. */
import type { Change, Mutation } from './mutation.ts';

const ENVELOPES = 'core/session/envelopes.ts';
const PREPARED = 'core/session/prepared.ts';

/** A field that the adversary may add, since the contract no longer forbids what it does not name. */
const keygenTakesMessage: Change = {
  file: 'schema/contracts/party.ts',
  find: "  /** All n, ordered; a party's index is its position + 1. */",
  put: "  message: Hex.exactOptional(),\n  /** All n, ordered; a party's index is its position + 1. */",
};
const signTakesDigest: Change = {
  file: 'schema/contracts/transaction.ts',
  find: "  format: z.enum(['bitcoin-psbt', 'solana-message', 'ethereum-rlp']),",
  put: "  format: z.enum(['bitcoin-psbt', 'solana-message', 'ethereum-rlp']),\n  digest: Hex.exactOptional(),",
};

export const messageMutations: readonly Mutation[] = [
  {
    name: 'each party computes the message of the activation test itself',
    cases: ['activation-message'],
    changes: [
      keygenTakesMessage,
      {
        file: 'activities/party/live-runs.ts',
        find: '{ index, threshold, parties: signers.length, sessionId, keyId, epoch },',
        put: "{ index, threshold, parties: signers.length, sessionId, keyId: `${keyId}${request.message ? `|${request.message}` : ''}`, epoch },",
      },
      {
        file: 'mpc/ceremonies.ts',
        find: 'activationCeremony(registry.get(protocol), { params, keyId, epoch })',
        put: "activationCeremony(registry.get(protocol), { params, keyId: keyId.split('|')[0] as never, epoch, message: keyId.split('|')[1] } as never)",
      },
      {
        file: 'mpc/activation.ts',
        find: '    message = protocol.activationMessage(activationBytes(keyId, epoch, key.transcriptHash));',
        put: "    const given = (arguments[1] as { message?: string }).message;\n    message = given ? new Uint8Array(Buffer.from(given, 'hex')) : protocol.activationMessage(activationBytes(keyId, epoch, key.transcriptHash));",
      },
    ],
  },
  {
    name: 'a key is made once',
    cases: ['second-ceremony-of-a-key'],
    changes: [
      {
        file: 'activities/party/prepare-keygen.ts',
        find: 'if (live !== undefined)',
        put: 'if (live === null)',
      },
    ],
  },
  {
    name: 'each party computes the digests from the bytes',
    cases: ['digest-of-its-choice'],
    changes: [
      signTakesDigest,
      {
        file: 'activities/party/live-runs.ts',
        find: '  return codec.messages(request.unsigned, key);',
        put: "  return request.unsigned.digest ? [new Uint8Array(Buffer.from(request.unsigned.digest, 'hex'))] : codec.messages(request.unsigned, key);",
      },
    ],
  },
  {
    name: 'a signature covers everything (SIGHASH_DEFAULT, SIGHASH_ALL)',
    cases: ['digest-that-binds-less'],
    chains: ['bitcoin', 'segwit'],
    changes: [
      {
        file: 'chains/bitcoin/psbt.ts',
        find: 'if (map?.sighashType !== undefined && map.sighashType !== (keyHash ? ALL : DEFAULT))',
        put: 'if (map === null)',
      },
    ],
  },
  {
    name: 'one inbox a round: envelopes, the committed hash, the stored outbox',
    cases: ['changed-inbox'],
    changes: [
      {
        file: ENVELOPES,
        find: "if (!verifySigned('envelope', envelopeBody(envelope), identity, envelope.signature, verify))",
        put: "if (identity === '' && verify)",
      },
      {
        file: ENVELOPES,
        find: '    if (twin !== undefined) {',
        put: '    if (twin === null) {',
      },
      {
        file: ENVELOPES,
        find: '      if (seen.has(`${sender} ${kind}`) !== expected)',
        put: '      if (seen.has(`${sender} ${kind}`) !== expected && envelopes.length > 0)',
      },
      {
        file: ENVELOPES,
        find: '  if (others.some((s) => !seen.has(`${s} *`) && !seen.has(`${s} ${self}`)))',
        put: '  if (envelopes.length > 0 && others.some((s) => !seen.has(`${s} *`) && !seen.has(`${s} ${self}`)))',
      },
      {
        file: 'core/session/session.ts',
        find: 'if (entry !== undefined && entry.inboxHash !== inboxHash)',
        put: 'if (entry === null)',
      },
      {
        file: 'activities/party/round.ts',
        find: '  if (stored?.outbox && stored.inboxHash === hash) {',
        put: '  if (stored?.outbox) {',
      },
    ],
  },
  {
    name: 'an envelope is signed by its sender’s pinned key',
    cases: ['forged-envelope'],
    changes: [
      {
        file: ENVELOPES,
        find: "if (!verifySigned('envelope', envelopeBody(envelope), identity, envelope.signature, verify))",
        put: "if (identity === '' && verify)",
      },
    ],
  },
  {
    name: 'a prepare answer is signed by its sender’s pinned key',
    cases: ['forged-prepare-answer'],
    changes: [
      {
        file: PREPARED,
        find: "if (!verifySigned('prepare-answer', answer, identity, signature, verify))",
        put: "if (identity === '' && signature)",
      },
    ],
  },
  {
    name: 'an envelope is of this session: header and protocol context',
    cases: ['swapped-envelope'],
    changes: [
      {
        file: ENVELOPES,
        find: 'if (envelope.sessionId !== session.sessionId)',
        put: "if (envelope.sessionId === '')",
      },
      {
        file: 'mpc/frost/sign.ts',
        find: 'if (!equalBytes(decoded.context, context))',
        put: 'if (equalBytes(decoded.context, new Uint8Array(0)) && context)',
      },
    ],
  },
  {
    name: 'a prepare answer is about this request and attempt',
    cases: ['swapped-prepare-answer', 'presignatures-crossed'],
    changes: [
      {
        file: PREPARED,
        find: 'if (answer.attempt !== request.attempt)',
        put: 'if (answer.attempt === undefined)',
      },
      { file: PREPARED, find: 'if (answer.requestHash !== hash)', put: "if (hash === '')" },
    ],
  },
  {
    name: 'an envelope is for whoever it names, and an inbox has a private one where the own outbox had',
    cases: ['envelope-for-another'],
    changes: [
      {
        file: 'core/session/envelopes.ts',
        find: "if (to !== '*' && to !== self)",
        put: 'if (to === (undefined as never))',
      },
      {
        file: 'core/session/envelopes.ts',
        find: '      if (seen.has(`${sender} ${kind}`) !== expected)',
        put: "      if (seen.has(`${sender} ${kind}`) !== expected && kind === '*')",
      },
      {
        file: 'core/session/envelopes.ts',
        find: '  if (others.some((s) => !seen.has(`${s} *`) && !seen.has(`${s} ${self}`)))',
        put: '  if (seen.size < others.length)',
      },
    ],
  },
  {
    name: 'an envelope is of the round before: header and echo',
    cases: ['envelope-of-another-round'],
    changes: [
      {
        file: 'core/session/envelopes.ts',
        find: 'if (envelope.round !== round)',
        put: 'if (envelope.round > round)',
      },
      {
        file: 'core/session/envelopes.ts',
        find: 'if (envelope.echo !== check.expectedEcho)',
        put: "if (envelope.echo === '')",
      },
    ],
  },
  {
    name: 'what one was told, the others were told: the echo',
    cases: ['two-stories'],
    changes: [
      {
        file: 'core/session/envelopes.ts',
        find: 'if (envelope.echo !== check.expectedEcho)',
        put: "if (envelope.echo === '')",
      },
    ],
  },
  {
    name: 'an inbox is the same in any order',
    cases: ['reordered-inbox'],
    changes: [
      {
        file: 'core/session/envelopes.ts',
        find: '  entries.sort((a, b) => order(a.by, b.by) || order(a.to, b.to) || order(a.item, b.item));\n',
        put: '',
      },
    ],
  },
];
