CREATE TABLE "pool_stock" (
	"pack_id" text NOT NULL,
	"index" integer NOT NULL,
	"key_id" text NOT NULL,
	"epoch" integer NOT NULL,
	"signers" text NOT NULL,
	"state" text NOT NULL,
	"owner" text,
	"expires_at" timestamp (3) with time zone NOT NULL,
	"changed_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "pool_stock_pack_id_index_pk" PRIMARY KEY("pack_id","index")
);
--> statement-breakpoint
CREATE INDEX "pool_stock_pool" ON "pool_stock" USING btree ("key_id","epoch","signers");--> statement-breakpoint
CREATE INDEX "pool_stock_available" ON "pool_stock" USING btree ("key_id","epoch","signers","expires_at") WHERE "pool_stock"."state" = 'available';--> statement-breakpoint
CREATE INDEX "pool_stock_owner" ON "pool_stock" USING btree ("owner") WHERE "pool_stock"."owner" is not null;