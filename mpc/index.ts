/** What other folders use of `mpc`. */
export {
  type ActivationOutput,
  type ActivationParams,
  activationBytes,
  activationCeremony,
  ceremonyRounds,
  ceremonyVersion,
} from './activation.ts';
export { createCeremonies } from './ceremonies.ts';
export { createDraws, SEED_BYTES } from './draws.ts';
export { createRegistry, type RegistryOptions } from './registry.ts';
export {
  createRun,
  inboxHash,
  type LogEntry,
  outboxHash,
  type RoundResult,
  type Run,
  type RunLog,
  replayRun,
} from './runner.ts';
export type { ProtocolOperation, Telemetry } from './telemetry.ts';
