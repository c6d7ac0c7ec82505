CREATE TABLE "audit_entries" (
	"position" bigserial PRIMARY KEY NOT NULL,
	"at" timestamp (3) with time zone NOT NULL,
	"kind" text NOT NULL,
	"key_id" text,
	"attempt" uuid,
	"detail" jsonb NOT NULL
);
--> statement-breakpoint
CREATE TABLE "ceremony_words" (
	"key_id" text NOT NULL,
	"attempt" uuid NOT NULL,
	"kind" text NOT NULL,
	"certificate" json,
	"never" json,
	"at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "ceremony_words_key_id_attempt_pk" PRIMARY KEY("key_id","attempt")
);
--> statement-breakpoint
CREATE TABLE "line_transactions" (
	"attempt" uuid PRIMARY KEY NOT NULL,
	"intent_digest" text NOT NULL,
	"line" integer NOT NULL,
	"purpose" text NOT NULL,
	"state" text NOT NULL,
	"unsigned_hash" text NOT NULL,
	"conflict_keys" jsonb NOT NULL,
	"fee" text NOT NULL,
	"at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "lines" (
	"intent_digest" text NOT NULL,
	"line" integer NOT NULL,
	"key_id" text NOT NULL,
	"state" text NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "lines_intent_digest_line_pk" PRIMARY KEY("intent_digest","line")
);
--> statement-breakpoint
CREATE TABLE "policies" (
	"policy_id" text NOT NULL,
	"version" integer NOT NULL,
	"hash" text NOT NULL,
	"document" json NOT NULL,
	"received_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "policies_policy_id_version_pk" PRIMARY KEY("policy_id","version")
);
--> statement-breakpoint
CREATE TABLE "rejections" (
	"intent_digest" text NOT NULL,
	"approver" text NOT NULL,
	"signed" json NOT NULL,
	"received_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "rejections_intent_digest_approver_pk" PRIMARY KEY("intent_digest","approver")
);
--> statement-breakpoint
CREATE TABLE "release_head" (
	"only" boolean PRIMARY KEY DEFAULT true NOT NULL,
	"chain_epoch" integer NOT NULL,
	"sequence" bigint NOT NULL,
	"hash" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "releases" (
	"chain_epoch" integer NOT NULL,
	"sequence" bigint NOT NULL,
	"attempt" uuid NOT NULL,
	"session_id" text NOT NULL,
	"outbox_hash" text NOT NULL,
	"hash" text NOT NULL,
	"at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "releases_chain_epoch_sequence_pk" PRIMARY KEY("chain_epoch","sequence")
);
--> statement-breakpoint
CREATE TABLE "rounds" (
	"attempt" uuid NOT NULL,
	"round" integer NOT NULL,
	"inbox_hash" text NOT NULL,
	"inbox" json NOT NULL,
	"outbox_hash" text,
	"outbox" json,
	"keygen" json,
	"committed_at" timestamp (3) with time zone NOT NULL,
	"answered_at" timestamp (3) with time zone,
	CONSTRAINT "rounds_attempt_round_pk" PRIMARY KEY("attempt","round")
);
--> statement-breakpoint
CREATE TABLE "sessions" (
	"attempt" uuid PRIMARY KEY NOT NULL,
	"kind" text NOT NULL,
	"key_id" text NOT NULL,
	"epoch" integer NOT NULL,
	"request_id" text NOT NULL,
	"request_hash" text NOT NULL,
	"request" json NOT NULL,
	"answer" json NOT NULL,
	"policy_id" text NOT NULL,
	"policy_hash" text NOT NULL,
	"state" text NOT NULL,
	"session_id" text,
	"prepared" json,
	"members" jsonb NOT NULL,
	"machine_version" text NOT NULL,
	"rounds" integer NOT NULL,
	"intent_digest" text,
	"line" integer,
	"sealed_seed" "bytea",
	"data_key_id" text NOT NULL,
	"data_key_destroyed" boolean DEFAULT false NOT NULL,
	"failure_code" text,
	"failure_message" text,
	"failure_culprit" text,
	"created_at" timestamp (3) with time zone NOT NULL,
	"expires_at" timestamp (3) with time zone NOT NULL,
	"closed_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "shares" (
	"key_id" text NOT NULL,
	"epoch" integer NOT NULL,
	"attempt" uuid NOT NULL,
	"state" text NOT NULL,
	"descriptor" json NOT NULL,
	"index" integer NOT NULL,
	"sealed" "bytea",
	"data_key_id" text NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"activated_at" timestamp (3) with time zone,
	CONSTRAINT "shares_key_id_epoch_attempt_pk" PRIMARY KEY("key_id","epoch","attempt")
);
--> statement-breakpoint
CREATE TABLE "spent" (
	"intent_digest" text NOT NULL,
	"line" integer NOT NULL,
	"key_id" text NOT NULL,
	"asset" text NOT NULL,
	"amount" text NOT NULL,
	"state" text NOT NULL,
	"at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "spent_intent_digest_line_pk" PRIMARY KEY("intent_digest","line")
);
--> statement-breakpoint
CREATE TABLE "witnessed_heads" (
	"party" text PRIMARY KEY NOT NULL,
	"signed" json NOT NULL,
	"seen_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE INDEX "transactions_of_line" ON "line_transactions" USING btree ("intent_digest","line");--> statement-breakpoint
CREATE UNIQUE INDEX "one_open_session_per_line" ON "sessions" USING btree ("intent_digest","line") WHERE "sessions"."state" in ('prepared', 'running') and "sessions"."intent_digest" is not null;--> statement-breakpoint
CREATE INDEX "open_sessions_by_key" ON "sessions" USING btree ("key_id","epoch") WHERE "sessions"."state" in ('prepared', 'running');--> statement-breakpoint
CREATE INDEX "keys_to_destroy" ON "sessions" USING btree ("attempt") WHERE not "sessions"."data_key_destroyed";--> statement-breakpoint
CREATE UNIQUE INDEX "one_live_share" ON "shares" USING btree ("key_id","epoch") WHERE "shares"."state" in ('certified', 'active');--> statement-breakpoint
CREATE INDEX "spent_window" ON "spent" USING btree ("key_id","asset","at");--> statement-breakpoint
CREATE INDEX "spent_reserved" ON "spent" USING btree ("key_id","asset") WHERE "spent"."state" = 'reserved';