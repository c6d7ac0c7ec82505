CREATE TABLE "presignature_packs" (
	"pack_id" text PRIMARY KEY NOT NULL,
	"key_id" text NOT NULL,
	"epoch" integer NOT NULL,
	"signers" jsonb NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"expires_at" timestamp (3) with time zone NOT NULL,
	"dropped" text
);
--> statement-breakpoint
CREATE TABLE "presignatures" (
	"pack_id" text NOT NULL,
	"index" integer NOT NULL,
	"state" text NOT NULL,
	"sealed" "bytea",
	"data_key_id" text NOT NULL,
	"data_key_destroyed" boolean DEFAULT false NOT NULL,
	"attempt" uuid,
	"message_hash" text,
	"changed_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "presignatures_pack_id_index_pk" PRIMARY KEY("pack_id","index")
);
--> statement-breakpoint
ALTER TABLE "sessions" ADD COLUMN "pooled_keys" jsonb DEFAULT '[]'::jsonb NOT NULL;--> statement-breakpoint
CREATE INDEX "packs_in_stock" ON "presignature_packs" USING btree ("key_id","epoch") WHERE "presignature_packs"."dropped" is null;--> statement-breakpoint
CREATE INDEX "presignatures_of_session" ON "presignatures" USING btree ("attempt") WHERE "presignatures"."attempt" is not null;--> statement-breakpoint
CREATE INDEX "presignature_keys" ON "presignatures" USING btree ("data_key_id") WHERE not "presignatures"."data_key_destroyed";