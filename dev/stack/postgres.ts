/** PostgreSQL: a server of our own, or the user's; databases for the coordinator and each party. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import postgres from 'postgres';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { readIfThere, readOrCreate, writeAtomic } from '../files.ts';
import {
  ensurePostgres,
  isRoot,
  openFolder,
  ownOpenFolder,
  unprivileged,
} from '../parts/postgres.ts';
import { processesIn } from '../process/identity.ts';
import { withLock } from '../process/lock.ts';
import { releasePorts } from '../process/ports.ts';
import { listens, logFile, type StackContext, serverEnv, startOnPorts } from './context.ts';
import type { StackRecord } from './record.ts';
import type { StartedPart } from './temporal.ts';

export type PostgresRecord = NonNullable<StackRecord['postgres']>;

const prefix = 'keysaga-pg-';

/** Where the server's files live: in the data folder, or, for root, where "nobody" can reach them. */
export const postgresFolder = (dataDir: string, stackId: string): string =>
  isRoot() ? join(openFolder, `${prefix}${stackId}`) : join(dataDir, 'postgres');

/** Removes the folders in /var/tmp whose stack's data folder is gone (a deleted clone, an interrupted test). */
export function sweepOpenFolder(): void {
  if (!isRoot()) return;
  for (const name of readdirSync(openFolder).filter((entry) => entry.startsWith(prefix))) {
    const folder = join(openFolder, name);
    const owner = readIfThere(join(folder, 'belongs-to'));
    if (owner === undefined || existsSync(owner)) continue;
    if (processesIn(join(folder, 'data')).length === 0)
      rmSync(folder, { recursive: true, force: true });
  }
}

const connect = (url: string) =>
  postgres(url, { max: 1, connect_timeout: 5, idle_timeout: 5, onnotice: () => {} });

async function withSql<T>(url: string, work: (sql: postgres.Sql) => Promise<T>): Promise<T> {
  const sql = connect(url);
  try {
    return await work(sql);
  } finally {
    await sql.end({ timeout: 2 });
  }
}

/** One `initdb` for ever, into a folder beside that is renamed when complete. */
async function initialise(
  binFolder: string,
  folder: string,
  dataFolder: string,
  password: string,
): Promise<void> {
  const fresh = join(folder, 'data.new');
  const passwordFile = join(folder, 'password');
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(fresh, { mode: 0o700 });
  writeFileSync(passwordFile, password, { mode: 0o600 });
  const user = isRoot() ? unprivileged : {};
  try {
    if (isRoot())
      for (const path of [fresh, passwordFile]) chownSync(path, unprivileged.uid, unprivileged.gid);
    await promisify(execFile)(
      join(binFolder, 'initdb'),
      [
        '-D',
        fresh,
        '-U',
        'postgres',
        '--auth=scram-sha-256',
        `--pwfile=${passwordFile}`,
        '--encoding=UTF8',
        '--locale=C',
        '--no-instructions',
      ],
      {
        cwd: '/',
        env: { PATH: '/usr/bin:/bin', TZ: 'UTC' },
        ...user,
      },
    );
    renameSync(fresh, dataFolder);
  } catch (error) {
    const text = String((error as { stderr?: string }).stderr ?? '')
      .trim()
      .slice(-800);
    throw new KeysagaError(
      'PartFailed',
      `initdb failed${text ? `: ${text}` : ''}`,
      { part: 'postgres' },
      { cause: error },
    );
  } finally {
    rmSync(passwordFile, { force: true });
    rmSync(fresh, { recursive: true, force: true });
  }
}

