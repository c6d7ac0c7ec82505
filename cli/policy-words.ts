/** Policies in words: a whole one, and what a version changes. Every signed field appears, so nothing is signed unseen. */
import { formatAmount as amountText, networkName as knownName } from '../core/assets.ts';
import { policyHash } from '../core/policy.ts';
import { canonicalJson } from '../schema/contracts/canonical.ts';
import type { AssetLimit, Policy } from '../schema/contracts/policy.ts';
import type { PolicyGroup } from '../schema/contracts/policy-change.ts';
import { formatMs } from './amounts.ts';
import { type Style, table } from './io.ts';

/** Texts of the document reach a terminal: nothing in them may steer it, or look like something else. */
const printable = (text: string): string =>
  text.replace(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`,
  );
/** Networks that only their ids tell apart are shown with them. */
const networkName = (network: string): string => {
  const name = knownName(network);
  return /^(?:Private|Unknown)/.test(name) ? `${name} (${network})` : name;
};
const formatAmount = (network: string, asset: string, amount: string): string =>
  amountText(network, printable(asset), amount);

type Row = readonly [name: string, text: string];

const key = (publicKey: string): string => `key ${publicKey}`;
const limitName = ({ network, asset }: AssetLimit): string =>
  `${asset === 'native' ? '' : `${printable(asset)} on `}${networkName(network)}`;
const limitText = ({ network, asset, perTransfer, perDay, anchorFrom }: AssetLimit): string =>
  [
    `${formatAmount(network, asset, perTransfer)} a transfer`,
    `${formatAmount(network, asset, perDay)} a day`,
    ...(anchorFrom === undefined
      ? []
      : [`anchored from ${formatAmount(network, asset, anchorFrom)}`]),
  ].join(', ');
const delay = (seconds: number): string => (seconds === 0 ? 'none' : formatMs(seconds * 1_000));
const strict = (on: boolean): string =>
  on ? 'strict: L·t/n at each party' : 'each party counts the whole limit';

/** Fields that have words of their own below; `version`, `previous` and `issuedAt` are the chain's. */
const WORDED: ReadonlySet<string> = new Set([
  ...['policyId', 'version', 'previous', 'issuedAt', 'approvers', 'quorum', 'limits'],
  ...['strictDailyLimit', 'allowList', 'voidFeeCaps', 'startDelaySeconds'],
]);
/** The others are shown as they are signed: what has no words yet must not be signed unseen. */
function others(policy: Policy): Row[] {
  return Object.entries(policy)
    .filter(([name]) => !WORDED.has(name))
    .flatMap(([name, value]): Row[] =>
      Array.isArray(value)
        ? value.map((one) => [name, printable(canonicalJson(one))])
        : [[name, printable(canonicalJson(value))]],
    );
}

/** The whole policy, a field a line. */
export function policyLines(policy: Policy, style: Style): string {
  const rows: Row[] = [
    ['policy', `${policy.policyId} version ${policy.version}`],
    ['hash', policyHash(policy)],
    ['follows', policy.previous ?? 'nothing: it is the first'],
    ['issued', policy.issuedAt],
    ['quorum', `${policy.quorum} of ${policy.approvers.length} approvers`],
    ...policy.approvers.map((one): Row => ['approver', `${one.name}, ${key(one.publicKey)}`]),
    ...policy.limits.map((limit): Row => ['limit', `${limitName(limit)}: ${limitText(limit)}`]),
    ['daily limits', strict(policy.strictDailyLimit)],
    ...(policy.allowList === undefined
      ? [['destinations', 'any'] as const]
      : policy.allowList.map(
          (one): Row => [
            'destination',
            `${printable(one.destination)} on ${networkName(one.network)}`,
          ],
        )),
    ...(policy.allowList?.length === 0 ? [['destinations', 'none'] as const] : []),
    ...policy.voidFeeCaps.map(
      ({ network, cap }): Row => [
        'void fee',
        `at most ${formatAmount(network, 'native', cap)} on ${networkName(network)}`,
      ],
    ),
    ['start delay', delay(policy.startDelaySeconds)],
    ...others(policy),
  ];
  return table(
    [],
    rows.map(([name, text]) => [style.dim(name), text]),
    style,
  );
}

export type Change = { readonly mark: '+' | '-' | '~'; readonly text: string };

/** Entries of two lists by name: what went, what came, what is another now. */
function compared<T>(
  before: readonly T[],
  after: readonly T[],
  name: (one: T) => string,
  say: {
    added(one: T): string;
    removed(one: T): string;
    changed(from: T, to: T): string | undefined;
  },
): Change[] {
  const old = new Map(before.map((one) => [name(one), one]));
  const now = new Map(after.map((one) => [name(one), one]));
  return [
    ...before
      .filter((one) => !now.has(name(one)))
      .map((one): Change => ({ mark: '-', text: say.removed(one) })),
    ...after.flatMap((one): Change[] => {
      const from = old.get(name(one));
      if (from === undefined) return [{ mark: '+', text: say.added(one) }];
      const text = say.changed(from, one);
      return text === undefined ? [] : [{ mark: '~', text }];
    }),
  ];
}
const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);
const turned = (what: string, from: string, to: string): Change[] =>
  from === to ? [] : [{ mark: '~', text: `${what}: ${from} -> ${to}` }];

/** What `after` changes, in words. The chain's own fields (version, previous, issuedAt) are not among them. */
export function policyDiff(before: Policy, after: Policy): Change[] {
  const quorum = ({ quorum: needed, approvers }: Policy): string =>
    `${needed} of ${approvers.length} approvers`;
  const listed = (policy: Policy): string =>
    policy.allowList === undefined ? 'any destination' : 'only listed destinations';
  return [
    ...turned('quorum', quorum(before), quorum(after)),
    ...compared(before.approvers, after.approvers, (one) => one.name, {
      added: (one) => `approver ${one.name}, ${key(one.publicKey)}`,
      removed: (one) => `approver ${one.name}: no longer counts`,
      changed: (from, to) =>
        from.publicKey === to.publicKey
          ? undefined
          : `approver ${to.name}: ${key(to.publicKey)} instead of ${from.publicKey}`,
    }),
    ...compared(before.limits, after.limits, (one) => `${one.network} ${one.asset}`, {
      added: (one) => `limit ${limitName(one)}: ${limitText(one)}`,
      removed: (one) => `limit ${limitName(one)}: nothing may be paid any more`,
      changed: (from, to) =>
        same(from, to)
          ? undefined
          : `limit ${limitName(to)}: ${limitText(from)} -> ${limitText(to)}`,
    }),
    ...turned('daily limits', strict(before.strictDailyLimit), strict(after.strictDailyLimit)),
    ...turned('destinations', listed(before), listed(after)),
    ...compared(
      before.allowList ?? [],
      after.allowList ?? [],
      (one) => `${one.network} ${one.destination}`,
      {
        added: (one) => `destination ${printable(one.destination)} on ${networkName(one.network)}`,
        removed: (one) =>
          `destination ${printable(one.destination)} on ${networkName(one.network)}`,
        changed: () => undefined,
      },
    ),
    ...compared(before.voidFeeCaps, after.voidFeeCaps, (one) => one.network, {
      added: (one) =>
        `void fee on ${networkName(one.network)}: at most ${formatAmount(one.network, 'native', one.cap)}`,
      removed: (one) => `void fee on ${networkName(one.network)}`,
      changed: (from, to) =>
        from.cap === to.cap
          ? undefined
          : `void fee on ${networkName(to.network)}: at most ${formatAmount(from.network, 'native', from.cap)} -> ${formatAmount(to.network, 'native', to.cap)}`,
    }),
    ...turned('start delay', delay(before.startDelaySeconds), delay(after.startDelaySeconds)),
    ...compared(others(before), others(after), (row) => row.join(' '), {
      added: ([name, text]) => `${name} ${text}`,
      removed: ([name, text]) => `${name} ${text}`,
      changed: () => undefined,
    }),
  ];
}

/** The changes, one a line; says so when there are none. */
export function diffLines(before: Policy, after: Policy, style: Style): string {
  const paint = { '+': style.green, '-': style.red, '~': style.yellow };
  const changes = policyDiff(before, after);
  return [
    style.bold(`policy ${after.policyId}: version ${before.version} -> ${after.version}`),
    ...(changes.length === 0
      ? ['  changes nothing but its version']
      : changes.map(({ mark, text }) => `  ${paint[mark](mark)} ${text}`)),
    `  ${style.dim('hash')} ${policyHash(after)}`,
  ].join('\n');
}

/** `1 wallet of 2 of 3 (alpha, beta, gamma)`: and what the version is for them. */
export const groupText = (group: PolicyGroup): string =>
  `${group.wallets === 0 ? 'no wallet yet' : `${group.wallets} wallet${group.wallets === 1 ? '' : 's'}`}, ` +
  `${group.threshold} of ${group.parties.length} (${group.parties.join(', ')}): held by ${group.held}; ` +
  `the version before ${group.held >= group.deadAt ? 'is dead' : `dies at ${group.deadAt}`}, ` +
  `this one ${group.held >= group.usableAt ? 'is usable' : `is usable at ${group.usableAt}`}`;
