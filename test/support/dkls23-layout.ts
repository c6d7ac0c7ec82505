/**
 * Every field of every message, by machine: where it stands, who sends it when, and how one changed bit of it ends. For tests
 * that change one bit of each; that the fields cover each message without a gap is asserted there.
 */
import {
  CHALLENGE_BYTES,
  CHOICE_BYTES,
  OPENING_BYTES,
  RESPONSE_BYTES,
} from '../../mpc/dkls23/base-ot.ts';
import { POINT_BYTES, PROOF_BYTES } from '../../mpc/dkls23/curve.ts';
import type { Kind } from '../../mpc/dkls23/messages.ts';
import { correctionBytes } from '../../mpc/dkls23/multiplication.ts';
import type { Shape } from './mpc.ts';

export type Field = {
  readonly message: Kind;
  readonly field: string;
  /** Round of the machine in which it is sent. */
  readonly round: number;
  /** Index of the sender, 1 or 2; the other one is shown the changed message. */
  readonly sender: number;
  readonly at: number;
  readonly length: number;
  /**
   * `named`: the receiver names the sender; `barred`: and bars it; `suspects`: whoever combines has suspects, the sender among
   * them; `useless`: nothing is noticed before the end, where no signature comes out.
   */
  readonly ends: 'named' | 'barred' | 'suspects' | 'useless';
};

export const HEADER_BYTES = 36;
type Part = readonly [field: string, length: number, ends: Field['ends']];

/** The header's fields and those behind it, one after another. */
function message(
  kind: Kind,
  round: number,
  sender: number,
  parts: readonly Part[],
  context: Field['ends'] = 'named',
): Field[] {
  let at = 0;
  const header: Part[] = [
    ['version', 1, 'named'],
    ['kind', 1, 'named'],
    ['from', 1, 'named'],
    ['to', 1, 'named'],
    ['context', 32, context],
  ];
  return [...header, ...parts].map(([field, length, ends]) => {
    at += length;
    return { message: kind, field, round, sender, at: at - length, length, ends };
  });
}

/** U, R·b and R·T of an extension for so many transfers. */
const extension = (transfers: number): Part[] => [
  ['U', 128 * ((transfers + 128) / 8), 'barred'],
  ['R·b', 16, 'barred'],
  ['R·T', 2048, 'barred'],
];

/** Rounds 1 and 2 of signing and of presigning, by signers 1 and 2. `after`: rounds of the machine before them. */
export function presignFields(batch: number, after = 0): Field[] {
  const sender = 2;
  return [
    ...message('presignCommitment', after + 1, sender, [['commitment', 32, 'named']]),
    ...message('presignRequest', after + 1, sender, extension(batch * 416)),
    ...message('presignOpening', after + 2, sender, [
      ['seen of 1', 32, 'named'],
      ['seen of 2', 32, 'named'],
      ['salt', 32, 'named'],
      ['nonces', batch * 65, 'named'],
      ['key', 65, 'named'],
    ]),
    ...message('presignReply', after + 2, sender, [
      ['corrections', correctionBytes(batch), 'barred'],
      ['eta', batch * 32, 'barred'],
      ['check', 32, 'barred'],
      ['psi', batch * 32, 'useless'],
      // A changed coordinate is a point on no curve, a changed prefix no encoding.
      ['gamma', batch * 130, 'named'],
    ]),
  ];
}

/** The last round of signing: whoever combines is the receiver. */
export const shareFields = (batch: number, after = 0): Field[] =>
  message('signatureShares', after + 3, 2, [
    ['seen of 1', 32, 'suspects'],
    ['seen of 2', 32, 'named'],
    ...Array.from({ length: batch }, (_, m): Part[] => [
      [`u of ${m}`, 32, 'suspects'],
      [`w of ${m}`, 32, 'suspects'],
    ]).flat(),
  ]);

export const onlineFields = (batch: number): Field[] =>
  message(
    'presignedShares',
    1,
    2,
    [
      ['base', 32, 'named'],
      ...Array.from({ length: batch }, (_, m): Part[] => [
        [`R of ${m}`, 65, 'suspects'],
        [`u of ${m}`, 32, 'suspects'],
        [`w of ${m}`, 32, 'suspects'],
      ]).flat(),
    ],
    // Of two signers in two sessions neither is known to be wrong.
    'suspects',
  );

/** Key generation or refresh by two parties. Index 1 chooses and responds in the set-up, index 2 offers. */
export function keygenFields({ threshold }: Shape, refresh: boolean): Field[] {
  const points = (refresh ? threshold - 1 : threshold) * POINT_BYTES;
  const proof: Part[] = refresh ? [] : [['proof', PROOF_BYTES, 'named']];
  const seen: Part[] = [
    ['seen of 1', 32, 'named'],
    ['seen of 2', 32, 'named'],
  ];
  const toss: Part = ['toss commitment', 32, 'named'];
  const share: Part[] = [
    ['share', 32, 'named'],
    ['toss', 64, 'named'],
  ];
  return [
    ...message('keygenCommitment', 1, 2, [['commitment', 32, 'named']]),
    ...message('keygenOffer', 1, 1, [toss]),
    ...message('keygenOffer', 1, 2, [
      toss,
      ['key', POINT_BYTES, 'barred'],
      ['proof', PROOF_BYTES, 'barred'],
    ]),
    ...message('keygenOpening', 2, 2, [
      ...seen,
      ['salt', 32, 'named'],
      ['points', points, 'named'],
      ...proof,
    ]),
    ...message('keygenShare', 2, 1, [...share, ['choices', CHOICE_BYTES, 'barred']]),
    ...message('keygenShare', 2, 2, share),
    ...message('keygenConfirmation', 3, 2, [['transcript', 32, 'named'], ...seen]),
    ...message('keygenChallenge', 3, 1, []),
    ...message('keygenChallenge', 3, 2, [['challenge', CHALLENGE_BYTES, 'barred']]),
    ...message('keygenResponse', 4, 1, [['response', RESPONSE_BYTES, 'barred']]),
    ...message('keygenResponse', 4, 2, []),
    ...message('keygenExtension', 5, 1, []),
    ...message('keygenExtension', 5, 2, [['opening', OPENING_BYTES, 'barred'], ...extension(128)]),
  ];
}
