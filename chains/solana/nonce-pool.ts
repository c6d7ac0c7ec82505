/**
 * The nonce accounts of the wallets: making them, reading them at `finalized`, proving their values. Every step can be
 * repeated after a crash and by several coordinators at once: addresses are derived, the chain refuses a second
 * creation, and the record keeps the newest reading.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { bytesToHex } from '@noble/hashes/utils.js';
import { base58 } from '@scure/base';
import type { Clock } from '../../core/ports/clock.ts';
import type { NonceAccount, NonceAccounts } from '../../core/ports/nonce-accounts.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { lamportsPerSignature } from './codec.ts';
import { nonceAccountBytes, nonceSeed, parseNonceAccount } from './durable-nonce.ts';
import { systemProgram } from './instructions.ts';
import { sameBytes } from './message.ts';
import { findPreimage, isProven } from './preimage.ts';
import type { SolanaReader } from './providers.ts';
import type { AccountReading } from './rpc.ts';
import type { Sponsor } from './sponsor.ts';

/** What the pool tells its owner's log. */
export interface Logger {
  warn(details: Readonly<Record<string, unknown>>, message: string): void;
}

export type NoncePoolOptions = {
  readonly rpc: SolanaReader;
  readonly accounts: NonceAccounts;
  /** Null: accounts are used and watched, never made. */
  readonly sponsor: (() => Sponsor) | null;
  /** Accounts a wallet should have ready: as many transfers as it can have under way at once. */
  readonly size: number;
  /** How long provision waits for its accounts to be final and proven, ms. */
  readonly provisionTimeoutMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
};

export type Wallet = { readonly walletId: string; readonly address: string };

/** An account without proof is replaced after this time: the next poll may still find the proof. */
const unprovenGraceMs = 60_000;
const pollMs = 250;
/** A creation is sent again after this time: its blockhash is surely too old to land by then. */
const resendAfterMs = { real: 90_000, ephemeral: 2000 } as const;

export class NoncePool {
  readonly #o: NoncePoolOptions;
  /** Account → when this process sent its creation. */
  readonly #sent = new Map<string, number>();
  constructor(options: NoncePoolOptions) {
    this.#o = options;
  }

