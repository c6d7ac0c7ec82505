/** `PartyBoard`: how parties did, for routing and reputation. Only failures are kept one by one. */
import { type SQL, sql } from 'drizzle-orm';
import type { Clock } from '../../core/ports/clock.ts';
import type { PartyBoard } from '../../core/ports/ledger.ts';
import type { PartyReport } from '../../schema/contracts/activities.ts';
import { unawaited } from '../postgres-client.ts';
import type { Executor } from './event-log.ts';

/** A failure counts against a party for this long. */
export const FAILURE_MEMORY_MS = 300_000;
/** A success is written at most this often, so that a thousand transfers do not queue for three rows. */
const OK_RESOLUTION_MS = 1_000;

type Stats = {
  readonly party: string;
  readonly consecutive: number;
  readonly lastOk: string | number | null;
};

/** FNV-1a; spreads equal parties over transfers, needs no secrecy. */
function spread(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

/** `executor`: a transaction, which waits for what `record` writes. */
export function createPartyBoard(executor: Executor, clock: Clock): PartyBoard {
  const write = (statement: SQL): void => unawaited(executor.execute(statement));
  const stats = async (names: readonly string[]): Promise<ReadonlyMap<string, Stats>> => {
    if (names.length === 0) return new Map();
    const rows = await executor.execute<Stats>(sql`
      select party, consecutive_failures as consecutive, extract(epoch from last_ok_at) * 1000 as "lastOk"
      from party_stats where party in (${list(names)})`);
    return new Map(rows.map((row) => [row.party, row]));
  };

  /** How often each has failed of late; those that have not are absent. */
  const failures = async (names: readonly string[]): Promise<ReadonlyMap<string, number>> => {
    if (names.length === 0) return new Map();
    const since = new Date(clock.now() - FAILURE_MEMORY_MS).toISOString();
    const rows = await executor.execute<{ party: string; recent: number }>(sql`
      select party, count(*)::int as recent from party_reports
      where party in (${list(names)}) and at > ${since} group by party`);
    return new Map(rows.map((row) => [row.party, row.recent]));
  };

  return {
    record: async (reports: readonly PartyReport[]): Promise<void> => {
      if (reports.length === 0) return;
      const nowMs = clock.now();
      const now = new Date(nowMs).toISOString();
      const known = await stats([...new Set(reports.map((r) => r.party))]);
      // Sorted, so that two transactions that report on the same parties lock their rows in one order.
      const sorted = [...reports].sort((a, b) =>
        a.party < b.party ? -1 : a.party > b.party ? 1 : 0,
      );
      const written = new Set<string>();
      for (const { party, ok, step, code, milliseconds } of sorted) {
        const elapsed = milliseconds === undefined ? null : Math.round(milliseconds);
        if (ok) {
          const before = known.get(party);
          const fresh =
            before?.consecutive === 0 &&
            before.lastOk !== null &&
            nowMs - Number(before.lastOk) < OK_RESOLUTION_MS;
          if (fresh || written.has(party)) continue;
          write(sql`
            insert into party_stats (party, failures, consecutive_failures, last_ok_at, last_milliseconds)
            values (${party}, 0, 0, ${now}, ${elapsed})
            on conflict (party) do update set consecutive_failures = 0, last_ok_at = excluded.last_ok_at,
              last_milliseconds = coalesce(excluded.last_milliseconds, party_stats.last_milliseconds)`);
        } else {
          write(sql`
            insert into party_reports (party, step, code, milliseconds, at)
            values (${party}, ${step}, ${code ?? null}, ${elapsed}, ${now})`);
          write(sql`
            insert into party_stats (party, failures, consecutive_failures, last_failure_at, last_failure_code)
            values (${party}, 1, 1, ${now}, ${code ?? null})
            on conflict (party) do update set failures = party_stats.failures + 1,
              consecutive_failures = party_stats.consecutive_failures + 1,
              last_failure_at = excluded.last_failure_at, last_failure_code = excluded.last_failure_code`);
        }
        written.add(party);
      }
    },

    steady: async (names: readonly string[]): Promise<string[]> => {
      const [known, recent] = [await stats(names), await failures(names)];
      return names.filter((name) => !recent.has(name) || known.get(name)?.consecutive === 0);
    },

    ranking: async (names: readonly string[], salt: string): Promise<string[]> => {
      const known = await stats(names);
      const recent = await failures(names);
      // A run of failures weighs only while the last of them is recent: a party that came back gets its turn again.
      const run = (party: string) =>
        (recent.get(party) ?? 0) > 0 ? (known.get(party)?.consecutive ?? 0) : 0;
      return [...names].sort(
        (a, b) =>
          run(a) - run(b) ||
          (recent.get(a) ?? 0) - (recent.get(b) ?? 0) ||
          spread(`${salt}/${a}`) - spread(`${salt}/${b}`) ||
          (a < b ? -1 : 1),
      );
    },
  };
}

const list = (names: readonly string[]) =>
  sql.join(
    names.map((name) => sql`${name}`),
    sql`, `,
  );
