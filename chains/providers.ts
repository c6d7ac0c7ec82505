/**
 * Several providers of one chain: who is asked, in which order, and who is left out for how long. What their answers mean
 * together is in `agreement.ts`; what each answer means, in the chain's own folder. docs/providers.md has the rules.
 */
import {
  BrokenCircuitError,
  type CircuitBreakerPolicy,
  ConsecutiveBreaker,
  circuitBreaker,
  ExponentialBackoff,
  handleWhen,
} from 'cockatiel';
import type { ProviderHealth } from '../core/ports/blockchain.ts';
import { isKeysagaError, KeysagaError } from '../schema/contracts/errors.ts';
import type { BroadcastOutcome } from '../schema/contracts/transaction.ts';
import { jointOutcome } from './agreement.ts';

/** What an operator says about a chain's providers. */
export type ProviderOptions = {
  /** HTTP or HTTPS address of a provider, or of up to 8, the one that is asked first in front. */
  readonly rpcUrl: string | readonly string[];
  /**
   * Providers that must say the same before a transaction is in a block, failed, displaced or final; default: more than
   * half. Fewer goes on while more of them are away, more stands more of them lying.
   */
  readonly agreement?: number;
};

export type Providers<T> = {
  readonly count: number;
  readonly agreement: number;
  /** One answer: of the first that has one. For what another check bounds, or what proves itself. */
  first<R>(ask: (node: T) => Promise<R>): Promise<R>;
  /**
   * The answers of all that answer, at least one. After the first, the others have `patienceMs`.
   * Both throw KeysagaError `ChainUnavailable`, `ChainMismatch` when no provider serves the network.
   */
  views<R>(ask: (node: T) => Promise<R>): Promise<readonly R[]>;
  /** Sends to all; a provider that does not answer counts as `unclear`. @throws KeysagaError `ChainMismatch`. */
  send(send: (node: T) => Promise<BroadcastOutcome>): Promise<BroadcastOutcome>;
  /** In the order of the configuration. */
  health(): readonly ProviderHealth[];
};

type Logger = { warn(details: Readonly<Record<string, unknown>>, message: string): void };
export type ConnectOptions<T> = ProviderOptions & {
  readonly network: string;
  /** `retries`: repeats of a read at this provider; with others beside it, failing over is quicker. */
  readonly connect: (url: string, retries: number) => T;
  readonly logger?: Logger;
  /** Default 5,000. Shorter is held up less by a slow provider, longer hears it more often. */
  readonly patienceMs?: number;
};

const MOST = 8;
const PATIENCE_MS = 5_000;
/** Failures in a row after which a provider is left out, and how long: 1 s at first, then longer, up to half a minute. */
const FAILURES = 5;
const PAUSE = { initialDelay: 1_000, maxDelay: 30_000 };
/** One that serves another network is asked again after this time: an operator may have put it right. */
const EXCLUDED_MS = 60_000;

const invalid = (field: string, message: string): KeysagaError =>
  new KeysagaError('InvalidInput', message, { field });

/** A fault of the provider, in contrast to an answer that says no. */
const isFault = (error: unknown): error is KeysagaError =>
  isKeysagaError(error, 'ChainUnavailable') || isKeysagaError(error, 'ChainMismatch');

class Provider<T> {
  /** From 1, as in logs: an address may hold an access key. */
  readonly number: number;
  readonly node: T;
  readonly #warn: (message: string, details: Readonly<Record<string, unknown>>) => void;
  #breaker: CircuitBreakerPolicy;
  #open = false;
  #failures = 0;
  #reason: string | undefined;
  #excludedUntil = 0;

  constructor(number: number, node: T, warn: (message: string, details: object) => void) {
    this.number = number;
    this.node = node;
    this.#warn = (message, details) => warn(message, { provider: number, ...details });
    this.#breaker = this.#closed();
  }

  #closed(): CircuitBreakerPolicy {
    this.#open = false;
    const breaker = circuitBreaker(
      handleWhen((error) => isKeysagaError(error, 'ChainUnavailable')),
      { halfOpenAfter: new ExponentialBackoff(PAUSE), breaker: new ConsecutiveBreaker(FAILURES) },
    );
    breaker.onBreak(() => {
      if (!this.#open) this.#warn('a provider is left out', { reason: this.#reason });
      this.#open = true;
    });
    breaker.onReset(() => {
      this.#open = false;
      this.#warn('a provider answers again', {});
    });
    return breaker;
  }

