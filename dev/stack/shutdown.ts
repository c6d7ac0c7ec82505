/** Ctrl-C and SIGTERM: an orderly stop, once. */

/**
 * Runs `stop` at the first SIGINT, SIGTERM or SIGHUP and then ends the process with 128 + the signal's number.
 * npm passes a terminal's Ctrl-C on to a child that got it already, so signals within a second count as one; a later
 * second one gives up on the orderly stop (`process.exit` still signals the children). Returns the function that takes
 * the handlers off again.
 */
export function onShutdownSignals(stop: (signal: NodeJS.Signals) => Promise<void>): () => void {
  const numbers = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;
  const signals = Object.keys(numbers) as (keyof typeof numbers)[];
  let first: number | undefined;
  const handle = (signal: NodeJS.Signals): void => {
    const code = 128 + (numbers[signal as keyof typeof numbers] ?? 0);
    if (first !== undefined) {
      if (Date.now() - first > 1000) process.exit(code);
      return;
    }
    first = Date.now();
    stop(signal).then(
      () => process.exit(code),
      (error: unknown) => {
        process.stderr.write(
          `keysaga: stopping failed: ${error instanceof Error ? error.message : String(error)}\n`,
        );
        process.exit(1);
      },
    );
  };
  for (const signal of signals) process.on(signal, handle);
  return () => {
    for (const signal of signals) process.off(signal, handle);
  };
}
