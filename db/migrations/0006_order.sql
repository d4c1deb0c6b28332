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

CREATE FUNCTION holdfast_tie(strategy text, ready_at timestamptz, agent text) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE strategy
  WHEN 'fewest_calls' THEN (extract(epoch FROM ready_at) * 1000000)::bigint
  ELSE length(agent) END;
