-- What the processes share besides the directory and the live state: whom to tell that
-- its profile changed, which logins were given up, what was answered, who guesses.

-- Agents whose directory entry changed and whose sessions were not told yet. Written
-- with the change itself; whoever has told a session removes its lines.
CREATE TABLE profile_changes (
  seq       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant_id text NOT NULL,
  agent     text NOT NULL
);
SELECT holdfast_guard('profile_changes');
-- UPDATE is for the lock by which two tellers share the lines.
SELECT holdfast_open_to_system('profile_changes', 'SELECT', 'UPDATE', 'DELETE');

-- Logins that were given up before their tokens expired.
CREATE TABLE revocations (
  tenant_id text NOT NULL,
  login     text NOT NULL,
  expires   timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, login)
);
SELECT holdfast_guard('revocations');

-- The answers to requests with an Idempotency-Key that begin or end a session, whose
-- workflow can't answer a repeat for ever.
CREATE TABLE answers (
  tenant_id text NOT NULL,
  user_name text NOT NULL,
  operation text NOT NULL,
  key       text NOT NULL,
  request   bytea NOT NULL, -- hash of what was asked
  answer    jsonb NOT NULL,
  expires   timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, user_name, operation, key)
);
SELECT holdfast_guard('answers');

-- Wrong passwords, counted by who guesses at what. Names of users and tenants that do
-- not exist are counted alike, so these lines belong to no tenant; they hold hashes.
CREATE TABLE login_tallies (
  name     text PRIMARY KEY CHECK (name <> ''),
  failures int NOT NULL,
  last_at  timestamptz,
  until    timestamptz,
  good_at  timestamptz,
  expires  timestamptz NOT NULL
);
CREATE INDEX login_tallies_expires ON login_tallies (expires);
ALTER TABLE login_tallies ENABLE ROW LEVEL SECURITY;
ALTER TABLE login_tallies FORCE ROW LEVEL SECURITY;
SELECT holdfast_open_to_system('login_tallies', 'SELECT', 'INSERT', 'UPDATE', 'DELETE');
