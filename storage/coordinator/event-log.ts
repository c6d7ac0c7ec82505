/** `EventLog` over PostgreSQL: append with expected version, snapshots, state at a past time. */
import { type SQL, sql } from 'drizzle-orm';
import type { Clock } from '../../core/ports/clock.ts';
import type { EventLog, Fold, StoredEvent } from '../../core/ports/ledger.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { type DomainEvent, EVENTS, type EventType } from '../../schema/contracts/events.ts';
import { type Database, sqlState, violatedConstraint } from './database.ts';

/** Events between two snapshots of one stream. */
export const SNAPSHOT_EVERY = 100;

/** What runs a statement: the pool, or one transaction. */
export type Executor = Pick<Database, 'execute'>;

/** A stored row as every reader of the log selects it ({@link EVENT_COLUMNS}). */
export type EventRow = {
  readonly position: string | number;
  readonly stream: string;
  readonly version: number;
  readonly type: string;
  readonly data: unknown;
  readonly at: string;
};

const ISO = `'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'`;
/** The connection's time zone is UTC, so `to_char` prints the one ISO form. */
export const EVENT_COLUMNS: SQL = sql.raw(
  `e.position, e.stream, e.version, e.type, e.data, to_char(e.at, ${ISO}) as at`,
);

const isEventType = (type: string): type is EventType => Object.hasOwn(EVENTS, type);

/** Checked on the way out as well: an event that no longer fits its schema is a defect, not data. */
export function toStoredEvent(row: EventRow): StoredEvent {
  const result = isEventType(row.type) ? EVENTS[row.type].safeParse(row.data) : undefined;
  if (result?.success !== true)
    throw new KeysagaError(
      'Internal',
      `Event ${row.stream}/${row.version} (${row.type}) does not fit its schema.`,
      { stream: row.stream, version: row.version, type: row.type },
      { cause: result?.error, retryable: false },
    );
  return {
    type: row.type,
    data: result.data,
    stream: row.stream,
    version: row.version,
    position: Number(row.position),
    at: row.at,
  } as StoredEvent;
}

function checked(event: DomainEvent, index: number): DomainEvent {
  const result = isEventType(event.type) ? EVENTS[event.type].safeParse(event.data) : undefined;
  if (result?.success === true) return { type: event.type, data: result.data } as DomainEvent;
  const issue = result?.error.issues[0];
  throw new KeysagaError(
    'InvalidInput',
    `Event ${event.type} does not fit its schema: ${issue?.path.join('.') ?? 'type'}: ${issue?.message ?? 'unknown type'}`,
    {
      field: ['events', index, 'data', ...(issue?.path ?? [])].map(String).join('.'),
      type: event.type,
    },
  );
}

const conflict = (stream: string, expected: number, cause?: unknown): KeysagaError =>
  new KeysagaError(
    'VersionConflict',
    `${stream} is not at version ${expected}.`,
    { stream, expected },
    cause === undefined ? {} : { cause },
  );

export type EventLogOptions = {
  readonly executor: Executor;
  readonly clock: Clock;
  /** Called after each append, before the commit. */
  readonly onAppend?: () => void;
};

export function createEventLog({ executor, clock, onAppend }: EventLogOptions): EventLog {
  const read = async (
    stream: string,
    options: { after?: number; at?: string } = {},
  ): Promise<StoredEvent[]> => {
    const until = options.at === undefined ? sql`` : sql` and e.at <= ${options.at}`;
    const rows = await executor.execute<EventRow>(
      sql`select ${EVENT_COLUMNS} from events e
          where e.stream = ${stream} and e.version > ${options.after ?? 0}${until} order by e.version`,
    );
    return rows.map(toStoredEvent);
  };

  const append = async (
    stream: string,
    expectedVersion: number,
    events: readonly DomainEvent[],
  ): Promise<StoredEvent[]> => {
    if (events.length === 0) return [];
    const body = events.map(checked);
    const now = new Date(clock.now()).toISOString();
    let rows: readonly { position: string | number; version: number; at: string }[];
    try {
      // One statement: the version check, the events and their outbox rows. Within a stream time never runs
      // backwards, whatever the coordinators' clocks say, so that "state at a past time" is a prefix.
      rows = await executor.execute(sql`
        with previous as (
          select at from events where stream = ${stream} and version = ${expectedVersion}::int
        ), appended as (
          insert into events (stream, version, type, data, at)
          select ${stream}, ${expectedVersion}::int + item.ordinality, item.value->>'type', item.value->'data',
                 greatest(${now}::timestamptz, (select at from previous))
          from jsonb_array_elements(${JSON.stringify(body)}::jsonb) with ordinality as item
          where ${expectedVersion}::int = 0 or exists (select from previous)
          order by item.ordinality
          returning position, version, at
        ), boxed as (
          insert into outbox (position) select position from appended
        )
        select position, version, to_char(at, ${sql.raw(ISO)}) as at from appended order by version`);
    } catch (error) {
      if (sqlState(error) === '23505' && violatedConstraint(error) === 'events_stream_version')
        throw conflict(stream, expectedVersion, error);
      throw error;
    }
    if (rows.length !== body.length) throw conflict(stream, expectedVersion);
    onAppend?.();
    return body.map((event, i) => {
      const row = rows[i] as (typeof rows)[number];
      return {
        ...event,
        stream,
        version: row.version,
        position: Number(row.position),
        at: row.at,
      } as StoredEvent;
    });
  };

  const load = async <S>(
    stream: string,
    fold: Fold<S>,
    options: { at?: string } = {},
  ): Promise<{ state: S; version: number }> => {
    if (options.at !== undefined) {
      const events = await read(stream, { at: options.at });
      return {
        state: events.reduce((state, event) => fold.apply(state, event), fold.initial),
        version: events.at(-1)?.version ?? 0,
      };
    }
    // One statement, so that snapshot and events are of one moment.
    const rows = await executor.execute<EventRow>(sql`
      with snapshot as materialized (
        select version, state from snapshots
        where stream = ${stream} and fold = ${fold.name} and schema_version = ${fold.schemaVersion}
      )
      select 0 as position, ${stream} as stream, version, 'snapshot' as type, state as data, '' as at from snapshot
      union all
      (select ${EVENT_COLUMNS} from events e
       where e.stream = ${stream} and e.version > coalesce((select version from snapshot), 0) order by e.version)`);
    let state = fold.initial;
    let version = 0;
    let due: { state: S; version: number } | undefined;
    for (const row of rows) {
      if (row.type === 'snapshot') state = row.data as S;
      else {
        state = fold.apply(state, toStoredEvent(row));
        if (row.version % SNAPSHOT_EVERY === 0) due = { state, version: row.version };
      }
      version = row.version;
    }
    if (due !== undefined)
      await executor.execute(sql`
        insert into snapshots (stream, fold, schema_version, version, state)
        values (${stream}, ${fold.name}, ${fold.schemaVersion}, ${due.version}, ${JSON.stringify(due.state)}::jsonb)
        on conflict (stream, fold, schema_version)
        do update set version = excluded.version, state = excluded.state
        where snapshots.version < excluded.version`);
    return { state, version };
  };

  return { read, append, load };
}
