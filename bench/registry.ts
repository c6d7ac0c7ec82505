/** All benchmarks by name. Each is loaded only when it runs, since some bring a whole stack with them. */
import type { Benchmark } from './figures.ts';

export type Registered = {
  readonly name: string;
  readonly load: () => Promise<Benchmark>;
  /** Takes so long that it runs only when it is asked for. */
  readonly onlyByName?: true;
};

const browser = async () => import('./browser/dkls23.ts');

export const BENCHMARKS: readonly Registered[] = [
  { name: 'frost/keygen', load: async () => (await import('./frost.ts')).frostKeygen },
  { name: 'frost/sign', load: async () => (await import('./frost.ts')).frostSign },
  { name: 'frost/sign-batch', load: async () => (await import('./frost.ts')).frostSignBatch },
  { name: 'dkls23/keygen', load: async () => (await import('./dkls23.ts')).dkls23Keygen },
  { name: 'dkls23/sign', load: async () => (await import('./dkls23.ts')).dkls23Sign },
  { name: 'dkls23/sign-batch', load: async () => (await import('./dkls23.ts')).dkls23SignBatch },
  { name: 'dkls23/online', load: async () => (await import('./dkls23.ts')).dkls23Online },
  { name: 'browser/dkls23-keygen', load: async () => (await browser()).browserKeygen },
  { name: 'browser/dkls23-sign', load: async () => (await browser()).browserSign },
  { name: 'browser/dkls23-sign-batch', load: async () => (await browser()).browserSignBatch },
  { name: 'browser/dkls23-online', load: async () => (await browser()).browserOnline },
  {
    name: 'growth/dkls23',
    load: async () => (await import('./growth.ts')).growthDkls23,
    onlyByName: true,
  },
  { name: 'saga/transfer-latency', load: async () => (await import('./saga.ts')).sagaLatency },
  { name: 'saga/ethereum-latency', load: async () => (await import('./saga.ts')).ethereumLatency },
  {
    name: 'saga/ethereum-latency-pool',
    load: async () => (await import('./saga.ts')).ethereumLatencyPool,
  },
  { name: 'pool/ecdsa-throughput', load: async () => (await import('./pool.ts')).poolEcdsa },
  { name: 'pool/bip340-throughput', load: async () => (await import('./pool.ts')).poolBip340 },
  { name: 'pool/ed25519-throughput', load: async () => (await import('./pool.ts')).poolEd25519 },
  {
    name: 'saga/transfer-throughput',
    load: async () => (await import('./throughput.ts')).sagaThroughput,
  },
];

/**
 * The benchmarks that `names` mean: a whole name, or a part before a slash (`frost`). For none, all
 * but the long ones. A name that means nothing is returned in `unknown`.
 */
export function selected(names: readonly string[]): {
  chosen: readonly Registered[];
  unknown: readonly string[];
} {
  const means = (name: string, { name: full }: Registered) =>
    full === name || full.startsWith(`${name}/`);
  return {
    chosen:
      names.length === 0
        ? BENCHMARKS.filter(({ onlyByName }) => onlyByName === undefined)
        : BENCHMARKS.filter((b) => names.some((name) => means(name, b))),
    unknown: names.filter((name) => !BENCHMARKS.some((b) => means(name, b))),
  };
}
