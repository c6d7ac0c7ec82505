/** What composition roots take from `mpc`; everything else is behind its ports. */
export { createCeremonies } from './ceremonies.ts';
export { createRegistry } from './registry.ts';
export type { Telemetry } from './telemetry.ts';
