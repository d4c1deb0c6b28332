-- What callers hear who wait: sound files of a tenant, chosen by its queues. The name that
-- a queue had until now led nowhere.
CREATE TABLE music (
  tenant_id    text NOT NULL REFERENCES tenants ON DELETE CASCADE,
  name         text NOT NULL CHECK (name <> ''),
  display_name text NOT NULL DEFAULT '',
  audio        bytea NOT NULL CHECK (length(audio) BETWEEN 1 AND 2097152), -- a WAVE file
  duration_ms  bigint NOT NULL,
  sha256       text NOT NULL, -- of audio, in hexadecimal
  version      bigint NOT NULL DEFAULT 1,
  created_at   timestamptz NOT NULL DEFAULT now(),
  updated_at   timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, name)
);
ALTER TABLE music ALTER COLUMN audio SET STORAGE EXTERNAL; -- sound does not compress
SELECT holdfast_guard('music');
CREATE TRIGGER count_change BEFORE UPDATE ON music FOR EACH ROW EXECUTE FUNCTION holdfast_count_change();

UPDATE queues SET music = '' WHERE music <> '';
CREATE INDEX queues_music ON queues (tenant_id, music) WHERE music <> '';
