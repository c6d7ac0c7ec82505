/**
 * Refresh: F_Refresh of proactive secret sharing (Herzberg et al., CRYPTO 1995) over the machine of key generation. All
 * n parties add polynomials with constant zero to their shares and make a new pairwise set-up and new seeds. The public
 * key stays; shares, verification shares, oblivious-transfer keys and seeds of before are of no use with the new ones:
 * old and new shares lie on different polynomials, and every transcript of a signing names the public package.
 */
import type { KeygenOutput, RefreshParams, RoundMachine } from '../../core/ports/protocol.ts';
import { checkKeygenParams } from '../params.ts';
import { checkPublicPackage, decodePublicPackage, decodeShare, packageHash } from './encoding.ts';
import { keygenMachine } from './keygen.ts';

export const REFRESH_VERSION = 'dkls23/refresh/1';

/** One party's side; all n take part. Throws `InvalidInput`, or `ProtocolFault` for a public package that is none. */
export function createRefresh(params: RefreshParams): RoundMachine<KeygenOutput> {
  checkKeygenParams(params, 'any');
  const decoded = decodePublicPackage(params.publicPackage, params);
  checkPublicPackage(decoded);
  const { value } = decodeShare(params.share, params, []);
  return keygenMachine(
    REFRESH_VERSION,
    params,
    { value, commitments: decoded.commitments },
    packageHash(params.publicPackage),
  );
}
