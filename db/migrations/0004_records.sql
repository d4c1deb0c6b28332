-- What happened, for good.

-- state is what the call's workflow starts from; view is what others may see.
CREATE TABLE calls (
  tenant_id        text NOT NULL,
  call             text NOT NULL,
  node             text NOT NULL,
  boot             text NOT NULL,
  class            text NOT NULL,
  direction        text NOT NULL,
  phase            text NOT NULL,
  queue            text,
  agent            text, -- offered to, talking with, or talked with
  from_number      text NOT NULL,
  to_number        text NOT NULL,
  data             jsonb,
  ring_ms          bigint NOT NULL DEFAULT 0, -- how long one offer of it rings
  state            jsonb,
  state_version    bigint NOT NULL DEFAULT 0,
  view             jsonb NOT NULL,
  version          bigint NOT NULL,
  open             boolean NOT NULL,
  workflow_started boolean NOT NULL,
  opened_at        timestamptz NOT NULL DEFAULT now(), -- by the clock of the database
  arrived_at       timestamptz NOT NULL,
  queued_at        timestamptz,
  answered_at      timestamptz,
  ended_at         timestamptz,
  cause            text,
  ended_by         text,
  outcome          text,
  offers           int NOT NULL DEFAULT 0,
  -- For indexes only, and for lists that go by them: see 0003_live.sql.
  ledger           bigint NOT NULL GENERATED ALWAYS AS (hashtextextended(tenant_id, 0)) STORED,
  live             boolean NOT NULL GENERATED ALWAYS AS (open) STORED,
  PRIMARY KEY (tenant_id, call)
) WITH (fillfactor = 70);
CREATE INDEX calls_newest ON calls (ledger, arrived_at DESC);
CREATE INDEX calls_live ON calls (ledger, arrived_at DESC) WHERE live;
CREATE INDEX calls_node ON calls (node) WHERE live;
CREATE INDEX calls_orphaned ON calls (opened_at) WHERE live AND NOT workflow_started;
SELECT holdfast_guard('calls');
SELECT holdfast_open_to_system('calls', 'SELECT');

CREATE TABLE legs (
  tenant_id   text NOT NULL,
  call        text NOT NULL,
  leg         text NOT NULL,
  place       int NOT NULL,
  role        text NOT NULL,
  party       text NOT NULL,
  agent       text,
  device      text,
  node        text NOT NULL,
  started_at  timestamptz NOT NULL,
  rang_at     timestamptz,
  answered_at timestamptz,
  ended_at    timestamptz,
  cause       text,
  PRIMARY KEY (tenant_id, call, leg)
);
SELECT holdfast_guard('legs');

CREATE TABLE segments (
  tenant_id text NOT NULL,
  call      text NOT NULL,
  place     int NOT NULL,
  kind      text NOT NULL,
  agent     text,
  queue     text,
  offer     text,
  from_at   timestamptz NOT NULL,
  to_at     timestamptz,
  cause     text,
  PRIMARY KEY (tenant_id, call, place)
);
SELECT holdfast_guard('segments');

-- seq is handed out when a row is written and becomes visible when its transaction
-- commits, so a lower one may appear after a higher: readers go by db.settled.
CREATE TABLE events (
  seq       bigint GENERATED ALWAYS AS IDENTITY (CACHE 1) PRIMARY KEY,
  tenant_id text NOT NULL,
  stream    text NOT NULL,
  version   bigint NOT NULL,
  kind      text NOT NULL,
  at        timestamptz NOT NULL,
  view      jsonb NOT NULL,
  ledger    bigint NOT NULL GENERATED ALWAYS AS (hashtextextended(tenant_id, 0)) STORED,
  UNIQUE (tenant_id, stream, version)
);
CREATE INDEX events_ledger ON events (ledger, seq);
SELECT holdfast_guard('events');
SELECT holdfast_open_to_system('events', 'SELECT');

-- SEED-4. Lines are added, never changed.
CREATE TABLE audit (
  id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant_id text NOT NULL,
  user_name text NOT NULL,
  at        timestamptz NOT NULL,
  action    text NOT NULL,
  object    text NOT NULL,
  detail    jsonb,
  source    text NOT NULL,
  result    text NOT NULL
);
CREATE INDEX audit_tenant ON audit (tenant_id, id);
SELECT holdfast_guard('audit');
REVOKE UPDATE, DELETE ON audit FROM holdfast_app;
