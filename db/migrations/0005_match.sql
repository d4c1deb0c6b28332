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
