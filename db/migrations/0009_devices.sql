-- Devices with all that an administrator may set of them, the numbers that lead to them,
-- and what their calls are booked to.

-- Whose national form of telephone numbers is understood: ISO 3166-1 alpha-2; '' is none.
ALTER TABLE tenants ADD COLUMN country text NOT NULL DEFAULT '';

-- number is E.164, dial what a trunk gets to reach it. owner pays for the device's calls;
-- null: the agent's user does. The rest are SEED-120 to SEED-128.
ALTER TABLE devices
  ADD COLUMN extension     text NOT NULL DEFAULT '',
  ADD COLUMN owner         text,
  ADD COLUMN dial          text NOT NULL DEFAULT '',
  ADD COLUMN transports    text[] NOT NULL DEFAULT '{}',
  ADD COLUMN host          text NOT NULL DEFAULT 'dynamic',
  ADD COLUMN nat           text NOT NULL DEFAULT 'yes',
  ADD COLUMN type          text NOT NULL DEFAULT 'friend',
  ADD COLUMN codecs        text[] NOT NULL DEFAULT '{}',
  ADD COLUMN caller_id     text NOT NULL DEFAULT '',
  ADD COLUMN context       text NOT NULL DEFAULT 'from-sip',
  ADD COLUMN call_groups   text[] NOT NULL DEFAULT '{}',
  ADD COLUMN pickup_groups text[] NOT NULL DEFAULT '{}',
  ADD COLUMN monitoring    boolean NOT NULL DEFAULT true,
  ADD COLUMN recording     text NOT NULL DEFAULT 'off',
  ADD COLUMN srtp          boolean NOT NULL DEFAULT false,
  ADD FOREIGN KEY (tenant_id, owner) REFERENCES users ON DELETE SET NULL (owner);
ALTER TABLE devices NO FORCE ROW LEVEL SECURITY; -- for the owner, who migrates
UPDATE devices SET dial = number, host = '', nat = '', type = '', context = '' WHERE kind = 'external';
ALTER TABLE devices FORCE ROW LEVEL SECURITY;
-- at_hand: it can be called without a registration.
ALTER TABLE devices ADD COLUMN at_hand boolean NOT NULL GENERATED ALWAYS AS
  (kind = 'external' OR host NOT IN ('', 'dynamic') AND type <> 'user') STORED;
CREATE INDEX devices_extension ON devices (tenant_id, extension) WHERE extension <> '';

-- SEED-39: a number inside leads to one thing only. A row per agent, per extension of a
-- device and per number, kept by triggers; checked at the end of a transaction, so that
-- a number may change hands within one.
CREATE TABLE taken_numbers (
  tenant_id text NOT NULL,
  number    text NOT NULL,
  holder    text NOT NULL CHECK (holder IN ('agent', 'device', 'number')),
  PRIMARY KEY (tenant_id, number) DEFERRABLE INITIALLY DEFERRED
);
SELECT holdfast_guard('taken_numbers');

CREATE FUNCTION holdfast_take_number() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  kind   text := TG_ARGV[0];
  before text := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) ->> TG_ARGV[1] ELSE '' END;
  after  text := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) ->> TG_ARGV[1] ELSE '' END;
BEGIN
  IF before <> after THEN
    DELETE FROM taken_numbers WHERE tenant_id = OLD.tenant_id AND number = before AND holder = kind AND before <> '';
    IF after <> '' THEN
      INSERT INTO taken_numbers VALUES (NEW.tenant_id, after, kind);
    END IF;
  END IF;
  RETURN NULL;
END $$;

-- What was in the directory before stays as it is: a number went before an agent's.
ALTER TABLE numbers NO FORCE ROW LEVEL SECURITY;
ALTER TABLE agents NO FORCE ROW LEVEL SECURITY;
ALTER TABLE taken_numbers NO FORCE ROW LEVEL SECURITY;
INSERT INTO taken_numbers SELECT tenant_id, number, 'number' FROM numbers;
INSERT INTO taken_numbers SELECT tenant_id, number, 'agent' FROM agents a
 WHERE NOT EXISTS (SELECT FROM numbers n WHERE n.tenant_id = a.tenant_id AND n.number = a.number);
ALTER TABLE numbers FORCE ROW LEVEL SECURITY;
ALTER TABLE agents FORCE ROW LEVEL SECURITY;
ALTER TABLE taken_numbers FORCE ROW LEVEL SECURITY;
CREATE TRIGGER take_number AFTER INSERT OR UPDATE OR DELETE ON agents FOR EACH ROW EXECUTE FUNCTION holdfast_take_number('agent', 'number');
CREATE TRIGGER take_number AFTER INSERT OR UPDATE OR DELETE ON numbers FOR EACH ROW EXECUTE FUNCTION holdfast_take_number('number', 'number');
CREATE TRIGGER take_number AFTER INSERT OR UPDATE OR DELETE ON devices FOR EACH ROW EXECUTE FUNCTION holdfast_take_number('device', 'extension');

-- SEED-47, SEED-50: what is to be paid, and by whom. Written with the record of the call,
-- and kept when user or device are gone. account is a user, '' if nobody owns the device.
CREATE TABLE bookings (
  tenant_id   text NOT NULL,
  call        text NOT NULL,
  leg         text NOT NULL,
  kind        text NOT NULL CHECK (kind IN ('dialled', 'external')), -- by an internal device; through an external one
  account     text NOT NULL,
  device      text NOT NULL,
  trunk       text NOT NULL, -- '' if the device's number chose it
  number      text NOT NULL, -- outside
  answered_at timestamptz NOT NULL,
  ended_at    timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, call, leg)
);
CREATE INDEX bookings_account ON bookings (tenant_id, account, answered_at);
SELECT holdfast_guard('bookings');

-- Since when a phone is registered; a refresh keeps it.
ALTER TABLE registrations ADD COLUMN since timestamptz NOT NULL DEFAULT now();

-- How long phones take to answer. Measured by their nodes all the time and written once
-- in a while, all of a node together; of no worth after a crash.
CREATE UNLOGGED TABLE pulses (
  tenant_id   text NOT NULL,
  device      text NOT NULL,
  instance    text NOT NULL,
  round_trip  interval NOT NULL,
  measured_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, device, instance)
) WITH (fillfactor = 70);
SELECT holdfast_guard('pulses');
