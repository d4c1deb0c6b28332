package httpapi

import (
	"context"
	"slices"

	"holdfast/domain/account"
	"holdfast/domain/call"
	"holdfast/domain/id"
	"holdfast/domain/record"
)

// sight is which calls somebody may see by calls:read: all of the tenant, or those in
// which certain agents take part, or which are offered to one of them.
type sight struct {
	all    bool
	agents []id.Agent // oneself, and with team the agents of one's teams
	team   bool
}

// sightOf tells which calls a person may see. Teams are as they are now: a call belongs
// to the teams in which its agents are.
func (a *API) sightOf(ctx context.Context, p person) (sight, error) {
	s := sight{agents: []id.Agent{}}
	switch reach := p.Reach(account.CallsRead); {
	case reach.Covers(account.Tenant):
		s.all = true
		return s, nil
	case reach == account.Team:
		led, err := a.agentsOf(ctx, p.Tenant, p.Teams)
		if err != nil {
			return s, err
		}
		s.team, s.agents = true, append(s.agents, led...)
	}
	if p.Agent != "" && !slices.Contains(s.agents, p.Agent) {
		s.agents = append(s.agents, p.Agent)
	}
	return s, nil
}

// agentsOf lists the agents of teams.
func (a *API) agentsOf(ctx context.Context, t id.Tenant, teams []id.Team) ([]id.Agent, error) {
	if len(teams) == 0 {
		return nil, nil
	}
	agents, err := a.config.Clerk.AgentsOf(ctx, t, teams)
	if err != nil {
		return nil, unavailable("list the agents of teams", err)
	}
	return agents, nil
}

func (s sight) sees(v call.View) bool {
	return s.all || slices.ContainsFunc(agentsIn(v), func(a id.Agent) bool { return slices.Contains(s.agents, a) })
}

// seesKept is sees for what is kept of a call: of one that has ended also those to whom it
// was offered in vain, as lists show it to them.
func (s sight) seesKept(c record.Call) bool {
	return s.sees(c.View) || c.Phase == call.Ended && slices.ContainsFunc(c.Offers(), func(o call.Segment) bool { return slices.Contains(s.agents, o.Agent) })
}

// limit limits a list of calls to those that p, whose sight it is, may see. Whoever sees
// only its own is told so when it asks for another's.
func (s sight) limit(q *record.CallQuery, p person) error {
	if s.all {
		return nil
	}
	if !s.team {
		if _, err := p.ref(); err != nil {
			return err
		}
	}
	if q.Agent != "" && !slices.Contains(s.agents, q.Agent) {
		if s.team {
			return forbidden("", "You may list only the calls of your teams.")
		}
		return forbidden("", "You may list only your own calls.")
	}
	if q.Agent == "" {
		q.Of = s.agents
	}
	return nil
}

// note keeps up with an agent's session that tells which team the agent is in.
func (s *sight) note(a id.Agent, in bool) {
	if s.all || !s.team {
		return
	}
	at := slices.Index(s.agents, a)
	switch {
	case in && at < 0:
		s.agents = append(s.agents, a)
	case !in && at >= 0:
		s.agents = slices.Delete(s.agents, at, at+1)
	}
}
