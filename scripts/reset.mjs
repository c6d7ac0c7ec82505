/** `npm run reset`: clears the local stack's state (wallets, databases, chains, Temporal's history); downloads stay. */
import { bootstrap, registerTypeScript } from './bootstrap.mjs';

await bootstrap();
await registerTypeScript();
await import('../dev/reset.ts');
