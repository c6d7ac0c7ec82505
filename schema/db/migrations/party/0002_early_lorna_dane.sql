CREATE TABLE "bars" (
	"key_id" text NOT NULL,
	"epoch" integer NOT NULL,
	"peer" text NOT NULL,
	"code" text NOT NULL,
	"attempt" uuid NOT NULL,
	"at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "bars_key_id_epoch_peer_pk" PRIMARY KEY("key_id","epoch","peer")
);
--> statement-breakpoint
CREATE TABLE "fences" (
	"id" bigserial PRIMARY KEY NOT NULL,
	"chain_epoch" integer NOT NULL,
	"reason" text NOT NULL,
	"evidence" json,
	"fenced_at" timestamp (3) with time zone NOT NULL,
	"order_id" text,
	"unfenced_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "orders" (
	"order_id" text PRIMARY KEY NOT NULL,
	"signed" json NOT NULL,
	"receipt" json NOT NULL,
	"at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "quarantines" (
	"key_id" text PRIMARY KEY NOT NULL,
	"order_id" text NOT NULL,
	"at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "spent_days" (
	"key_id" text PRIMARY KEY NOT NULL,
	"at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
ALTER TABLE "releases" ALTER COLUMN "attempt" DROP NOT NULL;--> statement-breakpoint
ALTER TABLE "release_head" ADD COLUMN "fenced" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "release_head" ADD COLUMN "intents_after" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "releases" ADD COLUMN "kind" text DEFAULT 'release' NOT NULL;