export async function startPostgres(context: StackContext): Promise<StartedPart<PostgresRecord>> {
  const external = context.external.databaseUrl;
  if (external) {
    try {
      await withSql(external, (sql) => sql`select 1`);
    } catch (error) {
      // The URL holds a password, so neither it nor the driver's text goes into the message.
      throw new KeysagaError(
        'PartFailed',
        'the PostgreSQL server at DATABASE_URL does not answer',
        {
          part: 'postgres',
          field: 'DATABASE_URL',
          reason: String((error as { code?: string }).code ?? 'unknown'),
        },
      );
    }
    return { record: { external: true, adminUrl: external } };
  }
  const program = await ensurePostgres(context.progress);
  sweepOpenFolder();
  const folder = postgresFolder(context.dataDir, context.stackId);
  if (isRoot()) {
    ownOpenFolder(`${prefix}${context.stackId}`, 0o711);
    chmodSync(folder, 0o711);
    writeFileSync(join(folder, 'belongs-to'), context.dataDir, { mode: 0o600 });
  } else {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  }
  const dataFolder = join(folder, 'data');
  const password = readOrCreate(join(context.dataDir, 'postgres-password'), () =>
    randomBytes(18).toString('hex'),
  );
  if (!existsSync(join(dataFolder, 'PG_VERSION'))) {
    context.progress({
      part: 'postgres',
      phase: 'install',
      message: 'making a new database cluster',
    });
    await initialise(program.path, folder, dataFolder, password);
  }
  // Left by a killed server; when a foreign process has its pid by now, PostgreSQL would refuse to start.
  if (processesIn(dataFolder).length === 0)
    rmSync(join(dataFolder, 'postmaster.pid'), { force: true });

  context.progress({
    part: 'postgres',
    phase: 'start',
    message: `starting PostgreSQL ${program.version}`,
  });
  const urlOf = (port: number) => `postgres://postgres:${password}@127.0.0.1:${port}/postgres`;
  const { process, ports } = await startOnPorts(
    context,
    { sql: context.topology.postgres.port },
    (wished) => ({
      name: 'postgres',
      command: join(program.path, 'postgres'),
      args: [
        '-D',
        dataFolder,
        '-p',
        String(wished.sql),
        '-c',
        'listen_addresses=127.0.0.1',
        '-c',
        'unix_socket_directories=',
        '-c',
        `max_connections=${context.topology.postgres.maxConnections}`,
        '-c',
        'shared_buffers=64MB',
        // Parties rely on it: a release that was answered must survive a crash.
        '-c',
        'fsync=on',
        '-c',
        'synchronous_commit=on',
        '-c',
        'full_page_writes=on',
      ],
      env: serverEnv(context, 'postgres'),
      cwd: folder,
      ...(isRoot() ? unprivileged : {}),
      logFile: logFile(context, 'postgres'),
      ready: async ({ pid }) => {
        if (!(await listens(pid, wished.sql))) return false;
        await withSql(urlOf(wished.sql), (sql) => sql`select 1`);
        return true;
      },
      stopSignal: 'SIGINT', // "fast": ends sessions, writes a checkpoint
      remnants: () => processesIn(dataFolder),
    }),
  );
  return {
    record: { external: false, adminUrl: urlOf(ports.sql) },
    process,
    close: async () => releasePorts(ports.sql),
  };
}

export interface PostgresClient {
  /** The server's administrator. */
  readonly adminUrl: string;
  /**
   * Database `name`, made when it is absent, and the URL to it. On our own server each database belongs to a role of the
   * same name with its own password, and no other role may connect, so that a party reaches its own database only.
   * On the user's server the databases share the user's role. Names: a-z 0-9 _, at most 63.
   */
  createDatabase(name: string): Promise<string>;
  /** Drops it with its sessions; nothing happens when it is absent. */
  dropDatabase(name: string): Promise<void>;
}

const check = (name: string): void => {
  if (!/^[a-z_][a-z0-9_]{0,62}$/.test(name)) {
    throw new KeysagaError('InvalidInput', 'a database name is 1 to 63 of a-z 0-9 _', {
      field: 'name',
    });
  }
};

export function postgresClient(record: PostgresRecord, dataDir: string): PostgresClient {
  const rolesFile = join(dataDir, 'postgres-roles.json');
  const url = (
    name: string,
    role?: { readonly name: string; readonly password: string },
  ): string => {
    const target = new URL(record.adminUrl);
    target.pathname = `/${name}`;
    if (role) [target.username, target.password] = [role.name, role.password];
    return target.href;
  };
  const locked = <T>(work: () => Promise<T>) =>
    withLock(`${rolesFile}.lock`, work, { deadlineMs: 60_000 });
  return {
    adminUrl: record.adminUrl,
    async createDatabase(name) {
      check(name);
      return locked(() =>
        withSql(record.adminUrl, async (sql) => {
          const exists = (await sql`select 1 from pg_database where datname = ${name}`).length > 0;
          if (record.external) {
            if (!exists) await sql.unsafe(`create database "${name}"`);
            return url(name);
          }
          const roles = JSON.parse(readIfThere(rolesFile) ?? '{}') as Record<string, string>;
          const password = roles[name] ?? randomBytes(18).toString('hex');
          if (roles[name] === undefined) {
            // Written first: a role whose password nobody knows would lock its database up.
            writeAtomic(rolesFile, JSON.stringify({ ...roles, [name]: password }));
          }
          const known = (await sql`select 1 from pg_roles where rolname = ${name}`).length > 0;
          await sql.unsafe(
            `${known ? 'alter' : 'create'} role "${name}" login password '${password}'`,
          );
          if (!exists) await sql.unsafe(`create database "${name}" owner "${name}"`);
          await sql.unsafe(`revoke connect on database "${name}" from public`);
          return url(name, { name, password });
        }),
      );
    },
    async dropDatabase(name) {
      check(name);
      return locked(() =>
        withSql(record.adminUrl, async (sql) => {
          await sql.unsafe(`drop database if exists "${name}" with (force)`);
        }),
      );
    },
  };
}
