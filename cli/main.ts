/** Entry of `keysaga …`: runs one command and says by its exit code how it went. */
import { CommanderError } from 'commander';
import { exitCodeOf } from './exit-codes.ts';
import { asKeysagaError, errorJson, type Io, printError, writeLine } from './io.ts';
import { buildProgram } from './program.ts';

const io: Io = {
  env: process.env,
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
};
const wantsJson = process.argv.includes('--json');

/** `keysaga watch … | head` closes the pipe: nothing more is wanted, and that is no failure. */
for (const stream of [process.stdout, process.stderr])
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit();
    throw error;
  });

buildProgram(io)
  .parseAsync(process.argv)
  .catch((error: unknown) => {
    if (!(error instanceof CommanderError)) {
      printError(io, error);
      // On one line, since `watch --json` has printed lines before.
      if (wantsJson) writeLine(io.stdout, JSON.stringify(errorJson(asKeysagaError(error))));
    }
    process.exitCode = exitCodeOf(error);
  });
