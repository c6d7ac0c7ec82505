/** Progress on stderr: spinners on a terminal, lines elsewhere. */
import { Listr, ListrLogger, type ListrTask, type ListrTaskWrapper, ProcessOutput } from 'listr2';
import type { ProgressEvent } from '../../dev/progress.ts';
import { formatMs } from '../amounts.ts';
import { type Io, type Style, writeLine } from '../io.ts';

// biome-ignore lint/suspicious/noExplicitAny: listr2's own parameter for any renderer
export type Task = ListrTaskWrapper<unknown, any, any>;
export type Step = {
  readonly title: string;
  /** When it began, if it did before its turn came; milliseconds since the epoch. */
  readonly begun?: number;
  /** `say` shows what happens at the moment; what is returned stands behind the title when it is done. */
  readonly run: (say: (text: string) => void) => Promise<string | undefined>;
};

/** Runs steps side by side and shows each. Throws the first failure after the others have settled. */
export async function runSteps(
  io: Io,
  style: Style,
  heading: string,
  steps: readonly Step[],
): Promise<void> {
  if (io.stderr !== process.stderr || process.stderr.isTTY !== true)
    return runPlain(io, heading, steps);
  const failures: unknown[] = [];
  const tasks = steps.map(
    ({ title, begun: early, run }): ListrTask => ({
      title,
      task: async (_, task: Task) => {
        const begun = early ?? Date.now();
        try {
          const result = await run((text) => {
            task.output = text;
          });
          task.title = `${title}${result === undefined ? '' : `  ${result}`} ${style.dim(formatMs(Date.now() - begun))}`;
        } catch (error) {
          failures.push(error);
          throw error;
        }
      },
    }),
  );
  const logger = new ListrLogger({
    useIcons: false,
    processOutput: new ProcessOutput(process.stderr, process.stderr),
  });
  writeLine(io.stderr, style.bold(heading));
  await new Listr(tasks, {
    concurrent: true,
    exitOnError: false,
    // Ctrl-C is the stack's business.
    registerSignalListeners: false,
    rendererOptions: {
      logger,
      collapseErrors: false,
      showErrorMessage: false,
      formatOutput: 'truncate',
    },
  }).run();
  if (failures.length > 0) throw failures[0];
}

async function runPlain(io: Io, heading: string, steps: readonly Step[]): Promise<void> {
  writeLine(io.stderr, heading);
  const results = await Promise.allSettled(
    steps.map(async ({ title, begun: early, run }) => {
      const begun = early ?? Date.now();
      let last = '';
      const say = (text: string): void => {
        // Counters that tick are for terminals; a log gets a line when something else begins.
        const kind = text.replace(/[0-9]+/g, '#');
        if (kind !== last) writeLine(io.stderr, `  ${title}: ${text}`);
        last = kind;
      };
      const result = await run(say);
      writeLine(
        io.stderr,
        `  ${title}: ${result === undefined ? '' : `${result}, `}done in ${formatMs(Date.now() - begun)}`,
      );
    }),
  );
  const failure = results.find((result) => result.status === 'rejected');
  if (failure !== undefined) throw failure.reason;
}

/** Hands the stack's events to the step of their part. */
export class ProgressRouter {
  readonly #listeners = new Map<string, (event: ProgressEvent) => void>();
  /** What no step takes: an exit later on, a warning. */
  other: (event: ProgressEvent) => void = () => {};
  readonly report = (event: ProgressEvent): void => {
    const listener = this.#listeners.get(event.part);
    if (listener === undefined || event.phase === 'exited') this.other(event);
    else listener(event);
  };
  on(part: string, listener: (event: ProgressEvent) => void): void {
    this.#listeners.set(part, listener);
  }
  off(part: string): void {
    this.#listeners.delete(part);
  }
}
