/** `keysaga parties`: each is asked directly. */
import type { Command } from 'commander';
import type { PartyState } from '../../client/index.ts';
import { contextOf, leaf } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { type Io, type Style, table } from '../io.ts';

export function partiesTable(parties: readonly PartyState[], style: Style): string {
  const paint = { up: style.green, down: style.red, failed: style.red, 'wrong-key': style.red };
  return table(
    ['party', 'state', 'version', 'keys', 'sessions', 'policy', 'answer', 'identity'],
    parties.map(({ party, state, health, answeredInMs, reason, publicKey }) => [
      party,
      paint[state](health?.fenced === true ? `${state}, fenced` : state),
      health?.version ?? '',
      health === undefined ? '' : String(health.activeKeys),
      health === undefined ? '' : String(health.openSessions),
      health?.policies.map(({ policyId, version }) => `${policyId} v${version}`).join(', ') ?? '',
      answeredInMs === undefined ? (reason ?? '') : `${answeredInMs} ms`,
      `${publicKey.slice(0, 16)}…`,
    ]),
    style,
  );
}

export const partiesCommand = (io: Io): Command =>
  leaf('parties', 'Ask every party how it is').action(async (options: { json?: boolean }) => {
    const context = contextOf(io, options);
    await context.withClient(async (client) => {
      const parties = await client.parties();
      context.print(parties, partiesTable(parties, context.style));
      if (parties.some(({ state }) => state !== 'up')) process.exitCode = EXIT.failed;
    });
  });
