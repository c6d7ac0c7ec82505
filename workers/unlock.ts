/** Sets up what `workers/party.ts --unlock` needs, on the party's own machine. `--help` says how. */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync } from 'node:fs';
import { open, readdir } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { PartyConfig } from '../schema/contracts/config.ts';
import { isKeysagaError, KeysagaError } from '../schema/contracts/errors.ts';
import { syncDirectory, writeDurably } from '../storage/party/key-store.ts';
import { readSecretFile } from '../storage/party/secret-file.ts';
import { readUnlockFile, unwrapMasterKey, wrapMasterKey } from '../storage/party/unlock.ts';
import { type Loaded, loadConfig, readFlags } from './support/config.ts';
import { askPassphrase, passphrasesFromFd } from './support/passphrase.ts';
import { passphraseSource, unlockMasterKey } from './support/unlock.ts';

const HELP = `Usage: node --import tsx workers/unlock.ts <command> --config <party's configuration> [--unlock-fd <n>]

  --init      make the device secret (unless it is there) and wrap a new master key under it and a passphrase.
              If the configuration still names keyStoreMasterKeyFile, that key is wrapped, so that what it has
              sealed stays readable; delete the file once --check has succeeded.
  --change    another passphrase (and today's cost) for the same master key; nothing is sealed anew
  --check     unlock and stop

The configuration names both files: "unlock": { "file": …, "deviceSecretFile": … }.
Passphrases are asked on the terminal, or read as lines of a descriptor: --init and --check one, --change the old
and the new one. They are never taken from the command line or the environment. At least 12 characters.
`;

type Source = ReturnType<typeof passphraseSource>;
type Room = {
  readonly config: PartyConfig;
  readonly unlockFile: string;
  readonly deviceSecretFile: string;
  path(relative: string): string;
};

function roomOf({ config, path }: Loaded<PartyConfig>): Room {
  if (config.unlock === undefined)
    throw new KeysagaError('InvalidInput', 'The configuration names no unlock files.', {
      field: 'unlock',
    });
  return {
    config,
    path,
    unlockFile: path(config.unlock.file),
    deviceSecretFile: path(config.unlock.deviceSecretFile),
  };
}

/** On a terminal twice, since what is typed is not seen. */
async function newPassphrase({ config: { party } }: Room, source: Source): Promise<Uint8Array> {
  if (source.kind === 'fd') return (await passphrasesFromFd(source.fd))[0] ?? new Uint8Array(0);
  const first = await askPassphrase(source.terminal, `New passphrase for party ${party}: `);
  const again = await askPassphrase(source.terminal, 'Once more: ');
  const same = first.length === again.length && first.every((byte, i) => byte === again[i]);
  again.fill(0);
  if (same) return first;
  first.fill(0);
  throw new KeysagaError('InvalidInput', 'The two differ.', { field: 'passphrase' });
}

/** The device secret, made when absent; never written over. */
async function deviceSecretOf({ deviceSecretFile }: Room): Promise<Uint8Array> {
  mkdirSync(dirname(deviceSecretFile), { recursive: true, mode: 0o700 });
  if (!existsSync(deviceSecretFile)) {
    const fresh = randomBytes(32);
    const text = Buffer.from(`${fresh.toString('hex')}\n`);
    const handle = await open(deviceSecretFile, 'wx', 0o600);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
      fresh.fill(0);
      text.fill(0);
    }
    await syncDirectory(dirname(deviceSecretFile));
  }
  return readSecretFile(deviceSecretFile, 'unlock.deviceSecretFile');
}

/** The master key to wrap: the one in use, or a new one when nothing has been sealed yet. */
async function masterKeyOf({ config, path }: Room): Promise<Uint8Array> {
  if (config.keyStoreMasterKeyFile !== undefined)
    return readSecretFile(path(config.keyStoreMasterKeyFile), 'keyStoreMasterKeyFile');
  const directory = path(config.keyStoreDirectory);
  if (existsSync(directory) && (await readdir(directory)).length > 0)
    throw new KeysagaError(
      'StateConflict',
      'The key store holds keys under another master key, which a new one would make unreadable. Name its file in keyStoreMasterKeyFile.',
      { field: 'keyStoreDirectory' },
    );
  return crypto.getRandomValues(new Uint8Array(32));
}

