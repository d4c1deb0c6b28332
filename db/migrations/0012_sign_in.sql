-- Sign-in: logins that are listed and ended, what is kept of passwords, API keys, and
-- OpenID Connect.

-- A login is one sign-in of a user, with all its tokens. turn is the number of the one
-- refresh token that is good: each refresh counts it up. An ended login is kept until
-- its tokens would have expired, so that whoever still has one is told why.
CREATE TABLE logins (
  tenant_id  text NOT NULL REFERENCES tenants ON DELETE CASCADE, -- whose user it is
  login      text NOT NULL CHECK (login <> ''),
  user_name  text NOT NULL,
  method     text NOT NULL CHECK (method IN ('password', 'oidc')),
  user_agent text NOT NULL DEFAULT '',
  address    text NOT NULL DEFAULT '',
  begun_at   timestamptz NOT NULL,
  used_at    timestamptz NOT NULL,
  turn       bigint NOT NULL DEFAULT 1,
  turned_at  timestamptz NOT NULL,
  expires    timestamptz NOT NULL,
  ended_at   timestamptz,
  ended_by   text NOT NULL DEFAULT '',
  PRIMARY KEY (tenant_id, login)
);
CREATE INDEX logins_user ON logins (tenant_id, user_name);
CREATE INDEX logins_expires ON logins (tenant_id, expires);
SELECT holdfast_guard('logins');

-- holdfast_end_login gives a login up: whoever has a token of it is refused from now on,
-- in all processes, with the commit. Logins from before this table stand in revocations only.
CREATE FUNCTION holdfast_end_login(t text, l text, why text, until timestamptz) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  UPDATE logins SET ended_at = clock_timestamp(), ended_by = why WHERE tenant_id = t AND login = l AND ended_at IS NULL;
  INSERT INTO revocations (tenant_id, login, expires) VALUES (t, l, until)
  ON CONFLICT (tenant_id, login) DO UPDATE SET expires = greatest(revocations.expires, excluded.expires);
  PERFORM pg_notify('holdfast_revoked', t || '/' || l);
END $$;

-- holdfast_end_logins gives up all logins of a user but one, and counts them. An access
-- token outlives the refresh token that it came with by less than an hour.
CREATE FUNCTION holdfast_end_logins(t text, u text, why text, kept text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE l record; n bigint := 0;
BEGIN
  FOR l IN SELECT login, expires FROM logins WHERE tenant_id = t AND user_name = u AND ended_at IS NULL AND login <> kept ORDER BY login FOR UPDATE LOOP
    PERFORM holdfast_end_login(t, l.login, why, greatest(l.expires, clock_timestamp()) + interval '1 hour');
    n := n + 1;
  END LOOP;
  RETURN n;
END $$;

-- When a password was set, and the hashes of those before it, newest first.
ALTER TABLE users
  ADD COLUMN password_set_at  timestamptz NOT NULL DEFAULT now(),
  ADD COLUMN password_history text[] NOT NULL DEFAULT '{}';

-- A password that is hashed anew at a newer cost (holdfast.renewing) is the same password:
-- nothing that people see changes with it.
CREATE FUNCTION holdfast_password() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.password_hash = OLD.password_hash THEN
    RETURN NEW;
  END IF;
  IF current_setting('holdfast.renewing', true) = 'on' THEN
    NEW.version := OLD.version;
    NEW.updated_at := OLD.updated_at;
    RETURN NEW;
  END IF;
  NEW.password_set_at := clock_timestamp();
  IF OLD.password_hash <> '' THEN
    NEW.password_history := (ARRAY[OLD.password_hash] || OLD.password_history)[1:24];
  END IF;
  RETURN NEW;
END $$;
-- After count_change, by its name: it takes that one's work back.
CREATE TRIGGER password BEFORE UPDATE OF password_hash ON users FOR EACH ROW EXECUTE FUNCTION holdfast_password();

-- An API key acts for itself, by what its maker may at that moment. Of the key only the
-- hash is kept.
CREATE TABLE api_keys (
  tenant_id    text NOT NULL REFERENCES tenants ON DELETE CASCADE,
  name         text NOT NULL CHECK (name <> ''),
  display_name text NOT NULL DEFAULT '',
  maker        text NOT NULL,
  prefix       text NOT NULL,
  secret_hash  bytea NOT NULL UNIQUE CHECK (length(secret_hash) = 32),
  permissions  text[] NOT NULL DEFAULT '{}',
  addresses    text[] NOT NULL DEFAULT '{}', -- networks; none: from everywhere
  expires_at   timestamptz,
  version      bigint NOT NULL DEFAULT 1,
  created_at   timestamptz NOT NULL DEFAULT now(),
  updated_at   timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, name)
);
CREATE TRIGGER count_change BEFORE UPDATE ON api_keys FOR EACH ROW EXECUTE FUNCTION holdfast_count_change();
SELECT holdfast_guard('api_keys');
-- A key doesn't tell whose it is before it was found.
SELECT holdfast_open_to_system('api_keys', 'SELECT');

