import { utf8ToBytes } from '../../mpc/bytes.ts';
import { frostEd25519 } from '../../mpc/frost/adapter.ts';
import { MAX_MESSAGE_BYTES } from '../../mpc/params.ts';
import { opensslEd25519 } from '../support/schnorr-verifiers.ts';
import { protocolSuite } from './protocol-suite.ts';

protocolSuite(frostEd25519, {
  verifiers: [opensslEd25519],
  message: (label) => utf8ToBytes(`a whole message, of any length: ${label}`),
  unsignable: [new Uint8Array(MAX_MESSAGE_BYTES + 1)],
});
