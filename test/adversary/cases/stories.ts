/** One corrupted party and the coordinator, who tell two honest parties two stories. */
import { randomBytes } from 'node:crypto';
import { echoOf } from '../../../core/session/session.ts';
import type { Envelope } from '../../../schema/contracts/party.ts';
import type { PartyId } from '../../../schema/contracts/primitives.ts';
import { corruptMember } from '../corrupt.ts';
import { CaseBroken } from '../field.ts';
import { drive, keygen, nextRound, unheard, withAside } from '../tools.ts';
import { BOTH, type Case } from './case.ts';

export const storyCases: readonly Case[] = [
  {
    id: 'two-stories',
    title: 'has two parties go on with a ceremony in which a third told them two stories',
    chains: BOTH,
    needs: 'aside',
    run: (field, kit) =>
      withAside(field, async ({ field: own, seat }) => {
        const [alpha, beta, gamma] = own.parties as [PartyId, PartyId, PartyId];
        for (const stories of [1, 2]) {
          const request = keygen(own, kit, `told-${randomBytes(4).toString('hex')}`);
          const { keyId, attempt } = request;
          const { talk } = await drive(own, request, { until: 0 });
          const first = await Promise.all(
            [alpha, beta].map((party) => own.ask(party, 'round', nextRound(party, talk))),
          );
          const said = first.flatMap(({ outbox }) => outbox);
          // Each story stands for itself: another polynomial for the same session.
          const members = Array.from({ length: stories }, () =>
            corruptMember(seat(gamma), request, talk.prepared),
          );
          const told = await Promise.all(members.map((m) => m.speak(1, [], echoOf([]))));
          const [toAlpha = [], toBeta = toAlpha] = told;
          const second = async (party: PartyId, story: readonly Envelope[]) => {
            const inbox = [...said, ...story].filter(({ from }) => from !== party);
            return (await own.ask(party, 'round', { keyId, attempt, round: 2, inbox })).outbox;
          };
          await second(alpha, toAlpha);
          const shares = [
            ...(await second(beta, toBeta)),
            ...((await members[0]?.speak(2, said, echoOf([...said, ...toAlpha]))) ?? []),
          ];
          const inbox = shares.filter(({ to }) => to === alpha);
          const asked = own.ask(alpha, 'round', { keyId, attempt, round: 3, inbox });
          // The control: with one story for both, the very same words are taken.
          if (stories === 1) await asked.catch(refused);
          else await unheard(asked, 'echo');
        }
      }),
  },
];

const refused = (error: unknown): never => {
  throw new CaseBroken(`one story was refused: ${error}`);
};
