-- A position is drawn only by a transaction that already has its id, so that followers can tell a transaction that
-- is still under way from one that was rolled back (storage/coordinator/follow.ts). A column default runs before
-- any trigger, hence a function in the default itself.
CREATE FUNCTION next_event_position() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_current_xact_id();
  RETURN nextval('events_position_seq');
END
$$;
--> statement-breakpoint
ALTER TABLE "events" ALTER COLUMN "position" SET DEFAULT next_event_position();
--> statement-breakpoint
CREATE FUNCTION refuse_event_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'events is append-only: % refused', TG_OP USING ERRCODE = 'restrict_violation';
END
$$;
--> statement-breakpoint
CREATE TRIGGER events_append_only BEFORE UPDATE OR DELETE ON "events"
  FOR EACH ROW EXECUTE FUNCTION refuse_event_change();
--> statement-breakpoint
CREATE TRIGGER events_no_truncate BEFORE TRUNCATE ON "events"
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_event_change();
