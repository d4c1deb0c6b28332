-- SEED-129: what people's browsers and programs report of themselves. Kept as it came,
-- for as long as the tenant says (client_log_days), and deleted with the next report.
CREATE TABLE client_logs (
  tenant_id  text NOT NULL,
  id         text COLLATE "C" NOT NULL, -- in the order of time
  user_name  text NOT NULL,
  home       text NOT NULL DEFAULT '', -- whose user it is, if not this tenant's
  agent      text NOT NULL DEFAULT '',
  at         timestamptz NOT NULL,
  address    text NOT NULL,
  user_agent text NOT NULL,
  program    text NOT NULL, -- its version, as it says
  skew_ms    bigint,        -- how far its clock was ahead of ours; null: it did not say
  media      text NOT NULL CHECK (media IN ('application/x-ndjson', 'text/plain', 'application/gzip')),
  entries    int NOT NULL,  -- of application/x-ndjson, one on each line
  size       int NOT NULL,
  body       bytea NOT NULL,
  PRIMARY KEY (tenant_id, id)
);
CREATE INDEX client_logs_user ON client_logs (tenant_id, user_name, at);
CREATE INDEX client_logs_at ON client_logs (tenant_id, at);
SELECT holdfast_guard('client_logs');
