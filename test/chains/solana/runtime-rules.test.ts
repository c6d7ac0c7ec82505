/** What the parties' rules about Solana rest on, shown on the runtime itself: a nonce is a proof, a blockhash is none. */
import { base58 } from '@scure/base';
import { Keypair, PublicKey } from '@solana/web3.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeTransfer } from '../../../chains/solana/codec.ts';
import { until } from '../../../dev/until.ts';
import type { KeysagaError } from '../../../schema/contracts/errors.ts';
import { type Rig, startRig, type Wallet } from './rig.ts';
import {
  compileWithWeb3,
  hex,
  instructions,
  local,
  refusalOf,
  signWith,
  unhex,
} from './support.ts';

let rig: Rig;
beforeAll(async () => {
  rig = await startRig();
});
afterAll(() => rig?.stop());

const build = (wallet: Wallet, intent: ReturnType<Rig['intent']>) =>
  rig.leasing(`transfer/${intent.requestId}`, wallet, (leaser) =>
    rig.solana.build(intent, wallet.key, leaser),
  );
type Proof = { readonly account: string; readonly value: string; readonly preimage: string };
const proofOf = ({ nonceProof }: { nonceProof?: Proof }): Proof => {
  if (nonceProof === undefined) throw new Error('no proof');
  return nonceProof;
};
const final = (status: { status: string; final?: boolean }) => status.final === true;
const failed = (error: KeysagaError) => [error.code, error.details.field];
/** Sends without the node's simulation, as a hostile or careless coordinator could. */
const force = (bytes: string) =>
  rig.connection.sendRawTransaction(unhex(bytes), { skipPreflight: true });

describe('an anchored transfer', () => {
  it('whose nonce has moved on can never be paid: a typed failure, for good', async () => {
    const wallet = await rig.wallet();
    const [first] = await rig.solana.anchors(wallet.key, { amount: 1n, feeCap: 1n });
    const anchor = first?.anchor as NonNullable<ReturnType<Rig['intent']>['anchor']>;
    const intent = rig.intent(wallet, { anchor });
    const { unsigned } = await build(wallet, intent);
    // The nonce's authority advances it by other means.
    const other = encodeTransfer(local, {
      wallet: wallet.secret.publicKey.toBytes(),
      nonce: proofOf(unsigned),
      units: 2000,
      microLamports: 0n,
    });
    const signed = rig.sign(wallet, other);
    expect(await rig.solana.broadcast(signed)).toEqual({ status: 'accepted' });
    await rig.settled(wallet, other, signed.id, final);
    const refused = await refusalOf(build(wallet, intent));
    expect([...failed(refused), refused.retryable]).toEqual(['StateConflict', 'anchor', false]);
    const payment = rig.sign(wallet, unsigned);
    await force(payment.bytes);
    expect(await rig.lookup(wallet, unsigned, payment.id)).toMatchObject({
      status: 'conflicted',
      final: true,
    });
    expect(await rig.connection.getBalance(new PublicKey(intent.destination))).toBe(0);
    expect(anchor).toMatchObject({ account: proofOf(unsigned).account });
    // The account lives on, at another value: another anchor.
    const next = await rig.solana.anchors(wallet.key, { amount: 1n, feeCap: 1n });
    expect(next.map((one) => one.anchor)).not.toContainEqual(anchor);
    expect(next).toHaveLength(2);
  });
});

describe('a recent blockhash in place of a nonce', () => {
  const publicKeyOf = (wallet: Wallet) => wallet.secret.publicKey.toBytes();
  /** A blockhash of now, none of the given ones. */
  const recent = (...not: string[]): Promise<string> =>
    until(
      async () => {
        const { blockhash } = await rig.connection.getLatestBlockhash();
        return not.includes(blockhash) ? undefined : blockhash;
      },
      { deadlineMs: 30_000, what: 'a new blockhash' },
    );
  const signed = (wallet: Wallet, message: Uint8Array): Uint8Array =>
    Buffer.concat([Uint8Array.of(1), signWith(wallet.secret, message), message]);
  const refused = (wallet: Wallet, message: Uint8Array, proof: Proof): void => {
    const unsigned = { network: local, format: 'solana-message' as const, bytes: hex(message) };
    expect(() =>
      rig.solana.codec.decode({ ...unsigned, nonceProof: proof }, publicKeyOf(wallet)),
    ).toThrowError(expect.objectContaining({ name: 'KeysagaError' }));
  };

  it.each(['without AdvanceNonce', 'with AdvanceNonce after the payment'])(
    '%s: the runtime executes both transactions, so the codec refuses each',
    async (which) => {
      const wallet = await rig.wallet();
      const proof = proofOf((await build(wallet, rig.intent(wallet))).unsigned);
      const destination = Keypair.generate().publicKey;
      const from = wallet.secret.publicKey;
      const pay = instructions.pay(from, destination, 1_000_000n);
      const advance = instructions.advance(new PublicKey(proof.account), from);
      const used: string[] = [];
      for (let n = 1; n <= 2; n++) {
        const blockhash = await recent(...used);
        used.push(blockhash);
        const list = which === 'without AdvanceNonce' ? [pay] : [pay, advance];
        const message = compileWithWeb3(from, blockhash, list);
        // Whatever proof is shown with it: of the real nonce, or of the blockhash as if it were one.
        refused(wallet, message, proof);
        refused(wallet, message, { ...proof, value: hex(base58.decode(blockhash)) });
        await rig.connection.sendRawTransaction(signed(wallet, message));
        await until(async () => (await rig.connection.getBalance(destination)) === n * 1_000_000, {
          deadlineMs: 30_000,
          what: `payment ${n} standing`,
        });
      }
      // Two payments of one intent: what the conflict rule took for one and the same resource was none.
      expect(await rig.connection.getBalance(destination)).toBe(2_000_000);
    },
  );

  it('with AdvanceNonce first it is refused as well, though every instruction is as it should be', async () => {
    const wallet = await rig.wallet();
    const { unsigned } = await build(wallet, rig.intent(wallet));
    const proof = proofOf(unsigned);
    const blockhash = hex(base58.decode(await recent()));
    const message = unhex(unsigned.bytes.replace(proof.value, blockhash));
    expect(hex(message)).not.toBe(unsigned.bytes);
    const code = (nonceProof: Proof) => {
      try {
        rig.solana.codec.decode(
          { ...unsigned, bytes: hex(message), nonceProof },
          publicKeyOf(wallet),
        );
      } catch (error) {
        return (error as KeysagaError).code;
      }
      return 'decoded';
    };
    expect(code(proof)).toBe('NonceUnproven');
    expect(code({ ...proof, value: blockhash })).toBe('NonceUnproven');
    // A hash has no preimage that anyone knows: not even the blockhash's own block helps.
    expect(code({ ...proof, value: blockhash, preimage: blockhash })).toBe('NonceUnproven');
    // Validators look into the queue of recent blockhashes first and would execute it, as often as there are blockhashes.
    // This local runtime asks for the nonce as soon as AdvanceNonce comes first, so here the codec alone is shown.
    await expect(rig.connection.sendRawTransaction(signed(wallet, message))).rejects.toThrow(
      /Blockhash not found/i,
    );
  });
});
