-- How far what is old was deleted, of each tenant. For how long what is kept stands in its
-- policies.

-- Events with a seq up to events_gone may be gone: who knows only those must begin anew.
CREATE TABLE retention (
  tenant_id   text PRIMARY KEY REFERENCES tenants ON DELETE CASCADE,
  events_gone bigint NOT NULL DEFAULT 0
);
SELECT holdfast_guard('retention');

-- Decisions are looked for by their time once in a while, and written all the time: what is
-- written together lies together.
CREATE INDEX decisions_at ON decisions USING brin (at) WITH (autosummarize = on);
CREATE INDEX bookings_ended ON bookings USING brin (ended_at) WITH (autosummarize = on);

-- What may be known by all events that were ever written to a stream: where its versions go
-- on when they are gone.
CREATE FUNCTION holdfast_last_version(t text, s text) RETURNS bigint LANGUAGE sql STABLE
  RETURN coalesce((SELECT max(version) FROM events WHERE tenant_id = t AND stream = s), (SELECT events_gone FROM retention WHERE tenant_id = t), 0);

-- A transaction that calls this before it writes to the table of events writes none that
-- event streams show, or removes some: who follows the log need not wait for its end.
CREATE FUNCTION holdfast_unfollowed() RETURNS void LANGUAGE sql
  RETURN pg_advisory_xact_lock_shared(7521962890173);
