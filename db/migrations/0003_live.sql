-- What is so right now. These rows are the index of the workflows' states and can
-- be rebuilt from them, so they carry no foreign keys: a change of the directory
-- never blocks a call, and a call never blocks a change of the directory.

--
-- Plans of these tables are made while they are empty and used while they hold
-- thousands of rows. So that there is only one way to one row, the primary key, no
-- other index may begin to match what a primary key is looked up by: indexes in
-- some order begin with a hash of their own (line: of tenant and queue), and what
-- they are restricted to is not what statements about one row ask for.

-- The registry of telephony processes belongs to no tenant. Everybody may look up
-- the boot of a node; only the system writes it.
CREATE TABLE nodes (
  name       text PRIMARY KEY CHECK (name <> ''),
  boot       text NOT NULL,
  address    text NOT NULL,
  started_at timestamptz NOT NULL,
  seen_at    timestamptz NOT NULL,
  calls      int NOT NULL DEFAULT 0,
  drain      boolean NOT NULL DEFAULT false,
  lost_at    timestamptz
);
ALTER TABLE nodes ENABLE ROW LEVEL SECURITY;
ALTER TABLE nodes FORCE ROW LEVEL SECURITY;
CREATE POLICY everybody ON nodes FOR SELECT TO holdfast_app USING (true);
GRANT SELECT ON nodes TO holdfast_app;
SELECT holdfast_open_to_system('nodes', 'SELECT', 'INSERT', 'UPDATE');

CREATE TABLE registrations (
  tenant_id  text NOT NULL,
  device     text NOT NULL,
  instance   text NOT NULL,
  agent      text,
  contact    text NOT NULL,
  transport  text NOT NULL,
  flow       text NOT NULL,
  node       text NOT NULL,
  boot       text,          -- of the node when it wrote this; null: the node was not registered
  user_agent text NOT NULL DEFAULT '',
  call_id    text NOT NULL,
  cseq       bigint NOT NULL,
  expires    timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, device, instance)
) WITH (fillfactor = 70);
CREATE INDEX registrations_node ON registrations (node);
SELECT holdfast_guard('registrations');
SELECT holdfast_open_to_system('registrations', 'SELECT', 'DELETE');

-- One row per agent who has signed in: the arbiter. An offer is made only by the
-- transaction that writes it into a row whose offer is empty. After the sign-out
-- the row stays as LoggedOff, so that what comes late from that session is known.
CREATE TABLE presence (
  tenant_id    text NOT NULL,
  agent        text NOT NULL,
  state        text NOT NULL,
  since        timestamptz NOT NULL,
  available    boolean NOT NULL,
  ready_at     timestamptz,
  queues       text[] NOT NULL DEFAULT '{}', -- checked in
  addresses    jsonb NOT NULL DEFAULT '[]',
  ring_method  text NOT NULL DEFAULT '',
  offer        text,    -- reserved for this offer
  offer_detail jsonb,   -- the offer as the agent sees it
  offer_by     bigint,  -- the version of the agent's own save that made it; null: the call's side did
  version      bigint NOT NULL,
  view         jsonb NOT NULL,
  PRIMARY KEY (tenant_id, agent)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
SELECT holdfast_guard('presence');

-- The agents who can be offered a call now, in each queue's own order: penalty,
-- rank, tie. An agent who is not available has no rows here, so the best k
-- are the first k, however many others there are.
CREATE TABLE candidates (
  tenant_id text NOT NULL,
  queue     text NOT NULL,
  agent     text NOT NULL,
  version   bigint NOT NULL, -- of the presence row that this one is of
  penalty   int NOT NULL,
  rank      bigint NOT NULL,
  tie       bigint NOT NULL,
  position  int NOT NULL,
  calls     int NOT NULL,
  ready_at  timestamptz NOT NULL,
  line      bigint NOT NULL GENERATED ALWAYS AS (hashtextextended(tenant_id || '/' || queue, 0)) STORED,
  PRIMARY KEY (tenant_id, agent, queue)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
CREATE INDEX candidates_order ON candidates (line, penalty, rank, tie);
SELECT holdfast_guard('candidates');

-- One row per call in line, from its arrival in the queue until an agent has it or
-- it leaves. agent is set while it is being offered; the place (queued_at) stays.
CREATE TABLE waiting (
  tenant_id   text NOT NULL,
  queue       text NOT NULL,
  call        text NOT NULL,
  priority    int NOT NULL,
  queued_at   timestamptz NOT NULL,
  offer       text NOT NULL, -- the name of its next offer, or of the present one
  offer_n     int NOT NULL,
  tried       text[] NOT NULL DEFAULT '{}',
  agent       text,
  offered_at  timestamptz,
  targets     jsonb,
  ring_method text,
  from_number text NOT NULL,
  class       text NOT NULL,
  data        jsonb,
  ring_ms     bigint NOT NULL,
  line        bigint NOT NULL GENERATED ALWAYS AS (hashtextextended(tenant_id || '/' || queue, 0)) STORED,
  offered     boolean NOT NULL GENERATED ALWAYS AS (agent IS NOT NULL) STORED,
  PRIMARY KEY (tenant_id, call)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
CREATE INDEX waiting_order ON waiting (line, offered, priority DESC, queued_at);
SELECT holdfast_guard('waiting');

-- Why this caller got this agent, or nobody.
CREATE TABLE decisions (
  id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant_id text NOT NULL,
  call      text NOT NULL,
  queue     text NOT NULL,
  agent     text,
  offer     text,
  at        timestamptz NOT NULL,
  decision  jsonb NOT NULL
);
CREATE INDEX decisions_call ON decisions (tenant_id, call, id);
SELECT holdfast_guard('decisions');
