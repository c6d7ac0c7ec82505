/** The ledger's part in a key generation: from the claim of its id to the active wallet. */
import { verifyCertificates } from '../../core/certificates.ts';
import { decideKey, type KeyState, keyFold } from '../../core/key/index.ts';
import type { Transaction } from '../../core/ports/ledger.ts';
import type { ThresholdProtocol } from '../../core/ports/protocol.ts';
import { bytesToHex, digestHex, hexToBytes } from '../../core/signed.ts';
import { activate, walletFold } from '../../core/wallet/index.ts';
import type { LedgerActivities } from '../../schema/contracts/activities.ts';
import { isKeysagaError, KeysagaError } from '../../schema/contracts/errors.ts';
import { type DomainEvent, streams } from '../../schema/contracts/events.ts';
import {
  type GenerateKeyRequest,
  type KeyDescriptor,
  ProtocolId,
  type SignedCertificate,
} from '../../schema/contracts/key.ts';
import type { PartyId, RequestId } from '../../schema/contracts/primitives.ts';
import { type CoordinatorDeps, commit } from './deps.ts';
import { parse } from './inputs.ts';

export type KeyLedger = Pick<
  LedgerActivities,
  'reserveKey' | 'certifyKey' | 'activateWallet' | 'recordActivation' | 'failKey'
>;

const CLAIM = 'key';
const GIVEN_UP = 'given-up';

export function createKeyLedger(deps: CoordinatorDeps): KeyLedger {
  const { chains, protocols, policies, directory } = deps;

  const load = async (tx: Pick<Transaction, 'events'>, requestId: RequestId) =>
    tx.events.load<KeyState>(streams.key(requestId), keyFold);
  const append = async (
    tx: Transaction,
    requestId: RequestId,
    version: number,
    events: readonly DomainEvent[],
  ) => {
    if (events.length > 0) await tx.events.append(streams.key(requestId), version, events);
  };

  /** The asked-for protocol when it fits the network, else the registry's choice. */
  const protocolFor = (request: GenerateKeyRequest): ThresholdProtocol => {
    const { codec } = chains.get(request.network);
    const count = request.parties.length;
    if (request.protocol === undefined) return protocols.select(codec.scheme, codec.curve, count);
    const protocol = protocols.get(request.protocol);
    const { scheme, curve, parties } = protocol.metadata;
    if (
      !(codec.schemes ?? [codec.scheme]).includes(scheme) ||
      curve !== codec.curve ||
      count < parties.min ||
      count > parties.max
    )
      throw new KeysagaError(
        'ProtocolUnsupported',
        `${request.protocol} does not fit ${request.network} and ${count} parties.`,
        {
          field: 'protocol',
          network: request.network,
        },
      );
    return protocol;
  };

  /** What the coordinator can check of a key by itself: the package says the public key, the public key the address. */
  const checkKey = (key: KeyDescriptor): void => {
    const invalid = (field: string): never => {
      throw new KeysagaError(
        'CertificateInvalid',
        `The key's ${field} does not follow from its public package.`,
        {
          field: `key.${field}`,
        },
      );
    };
    const derived = protocols.get(key.protocol).publicKey(hexToBytes(key.publicPackage));
    if (bytesToHex(derived) !== key.publicKey) invalid('publicKey');
    if (chains.get(key.network).codec.address(derived) !== key.address) invalid('address');
  };

  /** In the key's order; what is missing or double is found by `verifyCertificates`. */
  const ordered = (
    key: KeyDescriptor,
    certificates: readonly SignedCertificate[],
  ): SignedCertificate[] =>
    [...certificates].sort(
      (a, b) => key.parties.indexOf(a.certificate.party) - key.parties.indexOf(b.certificate.party),
    );

  return {
    reserveKey: async (input) => {
      const { request, workflowId } = parse('reserveKey', input);
      const unknown = request.parties.find((party) => !directory.has(party));
      if (unknown !== undefined)
        throw new KeysagaError('InvalidInput', `The directory pins no key for ${unknown}.`, {
          field: 'parties',
          party: unknown,
        });
      const protocol = protocolFor(request);
      const policy = await policies.inForce(request.policyId, request);
      return commit(deps, 'reserveKey', async (tx) => {
        await tx.claim(CLAIM, request.requestId, digestHex('request', { request, workflowId }));
        const { state, version } = await load(tx, request.requestId);
        const data = {
          request,
          workflowId,
          protocol: protocol.metadata.id,
          policyHash: policy.hash,
        };
        await append(tx, request.requestId, version, decideKey.request(state, data));
        const chosen = protocols.get(state?.protocol ?? data.protocol);
        return {
          protocol: ProtocolId.parse(chosen.metadata.id),
          policyHash: state?.policyHash ?? data.policyHash,
          keygenRounds: chosen.metadata.rounds.keygen,
          ...(state?.key == null
            ? {}
            : { certified: { key: state.key, certificates: state.certificates } }),
        };
      });
    },

    certifyKey: async (input) => {
      const { requestId, key, certificates } = parse('certifyKey', input);
      verifyCertificates({
        certificates,
        key,
        identityKeys: directory as ReadonlyMap<PartyId, string>,
        verify: deps.verify,
      });
      checkKey(key);
      await commit(deps, 'certifyKey', async (tx) => {
        const { state, version } = await load(tx, requestId);
        const events = decideKey.certify(
          decideKey.existingKey(state, requestId),
          key,
          ordered(key, certificates),
        );
        await append(tx, requestId, version, events);
      });
    },

    activateWallet: async (input) => {
      const { requestId, activated } = parse('activateWallet', input);
      await commit(deps, 'activateWallet', async (tx) => {
        const { state, version } = await load(tx, requestId);
        const key = decideKey.existingKey(state, requestId);
        await append(tx, requestId, version, decideKey.activate(key, activated));
        if (key.key === null)
          throw new KeysagaError('StateConflict', `Key ${requestId} is not certified.`, {
            requestId,
          });
        const stream = streams.wallet(key.key.walletId);
        const wallet = await tx.events.load(stream, walletFold);
        const events = activate(wallet.state, key.key);
        if (events.length > 0) await tx.events.append(stream, wallet.version, events);
      });
    },

    recordActivation: async (input) => {
      const { requestId, party } = parse('recordActivation', input);
      await commit(deps, 'recordActivation', async (tx) => {
        const { state, version } = await load(tx, requestId);
        const events = decideKey.partyActivated(decideKey.existingKey(state, requestId), party);
        await append(tx, requestId, version, events);
      });
    },

    failKey: async (input) => {
      const { requestId, failure } = parse('failKey', input);
      await commit(deps, 'failKey', async (tx) => {
        const { state, version } = await load(tx, requestId);
        if (state !== null) return append(tx, requestId, version, decideKey.fail(state, failure));
        // Nothing was claimed: a late `reserveKey` of this request must find the id taken.
        await tx.claim(CLAIM, requestId, GIVEN_UP).catch((error: unknown) => {
          throw isKeysagaError(error, 'RequestConflict')
            ? new KeysagaError(
                'VersionConflict',
                `Key generation ${requestId} has just begun.`,
                { requestId },
                { cause: error },
              )
            : error;
        });
      });
    },
  };
}
