-- What agent sessions hold: devices and terminals.

-- When the agent is signed out, a time of day in the tenant's zone; '' is never.
ALTER TABLE agents ADD COLUMN shift_end text NOT NULL DEFAULT '';

-- SEED-30, SEED-32: a device serves one session at a time. A row is written in the
-- transaction that saves the session, and goes with it. taken_from had the device until
-- the save of that version took it (device_conflict take_over).
CREATE TABLE bindings (
  tenant_id  text NOT NULL,
  device     text NOT NULL,
  agent      text NOT NULL,
  version    bigint NOT NULL,
  taken_from text,
  since      timestamptz NOT NULL,
  holder     bigint NOT NULL GENERATED ALWAYS AS (hashtextextended(tenant_id || '/' || agent, 0)) STORED, -- see 0003_live.sql
  PRIMARY KEY (tenant_id, device)
);
CREATE INDEX bindings_holder ON bindings (holder);
SELECT holdfast_guard('bindings');
SELECT holdfast_open_to_system('bindings', 'SELECT');

-- holdfast_bind lets an agent hold the wanted devices and no others. One that somebody
-- else holds is taken only if it is claimed, and if no call is on its way to its holder
-- or in progress there. It returns what others have (taken) and had (lost).
CREATE FUNCTION holdfast_bind(t text, a text, v bigint, wanted text[], claimed text[], at timestamptz)
RETURNS TABLE (o_device text, o_agent text, o_lost boolean) LANGUAGE plpgsql AS $$
DECLARE d text; had text;
BEGIN
  DELETE FROM bindings b WHERE b.holder = hashtextextended(t || '/' || a, 0) AND b.tenant_id = t AND b.agent = a AND b.device <> ALL (wanted);
  FOR d IN SELECT unnest(wanted) ORDER BY 1 LOOP -- in one order, so that two agents don't wait for each other
    LOOP
      INSERT INTO bindings (tenant_id, device, agent, version, since) VALUES (t, d, a, v, at) ON CONFLICT (tenant_id, device) DO NOTHING;
      SELECT b.agent INTO had FROM bindings b WHERE b.tenant_id = t AND b.device = d FOR UPDATE;
      EXIT WHEN FOUND; -- else it was let go of in between
    END LOOP;
    CONTINUE WHEN had = a;
    IF NOT EXISTS (SELECT FROM presence p WHERE p.tenant_id = t AND p.agent = had AND p.state <> 'LoggedOff') THEN
      UPDATE bindings b SET agent = a, version = v, taken_from = NULL, since = at WHERE b.tenant_id = t AND b.device = d;
      CONTINUE;
    END IF;
    IF d = ANY (claimed) THEN
      UPDATE presence p SET available = false
       WHERE p.tenant_id = t AND p.agent = had AND p.offer IS NULL AND p.state NOT IN ('Reserved', 'Busy');
      IF FOUND THEN
        DELETE FROM candidates c WHERE c.tenant_id = t AND c.agent = had;
        UPDATE bindings b SET agent = a, version = v, taken_from = had, since = at WHERE b.tenant_id = t AND b.device = d;
        RETURN QUERY SELECT d, had, true;
        CONTINUE;
      END IF;
    END IF;
    RETURN QUERY SELECT d, had, false;
  END LOOP;
END $$;

-- Sessions that run already hold what they are bound to.
ALTER TABLE presence NO FORCE ROW LEVEL SECURITY; -- for the owner, who migrates
ALTER TABLE bindings NO FORCE ROW LEVEL SECURITY;
INSERT INTO bindings (tenant_id, device, agent, version, since)
SELECT p.tenant_id, x ->> 'device', p.agent, p.version, now()
  FROM presence p CROSS JOIN LATERAL jsonb_array_elements(CASE jsonb_typeof(p.view -> 'binding' -> 'addresses') WHEN 'array' THEN p.view -> 'binding' -> 'addresses' ELSE '[]' END) x
 WHERE p.state <> 'LoggedOff' AND x ->> 'device' <> ''
    ON CONFLICT DO NOTHING;
ALTER TABLE presence FORCE ROW LEVEL SECURITY;
ALTER TABLE bindings FORCE ROW LEVEL SECURITY;

-- SEED-61, SEED-100: the open terminals of sessions. A terminal that shows no life until
-- expires_at is gone; lapsed: the session is being told so.
CREATE TABLE terminals (
  tenant_id  text NOT NULL,
  agent      text NOT NULL,
  terminal   text NOT NULL,
  expires_at timestamptz NOT NULL,
  lapsed     boolean NOT NULL DEFAULT false,
  PRIMARY KEY (tenant_id, agent, terminal)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
CREATE INDEX terminals_expires ON terminals (expires_at);
SELECT holdfast_guard('terminals');
SELECT holdfast_open_to_system('terminals', 'SELECT', 'UPDATE');
