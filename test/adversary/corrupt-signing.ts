/** Corrupted signers beside honest ones, in a session that the coordinator routes as it likes. */
import type {
  PrepareSign,
  RoundAnswer,
  SignedPrepareAnswer,
} from '../../schema/contracts/party.ts';
import type { PartyId } from '../../schema/contracts/primitives.ts';
import type { Seat } from '../support/parties.ts';
import type { Built } from './chains.ts';
import { corruptAnswer, corruptSigner, stolenShare } from './corrupt.ts';
import type { Field } from './field.ts';
import { nextRound, signatures, type Wallet } from './tools.ts';

/**
 * Signs by FROST what the honest ones take for an honest request, each asked first so that one that refuses is heard of;
 * the corrupted ones sign `built`, whatever the request says.
 */
export async function signBeside(
  { field, seat }: { readonly field: Field; seat(party: PartyId): Seat },
  honest: readonly PartyId[],
  corrupt: readonly PartyId[],
  { key }: Wallet,
  request: PrepareSign,
  built: Built,
): Promise<readonly Uint8Array[] | undefined> {
  const own = new Map<PartyId, SignedPrepareAnswer>();
  for (const party of honest) own.set(party, await field.ask(party, 'prepare', request));
  const [beside] = own.values();
  if (beside === undefined) throw new Error('nobody is honest');
  const prepared: SignedPrepareAnswer[] = [];
  for (const party of request.signers)
    prepared.push(own.get(party) ?? (await corruptAnswer(seat(party), request, beside.answer)));
  const signers = new Map(
    await Promise.all(
      corrupt.map(async (party) => {
        const share = await stolenShare(seat(party), key.keyId);
        return [
          party,
          corruptSigner(seat(party), share, key, request, prepared, built.messages),
        ] as const;
      }),
    ),
  );
  const rounds: RoundAnswer[][] = [];
  for (const round of [1, 2]) {
    const before = (rounds.at(-1) ?? []).flatMap((answer) => answer.outbox);
    const answers: RoundAnswer[] = [];
    for (const party of request.signers) {
      const heard = before.filter(({ from }) => from !== party);
      answers.push(
        signers.get(party)?.speak(round, heard) ??
          (await field.ask(party, 'round', nextRound(party, { request, prepared, rounds }))),
      );
    }
    rounds.push(answers);
  }
  return signatures(key, { request, prepared, rounds }, built.messages);
}
