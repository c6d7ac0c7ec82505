/** Amounts and times as people type them. */
import { networkFamily } from '../core/assets.ts';
import { KeysagaError } from '../schema/contracts/errors.ts';

const UNITS: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  bitcoin: { btc: 8, sat: 0, sats: 0 },
  solana: { sol: 9, lamport: 0, lamports: 0 },
  ethereum: { eth: 18, gwei: 9, wei: 0 },
};

/**
 * Smallest units as a decimal string. A bare whole number is smallest units; anything with a point needs its unit
 * (`0.015btc`, `1.5 sol`), so that nobody pays a thousand million times too much. Throws `InvalidInput` (`field`).
 */
export function parseAmount(text: string, network: string, field: string): string {
  const refuse = (message: string): never => {
    throw new KeysagaError('InvalidInput', `${field}: ${message}`, { field });
  };
  const match = /^(\d+)(?:\.(\d+))?\s*([a-z]*)$/i.exec(text.trim());
  const [, whole = '', fraction = '', unit = ''] =
    match ?? refuse(`not an amount: ${text.slice(0, 40)}`);
  const units = UNITS[networkFamily(network) ?? ''] ?? {};
  const known = Object.keys(units).filter(
    (name) => !name.endsWith('s') || !(name.slice(0, -1) in units),
  );
  if (unit === '') {
    if (fraction !== '') refuse(`say the unit of ${text} (${known.join(', ')})`);
    return positive(BigInt(whole));
  }
  const decimals = units[unit.toLowerCase()];
  if (decimals === undefined)
    return refuse(`no unit of this network: ${unit} (${known.join(', ')})`);
  if (fraction.length > decimals) refuse(`${unit} has ${decimals} decimals`);
  return positive(BigInt(whole + fraction.padEnd(decimals, '0')));

  function positive(value: bigint): string {
    if (value <= 0n) refuse('must be more than nothing');
    return value.toString();
  }
}

const SPAN = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
/** Milliseconds of `90s`, `30m`, `24h`, `7d`. Throws `InvalidInput`. */
export function parseSpan(text: string, field: string): number {
  const match = /^(\d{1,6})\s*([smhd])$/.exec(text.trim());
  const unit = match?.[2] as keyof typeof SPAN | undefined;
  const ms = match === null || unit === undefined ? 0 : Number(match[1]) * SPAN[unit];
  if (ms <= 0)
    throw new KeysagaError('InvalidInput', `${field}: a time such as 30m, 24h or 7d`, { field });
  return ms;
}

/** `850 ms`, `12.3 s`, `4 min 10 s`, `3 h 5 min`. */
export function formatMs(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1_000);
  const [h, m, s] = [Math.floor(seconds / 3_600), Math.floor(seconds / 60) % 60, seconds % 60];
  if (h > 0) return `${h} h${m > 0 ? ` ${m} min` : ''}`;
  return `${m} min${s > 0 ? ` ${s} s` : ''}`;
}
