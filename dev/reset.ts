/** Main program of `npm run reset`. */
import { isKeysagaError } from '../schema/contracts/errors.ts';
import { dataFolder } from './paths.ts';
import { resetStack } from './stack/reset.ts';

try {
  const folder = dataFolder();
  const cleared = await resetStack(folder, (event) =>
    process.stderr.write(`keysaga: ${event.message}\n`),
  );
  process.stderr.write(
    cleared ? `keysaga: cleared ${folder}\n` : `keysaga: ${folder} is empty already\n`,
  );
} catch (error) {
  if (!isKeysagaError(error)) throw error;
  process.stderr.write(`keysaga: ${error.message}\n`);
  process.exitCode = 1;
}
