CREATE TABLE "bitcoin_blocks" (
	"network" text NOT NULL,
	"height" integer NOT NULL,
	"hash" text NOT NULL,
	CONSTRAINT "bitcoin_blocks_network_height_pk" PRIMARY KEY("network","height")
);
--> statement-breakpoint
CREATE TABLE "bitcoin_outputs" (
	"network" text NOT NULL,
	"txid" text NOT NULL,
	"vout" bigint NOT NULL,
	"script" text NOT NULL,
	"wallet_id" text NOT NULL,
	"amount" bigint NOT NULL,
	"coinbase" boolean NOT NULL,
	"block_height" integer NOT NULL,
	"block_hash" text NOT NULL,
	"spent_by" text,
	"spent_height" integer,
	CONSTRAINT "bitcoin_outputs_network_txid_vout_pk" PRIMARY KEY("network","txid","vout")
);
--> statement-breakpoint
CREATE TABLE "bitcoin_scripts" (
	"network" text NOT NULL,
	"script" text NOT NULL,
	"wallet_id" text NOT NULL,
	"from_height" integer NOT NULL,
	"scanned_height" integer NOT NULL,
	CONSTRAINT "bitcoin_scripts_network_script_pk" PRIMARY KEY("network","script")
);
--> statement-breakpoint
CREATE TABLE "solana_nonce_accounts" (
	"network" text NOT NULL,
	"wallet_id" text NOT NULL,
	"account" text NOT NULL,
	"authority" text NOT NULL,
	"index" integer NOT NULL,
	"state" text NOT NULL,
	"value" text,
	"preimage" text,
	"hints" text[] DEFAULT '{}'::text[] NOT NULL,
	"slot" bigint DEFAULT 0 NOT NULL,
	"changed_at" bigint NOT NULL,
	CONSTRAINT "solana_nonce_accounts_network_account_pk" PRIMARY KEY("network","account"),
	CONSTRAINT "solana_nonce_accounts_state" CHECK ("solana_nonce_accounts"."state" in ('pending', 'proven', 'unproven', 'retired')),
	CONSTRAINT "solana_nonce_accounts_proof" CHECK ("solana_nonce_accounts"."state" <> 'proven' or ("solana_nonce_accounts"."value" is not null and "solana_nonce_accounts"."preimage" is not null))
);
--> statement-breakpoint
CREATE TABLE "approvals" (
	"request_id" text NOT NULL,
	"approver" text NOT NULL,
	"status" text NOT NULL,
	"signed" jsonb,
	"updated_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "approvals_request_id_approver_pk" PRIMARY KEY("request_id","approver")
);
--> statement-breakpoint
CREATE TABLE "checkpoints" (
	"name" text PRIMARY KEY NOT NULL,
	"position" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "claims" (
	"kind" text NOT NULL,
	"id" text NOT NULL,
	"body_hash" text NOT NULL,
	"at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "claims_kind_id_pk" PRIMARY KEY("kind","id")
);
--> statement-breakpoint
CREATE TABLE "events" (
	"position" bigserial PRIMARY KEY NOT NULL,
	"stream" text NOT NULL,
	"version" integer NOT NULL,
	"type" text NOT NULL,
	"data" jsonb NOT NULL,
	"at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "leases" (
	"resource" text PRIMARY KEY NOT NULL,
	"network" text NOT NULL,
	"wallet_id" text NOT NULL,
	"owner" text NOT NULL,
	"state" text NOT NULL,
	"detail" jsonb NOT NULL,
	"changed_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "outbox" (
	"position" bigint PRIMARY KEY NOT NULL
);
--> statement-breakpoint
CREATE TABLE "parties" (
	"party" text PRIMARY KEY NOT NULL,
	"wallets" integer NOT NULL,
	"activations" integer NOT NULL,
	"signatures" integer NOT NULL,
	"last_signed_at" timestamp (3) with time zone,
	"undos_owed" integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE "party_reports" (
	"id" bigserial PRIMARY KEY NOT NULL,
	"party" text NOT NULL,
	"step" text NOT NULL,
	"code" text,
	"milliseconds" integer,
	"at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "party_stats" (
	"party" text PRIMARY KEY NOT NULL,
	"failures" bigint NOT NULL,
	"consecutive_failures" integer NOT NULL,
	"last_failure_at" timestamp (3) with time zone,
	"last_failure_code" text,
	"last_ok_at" timestamp (3) with time zone,
	"last_milliseconds" integer
);
--> statement-breakpoint
CREATE TABLE "policies" (
	"policy_hash" text PRIMARY KEY NOT NULL,
	"policy_id" text NOT NULL,
	"version" integer NOT NULL,
	"signed" jsonb NOT NULL,
	"adopted_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "snapshots" (
	"stream" text NOT NULL,
	"fold" text NOT NULL,
	"schema_version" integer NOT NULL,
	"version" integer NOT NULL,
	"state" jsonb NOT NULL,
	CONSTRAINT "snapshots_stream_fold_schema_version_pk" PRIMARY KEY("stream","fold","schema_version")
);
--> statement-breakpoint
CREATE TABLE "transfers" (
	"request_id" text PRIMARY KEY NOT NULL,
	"position" bigint NOT NULL,
	"workflow_id" text NOT NULL,
	"wallet_id" text NOT NULL,
	"network" text NOT NULL,
	"asset" text NOT NULL,
	"amount" numeric(78, 0) NOT NULL,
	"fee_cap" numeric(78, 0) NOT NULL,
	"destination" text NOT NULL,
	"intent" jsonb NOT NULL,
	"intent_digest" text NOT NULL,
	"policy_hash" text NOT NULL,
	"phase" text NOT NULL,
	"phase_reason" text,
	"reservation" text NOT NULL,
	"pivot_passed" boolean NOT NULL,
	"fee" numeric(78, 0),
	"signers" jsonb,
	"payment" jsonb,
	"void" jsonb,
	"transaction_id" text,
	"confirmations" integer NOT NULL,
	"undo_owed" integer NOT NULL,
	"failure" jsonb,
	"created_at" timestamp (3) with time zone NOT NULL,
	"updated_at" timestamp (3) with time zone NOT NULL,
	"ended_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "wallets" (
	"wallet_id" text PRIMARY KEY NOT NULL,
	"workflow_id" text NOT NULL,
	"status" text NOT NULL,
	"network" text NOT NULL,
	"protocol" text NOT NULL,
	"threshold" integer NOT NULL,
	"parties" jsonb NOT NULL,
	"policy_id" text NOT NULL,
	"policy_hash" text NOT NULL,
	"public_key" text,
	"address" text,
	"key" jsonb,
	"certificates" jsonb NOT NULL,
	"activated" jsonb NOT NULL,
	"failure" jsonb,
	"created_at" timestamp (3) with time zone NOT NULL,
	"updated_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE INDEX "bitcoin_outputs_script" ON "bitcoin_outputs" USING btree ("network","script");--> statement-breakpoint
CREATE INDEX "bitcoin_outputs_height" ON "bitcoin_outputs" USING btree ("network","block_height");--> statement-breakpoint
CREATE INDEX "bitcoin_outputs_spent" ON "bitcoin_outputs" USING btree ("network","spent_height");--> statement-breakpoint
CREATE UNIQUE INDEX "solana_nonce_accounts_index" ON "solana_nonce_accounts" USING btree ("network","wallet_id","index");--> statement-breakpoint
CREATE INDEX "solana_nonce_accounts_wallet" ON "solana_nonce_accounts" USING btree ("network","wallet_id");--> statement-breakpoint
CREATE INDEX "approvals_approver_waiting" ON "approvals" USING btree ("approver") WHERE "approvals"."status" = 'waiting';--> statement-breakpoint
CREATE UNIQUE INDEX "events_stream_version" ON "events" USING btree ("stream","version");--> statement-breakpoint
CREATE INDEX "leases_owner" ON "leases" USING btree ("owner");--> statement-breakpoint
CREATE INDEX "leases_wallet_live" ON "leases" USING btree ("wallet_id") WHERE "leases"."state" in ('held', 'pivoted');--> statement-breakpoint
CREATE INDEX "party_reports_party_at" ON "party_reports" USING btree ("party","at");--> statement-breakpoint
CREATE UNIQUE INDEX "policies_id_version" ON "policies" USING btree ("policy_id","version");--> statement-breakpoint
CREATE UNIQUE INDEX "transfers_position" ON "transfers" USING btree ("position");--> statement-breakpoint
CREATE INDEX "transfers_wallet" ON "transfers" USING btree ("wallet_id","position");--> statement-breakpoint
CREATE INDEX "transfers_phase" ON "transfers" USING btree ("phase","position");--> statement-breakpoint
CREATE INDEX "transfers_transaction" ON "transfers" USING btree ("transaction_id");--> statement-breakpoint
CREATE INDEX "wallets_network" ON "wallets" USING btree ("network");--> statement-breakpoint
CREATE INDEX "wallets_address" ON "wallets" USING btree ("address");