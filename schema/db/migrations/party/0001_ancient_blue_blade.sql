CREATE TABLE "share_access" (
	"key_id" text NOT NULL,
	"epoch" integer NOT NULL,
	"failures" integer NOT NULL,
	"locked_until" timestamp (3) with time zone,
	"failed_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "share_access_key_id_epoch_pk" PRIMARY KEY("key_id","epoch")
);
