/**
 * The key store's master key under a passphrase and a device secret, both needed. A random master key is wrapped, so that
 * the passphrase can be changed without touching what is sealed:
 *
 *   p   = scrypt(NFKC(passphrase), salt, N, r, p) → 32 bytes                            (RFC 7914)
 *   kek = HKDF-SHA-256(ikm = device secret ‖ p, salt, info = type ‖ LF ‖ party) → 32 bytes   (RFC 5869)
 *   sealed = AES-256-GCM(kek, master key), everything else in the file as associated data
 *
 * Without the device secret (256 bits) the file tells nothing about the passphrase; with it, each guess costs one
 * scrypt: N = 2^17, r = 8, p = 1, so 128 MiB and some tenths of a second. The parameters stand in the file and may grow.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  hkdfSync,
  randomBytes,
  scrypt,
  timingSafeEqual,
} from 'node:crypto';
import * as z from 'zod';
import { canonicalJson } from '../../schema/contracts/canonical.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { Hex32, hexOf, PartyId } from '../../schema/contracts/primitives.ts';

const TYPE = 'keysaga/party-unlock/v1';
const DEFAULT_LOG2_N = 17;
/** Characters. */
const MIN_PASSPHRASE = 12;

const UnlockFile = z.strictObject({
  type: z.literal(TYPE),
  party: PartyId,
  // A floor, so that nobody weakens it unnoticed, and a ceiling (4 GiB), so that a damaged file does not take the machine.
  kdf: z.strictObject({
    name: z.literal('scrypt'),
    log2N: z.int().min(DEFAULT_LOG2_N).max(22),
    r: z.literal(8),
    p: z.int().min(1).max(16),
    salt: Hex32,
  }),
  /** Tells a wrong device secret from a wrong passphrase; HMAC-SHA-256 under the device secret, cut to 16 bytes. */
  deviceCheck: hexOf(16),
  cipher: z.strictObject({ name: z.literal('aes-256-gcm'), iv: hexOf(12) }),
  /** Ciphertext of the 32-byte master key and the 16-byte tag. */
  sealed: hexOf(48),
});
type UnlockFile = z.infer<typeof UnlockFile>;

const associated = ({ sealed: _, ...rest }: UnlockFile): Buffer => Buffer.from(canonicalJson(rest));

/** UTF-8 in NFKC. Plain ASCII is already, and so never becomes a string. */
function normalised(passphrase: Uint8Array): Uint8Array {
  if (passphrase.every((byte) => byte < 0x80)) return Uint8Array.from(passphrase);
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(passphrase);
    return new TextEncoder().encode(text.normalize('NFKC'));
  } catch (cause) {
    throw new KeysagaError(
      'InvalidInput',
      'passphrase: not UTF-8',
      { field: 'passphrase' },
      { cause },
    );
  }
}

const checkOf = (deviceSecret: Uint8Array, party: string): Buffer =>
  createHmac('sha256', deviceSecret).update(`${TYPE}\ndevice\n${party}`).digest().subarray(0, 16);

async function wrappingKey(
  file: Pick<UnlockFile, 'party' | 'kdf'>,
  passphrase: Uint8Array,
  deviceSecret: Uint8Array,
): Promise<Uint8Array> {
  const { kdf, party } = file;
  const N = 2 ** kdf.log2N;
  const salt = Buffer.from(kdf.salt, 'hex');
  const typed = normalised(passphrase);
  const both = new Uint8Array(64);
  let stretched: Buffer | undefined;
  try {
    stretched = await new Promise<Buffer>((resolve, reject) => {
      const options = { N, r: kdf.r, p: kdf.p, maxmem: 130 * N * kdf.r + 4096 * kdf.p + 1_048_576 };
      scrypt(typed, salt, 32, options, (error, key) => (error ? reject(error) : resolve(key)));
    });
    both.set(deviceSecret);
    both.set(stretched, 32);
    return new Uint8Array(hkdfSync('sha256', both, salt, `${TYPE}\n${party}`, 32));
  } finally {
    typed.fill(0);
    stretched?.fill(0);
    both.fill(0);
  }
}

export type Wrapping = {
  readonly party: PartyId;
  /** Bytes as typed, UTF-8, without a line end. The caller wipes them. */
  readonly passphrase: Uint8Array;
  /** 32 bytes. */
  readonly deviceSecret: Uint8Array;
};

