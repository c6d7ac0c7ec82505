/**
 * Key generation as the parties run it: the protocol's keygen, then a signature by all n parties over a message
 * that each computes by itself, so that every party has proven its share before the key gets its certificates.
 * Pure composition of an adapter's own machines; the same for every protocol.
 */
import type {
  Draws,
  KeygenOutput,
  KeygenParams,
  OutgoingMessage,
  ProtocolMessage,
  RoundMachine,
  RoundOutcome,
  SignOutput,
  ThresholdProtocol,
} from '../core/ports/protocol.ts';
import { KeysagaError } from '../schema/contracts/errors.ts';
import { concatBytes, u16, u32, utf8ToBytes } from './bytes.ts';
import { invalidInput } from './faults.ts';
import { bodiesOf } from './inbox.ts';
import { type Step, sequence } from './sequence.ts';

export type ActivationParams = {
  readonly params: KeygenParams;
  /** The key's id: 1 to 64 bytes of UTF-8. */
  readonly keyId: string;
  readonly epoch: number;
  /** A refresh instead of a key generation: this party's share and the public package of the epoch that ends. */
  readonly refresh?: { readonly share: Uint8Array; readonly publicPackage: Uint8Array };
};

/** What the ceremony gives a party: its keygen's output and the proof that all shares sign. */
export type ActivationOutput = KeygenOutput & {
  /** Over `activationMessage(…)`, by all n parties, verified under `publicKey`. */
  readonly testSignature: Uint8Array;
};

/**
 * Rounds of the whole ceremony. The keygen machine's last round sends nothing, so round 1 of the signing shares
 * it; one more round aggregates. So k + s, for k keygen and s signing rounds.
 */
export const composedRounds = (keygenRounds: number, signRounds: number): number =>
  keygenRounds + signRounds;

/** Rounds of `activationCeremony(protocol, …)`; what `metadata.rounds.keygen` states. */
export const ceremonyRounds = (protocol: ThresholdProtocol): number =>
  protocol.metadata.rounds.keygen;

/** Version of the composed machine: it names both parts, so a change of either is seen in a replay. */
export const ceremonyVersion = (protocol: ThresholdProtocol): string =>
  versionOf(protocol, protocol.metadata.versions.keygen);
/** The same of a refresh. Throws `ProtocolUnsupported` where the protocol has none. */
export function refreshVersion(protocol: ThresholdProtocol): string {
  const { refresh } = protocol.metadata.versions;
  if (refresh === undefined) throw cannotRefresh(protocol);
  return versionOf(protocol, refresh);
}
const cannotRefresh = ({ metadata }: ThresholdProtocol) =>
  new KeysagaError('ProtocolUnsupported', 'the protocol cannot refresh a key', {
    field: 'protocol',
    id: metadata.id,
  });
const versionOf = ({ metadata }: ThresholdProtocol, machine: string): string =>
  `${metadata.id}/activation/1+${machine}+${metadata.versions.sign}`;

const refreshOf = (
  protocol: ThresholdProtocol,
  params: KeygenParams,
  old: NonNullable<ActivationParams['refresh']>,
): RoundMachine<KeygenOutput> => {
  if (protocol.refresh === undefined) throw cannotRefresh(protocol);
  return protocol.refresh({ ...params, ...old });
};

/**
 * 0xff ‖ `keysaga/activation/v1` ‖ key id behind its length (u16) ‖ epoch (u32) ‖ transcript hash (32 bytes).
 * The first byte keeps it apart from every transaction: no Solana message begins with it.
 */
export function activationBytes(
  keyId: string,
  epoch: number,
  transcriptHash: Uint8Array,
): Uint8Array {
  const id = utf8ToBytes(keyId);
  if (id.length < 1 || id.length > 64) throw invalidInput('a key id has 1 to 64 bytes', 'keyId');
  if (!Number.isInteger(epoch) || epoch < 0 || epoch > 0xffff_ffff)
    throw invalidInput('the epoch is a 32-bit number', 'epoch');
  if (transcriptHash.length !== 32)
    throw invalidInput('a transcript hash has 32 bytes', 'transcriptHash');
  return concatBytes(
    Uint8Array.of(0xff),
    utf8ToBytes('keysaga/activation/v1'),
    u16(id.length),
    id,
    u32(epoch),
    transcriptHash,
  );
}

/** Broadcast bodies of one signing round, by sender, as `aggregate` takes them. */
type Broadcasts = Map<number, Uint8Array>;

