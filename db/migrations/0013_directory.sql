-- The rest of administration: reasons, skills and dispositions as things of their own,
-- versions of the levels above tenants, and what was deleted of these.

-- For which an agent may be Not Ready; none: any will do. They stood in the policies
-- before. place is their order; names are the display name in other languages.
CREATE TABLE reasons (
  tenant_id    text NOT NULL REFERENCES tenants ON DELETE CASCADE,
  code         text NOT NULL CHECK (code <> ''),
  place        int NOT NULL DEFAULT 0,
  display_name text NOT NULL DEFAULT '',
  names        jsonb NOT NULL DEFAULT '{}',
  limit_ms     bigint NOT NULL DEFAULT 0 CHECK (limit_ms >= 0), -- 0: none
  then_do      text NOT NULL DEFAULT '' CHECK (then_do IN ('', 'ready', 'sign_out')),
  PRIMARY KEY (tenant_id, code)
);
SELECT holdfast_guard('reasons');

CREATE TABLE skills (
  tenant_id    text NOT NULL REFERENCES tenants ON DELETE CASCADE,
  name         text NOT NULL CHECK (name <> ''),
  display_name text NOT NULL DEFAULT '',
  PRIMARY KEY (tenant_id, name)
);
SELECT holdfast_guard('skills');

-- What agents can, 1 a little to 10 best, and what queues ask for at least.
CREATE TABLE agent_skills (
  tenant_id text NOT NULL,
  agent     text NOT NULL,
  skill     text NOT NULL,
  level     int NOT NULL CHECK (level BETWEEN 1 AND 10),
  PRIMARY KEY (tenant_id, agent, skill),
  FOREIGN KEY (tenant_id, agent) REFERENCES agents ON DELETE CASCADE,
  FOREIGN KEY (tenant_id, skill) REFERENCES skills
);
SELECT holdfast_guard('agent_skills');

CREATE TABLE queue_skills (
  tenant_id text NOT NULL,
  queue     text NOT NULL,
  skill     text NOT NULL,
  level     int NOT NULL CHECK (level BETWEEN 1 AND 10),
  PRIMARY KEY (tenant_id, queue, skill),
  FOREIGN KEY (tenant_id, queue) REFERENCES queues ON DELETE CASCADE,
  FOREIGN KEY (tenant_id, skill) REFERENCES skills
);
SELECT holdfast_guard('queue_skills');

-- What a call came to. One that names queues is for the calls of these.
CREATE TABLE dispositions (
  tenant_id    text NOT NULL REFERENCES tenants ON DELETE CASCADE,
  name         text NOT NULL CHECK (name <> ''),
  display_name text NOT NULL DEFAULT '',
  names        jsonb NOT NULL DEFAULT '{}',
  PRIMARY KEY (tenant_id, name)
);
SELECT holdfast_guard('dispositions');

CREATE TABLE disposition_queues (
  tenant_id   text NOT NULL,
  disposition text NOT NULL,
  queue       text NOT NULL,
  PRIMARY KEY (tenant_id, disposition, queue),
  FOREIGN KEY (tenant_id, disposition) REFERENCES dispositions ON DELETE CASCADE,
  FOREIGN KEY (tenant_id, queue) REFERENCES queues
);
SELECT holdfast_guard('disposition_queues');

-- The reasons of before. A time span was kept as Go writes it: 15m, 1h30m, 1.5s, 10ms.
CREATE FUNCTION holdfast_span_ms(span text) RETURNS bigint LANGUAGE sql IMMUTABLE
  RETURN (SELECT coalesce(round(sum(m[1]::numeric * CASE m[2] WHEN 'h' THEN 3600000 WHEN 'm' THEN 60000 WHEN 's' THEN 1000 WHEN 'ms' THEN 1 ELSE 0 END)), 0)
            FROM regexp_matches(span, '([0-9.]+)(h|ms|m|s)', 'g') m);
ALTER TABLE tenants NO FORCE ROW LEVEL SECURITY; -- for the owner, who migrates
ALTER TABLE reasons NO FORCE ROW LEVEL SECURITY;
INSERT INTO reasons (tenant_id, code, place, display_name, limit_ms, then_do)
SELECT t.tenant_id, r.r ->> 'code', r.place, coalesce(r.r ->> 'display_name', ''), holdfast_span_ms(r.r ->> 'limit'), coalesce(r.r ->> 'then', '')
  FROM tenants t
 CROSS JOIN LATERAL jsonb_array_elements(CASE jsonb_typeof(t.policies -> 'not_ready_reasons') WHEN 'array' THEN t.policies -> 'not_ready_reasons' ELSE '[]' END)
       WITH ORDINALITY r (r, place);
UPDATE tenants SET policies = policies - 'not_ready_reasons' WHERE policies ? 'not_ready_reasons';
ALTER TABLE reasons FORCE ROW LEVEL SECURITY;
ALTER TABLE tenants FORCE ROW LEVEL SECURITY;
DROP FUNCTION holdfast_span_ms;

DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['reasons', 'skills', 'dispositions', 'organizations', 'divisions', 'tenants'] LOOP
    EXECUTE format('ALTER TABLE %I ADD COLUMN IF NOT EXISTS created_at timestamptz NOT NULL DEFAULT now()', t);
    EXECUTE format('ALTER TABLE %I ADD COLUMN version bigint NOT NULL DEFAULT 1, ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now()', t);
    EXECUTE format('CREATE TRIGGER count_change BEFORE UPDATE ON %I FOR EACH ROW EXECUTE FUNCTION holdfast_count_change()', t);
  END LOOP;
END $$;

-- What was deleted of the levels above what a tenant holds. parts are as in removed.
CREATE TABLE removed_levels (
  kind         text NOT NULL CHECK (kind IN ('organization', 'division', 'tenant')),
  name         text NOT NULL,
  organization text NOT NULL,
  division     text NOT NULL,
  thing        jsonb NOT NULL,
  parts        jsonb NOT NULL,
  version      bigint NOT NULL,
  created_at   timestamptz NOT NULL,
  removed_at   timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (kind, name)
);
ALTER TABLE removed_levels ENABLE ROW LEVEL SECURITY;
ALTER TABLE removed_levels FORCE ROW LEVEL SECURITY;
SELECT holdfast_open_to_system('removed_levels', 'SELECT', 'INSERT', 'UPDATE', 'DELETE');
SELECT holdfast_open_to_system('organizations', 'DELETE');
SELECT holdfast_open_to_system('divisions', 'DELETE');
SELECT holdfast_open_to_system('tenants', 'DELETE');
