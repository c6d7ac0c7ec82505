/** Every history that a release recorded must replay with today's workflow code: waiting sagas survive an upgrade. */
import { readdirSync, readFileSync } from 'node:fs';
import { historyFromJSON } from '@temporalio/common/lib/proto-utils.js';
import { DefaultLogger, Runtime, Worker } from '@temporalio/worker';
import { beforeAll, describe, expect, it } from 'vitest';
import { failureConverterPath, payloadConverterPath } from '../../wire/converter-paths.ts';
import { bundleSagas, type SagasBundle } from '../../workers/support/bundle.ts';

const folder = new URL('.', import.meta.url);
const files = readdirSync(folder).filter((name) => name.endsWith('.json'));
let bundle: SagasBundle;
beforeAll(async () => {
  Runtime.install({ logger: new DefaultLogger('ERROR', () => {}) });
  bundle = await bundleSagas();
});

const replay = (code: string, history: unknown): Promise<void> =>
  Worker.runReplayHistory(
    { workflowBundle: { code }, dataConverter: { failureConverterPath, payloadConverterPath } },
    history as never,
  );
const read = (name: string): Record<string, unknown> =>
  JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as Record<string, unknown>;

describe('recorded histories', () => {
  it('the sagas are there: completed, rejected, compensated, with a policy that changed', () => {
    const kinds = new Set(files.map((name) => name.split('@')[0]));
    for (const kind of [
      'transfer-completed',
      'transfer-rejected',
      'transfer-compensated',
      'transfer-policy-changed',
      'transfer-recalled',
      'payout-completed',
      'payout-cancelled',
      'change-policy-completed',
      'generate-key-completed',
      'generate-key-recalled',
      'generate-key-compensated',
    ])
      expect(kinds).toContain(kind);
  });
  it.each(files)('%s replays', async (name) => {
    await expect(replay(bundle.code, historyFromJSON(read(name)))).resolves.toBeUndefined();
  });
  it('a history of other code does not: the test can fail', async () => {
    const name = files.find((file) => file.startsWith('transfer-completed@')) as string;
    const text = readFileSync(new URL(name, folder), 'utf8').replaceAll(
      '"name": "build"',
      '"name": "buildVoid"',
    );
    expect(text).toContain('"name": "buildVoid"');
    await expect(replay(bundle.code, historyFromJSON(JSON.parse(text)))).rejects.toThrow(
      /determinism|Nondeterminism|does not match/i,
    );
  });
  it('hold no ciphertext and no secret', () => {
    for (const name of files) {
      const text = readFileSync(new URL(name, folder), 'utf8');
      expect(text).not.toContain(Buffer.from('binary/encrypted').toString('base64').slice(0, 20));
      expect(text.toLowerCase()).not.toContain(
        Buffer.from('privatekey').toString('base64').toLowerCase(),
      );
    }
  });
});
