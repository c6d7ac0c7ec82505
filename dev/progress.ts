/** What the stack reports while it works; the CLI draws it, tests may ignore it. */
export interface ProgressEvent {
  /** A part (`temporal`, `postgres`, `bitcoin`, `solana`) or a process started with `startNode`. */
  readonly part: string;
  readonly phase:
    | 'install'
    | 'start'
    | 'ready'
    | 'external'
    | 'stop'
    | 'stopped'
    | 'exited'
    | 'warning';
  /** One line for people. */
  readonly message: string;
  /** Milliseconds that the finished step took. */
  readonly ms?: number;
}
export type Progress = (event: ProgressEvent) => void;

export const silent: Progress = () => {};
