/** The board of a policy change, in the style of `board.ts`. */
import type { PolicyChangeStatus, PolicyGroup } from '../schema/contracts/policy-change.ts';
import { plain } from '../schema/contracts/summaries.ts';

const groupLine = ({ wallets, threshold, parties, held, deadAt, usableAt }: PolicyGroup): string =>
  `- ${wallets === 0 ? 'no wallet yet' : `${wallets} wallet${wallets === 1 ? '' : 's'}`} of ${threshold} of ${parties.length} (${parties.join(', ')}): ` +
  `held by ${held}; the version before ${held >= deadAt ? 'is dead' : `dies at ${deadAt}`}, ` +
  `this one ${held >= usableAt ? 'is usable' : `is usable at ${usableAt}`}`;

export function policyBoard(status: PolicyChangeStatus): string {
  const { failure } = status;
  return [
    `**Phase** ${status.phase}${status.waitingFor === '' ? '' : ` – ${plain(status.waitingFor, 400)}`}`,
    '',
    `**Policy** ${status.policyId} version ${status.version}`,
    '',
    `**Hash** \`${status.policyHash}\``,
    '',
    '**Parties**',
    ...status.parties.map(
      ({ party, state, since, lastError }) =>
        `- ${party}: ${state === 'received' ? state : `**${state}**`} since ${since}${lastError === undefined ? '' : ` (${plain(lastError)})`}`,
    ),
    ...(status.groups.length === 0 ? [] : ['', '**Wallets**', ...status.groups.map(groupLine)]),
    '',
    `The version before is ${status.previousDead ? 'dead' : 'alive'}; this one is ${status.usable ? 'usable' : 'not usable yet'}.` +
      ' A version that parties hold is not taken back: the next one follows it.',
    ...(status.announced === 0 ? [] : ['', `**Waiting transfers told** ${status.announced}`]),
    ...(failure === undefined
      ? []
      : ['', `**Failure** ${failure.code}: ${plain(failure.message)}`]),
  ].join('\n');
}
