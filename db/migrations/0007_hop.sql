-- What telephony nodes need to reach phones whose connections other nodes hold.

-- Only the nodes know it: it signs the Routes by which they send to each other
-- (telephony/hop). One line, made by the first node.
CREATE TABLE node_secret (
  only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
  secret   bytea NOT NULL CHECK (length(secret) >= 32)
);
ALTER TABLE node_secret ENABLE ROW LEVEL SECURITY;
ALTER TABLE node_secret FORCE ROW LEVEL SECURITY;
SELECT holdfast_open_to_system('node_secret', 'SELECT', 'INSERT');

-- Proxies on the way to a phone, nearest first (RFC 3327).
ALTER TABLE registrations ADD COLUMN path text[] NOT NULL DEFAULT '{}';

-- What is shown to a carrier that asks for credentials: its realm, and H(user:realm:password)
-- with it. The password itself is not kept.
ALTER TABLE trunks
  ADD COLUMN realm          text NOT NULL DEFAULT '',
  ADD COLUMN carrier_md5    text NOT NULL DEFAULT '',
  ADD COLUMN carrier_sha256 text NOT NULL DEFAULT '';
