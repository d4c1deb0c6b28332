-- Roles, tenancy, and the three account levels.
--
-- Who may see what is decided here, for every table, by row-level security:
--
--   holdfast_app     serves tenants. It sees the rows of the tenant named by the
--                    setting holdfast.tenant of its transaction, and no others.
--   holdfast_system  is taken on for one transaction by the few reads and writes
--                    that belong to no tenant: provisioning an account, all
--                    trunks, all realms, orphaned calls, the registry of nodes,
--                    the tail of the events. It is granted those tables only.
--
-- Neither owns a table, neither is a superuser or bypasses row-level security,
-- and neither inherits the other: SET LOCAL ROLE is the only way across.

DO $$
BEGIN
  BEGIN
    CREATE ROLE holdfast_app NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS NOINHERIT;
  EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
  END;
  BEGIN
    CREATE ROLE holdfast_system NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS NOINHERIT;
  EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
  END;
  IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
    GRANT holdfast_app TO CURRENT_USER; -- so that the owner may serve as well
  END IF;
  IF NOT pg_has_role('holdfast_app', 'holdfast_system', 'MEMBER') THEN
    GRANT holdfast_system TO holdfast_app; -- by SET ROLE only: holdfast_app is NOINHERIT
  END IF;
END $$;

GRANT USAGE ON SCHEMA public TO holdfast_app, holdfast_system;

-- holdfast_tenant is the tenant whose transaction this is; empty if none was set,
-- which no row has.
CREATE FUNCTION holdfast_tenant() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
  RETURN current_setting('holdfast.tenant', true);

-- holdfast_guard puts a tenant's table under row-level security.
CREATE FUNCTION holdfast_guard(guarded regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', guarded);
  EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', guarded);
  EXECUTE format('CREATE POLICY tenant ON %s TO holdfast_app USING (tenant_id = holdfast_tenant()) WITH CHECK (tenant_id = holdfast_tenant())', guarded);
  EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO holdfast_app', guarded);
END $$;

-- holdfast_open_to_system lets the system role do what is named, and only that, on
-- the rows of all tenants.
CREATE FUNCTION holdfast_open_to_system(guarded regclass, VARIADIC commands text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE command text;
BEGIN
  FOREACH command IN ARRAY commands LOOP
    EXECUTE format('GRANT %s ON %s TO holdfast_system', command, guarded);
    EXECUTE format('CREATE POLICY %I ON %s FOR %s TO holdfast_system %s', 'system_' || lower(command), guarded, command,
      CASE command WHEN 'INSERT' THEN 'WITH CHECK (true)' WHEN 'UPDATE' THEN 'USING (true) WITH CHECK (true)' ELSE 'USING (true)' END);
  END LOOP;
END $$;

CREATE TABLE organizations (
  name         text PRIMARY KEY CHECK (name <> ''),
  display_name text NOT NULL DEFAULT '',
  created_at   timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE divisions (
  organization text NOT NULL REFERENCES organizations,
  name         text NOT NULL CHECK (name <> ''),
  display_name text NOT NULL DEFAULT '',
  created_at   timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization, name)
);

-- tenant_id is the tenant's domain (SEED-66) and never changes.
CREATE TABLE tenants (
  tenant_id    text PRIMARY KEY CHECK (tenant_id <> ''),
  organization text NOT NULL,
  division     text NOT NULL,
  display_name text NOT NULL DEFAULT '',
  policies     jsonb NOT NULL DEFAULT '{}',
  created_at   timestamptz NOT NULL DEFAULT now(),
  FOREIGN KEY (organization, division) REFERENCES divisions
);
SELECT holdfast_guard('tenants');
SELECT holdfast_open_to_system('tenants', 'SELECT', 'INSERT', 'UPDATE');

-- A tenant sees the organization and the division that it belongs to.
ALTER TABLE organizations ENABLE ROW LEVEL SECURITY;
ALTER TABLE organizations FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON organizations FOR SELECT TO holdfast_app
  USING (EXISTS (SELECT FROM tenants t WHERE t.organization = organizations.name));
GRANT SELECT ON organizations TO holdfast_app;
SELECT holdfast_open_to_system('organizations', 'SELECT', 'INSERT', 'UPDATE');

ALTER TABLE divisions ENABLE ROW LEVEL SECURITY;
ALTER TABLE divisions FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON divisions FOR SELECT TO holdfast_app
  USING (EXISTS (SELECT FROM tenants t WHERE t.organization = divisions.organization AND t.division = divisions.name));
GRANT SELECT ON divisions TO holdfast_app;
SELECT holdfast_open_to_system('divisions', 'SELECT', 'INSERT', 'UPDATE');

CREATE TABLE teams (
  tenant_id    text NOT NULL REFERENCES tenants ON DELETE CASCADE,
  name         text NOT NULL CHECK (name <> ''),
  display_name text NOT NULL DEFAULT '',
  PRIMARY KEY (tenant_id, name)
);
SELECT holdfast_guard('teams');

-- A user is the only thing that signs in (SEED-1). password_hash is argon2id in
-- the PHC string format; teams is the scope of a supervisor (SEED-14).
CREATE TABLE users (
  tenant_id     text NOT NULL REFERENCES tenants ON DELETE CASCADE,
  name          text NOT NULL CHECK (name <> ''),
  display_name  text NOT NULL DEFAULT '',
  password_hash text NOT NULL DEFAULT '',
  roles         text[] NOT NULL DEFAULT '{}',
  teams         text[] NOT NULL DEFAULT '{}',
  disabled      boolean NOT NULL DEFAULT false,
  PRIMARY KEY (tenant_id, name)
);
SELECT holdfast_guard('users');
