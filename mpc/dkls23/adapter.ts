/** DKLs23 as a `ThresholdProtocol`. */
import { schnorr } from '@noble/curves/secp256k1.js';
import type { ThresholdProtocol } from '../../core/ports/protocol.ts';
import { composedRounds } from '../activation.ts';
import { held } from '../faults.ts';
import {
  checkKeygenParams,
  checkSignerSet,
  checkSigners,
  checkSignParams,
  MAX_PARTIES,
} from '../params.ts';
import { aggregate, aggregatePresigned } from './aggregate.ts';
import { verify } from './ecdsa.ts';
import { checkPublicPackage, decodePublicPackage } from './encoding.ts';
import { createKeygen, KEYGEN_ROUNDS, KEYGEN_VERSION } from './keygen.ts';
import { createPresigning, PRESIGN_ROUNDS } from './presignature.ts';
import { createRefresh, REFRESH_VERSION } from './refresh.ts';
import { createOnline, createSign, ONLINE_ROUNDS, SIGN_ROUNDS } from './sign.ts';
import { ONLINE_VERSION, PRESIGN_VERSION, SIGN_VERSION } from './sign-context.ts';

/** ECDSA over secp256k1: Ethereum, Bitcoin P2WPKH. The machines take any 2 ≤ t ≤ n; the port, wallets: 2t > n. */
export const dkls23: ThresholdProtocol = {
  metadata: {
    id: 'dkls23',
    name: 'DKLs23 (secp256k1, ECDSA)',
    source:
      'ePrint 2023/765 (DKLs23); ePrint 2022/192 (SoftSpokenOT); ePrint 2018/499 (verified simplest OT)',
    curve: 'secp256k1',
    scheme: 'ecdsa',
    rounds: { keygen: composedRounds(KEYGEN_ROUNDS, SIGN_ROUNDS), sign: SIGN_ROUNDS },
    versions: { keygen: KEYGEN_VERSION, sign: SIGN_VERSION, refresh: REFRESH_VERSION },
    parties: { min: 2, max: MAX_PARTIES },
    presigning: true,
    // Cheating in any check of set-up or presigning is named; a wrong share of the last round is not.
    identifiableAbort: false,
  },
  keygen(params) {
    checkKeygenParams(params);
    return createKeygen(params);
  },
  sign(params) {
    checkSignParams(params);
    return createSign(params);
  },
  aggregate(params) {
    checkSigners(params);
    return aggregate(params);
  },
  verify,
  publicKey(publicPackage) {
    const decoded = decodePublicPackage(publicPackage);
    checkPublicPackage(decoded);
    return held(decoded.commitments[0]).toBytes(true);
  },
  /** A tagged hash, since a digest is signed; no transaction has this tag. */
  activationMessage: (bytes) => schnorr.utils.taggedHash('keysaga/activation/v1', bytes),
  refresh(params) {
    checkKeygenParams(params);
    return createRefresh(params);
  },
  presigning: {
    rounds: { presign: PRESIGN_ROUNDS, online: ONLINE_ROUNDS },
    versions: { presign: PRESIGN_VERSION, online: ONLINE_VERSION },
    presign(params) {
      checkSignerSet(params);
      return createPresigning(params);
    },
    online(params) {
      checkSigners(params);
      return createOnline(params);
    },
    aggregate(params) {
      checkSigners(params);
      return aggregatePresigned(params);
    },
  },
};
