/**
 * The bytes that parties of different releases exchange and replay. Whoever changes one of these hashes has changed
 * the machine: raise its version, so that running sessions are closed instead of continued wrongly.
 */
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { dkls23 } from '../../mpc/dkls23/adapter.ts';
import { frostBip340, frostEd25519 } from '../../mpc/frost/adapter.ts';
import { ceremonyAll, hex, outputOf, type Recording, seedOf, signAll } from '../support/mpc.ts';

const shape = { threshold: 2, parties: 3 };
const digest = (recording: Recording<unknown>) => {
  const hash = createHash('sha256').update(recording.version);
  for (const log of recording.logs.values())
    for (const { outboxHash } of log) hash.update(outboxHash);
  return hash.digest('hex');
};

describe.each([frostEd25519, frostBip340, dkls23])('$metadata.id', (protocol) => {
  it('says the same for the same seeds in every release', () => {
    const live = ceremonyAll(protocol, shape, 'wire');
    const signing = signAll(protocol, shape, live, [1, 3], [seedOf('message')], 'wire');
    const { publicPackage, transcriptHash } = outputOf(live, 1);
    expect({
      ceremony: digest(live),
      signing: digest(signing),
      transcript: hex(transcriptHash),
      publicPackage: hex(publicPackage),
    }).toMatchSnapshot();
  }, 60_000);
});
