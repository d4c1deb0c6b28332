-- The directory: what an administrator configures. It is read at sign-in and when
-- a call arrives; foreign keys keep it whole.

-- A user has at most one agent (SEED-15); numbers repeat between tenants (SEED-39).
CREATE TABLE agents (
  tenant_id    text NOT NULL,
  number       text NOT NULL CHECK (number <> ''),
  user_name    text NOT NULL,
  team         text,
  wrap_up_ms   bigint NOT NULL DEFAULT 0 CHECK (wrap_up_ms >= 0), -- SEED-95: 0 is none
  ring_method  text NOT NULL DEFAULT 'all' CHECK (ring_method IN ('all', 'linear', 'single')),
  on_no_answer text NOT NULL DEFAULT 'not_ready' CHECK (on_no_answer IN ('not_ready', 'stay')),
  on_reject    text NOT NULL DEFAULT 'not_ready' CHECK (on_reject IN ('not_ready', 'stay')),
  binding_mode text NOT NULL DEFAULT 'dynamic' CHECK (binding_mode IN ('fixed', 'self_adapting', 'dynamic', 'hot_desk')),
  PRIMARY KEY (tenant_id, number),
  UNIQUE (tenant_id, user_name),
  FOREIGN KEY (tenant_id, user_name) REFERENCES users ON DELETE CASCADE, -- SEED-16
  FOREIGN KEY (tenant_id, team) REFERENCES teams
);
SELECT holdfast_guard('agents');

-- ha1_… are H(A1) of digest authentication with the tenant's domain as realm, so
-- that the password itself is kept nowhere.
CREATE TABLE devices (
  tenant_id  text NOT NULL REFERENCES tenants ON DELETE CASCADE,
  name       text NOT NULL CHECK (name <> ''),
  kind       text NOT NULL CHECK (kind IN ('sip', 'webrtc', 'external')),
  agent      text,
  number     text NOT NULL DEFAULT '',
  ha1_md5    text NOT NULL DEFAULT '',
  ha1_sha256 text NOT NULL DEFAULT '',
  PRIMARY KEY (tenant_id, name),
  FOREIGN KEY (tenant_id, agent) REFERENCES agents ON DELETE CASCADE
);
SELECT holdfast_guard('devices');

-- The ordered addresses by which an agent is reached (SEED-106).
CREATE TABLE agent_addresses (
  tenant_id text NOT NULL,
  agent     text NOT NULL,
  place     int  NOT NULL,
  device    text NOT NULL,
  PRIMARY KEY (tenant_id, agent, place),
  UNIQUE (tenant_id, agent, device),
  FOREIGN KEY (tenant_id, agent) REFERENCES agents ON DELETE CASCADE,
  FOREIGN KEY (tenant_id, device) REFERENCES devices ON DELETE CASCADE
);
SELECT holdfast_guard('agent_addresses');

CREATE TABLE queues (
  tenant_id    text NOT NULL REFERENCES tenants ON DELETE CASCADE,
  name         text NOT NULL CHECK (name <> ''),
  display_name text NOT NULL DEFAULT '',
  strategy     text NOT NULL DEFAULT 'longest_idle' CHECK (strategy IN ('longest_idle', 'fewest_calls', 'linear', 'random')),
  ring_ms      bigint NOT NULL CHECK (ring_ms > 0),
  max_wait_ms  bigint NOT NULL DEFAULT 0 CHECK (max_wait_ms >= 0),
  priority     int NOT NULL DEFAULT 0,
  music        text NOT NULL DEFAULT '',
  PRIMARY KEY (tenant_id, name)
);
SELECT holdfast_guard('queues');

CREATE TABLE memberships (
  tenant_id text NOT NULL,
  queue     text NOT NULL,
  agent     text NOT NULL,
  penalty   int NOT NULL DEFAULT 0,
  position  int NOT NULL DEFAULT 0,
  static    boolean NOT NULL DEFAULT false, -- SEED-62
  manual    boolean NOT NULL DEFAULT false, -- not checked in at sign-in
  line      bigint NOT NULL GENERATED ALWAYS AS (hashtextextended(tenant_id || '/' || queue, 0)) STORED, -- see 0003_live.sql
  PRIMARY KEY (tenant_id, agent, queue),
  FOREIGN KEY (tenant_id, queue) REFERENCES queues ON DELETE CASCADE,
  FOREIGN KEY (tenant_id, agent) REFERENCES agents ON DELETE CASCADE
);
CREATE INDEX memberships_order ON memberships (line, position);
SELECT holdfast_guard('memberships');

CREATE TABLE trunks (
  tenant_id  text NOT NULL REFERENCES tenants ON DELETE CASCADE,
  name       text NOT NULL CHECK (name <> ''),
  host       text NOT NULL DEFAULT '',
  transport  text NOT NULL DEFAULT '',
  user_name  text NOT NULL DEFAULT '',
  ha1_md5    text NOT NULL DEFAULT '',
  ha1_sha256 text NOT NULL DEFAULT '',
  call_limit int NOT NULL DEFAULT 0,
  PRIMARY KEY (tenant_id, name)
);
CREATE UNIQUE INDEX trunks_user ON trunks (tenant_id, user_name) WHERE user_name <> '';
SELECT holdfast_guard('trunks');
SELECT holdfast_open_to_system('trunks', 'SELECT');

CREATE TABLE trunk_addresses (
  tenant_id text NOT NULL,
  trunk     text NOT NULL,
  address   cidr NOT NULL,
  PRIMARY KEY (tenant_id, trunk, address),
  FOREIGN KEY (tenant_id, trunk) REFERENCES trunks ON DELETE CASCADE
);
SELECT holdfast_guard('trunk_addresses');
SELECT holdfast_open_to_system('trunk_addresses', 'SELECT');

-- Where a number leads. An agent's number is an extension by itself and needs no
-- row. A number that ends in "*" is a prefix and leads to a trunk; the longest wins.
CREATE TABLE numbers (
  tenant_id text NOT NULL REFERENCES tenants ON DELETE CASCADE,
  number    text NOT NULL CHECK (number <> ''),
  queue     text,
  agent     text,
  trunk     text,
  PRIMARY KEY (tenant_id, number),
  CHECK (num_nonnulls(queue, agent, trunk) = 1),
  CHECK (number NOT LIKE '%*' OR trunk IS NOT NULL),
  FOREIGN KEY (tenant_id, queue) REFERENCES queues ON DELETE CASCADE,
  FOREIGN KEY (tenant_id, agent) REFERENCES agents ON DELETE CASCADE,
  FOREIGN KEY (tenant_id, trunk) REFERENCES trunks ON DELETE CASCADE
);
SELECT holdfast_guard('numbers');
