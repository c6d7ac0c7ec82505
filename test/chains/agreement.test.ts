/** What several providers say together, and who is asked: the rules alone, without a node. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { agreedStatus, jointOutcome, supported } from '../../chains/agreement.ts';
import { createProviders } from '../../chains/providers.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { BroadcastOutcome, TransactionStatus } from '../../schema/contracts/transaction.ts';

const included = (confirmations: number, block = 'b', finality = 6): TransactionStatus => ({
  status: 'included',
  confirmations,
  block,
  final: confirmations >= finality,
});
const unknown: TransactionStatus = { status: 'unknown' };
const pending: TransactionStatus = { status: 'pending' };
const conflicted = (by?: string, final = true): TransactionStatus => ({
  status: 'conflicted',
  ...(by === undefined ? {} : { by }),
  final,
});
const failed: TransactionStatus = { status: 'failed', reason: 'reverted', final: true };

describe('the status that providers agree on', () => {
  it.each<[string, readonly TransactionStatus[], number, TransactionStatus]>([
    ['a lone provider is believed', [included(7)], 1, included(7)],
    ['the one that is behind sets the depth of two', [included(9), included(2)], 2, included(2)],
    ['the majority sets it of three', [included(9), included(2), included(8)], 2, included(8)],
    ['a depth that one invents does not count', [included(900), included(1)], 2, included(1)],
    ['one alone has it in no block', [included(7), unknown, unknown], 2, unknown],
    ['two blocks are no agreement', [included(7, 'x'), included(7, 'y')], 2, pending],
    ['one that keeps it to itself has it sent again', [pending, unknown, unknown], 2, unknown],
    ['two that have it do not', [pending, unknown, pending], 2, pending],
    ['nor one that answers alone', [pending], 2, pending],
    ['one alone displaces nothing', [conflicted('z'), unknown], 2, unknown],
    ['one alone fails nothing', [failed, included(7)], 2, pending],
    ['two displace it', [conflicted('z'), conflicted('z'), included(7)], 2, conflicted('z')],
    ['for good only by the same', [conflicted('z'), conflicted('y')], 2, conflicted('z', false)],
    ['of one that answers alone nothing is final', [included(7)], 2, pending],
    ['nor displaced', [conflicted('z')], 2, unknown],
    ['nobody knows it', [unknown, unknown], 2, unknown],
  ])('%s', (_, views, support, expected) => {
    expect(agreedStatus(views, support)).toEqual(expected);
  });

  it('is never deeper, nor more final, than honest providers see it, whatever fewer than `support` say', () => {
    const status = fc.oneof(
      fc.tuple(fc.nat(20), fc.constantFrom('b', 'x')).map(([n, block]) => included(n, block)),
      fc.constantFrom(unknown, pending, failed, conflicted('z'), conflicted(undefined, false)),
    );
    fc.assert(
      fc.property(
        fc.array(fc.nat(20), { minLength: 2, maxLength: 5 }),
        fc.array(status, { maxLength: 4 }),
        (depths, lies) => {
          const support = Math.floor((depths.length + lies.length) / 2) + 1;
          fc.pre(lies.length < support);
          const met = agreedStatus([...lies, ...depths.map((depth) => included(depth))], support);
          if (met.status === 'included') {
            expect(met.block).toBe('b');
            expect(met.confirmations).toBeLessThanOrEqual(Math.max(...depths));
          } else expect(met.status).toMatch(/pending|unknown/);
          if ('final' in met && met.final) expect(Math.max(...depths)).toBeGreaterThanOrEqual(6);
        },
      ),
    );
  });
});

it('an amount is what enough providers reach', () => {
  expect(supported([5n], 1)).toBe(5n);
  expect(supported([5n, 900n], 2)).toBe(5n);
  expect(supported([5n, 900n, 5n], 2)).toBe(5n);
  expect(supported([5n, 0n, 5n], 2)).toBe(5n);
  expect(supported([5n], 2)).toBe(5n);
});

it('one outcome of a broadcast to several: taken once is taken, refused only by all', () => {
  const accepted: BroadcastOutcome = { status: 'accepted' };
  const known: BroadcastOutcome = { status: 'already-known' };
  const unclear: BroadcastOutcome = { status: 'unclear', reason: 'lost' };
  const rejected: BroadcastOutcome = { status: 'rejected', reason: 'no' };
  expect(jointOutcome([rejected, unclear, known, accepted])).toEqual(accepted);
  expect(jointOutcome([rejected, unclear, known])).toEqual(known);
  expect(jointOutcome([rejected, unclear])).toEqual(unclear);
  expect(jointOutcome([rejected, rejected])).toEqual(rejected);
});

describe('providers', () => {
  const away = () => new KeysagaError('ChainUnavailable', 'HTTP 503', {});
  /** Nodes that answer with their own address, or as told. */
  function pool(rpcUrl: string | readonly string[], agreement?: number) {
    const asked: string[] = [];
    const answers = new Map<string, () => Promise<string>>();
    const told: string[] = [];
    const providers = createProviders({
      network: 'test',
      rpcUrl,
      ...(agreement === undefined ? {} : { agreement }),
      connect: (url) => url,
      logger: { warn: (details, message) => void told.push(`${message}: ${details.provider}`) },
      patienceMs: 20,
    });
    const ask = async (url: string): Promise<string> => {
      asked.push(url);
      return answers.get(url)?.() ?? url;
    };
    return { providers, ask, asked, answers, told };
  }

  it.each<[string, string | readonly string[], number | undefined, string]>([
    ['none', [], undefined, 'rpcUrl'],
    ['one twice', ['a', 'a'], undefined, 'rpcUrl'],
    ['nine', [...'abcdefghi'], undefined, 'rpcUrl'],
    ['an agreement of more than there are', ['a', 'b'], 3, 'agreement'],
    ['an agreement of none', 'a', 0, 'agreement'],
  ])('refuses %s', (_, urls, agreement, field) => {
    expect(() => pool(urls, agreement)).toThrow(
      expect.objectContaining({ code: 'InvalidInput', details: { field } }),
    );
  });

  it('needs more than half to agree unless told otherwise', () => {
    const of = (...urls: string[]) => pool(urls).providers.agreement;
    expect([of('a'), of('a', 'b'), of('a', 'b', 'c'), of('a', 'b', 'c', 'd')]).toEqual([
      1, 2, 2, 3,
    ]);
  });

  it('leaves out one that fails again and again, and asks it all the same when nobody else is there', async () => {
    const { providers, ask, asked, answers, told } = pool(['a', 'b']);
    answers.set('a', () => Promise.reject(away()));
    for (let i = 0; i < 5; i++) expect(await providers.first(ask)).toBe('b');
    expect(told).toEqual(['a provider is left out: 1']);
    expect(providers.health()).toEqual([
      { provider: 1, state: 'left-out', failures: 5, reason: 'HTTP 503' },
      { provider: 2, state: 'up', failures: 0 },
    ]);
    asked.length = 0;
    expect(await providers.first(ask)).toBe('b');
    expect(await providers.views(ask)).toEqual(['b']);
    expect(asked).toEqual(['b', 'b']);

    answers.set('b', () => Promise.reject(away()));
    answers.delete('a');
    expect(await providers.first(ask)).toBe('a');
    expect(providers.health()[0]?.state).toBe('up');
  });

  it('says what each of them said when none answers, and that trying again may help', async () => {
    const { providers, ask, answers } = pool(['a', 'b']);
    for (const url of 'ab') answers.set(url, () => Promise.reject(away()));
    const error = { code: 'ChainUnavailable', retryable: true };
    for (const asking of [providers.first(ask), providers.views(ask)])
      await expect(asking).rejects.toMatchObject({
        ...error,
        details: { providers: ['1: HTTP 503', '2: HTTP 503'] },
      });
    const send = () => Promise.reject(away());
    expect(await providers.send(send)).toEqual({ status: 'unclear', reason: 'HTTP 503' });
  });

  it('does not wait for one that hangs longer than its patience', async () => {
    const { providers, ask, answers } = pool(['a', 'b']);
    answers.set('a', () => new Promise(() => {}));
    expect(await providers.views(ask)).toEqual(['b']);
    const outcome = { status: 'accepted' } as const;
    expect(await providers.send((url) => (url === 'a' ? ask(url) : outcome) as never)).toEqual(
      outcome,
    );
  });

  it('takes answers of the chain’s own meaning as they are, without asking others', async () => {
    const { providers, ask, asked, answers } = pool(['a', 'b']);
    answers.set('a', () => Promise.reject(new KeysagaError('InvalidInput', 'no token', {})));
    await expect(providers.first(ask)).rejects.toMatchObject({ code: 'InvalidInput' });
    expect(asked).toEqual(['a']);
  });
});
