import { defineConfig } from 'drizzle-kit';

export default defineConfig({
  dialect: 'postgresql',
  schema: './schema/db/party.ts',
  out: './schema/db/migrations/party',
});
