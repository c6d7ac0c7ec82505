/** Unsigned bytes: the payment and its void. */
import { parsePayment, paymentDigest } from '../../core/payout.ts';
import { voidFeeCap } from '../../core/policy.ts';
import type { Blockchain, BuildResult } from '../../core/ports/blockchain.ts';
import type { Transaction } from '../../core/ports/ledger.ts';
import { leaseOfKey } from '../../core/rules/effects.ts';
import { hexToBytes } from '../../core/signed.ts';
import { decideTransfer, type Purpose, type Transfer } from '../../core/transfer/index.ts';
import type { BuildAnswer, Built, ChainActivities } from '../../schema/contracts/activities.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { KeyDescriptor } from '../../schema/contracts/key.ts';
import type { PooledPresignature, PoolRef } from '../../schema/contracts/pool.ts';
import type { AttemptId, RequestId } from '../../schema/contracts/primitives.ts';
import { commit } from '../ledger/deps.ts';
import { knownPolicies, movePolicy, transferPolicyOf } from '../ledger/policy.ts';
import { appendTransfer, loadTransfer, payerOf } from '../ledger/state.ts';
import type { ChainContext } from './deps.ts';
import { parse } from './inputs.ts';
import { lockLeases, openLeaser } from './leaser.ts';
import { createReleaseLease } from './release.ts';

/** A presignature that is lent must outlast the way to its parties. */
const LEAST_LIFE_MS = 60_000;

type BuildActivities = Pick<ChainActivities, 'build' | 'buildVoid' | 'releaseLease'>;

export function createBuildActivities(context: ChainContext): BuildActivities {
  const { uow, chains, keyOf } = context;

  /** The transfer of this very intent. */
  const transferOf = async (
    name: 'build',
    input: unknown,
  ): Promise<{ transfer: Transfer; key: KeyDescriptor }> => {
    const intent = parsePayment(parse(name, input).intent);
    const { transfer } = await loadTransfer(uow.events, intent.requestId);
    if (transfer.intentDigest !== paymentDigest(intent))
      throw new KeysagaError(
        'RequestConflict',
        `Transfer ${intent.requestId} was reserved for another intent.`,
        {
          field: 'intent',
          requestId: intent.requestId,
        },
      );
    return { transfer, key: await keyOf(intent.walletId) };
  };

  /** What stands in the ledger, for the saga. */
  const answer = async (
    tx: Transaction,
    transfer: Transfer,
    purpose: Purpose,
    key: KeyDescriptor,
  ): Promise<Built> => {
    const built = transfer.built[purpose];
    if (built === null) throw new KeysagaError('StateConflict', 'Nothing is built.', { purpose });
    const signed = transfer.signed[purpose];
    return {
      unsigned: built.unsigned,
      fee: built.fee,
      ranking: (await tx.parties.ranking(key.parties, transfer.requestId)) as Built['ranking'],
      ...(signed === null ? {} : { signed }),
    };
  };
  /** One presignature for each digest, when a pool of this key has as many. */
  const lend = async (
    tx: Transaction,
    key: KeyDescriptor,
    { intent }: Transfer,
    { unsigned, ranking }: Built,
    attempt: AttemptId,
  ): Promise<Partial<Built>> => {
    const { presigning } = context.protocols.get(key.protocol);
    // A child key presigns inline: with the nonce known before the tweak, signatures could be forged.
    if (presigning === undefined || intent.path !== undefined) return {};
    const { online } = presigning.rounds;
    const [lent, filled] = await Promise.all([
      tx.pools.lentTo(attempt),
      tx.pools.holding(key, LEAST_LIFE_MS),
    ]);
    // A repeat, as far as this attempt is concerned.
    if (lent !== undefined) return pooledBy(lent.signers, lent.presignatures);
    if (filled.length === 0) return {};
    // A set that has failed of late would cost more time than its presignatures save.
    const steady = await tx.parties.steady(key.parties);
    const { codec } = chains.get(intent.chain);
    const { length } = codec.messages(unsigned, hexToBytes(key.publicKey));
    for (const signers of filled) {
      if (!signers.every((signer) => steady.includes(signer))) continue;
      const pool = { keyId: key.keyId, epoch: key.epoch, signers };
      const presignatures = await tx.pools.lend(pool, attempt, length, LEAST_LIFE_MS);
      if (presignatures.length > 0) return pooledBy(signers, presignatures);
    }
    return {};

    function pooledBy(
      signers: PoolRef['signers'],
      presignatures: readonly PooledPresignature[],
    ): Partial<Built> {
      return {
        pooled: { attempt, signers, presignatures, rounds: online },
        // They are asked first.
        ranking: [...signers, ...ranking.filter((party) => !signers.includes(party))],
      };
    }
  };
  const fixed = (transfer: Transfer, purpose: Purpose): boolean =>
    transfer.pivots[purpose].length > 0 || transfer.signed[purpose] !== null;

  /** Appends what was built, once every lease it needs is ours; answers with what stands then. */
  const record = async (
    tx: Transaction,
    purpose: Purpose,
    key: KeyDescriptor,
    asked: Transfer,
    result: BuildResult,
    feeCap: bigint,
    usePool?: AttemptId,
  ): Promise<Built> => {
    const requestId = asked.requestId as RequestId;
    await lockLeases(tx, requestId);
    const { transfer, version } = await loadTransfer(tx.events, requestId);
    if (fixed(transfer, purpose)) return answer(tx, transfer, purpose, key);
    const { walletId, chain } = transfer.intent;
    for (const lease of result.leases)
      if (!(await tx.leases.tryTake(requestId, walletId, chain, lease)))
        throw new KeysagaError(
          'LeaseUnavailable',
          'Another transfer took what this one was built on.',
          {
            resource: lease.resource,
          },
        );
    const leases = result.leases.map((lease) => lease.resource);
    const { unsigned, fee } = result;
    const events = decideTransfer.built(transfer, purpose, { unsigned, fee, leases }, feeCap);
    await appendTransfer(tx, requestId, version, events);
    const now: Transfer = {
      ...transfer,
      built: { ...transfer.built, [purpose]: { unsigned, fee: String(fee), leases } },
    };
    const built = await answer(tx, now, purpose, key);
    if (usePool === undefined) return built;
    return { ...built, ...(await lend(tx, key, now, built, usePool)) };
  };

  const build = async (input: unknown): Promise<BuildAnswer> => {
    const { transfer, key } = await transferOf('build', input);
    if (fixed(transfer, 'payment'))
      return uow.transaction((tx) => answer(tx, transfer, 'payment', key));
    decideTransfer.requireBuildable(transfer, 'payment');
    const { policyHash: counted, usePool } = parse('build', input);
    const force = await context.policies.inForce(key.policyId, key);
    // The answer is what tells the saga of a change: no step of its own before every transfer.
    if (
      counted !== undefined &&
      (force.hash !== counted || force.next?.currentDead === true) &&
      (await movePolicy(context, transfer, force.hash))
    )
      return { policy: transferPolicyOf(force) };
    // A payment's fee leaves room for its void: parties refuse one above 80 % of the void's cap.
    const room = (voidFeeCap(force.signed.policy, transfer.intent.chain) * 4n) / 5n;
    const approved = BigInt(transfer.intent.feeCap);
    const feeCap = approved < room ? approved : room;
    const payer = payerOf(chains, key, transfer.intent).key;
    const leaser = await openLeaser(context, transfer, payer.address);
    try {
      const intent = { ...transfer.intent, feeCap: String(feeCap) };
      const result = await chains.get(intent.chain).build(intent, payer, leaser);
      return await commit(context, 'build', (tx) =>
        record(tx, 'payment', key, transfer, result, feeCap, usePool),
      );
    } catch (error) {
      // The first failure is the one to tell; what is not given back here is at the next try or the undo.
      await leaser.giveBack().catch(() => {});
      throw error;
    }
  };

  return {
    // Without a version nothing is asked about it, so that something is always built.
    build: build as ChainActivities['build'],

    buildVoid: async (input) => {
      const { transfer, key } = await transferOf('build', input);
      if (fixed(transfer, 'void'))
        return uow.transaction((tx) => answer(tx, transfer, 'void', key));
      decideTransfer.requireBuildable(transfer, 'void');
      // Parties judge a void by the newest version that they hold and that knows the network.
      const { network } = key;
      const known = (await knownPolicies(uow, key.policyId)).map(({ policy }) => policy);
      const { signed } = await context.policies.inForce(key.policyId, key);
      const capped = [signed.policy, ...known].find((policy) =>
        policy.voidFeeCaps.some((cap) => cap.network === network),
      );
      const feeCap = voidFeeCap(capped ?? signed.policy, network);
      const chain = chains.get(transfer.intent.chain);
      const payer = payerOf(chains, key, transfer.intent).key;
      const result = await voidOf(chain, transfer, payer, feeCap);
      return commit(context, 'buildVoid', (tx) =>
        record(tx, 'void', key, transfer, result, feeCap),
      );
    },

    releaseLease: createReleaseLease(context),
  };
}