/** Text of an unlock file. Throws `InvalidInput` (`passphrase`) for one shorter than 12 characters. */
export async function wrapMasterKey(
  masterKey: Uint8Array,
  { party, passphrase, deviceSecret }: Wrapping,
  cost: { readonly log2N?: number; readonly p?: number } = {},
): Promise<string> {
  if (masterKey.length !== 32 || deviceSecret.length !== 32)
    throw new KeysagaError('InvalidInput', 'Master key and device secret have 32 bytes.', {
      field: 'masterKey',
    });
  // Counted without making a string of it: bytes that do not continue a UTF-8 character.
  if (passphrase.filter((byte) => (byte & 0xc0) !== 0x80).length < MIN_PASSPHRASE)
    throw new KeysagaError('InvalidInput', `passphrase: at least ${MIN_PASSPHRASE} characters`, {
      field: 'passphrase',
    });
  const iv = randomBytes(12);
  const draft = UnlockFile.parse({
    type: TYPE,
    party,
    kdf: {
      name: 'scrypt',
      log2N: cost.log2N ?? DEFAULT_LOG2_N,
      r: 8,
      p: cost.p ?? 1,
      salt: randomBytes(32).toString('hex'),
    },
    deviceCheck: checkOf(deviceSecret, party).toString('hex'),
    cipher: { name: 'aes-256-gcm', iv: iv.toString('hex') },
    sealed: '00'.repeat(48),
  });
  const key = await wrappingKey(draft, passphrase, deviceSecret);
  try {
    const cipher = createCipheriv('aes-256-gcm', key, iv);
    cipher.setAAD(associated(draft));
    const sealed = Buffer.concat([cipher.update(masterKey), cipher.final(), cipher.getAuthTag()]);
    return `${JSON.stringify({ ...draft, sealed: sealed.toString('hex') }, null, 2)}\n`;
  } finally {
    key.fill(0);
  }
}

/** An unlock file of this party whose device secret is at hand. Throws `InvalidInput` (`unlock.file`), `SealBroken`. */
export function readUnlockFile(
  text: string,
  { party, deviceSecret }: Pick<Wrapping, 'party' | 'deviceSecret'>,
): UnlockFile {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new KeysagaError('InvalidInput', 'The unlock file is not JSON.', {
      field: 'unlock.file',
    });
  }
  const parsed = UnlockFile.safeParse(json);
  if (!parsed.success)
    throw new KeysagaError('InvalidInput', 'The unlock file is not one of this version.', {
      field: 'unlock.file',
      at: parsed.error.issues[0]?.path.join('.') ?? '',
    });
  const file = parsed.data;
  if (file.party !== party)
    throw new KeysagaError('InvalidInput', `The unlock file is that of party ${file.party}.`, {
      field: 'unlock.file',
    });
  if (!timingSafeEqual(checkOf(deviceSecret, party), Buffer.from(file.deviceCheck, 'hex')))
    throw new KeysagaError(
      'SealBroken',
      'The device secret is not the one that the unlock file was made with.',
      { field: 'unlock.deviceSecretFile' },
    );
  return file;
}

/** The master key; the caller wipes it. Throws `SealBroken` (`passphrase`) for a wrong passphrase or a changed file. */
export async function unwrapMasterKey(
  file: UnlockFile,
  { passphrase, deviceSecret }: Pick<Wrapping, 'passphrase' | 'deviceSecret'>,
): Promise<Uint8Array> {
  const key = await wrappingKey(file, passphrase, deviceSecret);
  const sealed = Buffer.from(file.sealed, 'hex');
  let plain: Buffer | undefined;
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, Buffer.from(file.cipher.iv, 'hex'));
    decipher.setAAD(associated(file));
    decipher.setAuthTag(sealed.subarray(32));
    plain = decipher.update(sealed.subarray(0, 32));
    decipher.final();
    return Uint8Array.from(plain);
  } catch (cause) {
    throw new KeysagaError(
      'SealBroken',
      'The key store does not unlock: the passphrase is wrong, or the unlock file was changed.',
      { field: 'passphrase' },
      { cause },
    );
  } finally {
    key.fill(0);
    plain?.fill(0);
  }
}
