/**
 * What all sagas share: evaluated once per V8 context, instead of once per saga. The curve's tables and zod's classes
 * cost more to make than a saga's whole way to its broadcast. Only stateless modules may stand here: every saga of the
 * worker sees the same objects, and the SDK freezes what these modules export. So no module that exports a zod schema,
 * which completes itself when it is first used.
 *
 * They are used as values because the bundler drops a bare import of a package that calls itself free of side effects.
 */
import * as zod from 'zod';
import * as signed from '../core/signed.ts';
import { KeysagaError } from '../schema/contracts/errors.ts';

export const preloaded: readonly object[] = [zod, signed];

// The first schema and the first failure write zod's global settings, which are frozen from then on.
zod.strictObject({ text: zod.string() }).safeParse({});

// RFC 8032, section 7.1, test 1. The first verification makes the base point's table, which stays for all that follow.
const verifies = signed.verifyEd25519(
  signed.hexToBytes('d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a'),
  new Uint8Array(),
  signed.hexToBytes(
    'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
  ),
);
if (!verifies)
  throw new KeysagaError('Internal', 'Ed25519 does not verify its own test vector here.');

// The SDK takes a stack trace of every promise of a saga, for the UI's call stack, and maps each frame to its source: a
// fifth of a saga's CPU with the engine's ten frames. Two of them are the SDK's own; four are left to see.
Error.stackTraceLimit = 6;
