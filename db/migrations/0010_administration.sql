-- Administration: roles that a tenant makes, versions of what is administered, what was
-- deleted and can be restored, and an audit trail that can't be changed unnoticed.

CREATE TABLE roles (
  tenant_id    text NOT NULL REFERENCES tenants ON DELETE CASCADE,
  name         text NOT NULL CHECK (name <> ''),
  display_name text NOT NULL DEFAULT '',
  permissions  text[] NOT NULL DEFAULT '{}',
  PRIMARY KEY (tenant_id, name)
);
SELECT holdfast_guard('roles');

-- Whose accounts and agents a team administrator manages (SEED-43).
ALTER TABLE users ADD COLUMN team text, ADD FOREIGN KEY (tenant_id, team) REFERENCES teams;

-- A version counts the changes of a row, whichever way they come.
CREATE FUNCTION holdfast_count_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW IS DISTINCT FROM OLD THEN
    NEW.version := OLD.version + 1;
    NEW.updated_at := clock_timestamp();
  END IF;
  RETURN NEW;
END $$;
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['users', 'roles', 'teams', 'agents', 'queues', 'numbers', 'trunks', 'devices'] LOOP
    EXECUTE format('ALTER TABLE %I ADD COLUMN version bigint NOT NULL DEFAULT 1,
      ADD COLUMN created_at timestamptz NOT NULL DEFAULT now(), ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now()', t);
    EXECUTE format('CREATE TRIGGER count_change BEFORE UPDATE ON %I FOR EACH ROW EXECUTE FUNCTION holdfast_count_change()', t);
  END LOOP;
END $$;

-- What was deleted. parts are the rows that went, in the order in which they can come
-- back; thing is what the API showed. The last deletion of a name is kept.
CREATE TABLE removed (
  tenant_id  text NOT NULL REFERENCES tenants ON DELETE CASCADE,
  kind       text NOT NULL,
  name       text NOT NULL,
  team       text NOT NULL DEFAULT '',
  thing      jsonb NOT NULL,
  parts      jsonb NOT NULL,
  version    bigint NOT NULL,
  created_at timestamptz NOT NULL,
  removed_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, kind, name)
);
SELECT holdfast_guard('removed');

-- holdfast_restore puts a row back. What only hangs on it and refers to something that
-- is gone meanwhile stays away.
CREATE FUNCTION holdfast_restore(into_table regclass, old jsonb, optional boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE columns text;
BEGIN
  SELECT string_agg(quote_ident(attname), ', ') INTO columns FROM pg_attribute
   WHERE attrelid = into_table AND attnum > 0 AND NOT attisdropped AND attgenerated = '' AND old -> attname IS NOT NULL;
  EXECUTE format('INSERT INTO %s (%s) SELECT %s FROM jsonb_populate_record(NULL::%s, $1)', into_table, columns, columns, into_table) USING old;
EXCEPTION WHEN foreign_key_violation OR unique_violation THEN
  IF NOT optional THEN RAISE; END IF;
END $$;

-- The trail of each tenant is a chain: seq counts its lines, hash is sha256 over a line's
-- content and the hash of the line before. home is the tenant of a user who worked here
-- from another one. Lines can be added only, by whoever may write at all.
ALTER TABLE audit
  ADD COLUMN seq    bigint,
  ADD COLUMN home   text NOT NULL DEFAULT '',
  ADD COLUMN before jsonb,
  ADD COLUMN after  jsonb,
  ADD COLUMN hash   bytea;

-- holdfast_field writes one field so that no two contents read the same: its length in
-- bytes, a colon, the field; "-" if there is none.
CREATE FUNCTION holdfast_field(field text) RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE
  RETURN CASE WHEN field IS NULL THEN '-'::bytea ELSE convert_to(octet_length(field) || ':' || field, 'UTF8') END;

CREATE FUNCTION holdfast_link(line audit, previous bytea) RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE
  RETURN sha256(previous || holdfast_field(line.tenant_id) || holdfast_field(line.seq::text) || holdfast_field(line.user_name) || holdfast_field(line.home)
    || holdfast_field((extract(epoch FROM line.at) * 1000000)::bigint::text) || holdfast_field(line.action) || holdfast_field(line.object)
    || holdfast_field(line.before::text) || holdfast_field(line.after::text) || holdfast_field(line.detail::text)
    || holdfast_field(line.source) || holdfast_field(line.result));

-- What was written before there was a chain is its beginning.
ALTER TABLE audit NO FORCE ROW LEVEL SECURITY;
DO $$
DECLARE line audit; last text := ''; n bigint; h bytea;
BEGIN
  FOR line IN SELECT * FROM audit ORDER BY tenant_id, id LOOP
    IF line.tenant_id <> last THEN n := 0; h := ''; last := line.tenant_id; END IF;
    n := n + 1;
    line.seq := n;
    h := holdfast_link(line, h);
    UPDATE audit SET seq = n, hash = h WHERE id = line.id;
  END LOOP;
END $$;
ALTER TABLE audit ALTER seq SET NOT NULL, ALTER hash SET NOT NULL;
ALTER TABLE audit FORCE ROW LEVEL SECURITY;
DROP INDEX audit_tenant;
CREATE UNIQUE INDEX audit_chain ON audit (tenant_id, seq);
CREATE INDEX audit_object ON audit (tenant_id, object, seq);
CREATE INDEX audit_user ON audit (tenant_id, user_name, seq);

-- holdfast_append links a line to the last one of its tenant, whoever writes it, and
-- whatever it says of its place: one line of a tenant after the other, until the
-- transaction ends.
CREATE FUNCTION holdfast_append() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE last record;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('audit ' || NEW.tenant_id, 0));
  SELECT seq, hash INTO last FROM audit WHERE tenant_id = NEW.tenant_id ORDER BY seq DESC LIMIT 1;
  NEW.seq := coalesce(last.seq, 0) + 1;
  NEW.hash := holdfast_link(NEW, coalesce(last.hash, ''::bytea));
  RETURN NEW;
END $$;
CREATE TRIGGER append BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION holdfast_append();

CREATE FUNCTION holdfast_never() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE 'lines of the audit trail are never changed' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER never BEFORE UPDATE OR DELETE ON audit FOR EACH ROW EXECUTE FUNCTION holdfast_never();
-- doctor walks the chains of all tenants.
SELECT holdfast_open_to_system('audit', 'SELECT');
