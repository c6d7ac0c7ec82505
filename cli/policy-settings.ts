/** `--set name=value` of `policy propose`: a version made from the one before, in people's units. */
import { readFileSync } from 'node:fs';
import { parseWith } from '../core/parse.ts';
import { KeysagaError } from '../schema/contracts/errors.ts';
import { Policy } from '../schema/contracts/policy.ts';
import { parseAmount, parseSpan } from './amounts.ts';
import { requireRole } from './keyfile.ts';

/** As `policy propose --help` shows it. */
export const SETTINGS_HELP = `Settings (--set, repeatable):
  quorum=3                         approvals that a transfer needs
  approver.dave=<64 hex>           names an approver, or changes the key; @file reads it from a key file
  approver.carol=none              removes one
  perTransfer.bitcoin=0.1btc       limits, of the native asset; perTransfer.<network>.<asset> for others
  perDay.bitcoin=1btc
  anchorFrom.bitcoin=0.05btc       amounts from here on must name an anchor; none: never
  limit.bitcoin=none               nothing may be paid there any more
  voidFeeCap.bitcoin=100000sats    highest fee of a void
  allow.bitcoin=<address>          allows a destination; allow.bitcoin.<address>=none takes it off the list
  allow=any                        any destination
  strictDailyLimit=true            each party counts L·t/n
  startDelay=1h                    between full approval and the first signature; 0s: none`;

type Draft = {
  -readonly [K in keyof Policy]: Policy[K];
};
const refuse = (setting: string, message: string): never => {
  throw new KeysagaError('InvalidInput', `set: ${setting}: ${message}`, { field: 'set', setting });
};

/** Applies the settings in order. `networkOf` knows short names. Throws `InvalidInput` (`set`, with `setting`). */
export function applySettings(
  policy: Policy,
  settings: readonly string[],
  networkOf: (name: string) => string,
): Policy {
  const draft: Draft = structuredClone(policy);
  for (const setting of settings) apply(draft, setting, networkOf);
  return parseWith(Policy, draft, 'policy');
}

function apply(draft: Draft, setting: string, networkOf: (name: string) => string): void {
  const at = setting.indexOf('=');
  if (at < 1) refuse(setting, 'a name, =, and a value');
  const [name = '', ...rest] = setting.slice(0, at).split('.');
  const value = setting.slice(at + 1).trim();
  const target = rest.join('.');
  switch (name) {
    case 'quorum':
      draft.quorum = /^\d{1,2}$/.test(value) ? Number(value) : refuse(setting, 'a whole number');
      return;
    case 'startDelay':
      draft.startDelaySeconds = /^0s?$/.test(value) ? 0 : parseSpan(value, 'startDelay') / 1_000;
      return;
    case 'strictDailyLimit':
      if (value !== 'true' && value !== 'false') refuse(setting, 'true or false');
      draft.strictDailyLimit = value === 'true';
      return;
    case 'approver':
      if (target === '') refuse(setting, 'approver.<name>');
      setApprover(draft, target, value);
      return;
    case 'perTransfer':
    case 'perDay':
    case 'anchorFrom':
    case 'limit':
      setLimit(draft, setting, name, rest, value, networkOf);
      return;
    case 'voidFeeCap': {
      const network = networkOf(target);
      const others = draft.voidFeeCaps.filter((one) => one.network !== network);
      draft.voidFeeCaps =
        value === 'none'
          ? others
          : [...others, { network, cap: parseAmount(value, network, 'voidFeeCap') }];
      return;
    }
    case 'allow':
      setAllowed(draft, setting, rest, value, networkOf);
      return;
    default:
      refuse(setting, 'no such setting');
  }
}

function setApprover(draft: Draft, name: string, value: string): void {
  const others = draft.approvers.filter((one) => one.name !== name);
  if (value === 'none') {
    if (others.length === draft.approvers.length)
      refuse(`approver.${name}=none`, 'the policy does not name this approver');
    draft.approvers = others;
    return;
  }
  const publicKey = value.startsWith('@') ? keyOfFile(value.slice(1), name) : value.toLowerCase();
  if (!/^[0-9a-f]{64}$/.test(publicKey))
    refuse(`approver.${name}`, 'a public key of 64 hex digits, @ and a key file, or none');
  const entry = { name, publicKey } as Policy['approvers'][number];
  const known = draft.approvers.some((one) => one.name === name);
  draft.approvers = known
    ? draft.approvers.map((one) => (one.name === name ? entry : one))
    : [...draft.approvers, entry];
}
/** Only the public part is read, so that others' reading rights do not matter. */
function keyOfFile(path: string, name: string): string {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new KeysagaError(
      'NotFound',
      `The key file ${path} cannot be read.`,
      { field: 'set' },
      { cause },
    );
  }
  const owner = requireRole(text, 'approver');
  if (owner.name !== name)
    refuse(`approver.${name}`, `the key file is ${owner.name}’s, not ${name}’s`);
  return owner.publicKey;
}

function setLimit(
  draft: Draft,
  setting: string,
  what: 'perTransfer' | 'perDay' | 'anchorFrom' | 'limit',
  [short = '', ...asset]: readonly string[],
  value: string,
  networkOf: (name: string) => string,
): void {
  const network = networkOf(short);
  const name = asset.join('.') || 'native';
  const is = (one: Policy['limits'][number]): boolean =>
    one.network === network && one.asset === name;
  if (what === 'limit') {
    if (value !== 'none') refuse(setting, 'none; amounts are set by perTransfer and perDay');
    draft.limits = draft.limits.filter((one) => !is(one));
    return;
  }
  const before = draft.limits.find(is);
  if (what === 'anchorFrom' && value === 'none') {
    if (before === undefined) return;
    const { anchorFrom: _, ...rest } = before;
    draft.limits = draft.limits.map((one) => (is(one) ? rest : one));
    return;
  }
  // Units are known of native assets; others are in their smallest unit.
  const amount =
    name === 'native'
      ? parseAmount(value, network, what)
      : /^[1-9]\d*$/.test(value)
        ? value
        : refuse(setting, 'smallest units, a whole number');
  if (before === undefined && what === 'anchorFrom')
    refuse(setting, 'the policy has no limit for this asset');
  const entry = {
    ...(before ?? { network, asset: name, perTransfer: amount, perDay: amount }),
    [what]: amount,
  };
  draft.limits = before
    ? draft.limits.map((one) => (is(one) ? entry : one))
    : [...draft.limits, entry];
}

function setAllowed(
  draft: Draft,
  setting: string,
  [short, ...address]: readonly string[],
  value: string,
  networkOf: (name: string) => string,
): void {
  if (short === undefined) {
    if (value !== 'any' && value !== 'none') refuse(setting, 'any, or none');
    if (value === 'any') delete draft.allowList;
    else draft.allowList = [];
    return;
  }
  const network = networkOf(short);
  const destination = value === 'none' ? address.join('.') : value;
  if (destination === '' || (value !== 'none' && address.length > 0))
    refuse(setting, 'allow.<network>=<address>, or allow.<network>.<address>=none');
  const others = (draft.allowList ?? []).filter(
    (one) => one.network !== network || one.destination !== destination,
  );
  if (value === 'none' && others.length === (draft.allowList ?? []).length)
    refuse(setting, 'the list does not have it');
  draft.allowList = value === 'none' ? others : [...others, { network, destination }];
}
