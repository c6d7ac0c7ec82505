/** What one party's service needs. All ports; `workers/party.ts` puts the adapters in. */
import type { Codecs } from '../../core/ports/blockchain.ts';
import type { Ceremonies } from '../../core/ports/ceremonies.ts';
import type { Clock, FailPoints, Random } from '../../core/ports/clock.ts';
import type { EnvelopeCrypto, Identity } from '../../core/ports/envelope-crypto.ts';
import type { HeadFile } from '../../core/ports/head-file.ts';
import type { PartyStore } from '../../core/ports/party-store.ts';
import type { Sealer, ShareBackup } from '../../core/ports/sealing.ts';
import type { VerifySignature } from '../../core/signed.ts';
import type { PartyId } from '../../schema/contracts/primitives.ts';

export type PartySettings = {
  readonly party: PartyId;
  readonly version: string;
  /** Pinned identity keys (hex) of every party this one deals with, itself among them. */
  readonly directory: ReadonlyMap<PartyId, string>;
  readonly administrators: readonly { readonly name: string; readonly publicKey: string }[];
  /** Administrators that must sign a policy. */
  readonly administratorQuorum: number;
  /** Life of a signing session from `prepare`, in milliseconds; no approval or intent may end within it. */
  readonly signingSessionMs: number;
  /** Life of a key ceremony, in milliseconds. */
  readonly keygenSessionMs: number;
};

export type PartyDeps = {
  readonly settings: PartySettings;
  readonly store: PartyStore;
  readonly headFile: HeadFile;
  readonly sealer: Sealer;
  readonly backup: ShareBackup;
  readonly identity: Identity;
  readonly envelopes: EnvelopeCrypto;
  readonly ceremonies: Ceremonies;
  readonly codecs: Codecs;
  readonly clock: Clock;
  readonly random: Random;
  readonly verify: VerifySignature;
  readonly failPoints: FailPoints;
};

/** Every named fail point of a party, before and after each commit that matters. */
export const PARTY_FAIL_POINTS = [
  'party.prepare:before-commit',
  'party.prepare:after-commit',
  'party.bind:before-commit',
  'party.bind:after-commit',
  'party.presign:before-commit',
  'party.presign:after-commit',
  'party.round:before-inbox-commit',
  'party.round:after-inbox-commit',
  'party.round:before-outbox-commit',
  'party.round:after-outbox-commit',
  'party.head:before-pending',
  'party.head:after-pending',
  'party.release:before-commit',
  'party.release:after-commit',
  'party.head:before-last',
  'party.head:after-last',
  'party.release:after-erasure',
  'party.failure:before-commit',
  'party.failure:after-commit',
  'party.certify:before-backup',
  'party.certify:before-commit',
  'party.certify:after-commit',
  'party.abort:before-commit',
  'party.abort:after-commit',
  'party.activate:before-commit',
  'party.activate:after-commit',
  'party.destroy:before-commit',
  'party.destroy:after-commit',
  'party.policy:before-commit',
  'party.policy:after-commit',
  'party.order:before-commit',
  'party.order:after-commit',
  'party.fence:before-file',
  'party.fence:after-file',
] as const;
export type PartyFailPoint = (typeof PARTY_FAIL_POINTS)[number];