-- When a key was used last: apart, because it is no change of the key.
CREATE TABLE api_key_uses (
  tenant_id text NOT NULL,
  name      text NOT NULL,
  used_at   timestamptz NOT NULL,
  address   text NOT NULL,
  PRIMARY KEY (tenant_id, name),
  FOREIGN KEY (tenant_id, name) REFERENCES api_keys ON DELETE CASCADE
);
SELECT holdfast_guard('api_key_uses');

-- A tenant's OpenID Connect provider. client_secret is sealed with a key that the
-- database doesn't have.
CREATE TABLE oidc (
  tenant_id     text NOT NULL REFERENCES tenants ON DELETE CASCADE,
  name          text NOT NULL DEFAULT 'oidc' CHECK (name = 'oidc'), -- one per tenant
  issuer        text NOT NULL CHECK (issuer <> ''),
  client_id     text NOT NULL CHECK (client_id <> ''),
  client_secret text NOT NULL DEFAULT '',
  scopes        text[] NOT NULL DEFAULT '{openid,profile,email}',
  claim         text NOT NULL DEFAULT 'preferred_username',
  new_users     boolean NOT NULL DEFAULT false,
  role          text NOT NULL DEFAULT '',
  passwords     boolean NOT NULL DEFAULT true,
  version       bigint NOT NULL DEFAULT 1,
  created_at    timestamptz NOT NULL DEFAULT now(),
  updated_at    timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, name)
);
CREATE TRIGGER count_change BEFORE UPDATE ON oidc FOR EACH ROW EXECUTE FUNCTION holdfast_count_change();
SELECT holdfast_guard('oidc');

-- Which user a subject of a provider is. The first sign-in binds them: whoever gets the
-- same name or address at the provider later is somebody else.
CREATE TABLE oidc_links (
  tenant_id text NOT NULL,
  issuer    text NOT NULL,
  subject   text NOT NULL,
  user_name text NOT NULL,
  since     timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, issuer, subject),
  UNIQUE (tenant_id, issuer, user_name),
  FOREIGN KEY (tenant_id, user_name) REFERENCES users ON DELETE CASCADE
);
SELECT holdfast_guard('oidc_links');

-- Who is disabled or deleted, or has a new password, is signed out everywhere, whichever
-- way the change comes. The login that changes its own password (holdfast.login) stays.
CREATE FUNCTION holdfast_sign_out() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    PERFORM holdfast_end_logins(OLD.tenant_id, OLD.name, 'deleted', '');
    -- Somebody else of the same name must not wake them up.
    DELETE FROM api_keys WHERE tenant_id = OLD.tenant_id AND maker = OLD.name;
  ELSIF NEW.disabled AND NOT OLD.disabled THEN
    PERFORM holdfast_end_logins(NEW.tenant_id, NEW.name, 'disabled', '');
  ELSIF NEW.password_set_at <> OLD.password_set_at THEN
    PERFORM holdfast_end_logins(NEW.tenant_id, NEW.name, 'password', coalesce(current_setting('holdfast.login', true), ''));
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER sign_out AFTER UPDATE OR DELETE ON users FOR EACH ROW EXECUTE FUNCTION holdfast_sign_out();
