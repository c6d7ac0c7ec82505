import { defineConfig } from 'drizzle-kit';

export default defineConfig({
  dialect: 'postgresql',
  // The chains' own tables (UTXO follower, nonce pools) live in files of their own beside the ledger's.
  schema: './schema/db/coordinator*.ts',
  out: './schema/db/migrations/coordinator',
});