/** Bytes that exclude what the transfer built, or that use the nonce which it may not give back. */
async function voidOf(
  chain: Blockchain,
  transfer: Transfer,
  key: KeyDescriptor,
  feeCap: bigint,
): Promise<BuildResult> {
  const { codec } = chain;
  const publicKey = hexToBytes(key.publicKey);
  if (transfer.fillsGap !== null) {
    const filler = await chain.fillGap?.(key, transfer.fillsGap, feeCap);
    const used = filler && codec.decode(filler.unsigned, publicKey).conflictKeys;
    if (
      filler === undefined ||
      used?.every((entry) => leaseOfKey(entry, transfer.intent.chain) !== transfer.fillsGap)
    )
      throw new KeysagaError('ConflictRule', 'The void would not use the nonce.', {
        field: 'unsigned',
        resource: transfer.fillsGap,
      });
    return filler;
  }
  const payment = transfer.built.payment;
  if (payment === null)
    throw new KeysagaError('StateConflict', 'There is nothing to void.', { purpose: 'void' });
  // From the pivot on the payment's bytes are fixed, so they are all that a share can be out for.
  const result = await chain.buildVoid(key, [payment.unsigned], feeCap, transfer.intent.anchor);
  const taken = new Set(codec.decode(payment.unsigned, publicKey).conflictKeys);
  if (!codec.decode(result.unsigned, publicKey).conflictKeys.some((entry) => taken.has(entry)))
    throw new KeysagaError('ConflictRule', 'The void would not exclude the payment.', {
      field: 'unsigned',
    });
  return result;
}
