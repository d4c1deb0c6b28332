-- Which number calls show that go out by a trunk, where the device that calls has none; and
-- whether the carrier is told who calls as a trusted network is (RFC 3325).
ALTER TABLE trunks
  ADD COLUMN caller_id text NOT NULL DEFAULT '',
  ADD COLUMN identity  text NOT NULL DEFAULT 'asserted' CHECK (identity IN ('asserted', 'none'));