const broadcastOf = (outbox: readonly OutgoingMessage[]): Uint8Array | undefined =>
  outbox.find(({ to }) => to === 'all')?.body;

/**
 * One party's side of the ceremony. Its version names both machines, so a change of either is seen in a replay.
 * Throws what the machines throw; a test signature that does not verify is a `ProtocolFault` naming the culprit.
 */
export function activationCeremony(
  protocol: ThresholdProtocol,
  { params, keyId, epoch, refresh }: ActivationParams,
): RoundMachine<ActivationOutput> {
  // Refuses bad ids before anyone has drawn anything.
  activationBytes(keyId, epoch, new Uint8Array(32));
  const { index, threshold, parties, sessionId } = params;
  const keygen =
    refresh === undefined ? protocol.keygen(params) : refreshOf(protocol, params, refresh);
  const keygenRounds = keygen.rounds;
  const signRounds = protocol.metadata.rounds.sign;
  const signers = Array.from({ length: parties }, (_, i) => i + 1);
  let key: KeygenOutput | undefined;
  let message: Uint8Array | undefined;
  let signing: RoundMachine<SignOutput> | undefined;
  const rounds: Broadcasts[] = [];

  const defect = (what: string) => new KeysagaError('Internal', what, {}, { retryable: false });
  let given = false;
  const wipe = () => {
    keygen.dispose();
    signing?.dispose();
    // A share that was given out is the caller's, to seal and to wipe.
    if (!given) key?.share.fill(0);
    key = undefined;
  };

  /** Signing round r: what the others broadcast before is kept for the aggregate, as is one's own. */
  const signRound = (r: number, inbox: readonly ProtocolMessage[], draws: Draws) => {
    if (signing === undefined) throw defect('the test signature has no machine');
    const { outbox } = signing.round(r, inbox, draws);
    const own = broadcastOf(outbox);
    rounds[r - 1] = own === undefined ? new Map() : new Map([[index, own]]);
    return outbox;
  };
  /**
   * Keeps the broadcasts of signing round r. A round is a broadcast for all signers or for none, and a sender's
   * broadcast comes before its private message, so its first message is the one.
   */
  const collect = (r: number, inbox: readonly ProtocolMessage[]) => {
    const kept = rounds[r - 1];
    if (kept === undefined || !kept.has(index)) return;
    for (const { from, body } of inbox) if (!kept.has(from)) kept.set(from, body);
  };

  const steps: Step<ActivationOutput>[] = [];
  for (let r = 1; r < keygenRounds; r++) {
    steps.push((inbox, draws) => ({ outbox: keygen.round(r, inbox, draws).outbox }));
  }
  steps.push((inbox, draws) => {
    const last = keygen.round(keygenRounds, inbox, draws);
    if (last.output === undefined || last.outbox.length > 0)
      throw defect('the last round of a key generation gives the output and sends nothing');
    key = last.output;
    message = protocol.activationMessage(activationBytes(keyId, epoch, key.transcriptHash));
    signing = protocol.sign({
      index,
      threshold,
      parties,
      sessionId,
      share: key.share,
      publicPackage: key.publicPackage,
      signers,
      messages: [message],
    });
    return { outbox: signRound(1, [], draws) };
  });
  for (let r = 2; r <= signRounds; r++) {
    steps.push((inbox, draws) => {
      collect(r - 1, inbox);
      return { outbox: signRound(r, inbox, draws) };
    });
  }
  steps.push((inbox): RoundOutcome<ActivationOutput> => {
    // Shares are broadcast, one message each; no machine is left that would refuse a second or a stranger's.
    bodiesOf(inbox, { self: index, parties, members: signers });
    collect(signRounds, inbox);
    if (key === undefined || message === undefined) throw defect('the test signature has no key');
    const [testSignature] = protocol.aggregate({
      threshold,
      parties,
      publicPackage: key.publicPackage,
      signers,
      messages: [message],
      rounds,
      proveEachShare: true,
    });
    if (testSignature === undefined || !protocol.verify(key.publicKey, message, testSignature))
      throw defect('the test signature does not verify under the key of the address');
    given = true;
    return { outbox: [], output: { ...key, testSignature } };
  });

  if (steps.length !== ceremonyRounds(protocol))
    throw defect('the metadata states another number of rounds');
  return sequence(versionOf(protocol, keygen.version), steps, wipe);
}
