/** `keysaga stop` and `keysaga reset`. */
import type { Command } from 'commander';
import { dataFolder } from '../../dev/paths.ts';
import { readStack } from '../../dev/stack/index.ts';
import { resetStack } from '../../dev/stack/reset.ts';
import { until } from '../../dev/until.ts';
import { contextOf, leaf } from '../command.ts';
import { shown } from '../context.ts';
import { type Io, writeLine } from '../io.ts';

export const stopCommand = (io: Io): Command =>
  leaf('stop', 'Stop the local stack that runs on this data folder').action(
    async (options: { json?: boolean }) => {
      const context = contextOf(io, options);
      const dataDir = dataFolder(io.env);
      const record = readStack(dataDir);
      if (record === undefined)
        return context.print({ stopped: false }, `no stack runs on ${shown(dataDir)}`);
      // The owner stops its parts in order and then ends.
      process.kill(record.owner.pid, 'SIGTERM');
      await until(() => readStack(dataDir) === undefined, {
        deadlineMs: 60_000,
        intervalMs: 100,
        what: 'the stack’s orderly end',
      });
      context.print({ stopped: true, owner: record.owner.pid }, 'stopped');
    },
  );

export const resetCommand = (io: Io): Command =>
  leaf('reset', 'Delete the local stack’s state: wallets, databases, chains, history').action(
    async (options: { json?: boolean }) => {
      const context = contextOf(io, options);
      const dataDir = dataFolder(io.env);
      const cleared = await resetStack(dataDir, ({ message }) => writeLine(io.stderr, message));
      context.print(
        { cleared },
        cleared ? `cleared ${shown(dataDir)}` : `${shown(dataDir)} is empty already`,
      );
    },
  );
