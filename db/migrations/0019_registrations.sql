-- What happened to a device's registrations: the last 50 things of each device, and events
-- of those that came, moved and went. A refresh from where the phone was is neither.

-- reason is why a REGISTER was rejected, times how often in a row; at and address are of
-- the last of them.
CREATE TABLE registration_history (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant_id  text NOT NULL,
  device     text NOT NULL,
  at         timestamptz NOT NULL,
  change     text NOT NULL CHECK (change IN ('registered', 'moved', 'unregistered', 'replaced', 'expired', 'lost', 'rejected')),
  reason     text NOT NULL DEFAULT '',
  times      int NOT NULL DEFAULT 1,
  contact    text NOT NULL DEFAULT '',
  address    text NOT NULL DEFAULT '',
  transport  text NOT NULL DEFAULT '',
  user_agent text NOT NULL DEFAULT '',
  node       text NOT NULL DEFAULT '',
  FOREIGN KEY (tenant_id, device) REFERENCES devices ON DELETE CASCADE
);
CREATE INDEX registration_history_device ON registration_history (tenant_id, device, id);
SELECT holdfast_guard('registration_history');

-- holdfast_keep_history adds a line of a device that is there, one at a time, and lets go of
-- the oldest. A rejection like the one before is counted there.
CREATE FUNCTION holdfast_keep_history(line registration_history) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE last record;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('history ' || line.tenant_id || '/' || line.device, 0));
  IF line.change = 'rejected' THEN
    SELECT h.id, h.change, h.reason INTO last FROM registration_history h
     WHERE h.tenant_id = line.tenant_id AND h.device = line.device ORDER BY h.id DESC LIMIT 1;
    IF last.change = 'rejected' AND last.reason = line.reason THEN
      UPDATE registration_history h SET at = line.at, times = h.times + line.times, address = line.address, transport = line.transport,
             user_agent = line.user_agent, node = line.node
       WHERE h.id = last.id;
      RETURN true;
    END IF;
  END IF;
  INSERT INTO registration_history (tenant_id, device, at, change, reason, times, contact, address, transport, user_agent, node)
  SELECT line.tenant_id, d.name, line.at, line.change, line.reason, line.times, line.contact, line.address, line.transport, line.user_agent, line.node
    FROM devices d WHERE d.tenant_id = line.tenant_id AND d.name = line.device;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  DELETE FROM registration_history h WHERE h.tenant_id = line.tenant_id AND h.device = line.device AND h.id <= (
    SELECT o.id FROM registration_history o WHERE o.tenant_id = line.tenant_id AND o.device = line.device ORDER BY o.id DESC OFFSET 50 LIMIT 1);
  RETURN true;
END $$;

-- Why one goes is said by whoever removes it (holdfast.registration); what has run out
-- has expired, whoever removes it.
CREATE FUNCTION holdfast_registration_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  r    registrations := CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
  line registration_history;
BEGIN
  line.change := CASE
    WHEN TG_OP = 'INSERT' THEN 'registered'
    WHEN TG_OP = 'UPDATE' THEN CASE WHEN OLD.since <> NEW.since THEN 'registered' ELSE 'moved' END
    WHEN OLD.expires <= clock_timestamp() THEN 'expired'
    ELSE coalesce(nullif(current_setting('holdfast.registration', true), ''), 'lost') END;
  line.tenant_id := r.tenant_id; line.device := r.device; line.at := clock_timestamp(); line.reason := ''; line.times := 1;
  line.contact := r.contact; line.address := r.flow; line.transport := r.transport; line.user_agent := r.user_agent; line.node := r.node;
  IF holdfast_keep_history(line) THEN
    INSERT INTO events (tenant_id, stream, version, kind, at, view)
    SELECT r.tenant_id, 'device:' || r.device, 1 + holdfast_last_version(r.tenant_id, 'device:' || r.device),
           CASE line.change WHEN 'registered' THEN 'Registered' WHEN 'moved' THEN 'Moved' ELSE 'Unregistered' END, line.at, jsonb_build_object('device', r.device, 'change', line.change, 'at', line.at, 'address', r.flow,
             'transport', r.transport, 'user_agent', r.user_agent, 'node', r.node, 'registrations', (
             SELECT count(*) FROM registrations x WHERE x.tenant_id = r.tenant_id AND x.device = r.device AND x.expires > line.at));
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER came_or_went AFTER INSERT OR DELETE ON registrations FOR EACH ROW EXECUTE FUNCTION holdfast_registration_changed();
CREATE TRIGGER moved AFTER UPDATE ON registrations FOR EACH ROW
  WHEN (OLD.since <> NEW.since OR OLD.transport <> NEW.transport OR regexp_replace(OLD.flow, ':[0-9]+$', '') <> regexp_replace(NEW.flow, ':[0-9]+$', ''))
  EXECUTE FUNCTION holdfast_registration_changed();

-- What is sealed anew with another key (holdfast.resealing) is the same secret: it is no
-- change that anybody sees, and does not make the one before a former one.
CREATE OR REPLACE FUNCTION holdfast_count_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('holdfast.resealing', true) = 'on' THEN
    RETURN NEW;
  END IF;
  IF to_jsonb(NEW) - 'at_hand' IS DISTINCT FROM to_jsonb(OLD) - 'at_hand' THEN
    NEW.version := OLD.version + 1;
    NEW.updated_at := clock_timestamp();
  END IF;
  RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION holdfast_change_webhook() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('holdfast.resealing', true) = 'on' THEN
    RETURN NEW;
  END IF;
  IF NEW.secret <> OLD.secret THEN
    NEW.former_secret := OLD.secret;
    NEW.former_until := clock_timestamp() + make_interval(secs => NEW.overlap_ms / 1000.0);
  END IF;
  IF NEW.enabled THEN
    NEW.disabled_because := '';
    IF NOT OLD.enabled THEN -- its receiver gets its days anew
      UPDATE webhook_health h SET failing_since = NULL, paused_until = NULL WHERE h.tenant_id = NEW.tenant_id AND h.hook = NEW.hook;
    END IF;
  END IF;
  RETURN NEW;
END $$;
