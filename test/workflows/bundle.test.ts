import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { bundleSagas, type SagasBundle } from '../../workers/support/bundle.ts';
import { repoRoot } from '../support/repo.ts';

let bundle: SagasBundle;
let modules: string[];
beforeAll(async () => {
  bundle = await bundleSagas();
  // Names of webpack's module table; sources in the map would not tell what is bundled from what is mentioned.
  modules = [...bundle.code.matchAll(/^\/\*\*\*\/ "?([^"\n]+?)"?:?$/gm)].map(
    (match) => match[1] as string,
  );
});

describe('the workflow bundle', () => {
  it('holds the sagas and what they need', () => {
    const names = modules.join('\n');
    for (const expected of [
      './workflows/transfer.ts',
      './workflows/generate-key.ts',
      './workflows/deliver-undo.ts',
      './core/approvals.ts',
      'wire/failure-converter.ts',
      'wire/payload-converter.ts',
    ])
      expect(names, expected).toContain(expected.replace(/^\.\//, ''));
  });
  it('holds no chain client, key code, driver or built-in of Node', () => {
    const forbidden =
      /node_modules\/(viem|@solana|@scure\/btc-signer|@hpke|postgres|drizzle-orm|fastify|pino|@temporalio\/(client|worker|activity|testing))\/|^node:|(^|\/)(mpc|chains|storage|activities|workers|cli|client|api|dev)\/[^ ]*\.ts/;
    expect(modules.length).toBeGreaterThan(50);
    expect(modules.filter((name) => forbidden.test(name))).toEqual([]);
    // Types only: no code of the activities is reachable.
    expect(modules.filter((name) => name.includes('wire/codec'))).toEqual([]);
  });
  it('loads zod, the curve and its table once per V8 context, not once per saga', () => {
    const preload = bundle.code.slice(bundle.code.indexOf('exports.preloadModules = '));
    // The bundler writes `0;` in place of a module that it takes for unused.
    expect(preload.slice(0, preload.indexOf('\n}'))).toMatch(
      /__webpack_require__\([^)]*workflows\/preload\.ts"\)/,
    );
    const start = bundle.code.indexOf('\n/***/ "./workflows/preload.ts"');
    const body = bundle.code.slice(start, bundle.code.indexOf('\n/***/ })', start));
    for (const name of ['node_modules/zod/', './core/signed.ts'])
      expect(body, name).toMatch(
        new RegExp(`__webpack_require__\\([^)]*${name.replaceAll('.', '\\.')}`),
      );
  });
  it('is cached by content and named by its hash', async () => {
    const again = await bundleSagas();
    expect(again.hash).toBe(bundle.hash);
    expect(readFileSync(bundle.path, 'utf8').length).toBe(bundle.code.length);
    expect(bundle.path.startsWith(repoRoot) || process.env.KEYSAGA_CACHE !== undefined).toBe(true);
  });
});
