/** FROST as a `ThresholdProtocol`: the same machines over two suites. */
import type { ThresholdProtocol } from '../../core/ports/protocol.ts';
import { composedRounds } from '../activation.ts';
import { held } from '../faults.ts';
import { MAX_PARTIES } from '../params.ts';
import { aggregate } from './aggregate.ts';
import { bip340Suite } from './bip340.ts';
import { childOf } from './child.ts';
import { ed25519Suite } from './ed25519.ts';
import { checkPublicPackage, decodePublicPackage } from './encoding.ts';
import { createKeygen, KEYGEN_ROUNDS, keygenVersion } from './keygen.ts';
import {
  aggregatePresigned,
  createOnline,
  createPresigning,
  ONLINE_ROUNDS,
  PRESIGN_ROUNDS,
} from './presignature.ts';
import { createSign, SIGN_ROUNDS } from './sign.ts';
import { onlineVersion, presignVersion, signVersion } from './sign-context.ts';
import type { FrostSuite } from './suite.ts';

const adapter = (suite: FrostSuite): ThresholdProtocol => ({
  metadata: {
    id: suite.id,
    name: suite.name,
    source: suite.source,
    curve: suite.curve,
    scheme: suite.scheme,
    rounds: { keygen: composedRounds(KEYGEN_ROUNDS, SIGN_ROUNDS), sign: SIGN_ROUNDS },
    versions: { keygen: keygenVersion(suite), sign: signVersion(suite) },
    parties: { min: 2, max: MAX_PARTIES },
    presigning: true,
    identifiableAbort: true,
  },
  keygen: (params) => createKeygen(suite, params),
  sign({ tweak, ...params }) {
    if (tweak === undefined) return createSign(suite, params);
    const child = childOf(suite, params, tweak);
    const share = child.share(params);
    try {
      return createSign(suite, { ...params, publicPackage: child.publicPackage, share });
    } finally {
      share.fill(0);
    }
  },
  aggregate({ tweak, ...params }) {
    if (tweak === undefined) return aggregate(suite, params);
    const { publicPackage } = childOf(suite, params, tweak);
    return aggregate(suite, { ...params, publicPackage });
  },
  verify: (publicKey, message, signature) => suite.verify(publicKey, message, signature),
  publicKey(publicPackage) {
    const decoded = decodePublicPackage(suite, publicPackage);
    checkPublicPackage(suite, decoded);
    return suite.chainKey(held(decoded.commitments[0]));
  },
  presigning: {
    rounds: { presign: PRESIGN_ROUNDS, online: ONLINE_ROUNDS },
    versions: { presign: presignVersion(suite), online: onlineVersion(suite) },
    presign: (params) => createPresigning(suite, params),
    online: (params) => createOnline(suite, params),
    aggregate: (params) => aggregatePresigned(suite, params),
  },
  activationMessage: (bytes) => suite.activationMessage(bytes),
});

/** Ed25519 signatures: Solana. */
export const frostEd25519: ThresholdProtocol = adapter(ed25519Suite);
/** BIP-340 signatures under BIP-341 output keys: Bitcoin P2TR. */
export const frostBip340: ThresholdProtocol = adapter(bip340Suite);