  get state(): ProviderHealth['state'] {
    if (performance.now() < this.#excludedUntil) return 'wrong-network';
    return this.#open ? 'left-out' : 'up';
  }

  get health(): ProviderHealth {
    const { number: provider, state } = this;
    return {
      provider,
      state,
      failures: this.#failures,
      ...(this.#reason === undefined ? {} : { reason: this.#reason }),
    };
  }

  /** @throws BrokenCircuitError when it is left out; the node's own errors. `anyway`: asked all the same. */
  async ask<R>(work: (node: T) => Promise<R>, anyway: boolean): Promise<R> {
    try {
      if (!anyway) {
        if (this.state === 'wrong-network') throw new BrokenCircuitError();
        return this.#answered(await this.#breaker.execute(() => this.#noting(work)));
      }
      const answer = await this.#noting(work);
      if (this.#open) this.#breaker = this.#closed();
      return this.#answered(answer);
    } catch (error) {
      if (isKeysagaError(error, 'ChainMismatch')) {
        if (this.#excludedUntil === 0)
          this.#warn('a provider serves another network', { reason: error.message });
        this.#excludedUntil = performance.now() + EXCLUDED_MS;
      }
      throw error;
    }
  }

  #answered<R>(answer: R): R {
    this.#excludedUntil = 0;
    return answer;
  }

  async #noting<R>(work: (node: T) => Promise<R>): Promise<R> {
    try {
      return await work(this.node);
    } catch (error) {
      if (isFault(error)) {
        this.#failures += 1;
        this.#reason = error.message;
      }
      throw error;
    }
  }
}

function urlsOf({ rpcUrl }: ProviderOptions): readonly string[] {
  const urls = typeof rpcUrl === 'string' ? [rpcUrl] : rpcUrl;
  if (urls.length < 1 || urls.length > MOST)
    throw invalid('rpcUrl', `a chain has 1 to ${MOST} providers`);
  // The same one twice would agree with itself.
  if (new Set(urls).size !== urls.length) throw invalid('rpcUrl', 'a provider is named twice');
  return urls;
}

/** @throws KeysagaError `InvalidInput` (`rpcUrl`, `agreement`). No I/O. */
export function createProviders<T>(options: ConnectOptions<T>): Providers<T> {
  const { network, logger, patienceMs = PATIENCE_MS } = options;
  const urls = urlsOf(options);
  const agreement = options.agreement ?? Math.floor(urls.length / 2) + 1;
  if (!Number.isSafeInteger(agreement) || agreement < 1 || agreement > urls.length)
    throw invalid('agreement', `agreement must be 1 to ${urls.length}, the number of providers`);
  const providers = urls.map(
    (url, i) =>
      new Provider(i + 1, options.connect(url, urls.length > 1 ? 1 : 3), (message, details) =>
        logger?.warn({ network, ...details }, message),
      ),
  );

  /** The one error that a lone provider gave, or one that sums up. */
  function verdict(errors: ReadonlyMap<number, KeysagaError>): KeysagaError {
    const all = [...errors.values()];
    const [first] = all;
    if (first !== undefined && providers.length === 1) return first;
    if (first !== undefined && all.every(({ code }) => code === 'ChainMismatch')) return first;
    return new KeysagaError(
      'ChainUnavailable',
      `no provider of ${network} answered`,
      { network, providers: [...errors].map(([number, { message }]) => `${number}: ${message}`) },
      { retryable: all.some(({ retryable }) => retryable) },
    );
  }

  /** Whoever is left out is asked all the same when nobody else is there: a breaker chooses, it does not close a chain. */
  const first: Providers<T>['first'] = async (ask) => {
    const errors = new Map<number, KeysagaError>();
    const up = providers.filter(({ state }) => state === 'up');
    const out = providers.filter((provider) => !up.includes(provider));
    for (const [list, anyway] of [
      [up, false],
      [out, true],
    ] as const) {
      for (const provider of list) {
        try {
          return await provider.ask(ask, anyway);
        } catch (error) {
          if (isFault(error)) errors.set(provider.number, error);
          else if (!(error instanceof BrokenCircuitError)) throw error;
        }
      }
    }
    throw verdict(errors);
  };

  type Heard<R> = {
    readonly answers: R[];
    readonly refusals: unknown[];
    readonly faults: Map<number, KeysagaError>;
    readonly skipped: Provider<T>[];
  };
  /** Asks these at once; the first answer that is `enough` starts the patience with the rest. */
  function gather<R>(
    asked: readonly Provider<T>[],
    ask: (node: T) => Promise<R>,
    enough: (answer: R) => boolean,
    anyway: boolean,
  ): Promise<Heard<R>> {
    const heard: Heard<R> = { answers: [], refusals: [], faults: new Map(), skipped: [] };
    return new Promise((resolve) => {
      let waiting = asked.length;
      let timer: NodeJS.Timeout | undefined;
      const done = () => {
        clearTimeout(timer);
        // Copies: what comes later is no part of it.
        const { answers, faults } = heard;
        resolve({ ...heard, answers: [...answers], faults: new Map(faults) });
      };
      const settle = () => {
        waiting -= 1;
        if (waiting === 0) done();
        else if (heard.answers.some(enough)) timer ??= setTimeout(done, patienceMs);
      };
      const failed = (provider: Provider<T>, error: unknown) => {
        if (isFault(error)) heard.faults.set(provider.number, error);
        else if (error instanceof BrokenCircuitError) heard.skipped.push(provider);
        else heard.refusals.push(error);
      };
      for (const provider of asked)
        provider
          .ask(ask, anyway)
          .then(
            (answer) => void heard.answers.push(answer),
            (error: unknown) => failed(provider, error),
          )
          .finally(settle);
    });
  }
  async function everyone<R>(
    ask: (node: T) => Promise<R>,
    enough: (answer: R) => boolean,
  ): Promise<Heard<R>> {
    const heard = await gather(providers, ask, enough, false);
    if (heard.answers.length + heard.refusals.length > 0 || heard.skipped.length === 0)
      return heard;
    const more = await gather(heard.skipped, ask, enough, true);
    return { ...more, faults: new Map([...heard.faults, ...more.faults]) };
  }

  return {
    count: providers.length,
    agreement,
    first,
    async views(ask) {
      const { answers, refusals, faults } = await everyone(ask, () => true);
      if (answers.length > 0) return answers;
      if (refusals.length > 0) throw refusals[0];
      throw verdict(faults);
    },
    async send(send) {
      const took = ({ status }: BroadcastOutcome) =>
        status === 'accepted' || status === 'already-known';
      const { answers, refusals, faults } = await everyone(send, took);
      const lost = [...faults.values()].filter(({ code }) => code === 'ChainUnavailable');
      if (answers.length + lost.length === 0) throw refusals[0] ?? verdict(faults);
      return jointOutcome([
        ...answers,
        ...lost.map(({ message }) => ({ status: 'unclear', reason: message }) as const),
      ]);
    },
    health: () => providers.map(({ health }) => health),
  };
}
