/**
 * A base backup of a running PostgreSQL, write-ahead log and all, as an operator takes one: pg_backup_start, the data
 * folder's files, pg_backup_stop. And a server of its own on that copy.
 */
import { execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import postgres from 'postgres';
import { ensurePostgres, isRoot, ownOpenFolder, unprivileged } from '../../dev/parts/postgres.ts';
import { until } from '../../dev/until.ts';

export type BaseBackup = {
  /** Starts a server on the copy: `url` of a database there. It is stopped by `remove`. */
  start(): Promise<{ url(database: string): string }>;
  remove(): Promise<void>;
};

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' ? (address?.port ?? 0) : 0));
    });
  });

export async function takeBaseBackup(adminUrl: string, scratch: string): Promise<BaseBackup> {
  // PostgreSQL must reach it, which for root is another user's server.
  const name = `keysaga-test-backup-${randomBytes(6).toString('hex')}`;
  const home = isRoot() ? ownOpenFolder(name, 0o711) : join(scratch, name);
  mkdirSync(home, { recursive: true });
  const copy = join(home, 'data');
  const sql = postgres(adminUrl, { max: 1, onnotice: () => {} });
  try {
    const [setting] = await sql<{ data_directory: string }[]>`show data_directory`;
    const source = setting?.data_directory ?? '';
    await sql`select pg_backup_start('test', true)`;
    cpSync(source, copy, { recursive: true, filter: (path) => !path.endsWith('postmaster.pid') });
    const [label] = await sql<{ labelfile: string }[]>`select labelfile from pg_backup_stop(false)`;
    writeFileSync(join(copy, 'backup_label'), label?.labelfile ?? '');
    // The log up to the end of the backup.
    cpSync(join(source, 'pg_wal'), join(copy, 'pg_wal'), { recursive: true, force: true });
  } finally {
    await sql.end();
  }
  if (isRoot()) execFileSync('chown', ['-R', `${unprivileged.uid}:${unprivileged.gid}`, copy]);
  let stop = async () => {};
  return {
    async start() {
      const port = await freePort();
      const program = await ensurePostgres(() => {});
      const flags = ['-c', 'listen_addresses=127.0.0.1', '-c', 'unix_socket_directories='];
      const server = spawn(
        join(program.path, 'postgres'),
        ['-D', copy, '-p', `${port}`, ...flags],
        {
          cwd: '/',
          env: { PATH: '/usr/bin:/bin', TZ: 'UTC' },
          stdio: 'ignore',
          ...(isRoot() ? unprivileged : {}),
        },
      );
      const gone = new Promise<void>((resolve) => server.once('exit', () => resolve()));
      stop = async () => {
        server.kill('SIGQUIT');
        await gone;
      };
      const url = (database: string): string => {
        const target = new URL(adminUrl);
        target.port = `${port}`;
        target.pathname = `/${database}`;
        return target.href;
      };
      await until(
        async () => {
          const probe = postgres(url('postgres'), {
            max: 1,
            connect_timeout: 2,
            onnotice: () => {},
          });
          const answered = await probe`select 1`.then(
            () => true,
            () => false,
          );
          await probe.end({ timeout: 1 });
          return answered || undefined;
        },
        { deadlineMs: 60_000, intervalMs: 100, what: 'the server on the copy answers' },
      );
      return { url };
    },
    async remove() {
      await stop();
      rmSync(home, { recursive: true, force: true });
    },
  };
}
