/**
 * CPU of DKLs23, of all parties together, on a 2-of-3 key with two signers, against a signature with a single key: the
 * works of `dkls23-work.ts` under Node's clock.
 */
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { random, suffix, TURNS, WORKS, type WorkName } from './dkls23-work.ts';
import { type Benchmark, figure, inTurns } from './figures.ts';

const secret = random(32);
/** Too short for the clock, so five at once. */
export const singleKey = {
  name: 'single key, noble secp256k1',
  work: () => void secp256k1.sign(new Uint8Array(32).fill(1), secret, { prehash: false }),
  repeat: 5,
};

const benchmark = (name: WorkName): Benchmark => ({
  name: `dkls23/${name}`,
  figures: async () => {
    const { prepare, warmUp, signatures } = WORKS[name];
    const samples = inTurns({ ours: { work: prepare() }, single: singleKey }, TURNS, warmUp);
    return [
      figure(
        `dkls23/${name}${suffix(name)}`,
        'CPU ms',
        samples.ours.map((ms) => ms / signatures),
        { name: singleKey.name, samples: samples.single },
      ),
    ];
  },
});

export const dkls23Keygen = benchmark('keygen');
export const dkls23Sign = benchmark('sign');
/** A signature of a batch of 64 that shares one run of the OT extension, not the whole batch. */
export const dkls23SignBatch = benchmark('sign-batch');
/** The round with the message, over a pool: both signers and the combination. */
export const dkls23Online = benchmark('online');
