/** Verified simplest OT: the functionality, and a cheat at each check. */
import { beforeAll, describe, expect, it } from 'vitest';
import * as ot from '../../../mpc/dkls23/base-ot.ts';
import { bitAt, KAPPA } from '../../../mpc/dkls23/bits.ts';
import { flip, randomOf } from '../../support/dkls23.ts';
import { seedOf } from '../../support/mpc.ts';

const context = seedOf('pair');
const SENDER = 2;
const RECEIVER = 1;
const barring = (culprit: number, field: string) =>
  expect.objectContaining({
    code: 'ProtocolFault',
    details: expect.objectContaining({ culprit: String(culprit), field, barring: true }),
  });

/** Both sides up to step 3; states are handed out as copies, since each step wipes. */
function run(delta: Uint32Array) {
  const offered = ot.offer(context, SENDER, RECEIVER, randomOf('sender'));
  const chosen = ot.choose(context, SENDER, offered.message, delta, randomOf('receiver'));
  const challenge = ot.challenge(offered.state, chosen.message);
  return {
    offer: offered.message,
    choices: chosen.message,
    challenge,
    sender: (): ot.OtSender => ({
      ...offered.state,
      rho: offered.state.rho.map(([a, b]) => [a.slice(), b.slice()] as const),
    }),
    receiver: (): ot.OtReceiver => ({
      ...chosen.state,
      rho: chosen.state.rho.map((a) => a.slice()),
    }),
  };
}
const mixed = Uint32Array.of(0x0f0f_0f01, 0, 0xffff_ffff, 0x8000_0001);

describe('base transfers', () => {
  let live: ReturnType<typeof run>;
  beforeAll(() => {
    live = run(mixed);
  }, 60_000);

  it.each([
    ['mixed', mixed],
    ['all zero', new Uint32Array(4)],
    ['all one', new Uint32Array(4).fill(0xffff_ffff)],
  ])('give the receiver the key of its choice and no other: %s', (_, delta) => {
    const { sender, receiver, challenge } = delta === mixed ? live : run(delta);
    const mine = receiver();
    const response = ot.respond(mine, challenge);
    const { keys, message } = ot.open(sender(), response);
    const { chosen } = ot.finish(mine, message);
    const at = (words: Uint32Array, k: number) => words.slice(k * 8, k * 8 + 8).join();
    const all = new Set<string>();
    for (let k = 0; k < KAPPA; k++) {
      const [wanted, other] = bitAt(delta, k) ? [keys.one, keys.zero] : [keys.zero, keys.one];
      expect(at(chosen, k)).toBe(at(wanted, k));
      all.add(at(wanted, k)).add(at(other, k));
    }
    expect(all.size).toBe(2 * KAPPA);
  });

  it('a sender that does not know its key, or proves for another, is named', () => {
    const other = ot.offer(seedOf('elsewhere'), SENDER, RECEIVER, randomOf('other')).message;
    const reflected = ot.offer(context, RECEIVER, SENDER, randomOf('reflected')).message;
    const { offer } = live;
    const borrowed = new Uint8Array([...other.slice(0, 33), ...offer.slice(33)]);
    const noPoint = offer.slice();
    noPoint.fill(0xff, 1, 33);
    for (const bad of [other, reflected, borrowed, noPoint, flip(offer, 40), flip(offer, -1)])
      expect(() => ot.choose(context, SENDER, bad, mixed, randomOf('receiver'))).toThrowError(
        barring(SENDER, 'setup.offer'),
      );
  });

  it('a receiver whose choice is no point, or the key itself, is named', () => {
    const { choices, offer } = live;
    const sender = () => ot.offer(context, SENDER, RECEIVER, randomOf('sender')).state;
    const noPoint = choices.slice();
    noPoint.fill(0xff, 1, 33);
    const key = choices.slice();
    key.set(offer.subarray(0, 33));
    for (const bad of [noPoint, key, new Uint8Array(choices.length)])
      expect(() => ot.challenge(sender(), bad)).toThrowError(barring(RECEIVER, 'setup.choices[0]'));
  });

  it('a receiver that knows no key of a pair cannot respond', () => {
    const response = ot.respond(live.receiver(), live.challenge);
    for (const k of [0, 64, 127])
      expect(() => ot.open(live.sender(), flip(response, k * 32))).toThrowError(
        barring(RECEIVER, 'setup.response'),
      );
  });

  it('a sender that spoils one key of a pair is caught exactly when that was the chosen one', () => {
    // It opens consistently with a wrong challenge: h(ρ0) right, the other made up, or the other way round.
    for (const k of [0, 1, 40, 64, 127]) {
      for (const spoiled of [0, 1]) {
        const sender = live.sender();
        const pair = sender.rho[k] as [Uint8Array, Uint8Array];
        pair[spoiled]?.fill(7);
        const changed = ot.open(
          sender,
          // What a receiver would have answered to the honest challenge, with the spoiled key in place.
          responseTo(sender),
        );
        const mine = live.receiver();
        ot.respond(mine, challengeOf(sender, live.challenge, k, changed.message));
        const finish = () => ot.finish(mine, changed.message);
        if (bitAt(mixed, k) === spoiled)
          expect(finish, `transfer ${k}`).toThrowError(barring(SENDER, 'setup.opening'));
        else expect(finish, `transfer ${k}`).not.toThrow();
      }
    }
  });

  it('an opening that is not what was challenged with names the sender', () => {
    const response = ot.respond(live.receiver(), live.challenge);
    const { message } = ot.open(live.sender(), response);
    for (const at of [0, 32, 64 * 40, -1]) {
      const mine = live.receiver();
      ot.respond(mine, live.challenge);
      expect(() => ot.finish(mine, flip(message, at))).toThrowError(
        barring(SENDER, 'setup.opening'),
      );
      const asked = live.receiver();
      ot.respond(asked, flip(live.challenge, at < 0 ? at : at / 2));
      expect(() => ot.finish(asked, message)).toThrowError(barring(SENDER, 'setup.opening'));
    }
  });
});

import { domainHash, u8 } from '../../../mpc/bytes.ts';

const once = (k: number, rho: Uint8Array) =>
  domainHash('keysaga/dkls23/base-ot/once/v1', context, u8(k), rho);
const twice = (k: number, hashed: Uint8Array) =>
  domainHash('keysaga/dkls23/base-ot/twice/v1', context, u8(k), hashed);

/** h(h(ρ0)) of every pair. */
const responseTo = (sender: ot.OtSender): Uint8Array =>
  new Uint8Array(sender.rho.flatMap(([rho0], k) => [...twice(k, once(k, rho0))]));

/** The challenge that fits the spoiled pair k. */
function challengeOf(
  _sender: ot.OtSender,
  honest: Uint8Array,
  k: number,
  opening: Uint8Array,
): Uint8Array {
  const out = honest.slice();
  const [a, b] = [
    opening.subarray(k * 64, k * 64 + 32),
    opening.subarray(k * 64 + 32, k * 64 + 64),
  ];
  const second = twice(k, b);
  twice(k, a).forEach((byte, i) => {
    out[k * 32 + i] = byte ^ (second[i] ?? 0);
  });
  return out;
}
