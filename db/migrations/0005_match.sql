-- The two writes of the match that must not happen unless the row is still as the
-- match saw it. They raise HF001 otherwise, which ends the whole pipelined
-- transaction before its COMMIT; the match then begins again.

-- holdfast_reserve gives an agent's presence row to an offer made by the call's side.
CREATE FUNCTION holdfast_reserve(t text, a text, seen bigint, o text, detail jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  UPDATE presence SET offer = o, offer_detail = detail, offer_by = NULL
   WHERE tenant_id = t AND presence.agent = a AND version = seen AND available AND offer IS NULL;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'agent % was taken meanwhile', a USING ERRCODE = 'HF001';
  END IF;
  DELETE FROM candidates WHERE tenant_id = t AND candidates.agent = a;
END $$;

-- holdfast_take gives a waiting call to the agent whose save found it.
CREATE FUNCTION holdfast_take(t text, c text, seen int, a text, now timestamptz, addresses jsonb, method text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  UPDATE waiting SET agent = a, offered_at = now, targets = addresses, ring_method = method
   WHERE tenant_id = t AND call = c AND offer_n = seen AND waiting.agent IS NULL;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'call % left meanwhile', c USING ERRCODE = 'HF001';
  END IF;
END $$;

-- Where an agent stands among the candidates of a queue, by the queue's strategy:
-- the order of queue.Pick after the penalty. Lots are drawn by Pick; for them any
-- place in a circle will do.
CREATE FUNCTION holdfast_rank(strategy text, ready_at timestamptz, calls int, place int, agent text) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE strategy
  WHEN 'fewest_calls' THEN calls
  WHEN 'linear' THEN place
  WHEN 'random' THEN hashtext(agent) & 2147483647
  ELSE (extract(epoch FROM ready_at) * 1000000)::bigint END;

-- Ties go by the agents' numbers, as Pick has it.
CREATE FUNCTION holdfast_tie(strategy text, ready_at timestamptz, agent text) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
  WHEN strategy = 'fewest_calls' THEN (extract(epoch FROM ready_at) * 1000000)::bigint
  WHEN agent ~ '^[0-9]{1,18}$' THEN agent::bigint
  ELSE length(agent) END;