  get #network() {
    return this.#o.rpc.network;
  }

  /** Accounts of a wallet that may be lent, after a fresh reading of all of them. */
  async proven(walletId: string): Promise<readonly NonceAccount[]> {
    await this.sync(walletId);
    const all = await this.#o.accounts.list(this.#network.id, walletId);
    return all.filter((account) => account.state === 'proven' && isProven(account));
  }

  /** Brings the record up to date with the chain, for one wallet or for all. */
  async sync(walletId?: string): Promise<void> {
    const records = (await this.#o.accounts.list(this.#network.id, walletId)).filter(
      ({ state }) => state !== 'retired',
    );
    if (records.length === 0) return;
    const { slot, accounts } = await this.#o.rpc.accounts(
      records.map(({ account }) => base58.decode(account)),
      'finalized',
    );
    for (const [i, record] of records.entries()) await this.#take(record, accounts[i], slot);
  }

  async #take(
    record: NonceAccount,
    found: AccountReading | undefined,
    slot: number,
  ): Promise<void> {
    const { accounts, clock, logger, rpc } = this.#o;
    const { network, account } = record;
    const at = clock.now();
    const nonce =
      found && sameBytes(found.owner, systemProgram) ? parseNonceAccount(found.data) : undefined;
    if (found === undefined || (nonce === undefined && found.data.length === 0)) {
      if (record.value === null) return;
      // A restarted local runtime forgot the account; making it again could repeat a value that was used before.
      if (this.#network.ephemeral) return accounts.retire(network, account, at);
      return accounts.lost(network, account, at);
    }
    if (nonce === undefined || base58.encode(nonce.authority) !== record.authority) {
      logger.warn(
        { network, account, walletId: record.walletId },
        'the wallet does not rule the nonce account: it is not used any more',
      );
      return accounts.retire(network, account, at);
    }
    const value = bytesToHex(nonce.value);
    const unchanged = record.value === value && isProven(record);
    const preimage = unchanged ? record.preimage : await findPreimage(rpc, record, value);
    if (preimage === undefined || preimage === null) {
      if (record.state !== 'unproven' || record.value !== value) {
        logger.warn(
          { network, account, walletId: record.walletId },
          'no preimage of the nonce was found: it is not lent',
        );
      }
      await accounts.record(network, account, {
        state: 'unproven',
        value,
        preimage: null,
        slot,
        at,
      });
    } else if (!unchanged || record.state !== 'proven') {
      await accounts.record(network, account, { state: 'proven', value, preimage, slot, at });
    }
  }

  /**
   * Gives the wallet its accounts and waits until `size` of them are final and proven.
   * @throws KeysagaError `InvalidInput` (`sponsor`) when there is no key to pay with, `InsufficientFunds` when it is
   * empty, `ChainUnavailable` when it takes too long (what was done stays and counts for the next try).
   */
  async provision(wallet: Wallet): Promise<void> {
    const deadline = this.#o.clock.now() + this.#o.provisionTimeoutMs;
    for (;;) {
      const ready = await this.proven(wallet.walletId);
      if (ready.length >= this.#o.size) return;
      if (this.#o.clock.now() > deadline) {
        throw new KeysagaError(
          'ChainUnavailable',
          `${ready.length} of ${this.#o.size} nonce accounts are final so far`,
          {
            method: 'provision',
            walletId: wallet.walletId,
          },
        );
      }
      await this.topUp(wallet);
      await sleep(pollMs);
    }
  }

  /** Sends what is missing once; does not wait. */
  async topUp(wallet: Wallet): Promise<void> {
    const { accounts, clock, size } = this.#o;
    const all = await accounts.list(this.#network.id, wallet.walletId);
    const now = clock.now();
    const counted = all.filter(
      ({ state, changedAt }) =>
        state === 'proven' ||
        state === 'pending' ||
        (state === 'unproven' && now - changedAt < unprovenGraceMs),
    );
    const unproven = all.filter(({ state }) => state === 'unproven').length;
    if (counted.length < size && unproven > 2 * size) {
      // Something is wrong with the node, and each replacement costs the sponsor rent.
      throw new KeysagaError(
        'ChainUnavailable',
        `${unproven} nonce accounts are without proof; no more are made`,
        {
          method: 'provision',
          walletId: wallet.walletId,
        },
      );
    }
    if (counted.length >= size && !counted.some(({ state }) => state === 'pending')) return;
    const sponsor = this.#sponsor();
    let index = Math.max(-1, ...all.map((account) => account.index)) + 1;
    for (let missing = size - counted.length; missing > 0; missing--, index++) {
      await accounts.add({
        network: this.#network.id,
        walletId: wallet.walletId,
        account: base58.encode(
          sponsor.nonceAccount(nonceSeed(this.#network.id, wallet.walletId, index)),
        ),
        authority: wallet.address,
        index,
        at: now,
      });
    }
    const pending = (await accounts.list(this.#network.id, wallet.walletId)).filter(
      ({ state }) => state === 'pending',
    );
    await this.#create(sponsor, pending);
  }

  /** Creates those that the newest state of the chain lacks. */
  async #create(sponsor: Sponsor, pending: readonly NonceAccount[]): Promise<void> {
    const { accounts, rpc, clock } = this.#o;
    if (pending.length === 0) return;
    const keys = pending.map(({ account }) => base58.decode(account));
    const [{ accounts: found }, rent, reserve, { blockhash }] = await Promise.all([
      rpc.accounts([...keys, sponsor.address], 'confirmed'),
      rpc.minimumBalance(nonceAccountBytes),
      rpc.minimumBalance(0),
      rpc.latestBlockhash(),
    ]);
    const purse = found[keys.length]?.lamports ?? 0n;
    let spent = reserve;
    for (const [i, record] of pending.entries()) {
      const there = found[i];
      if (there !== undefined && there.data.length > 0) continue; // on its way to being final
      const seed = nonceSeed(record.network, record.walletId, record.index);
      if (base58.encode(sponsor.nonceAccount(seed)) !== record.account) {
        // Recorded under another sponsor, which is gone with its key.
        await accounts.retire(record.network, record.account, clock.now());
        continue;
      }
      const again =
        (this.#sent.get(record.account) ?? Number.NEGATIVE_INFINITY) +
        resendAfterMs[this.#network.ephemeral ? 'ephemeral' : 'real'];
      if (clock.now() < again) continue;
      const missing = rent - (there?.lamports ?? 0n);
      spent += (missing > 0n ? missing : 0n) + lamportsPerSignature;
      if (spent > purse) {
        throw new KeysagaError(
          'InsufficientFunds',
          'the sponsor cannot pay for the nonce accounts',
          {
            field: 'sponsor',
            address: base58.encode(sponsor.address),
            lamports: purse.toString(),
          },
        );
      }
      const { bytes } = sponsor.createNonceAccount({
        seed,
        authority: base58.decode(record.authority),
        missing,
        blockhash,
      });
      // Before it is sent: after a crash the hint may be all that proves the first value.
      await accounts.hint(record.network, record.account, bytesToHex(base58.decode(blockhash)));
      this.#sent.set(record.account, clock.now());
      const answer = await rpc.send(bytes);
      // Another coordinator may have been faster; the next reading tells. Anything else shows as a time-out there.
      if (!answer.ok) {
        this.#sent.delete(record.account);
        this.#o.logger.warn(
          { network: record.network, account: record.account, reason: answer.reason },
          'a nonce account was not made',
        );
      }
    }
  }

  #sponsor(): Sponsor {
    if (this.#o.sponsor === null) {
      throw new KeysagaError(
        'InvalidInput',
        'the wallet lacks nonce accounts and there is no sponsor key to pay for them',
        {
          field: 'sponsor',
        },
      );
    }
    return this.#o.sponsor();
  }

  /** One pass of the watcher: reads all, replaces what cannot be lent. Wallets do not hold one another up. */
  async tend(): Promise<void> {
    await this.sync();
    if (this.#o.sponsor === null) return;
    const wallets = new Map(
      (await this.#o.accounts.list(this.#network.id)).map(({ walletId, authority }) => [
        walletId,
        authority,
      ]),
    );
    for (const [walletId, address] of wallets) {
      try {
        await this.topUp({ walletId, address });
      } catch (error) {
        this.#o.logger.warn(
          { walletId, error: error instanceof Error ? error.message : String(error) },
          'the nonce pool was not refilled',
        );
      }
    }
  }
}