/** Writes the unlock file and reads it back before it replaces another one. */
async function save(
  room: Room,
  masterKey: Uint8Array,
  passphrase: Uint8Array,
  deviceSecret: Uint8Array,
): Promise<void> {
  const { party } = room.config;
  const text = await wrapMasterKey(masterKey, { party, passphrase, deviceSecret });
  const back = await unwrapMasterKey(readUnlockFile(text, { party, deviceSecret }), {
    passphrase,
    deviceSecret,
  });
  const same = back.length === masterKey.length && back.every((byte, i) => byte === masterKey[i]);
  back.fill(0);
  if (!same) throw new KeysagaError('Internal', 'The unlock file does not read back.');
  mkdirSync(dirname(room.unlockFile), { recursive: true, mode: 0o700 });
  await writeDurably(dirname(room.unlockFile), basename(room.unlockFile), Buffer.from(text));
}

async function init(room: Room, source: Source): Promise<string> {
  if (existsSync(room.unlockFile))
    throw new KeysagaError(
      'StateConflict',
      'The unlock file is there already; --change gives it another passphrase.',
      { field: 'unlock.file' },
    );
  const masterKey = await masterKeyOf(room);
  let passphrase: Uint8Array | undefined;
  let deviceSecret: Uint8Array | undefined;
  try {
    passphrase = await newPassphrase(room, source);
    deviceSecret = await deviceSecretOf(room);
    await save(room, masterKey, passphrase, deviceSecret);
  } finally {
    masterKey.fill(0);
    passphrase?.fill(0);
    deviceSecret?.fill(0);
  }
  return room.config.keyStoreMasterKeyFile === undefined
    ? 'A new master key is wrapped.'
    : 'The present master key is wrapped. After a successful --check, delete keyStoreMasterKeyFile and its entry.';
}

async function change(room: Room, source: Source): Promise<string> {
  const { party } = room.config;
  const lines = source.kind === 'fd' ? await passphrasesFromFd(source.fd, 2) : undefined;
  const deviceSecret = readSecretFile(room.deviceSecretFile, 'unlock.deviceSecretFile');
  let masterKey: Uint8Array | undefined;
  let next: Uint8Array | undefined;
  try {
    const [old, given] = lines ?? [];
    masterKey = await unlockMasterKey({
      party,
      unlockFile: room.unlockFile,
      deviceSecretFile: room.deviceSecretFile,
      source: old === undefined ? source : { kind: 'given', passphrase: old },
    });
    next = given ?? (await newPassphrase(room, source));
    await save(room, masterKey, next, deviceSecret);
    return `Party ${party} has another passphrase; the old one opens old copies of the unlock file for ever.`;
  } finally {
    deviceSecret.fill(0);
    masterKey?.fill(0);
    next?.fill(0);
    for (const line of lines ?? []) line.fill(0);
  }
}

async function check({ config, unlockFile, deviceSecretFile }: Room, source: Source) {
  const { party } = config;
  const masterKey = await unlockMasterKey({ party, unlockFile, deviceSecretFile, source });
  masterKey.fill(0);
  return `Party ${party} unlocks.`;
}

const COMMANDS = { init, change, check } as const;

async function run(): Promise<string> {
  const flags = readFlags({
    config: { type: 'string' },
    'unlock-fd': { type: 'string' },
    init: { type: 'boolean' },
    change: { type: 'boolean' },
    check: { type: 'boolean' },
    help: { type: 'boolean' },
  });
  if (flags.help === true) return HELP.trimEnd();
  const [name, another] = (Object.keys(COMMANDS) as (keyof typeof COMMANDS)[]).filter(
    (command) => flags[command] === true,
  );
  if (name === undefined || another !== undefined)
    throw new KeysagaError('InvalidInput', 'One of --init, --change, --check; see --help.', {
      field: 'arguments',
    });
  return COMMANDS[name](
    roomOf(loadConfig(PartyConfig, flags)),
    passphraseSource(flags['unlock-fd']),
  );
}

run().then(
  (done) => process.stdout.write(`${done}\n`),
  (error: unknown) => {
    process.exitCode = 1;
    if (!isKeysagaError(error)) throw error;
    process.stderr.write(`error ${error.code}: ${error.message}\n`);
  },
);
