/** Where each field of a signing message stands, for tests that change one bit of each. */
import { correctionBytes, requestBytes } from '../../mpc/dkls23/multiplication.ts';

const HEADER = 4 + 32;
/** First, a middle and the last byte of a field. */
const spread = (from: number, length: number): number[] => [
  from,
  from + Math.floor(length / 2),
  from + length - 1,
];

type Field = {
  readonly message: string;
  readonly field: string;
  readonly round: number;
  readonly at: readonly number[];
  /** Whether the sender is named by the receiver at once. */
  readonly named: boolean;
  readonly barring?: boolean;
};

export function multiplicationParts(
  batch: number,
  signers: number,
): { private: readonly Field[]; broadcast: readonly Field[] } {
  const columns = 128 * ((batch * 416 + 128) / 8);
  const request = (field: string, from: number, length: number): Field => ({
    message: 'presignRequest',
    field,
    round: 1,
    at: spread(HEADER + from, length),
    named: true,
    barring: true,
  });
  const tau = correctionBytes(batch);
  const reply = (
    field: string,
    from: number,
    length: number,
    named = true,
    barring = false,
  ): Field => ({
    message: 'presignReply',
    field,
    round: 2,
    at: spread(HEADER + from, length),
    named,
    barring,
  });
  const product = tau + batch * 32 + 32;
  const broadcast = (
    message: string,
    field: string,
    round: number,
    from: number,
    length: number,
  ): Field => ({
    message,
    field,
    round,
    at: spread(from, length),
    named: true,
  });
  const seen = signers * 32;
  return {
    private: [
      { ...request('header', -HEADER, HEADER), barring: false },
      request('U', 0, columns),
      request('R·b', columns, 16),
      request('R·T', columns + 16, requestBytes(batch) - columns - 16),
      reply('header', -HEADER, HEADER),
      reply('corrections', 0, tau, true, true),
      reply('eta', tau, batch * 32, true, true),
      reply('check', tau + batch * 32, 32, true, true),
      reply('psi', product, batch * 32, false),
      // A flipped coordinate is a point on no curve, a flipped prefix no encoding.
      reply('gamma', product + batch * 32, batch * 130),
    ],
    broadcast: [
      broadcast('presignCommitment', 'header', 1, 0, HEADER),
      broadcast('presignCommitment', 'commitment', 1, HEADER, 32),
      broadcast('presignOpening', 'header', 2, 0, HEADER),
      broadcast('presignOpening', 'seen', 2, HEADER, seen),
      broadcast('presignOpening', 'salt and nonces', 2, HEADER + seen, 32 + batch * 65),
      broadcast('presignOpening', 'key', 2, HEADER + seen + 32 + batch * 65, 65),
    ],
  };
}
