-- Whoever has one device's password, or guesses at it, can change or be rejected as often
-- as it likes. What is kept and told of it is bounded; how often, first and last are kept.

-- holdfast_keep_history adds a line of a device that is there, one at a time. Of one kind,
-- which is a change or the reason of a rejection, an hour has four lines of their own (of
-- rejections one), and one more that has when and where the last was, and counts the rest.
-- Of the 50 lines that stay, the last of each kind is one.
CREATE OR REPLACE FUNCTION holdfast_keep_history(line registration_history) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  alone CONSTANT int := CASE line.change WHEN 'rejected' THEN 1 ELSE 4 END;
  lines int;
  last  bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('history ' || line.tenant_id || '/' || line.device, 0));
  SELECT count(*), max(h.id) INTO lines, last FROM registration_history h
   WHERE h.tenant_id = line.tenant_id AND h.device = line.device AND h.change = line.change AND h.reason = line.reason AND h.at > line.at - interval '1 hour';
  IF lines > alone THEN
    UPDATE registration_history h SET at = greatest(h.at, line.at), times = h.times + line.times, contact = line.contact, address = line.address,
           transport = line.transport, user_agent = line.user_agent, node = line.node
     WHERE h.id = last;
    RETURN true;
  END IF;
  INSERT INTO registration_history (tenant_id, device, at, change, reason, times, contact, address, transport, user_agent, node)
  SELECT line.tenant_id, d.name, line.at, line.change, line.reason, line.times, line.contact, line.address, line.transport, line.user_agent, line.node
    FROM devices d WHERE d.tenant_id = line.tenant_id AND d.name = line.device;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  DELETE FROM registration_history h WHERE h.tenant_id = line.tenant_id AND h.device = line.device AND h.id IN (
    SELECT o.id FROM (
      SELECT k.id, row_number() OVER (ORDER BY k.newer > 1, k.at DESC, k.id DESC) AS place FROM (
        SELECT x.id, x.at, row_number() OVER (PARTITION BY x.change, x.reason ORDER BY x.at DESC, x.id DESC) AS newer
          FROM registration_history x WHERE x.tenant_id = line.tenant_id AND x.device = line.device) k) o
     WHERE o.place > 50);
  RETURN true;
END $$;

-- What happened to a device's registrations and is not told yet: an hour has a hundred
-- events of a device; what comes beyond is told together, within a minute or so, as the
-- last of it.
CREATE TABLE registration_held (
  tenant_id text NOT NULL,
  device    text NOT NULL,
  times     int NOT NULL,
  since     timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, device),
  FOREIGN KEY (tenant_id, device) REFERENCES devices ON DELETE CASCADE
);
SELECT holdfast_guard('registration_held');
SELECT holdfast_open_to_system('registration_held', 'SELECT');

-- holdfast_tell_registration writes the event of a line; times says for how many changes it
-- stands.
CREATE FUNCTION holdfast_tell_registration(line registration_history, times int) RETURNS void LANGUAGE sql AS $$
  INSERT INTO events (tenant_id, stream, version, kind, at, view)
  SELECT line.tenant_id, 'device:' || line.device, 1 + holdfast_last_version(line.tenant_id, 'device:' || line.device),
         CASE line.change WHEN 'registered' THEN 'Registered' WHEN 'moved' THEN 'Moved' ELSE 'Unregistered' END, line.at,
         jsonb_build_object('device', line.device, 'change', line.change, 'at', line.at, 'address', line.address,
           'transport', line.transport, 'user_agent', line.user_agent, 'node', line.node, 'registrations', (
           SELECT count(*) FROM registrations x WHERE x.tenant_id = line.tenant_id AND x.device = line.device AND x.expires > clock_timestamp()))
         || CASE WHEN times > 1 THEN jsonb_build_object('times', times) ELSE '{}' END
$$;

-- holdfast_tell_held tells what is held back of a device, if it still is.
CREATE FUNCTION holdfast_tell_held(t text, d text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  line registration_history;
  held int;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('history ' || t || '/' || d, 0));
  DELETE FROM registration_held h WHERE h.tenant_id = t AND h.device = d RETURNING h.times INTO held;
  SELECT * INTO line FROM registration_history h WHERE h.tenant_id = t AND h.device = d AND h.change <> 'rejected' ORDER BY h.at DESC, h.id DESC LIMIT 1;
  IF held IS NOT NULL AND line.id IS NOT NULL THEN
    PERFORM holdfast_tell_registration(line, held);
  END IF;
END $$;

CREATE OR REPLACE FUNCTION holdfast_registration_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  r    registrations := CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
  line registration_history;
  nth  timestamptz;
  held int;
BEGIN
  line.change := CASE
    WHEN TG_OP = 'INSERT' THEN 'registered'
    WHEN TG_OP = 'UPDATE' THEN CASE WHEN OLD.since <> NEW.since THEN 'registered' ELSE 'moved' END
    WHEN OLD.expires <= clock_timestamp() THEN 'expired'
    ELSE coalesce(nullif(current_setting('holdfast.registration', true), ''), 'lost') END;
  line.tenant_id := r.tenant_id; line.device := r.device; line.at := clock_timestamp(); line.reason := ''; line.times := 1;
  line.contact := r.contact; line.address := r.flow; line.transport := r.transport; line.user_agent := r.user_agent; line.node := r.node;
  IF NOT holdfast_keep_history(line) THEN
    RETURN NULL;
  END IF;
  SELECT e.at INTO nth FROM events e WHERE e.tenant_id = r.tenant_id AND e.stream = 'device:' || r.device ORDER BY e.version DESC OFFSET 99 LIMIT 1;
  IF nth > line.at - interval '1 hour' THEN
    INSERT INTO registration_held AS h (tenant_id, device, times, since) VALUES (r.tenant_id, r.device, 1, line.at)
        ON CONFLICT (tenant_id, device) DO UPDATE SET times = h.times + 1;
    RETURN NULL;
  END IF;
  DELETE FROM registration_held h WHERE h.tenant_id = r.tenant_id AND h.device = r.device RETURNING h.times INTO held;
  PERFORM holdfast_tell_registration(line, 1 + coalesce(held, 0));
  RETURN NULL;
END $$;
