/**
 * Stands as `<program>.cjs` beside the code `<program>.js` of a program (`programs.ts`), and runs it with what the engine
 * made of it in an earlier run: the code cache spares it most of the parsing and compiling, which is half of a start.
 *
 * The engine refuses a cache of another version or of other flags, and compiles. The cache is code, so it lies where the
 * code lies, as writable as that: whoever may write there can write the program itself.
 */
const { readFileSync, renameSync, rmSync, writeFileSync } = require('node:fs');
const { createRequire, wrap } = require('node:module');
const { dirname } = require('node:path');
const { constants, Script } = require('node:vm');

/** By then a program has done what it does at a start, and some of what it does later. */
const SETTLED_MS = 10_000;

const filename = __filename.replace(/\.cjs$/, '.js');
const cacheFile = `${filename}.${process.version}.cache`;

function read(path) {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}

// The code is ASCII, which esbuild sees to: one byte a character.
const source = wrap(readFileSync(filename, 'latin1'));
const cachedData = read(cacheFile);
const script = new Script(source, {
  filename,
  ...(cachedData === undefined ? {} : { cachedData }),
  importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
});

if (cachedData === undefined || script.cachedDataRejected) {
  let written = false;
  const write = () => {
    if (written) return;
    written = true;
    const scratch = `${cacheFile}.${process.pid}.${Date.now()}`;
    try {
      writeFileSync(scratch, script.createCachedData());
      renameSync(scratch, cacheFile);
    } catch {
      // A folder that only its owner writes: the program starts as it did this time.
      rmSync(scratch, { force: true });
    }
  };
  setTimeout(write, SETTLED_MS).unref();
  process.once('exit', write);
}

script
  .runInThisContext()
  .call(
    module.exports,
    module.exports,
    createRequire(filename),
    module,
    filename,
    dirname(filename),
  );
