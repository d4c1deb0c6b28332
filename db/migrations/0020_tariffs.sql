-- SEED-44, SEED-47, SEED-50: what calls to the outside cost.

-- In what a tenant's tariffs are: ISO 4217.
ALTER TABLE tenants ADD COLUMN currency text NOT NULL DEFAULT 'EUR';

-- The price of calls to the numbers that begin so (E.164; + is for all that have no other;
-- the longest wins). per_minute and per_call are millionths of the tenant's currency. Bounds
-- and arithmetic are those of the package domain/tariff.
CREATE TABLE tariffs (
  tenant_id    text NOT NULL REFERENCES tenants ON DELETE CASCADE,
  prefix       text COLLATE "C" NOT NULL CHECK (prefix ~ '^\+([1-9][0-9]{0,14})?$'),
  display_name text NOT NULL DEFAULT '',
  per_minute   bigint NOT NULL CHECK (per_minute BETWEEN 0 AND 1000000000000),
  per_call     bigint NOT NULL DEFAULT 0 CHECK (per_call BETWEEN 0 AND 1000000000000),
  first_ms     bigint NOT NULL DEFAULT 60000 CHECK (first_ms BETWEEN 0 AND 3600000), -- charged at least
  step_ms      bigint NOT NULL DEFAULT 60000 CHECK (step_ms BETWEEN 1 AND 3600000),  -- what follows, as begun
  version      bigint NOT NULL DEFAULT 1,
  created_at   timestamptz NOT NULL DEFAULT now(),
  updated_at   timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, prefix)
);
SELECT holdfast_guard('tariffs');
CREATE TRIGGER count_change BEFORE UPDATE ON tariffs FOR EACH ROW EXECUTE FUNCTION holdfast_count_change();

-- A booking keeps what it cost on its day, in millionths, and by which tariff; null: there
-- was none for the number.
ALTER TABLE bookings
  ADD COLUMN price    bigint,
  ADD COLUMN currency text NOT NULL DEFAULT 'EUR',
  ADD COLUMN tariff   text NOT NULL DEFAULT '';

-- holdfast_prefixes are all beginnings of a number that tariffs can have.
CREATE FUNCTION holdfast_prefixes(number text) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN ARRAY (SELECT left(number, n) COLLATE "C" FROM generate_series(1, least(length(number), 16)) n);

-- holdfast_talk_ms is how long a leg lasted, in whole milliseconds.
CREATE FUNCTION holdfast_talk_ms(answered timestamptz, ended timestamptz) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN greatest(floor(extract(epoch FROM ended - answered) * 1000), 0)::bigint;

-- holdfast_price is Tariff.Price of domain/tariff; a test compares them.
CREATE FUNCTION holdfast_price(t tariffs, talk_ms bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN (SELECT t.per_call + t.per_minute * (c.ms / 60000) + (t.per_minute * (c.ms % 60000) + 30000) / 60000
            FROM (SELECT t.first_ms + greatest(least(talk_ms, 31622400000) - t.first_ms + t.step_ms - 1, 0) / t.step_ms * t.step_ms) AS c (ms));
