/** The ledger's part in presignature pools: which presignatures the parties hold, by name. */
import type { LedgerActivities } from '../../schema/contracts/activities.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { KeyDescriptor } from '../../schema/contracts/key.ts';
import type { PoolRef } from '../../schema/contracts/pool.ts';
import type { PartyId } from '../../schema/contracts/primitives.ts';
import { type CoordinatorDeps, commit } from './deps.ts';
import { parse } from './inputs.ts';
import { createKeyReader } from './state.ts';

export type PoolLedger = Pick<
  LedgerActivities,
  'stockPack' | 'lookAtPool' | 'dropPool' | 'readPools'
>;

/** Throws `InvalidInput` (`signers`). */
function poolOf(key: KeyDescriptor, signers: readonly PartyId[]): PoolRef {
  const own = key.parties.filter((party) => signers.includes(party));
  if (own.length !== key.threshold || own.join() !== signers.join())
    throw new KeysagaError(
      'InvalidInput',
      `A signer set of ${key.keyId} has ${key.threshold} of its parties, in the key’s order.`,
      { field: 'signers' },
    );
  return { keyId: key.keyId, epoch: key.epoch, signers: [...signers] };
}

export function createPoolLedger(deps: CoordinatorDeps): PoolLedger {
  const { uow, protocols } = deps;
  const keyOf = createKeyReader(uow);
  return {
    stockPack: async (input) => {
      const pack = parse('stockPack', input);
      return commit(deps, 'stockPack', async (tx) => {
        await tx.pools.add(pack);
        return tx.pools.stock(pack.pool);
      });
    },
    lookAtPool: async (input) => {
      const { walletId, signers } = parse('lookAtPool', input);
      const key = await keyOf(walletId);
      const pool = poolOf(key, signers);
      const { presigning } = protocols.get(key.protocol);
      const stock = await uow.transaction(async (tx) => {
        await tx.pools.expire(pool);
        return tx.pools.stock(pool);
      });
      return {
        key,
        stock,
        ...(presigning === undefined ? {} : { presignRounds: presigning.rounds.presign }),
      };
    },
    dropPool: async (input) => {
      const which = parse('dropPool', input);
      return commit(deps, 'dropPool', async (tx) => ({ dropped: await tx.pools.drop(which) }));
    },
    readPools: async (input) => {
      const { keyId } = parse('readPools', input);
      return { pools: [...(await uow.transaction((tx) => tx.pools.stocks(keyId)))] };
    },
  };
}
