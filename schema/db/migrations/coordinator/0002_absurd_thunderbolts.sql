CREATE TABLE "ethereum_accounts" (
	"network" text NOT NULL,
	"address" text NOT NULL,
	"wallet_id" text NOT NULL,
	"final_count" numeric(20, 0) NOT NULL,
	"latest_count" numeric(20, 0) NOT NULL,
	"pending_count" numeric(20, 0) NOT NULL,
	"read_at" bigint NOT NULL,
	CONSTRAINT "ethereum_accounts_network_address_pk" PRIMARY KEY("network","address"),
	CONSTRAINT "ethereum_accounts_counts" CHECK ("ethereum_accounts"."final_count" >= 0 and "ethereum_accounts"."latest_count" >= 0 and "ethereum_accounts"."pending_count" >= 0)
);
--> statement-breakpoint
CREATE TABLE "ethereum_nonces" (
	"network" text NOT NULL,
	"address" text NOT NULL,
	"nonce" numeric(20, 0) NOT NULL,
	"resource" text NOT NULL,
	"lent_at" bigint NOT NULL,
	CONSTRAINT "ethereum_nonces_network_address_nonce_pk" PRIMARY KEY("network","address","nonce")
);
