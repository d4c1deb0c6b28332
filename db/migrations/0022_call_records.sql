-- Calls as they are looked for and looked at afterwards.

-- How each offer's ring went, as far as it is known.
ALTER TABLE segments
  ADD COLUMN rang_at  timestamptz,
  ADD COLUMN outcome  text,
  ADD COLUMN sip_code int,
  ADD COLUMN device   text;

-- How long an ended call was in what: waited_ms + talked_ms + held_ms is its whole time,
-- rang_ms a part of waited_ms. The tails are the numbers from their end: a number is
-- known by its last digits, however it is written.
ALTER TABLE calls
  ADD COLUMN waited_ms bigint,
  ADD COLUMN rang_ms   bigint,
  ADD COLUMN talked_ms bigint,
  ADD COLUMN held_ms   bigint,
  ADD COLUMN from_tail text COLLATE "C" NOT NULL GENERATED ALWAYS AS (reverse(from_number)) STORED,
  ADD COLUMN to_tail   text COLLATE "C" NOT NULL GENERATED ALWAYS AS (reverse(to_number)) STORED;

-- Of calls that have ended only: a call that opens, on the way to the agent's phone,
-- touches none of these.
CREATE INDEX calls_by_queue ON calls (ledger, queue, arrived_at DESC, call DESC) WHERE NOT live;
CREATE INDEX calls_by_class ON calls (ledger, class, arrived_at DESC, call DESC) WHERE NOT live;
CREATE INDEX calls_by_outcome ON calls (ledger, outcome, arrived_at DESC, call DESC) WHERE NOT live;
CREATE INDEX calls_by_cause ON calls (ledger, cause, arrived_at DESC, call DESC) WHERE NOT live;
CREATE INDEX calls_by_from ON calls (ledger, from_tail, arrived_at DESC, call DESC) WHERE NOT live;
CREATE INDEX calls_by_to ON calls (ledger, to_tail, arrived_at DESC, call DESC) WHERE NOT live;
CREATE INDEX calls_by_talk ON calls (ledger, talked_ms DESC, call DESC) WHERE NOT live;

-- Which agents had to do with an ended call: it was offered to them, or they had a leg.
CREATE TABLE call_agents (
  tenant_id  text NOT NULL,
  agent      text NOT NULL,
  arrived_at timestamptz NOT NULL,
  call       text NOT NULL,
  PRIMARY KEY (tenant_id, agent, arrived_at, call)
);
CREATE INDEX call_agents_call ON call_agents (tenant_id, call);
SELECT holdfast_guard('call_agents');

-- What ended before this is told as well as it is known.
INSERT INTO call_agents (tenant_id, agent, arrived_at, call)
SELECT c.tenant_id, a.agent, c.arrived_at, c.call
  FROM calls c JOIN (SELECT tenant_id, call, agent FROM segments UNION SELECT tenant_id, call, agent FROM legs) a USING (tenant_id, call)
 WHERE NOT c.open AND a.agent IS NOT NULL;
UPDATE calls c SET waited_ms = s.all_ms - s.answered_ms, rang_ms = least(s.rang_ms, s.all_ms - s.answered_ms),
       talked_ms = s.answered_ms - least(s.held_ms, s.answered_ms), held_ms = least(s.held_ms, s.answered_ms)
  FROM (SELECT x.tenant_id, x.call,
               greatest(extract(epoch FROM x.ended_at - x.arrived_at) * 1000, 0)::bigint AS all_ms,
               coalesce(greatest(extract(epoch FROM x.ended_at - x.answered_at) * 1000, 0)::bigint, 0) AS answered_ms,
               coalesce((SELECT sum(greatest(extract(epoch FROM g.to_at - g.from_at) * 1000, 0)::bigint) FROM segments g WHERE g.tenant_id = x.tenant_id AND g.call = x.call AND g.kind = 'offer'), 0) AS rang_ms,
               coalesce((SELECT sum(greatest(extract(epoch FROM g.to_at - g.from_at) * 1000, 0)::bigint) FROM segments g WHERE g.tenant_id = x.tenant_id AND g.call = x.call AND g.kind = 'hold'), 0) AS held_ms
          FROM calls x WHERE NOT x.open AND x.ended_at IS NOT NULL) s
 WHERE c.tenant_id = s.tenant_id AND c.call = s.call;

-- A note is changed by whom has seen it as it is (If-Match).
ALTER TABLE contact_notes ADD COLUMN version bigint NOT NULL DEFAULT 1;
