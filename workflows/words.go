package workflows

import (
	"fmt"
	"strings"
	"time"

	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/id"
	"holdfast/domain/leg"
)

// callSummary is the title of a call in the Web UI.
func callSummary(s call.State) string {
	from := "Caller " + leg.Mask(s.From)
	if s.FromAgent != "" {
		from = "Agent " + string(s.FromAgent)
	}
	switch s.Route.Kind {
	case call.ToQueue:
		return fmt.Sprintf("%s to queue %s", from, s.Route.Queue.Name)
	case call.ToAgent:
		return fmt.Sprintf("%s to agent %s", from, s.Route.Agent)
	}
	return fmt.Sprintf("%s to %s", from, leg.Mask(s.To))
}

// callOpening tells what was known when the workflow started.
func callOpening(s call.State) string {
	return fmt.Sprintf("Arrived at %s on node %s (boot %s), %s.", clock(s.ArrivedAt), s.Node, s.Boot, s.Class.Words())
}

// callDetails is the call's page in the Web UI: where it stands, and its life so far.
func callDetails(s call.State) string {
	var b strings.Builder
	fmt.Fprintf(&b, "**%s**\n", s.Describe())
	for _, seg := range s.Segments {
		fmt.Fprintf(&b, "\n- %s", segmentWords(seg))
	}
	if s.Late > 0 {
		fmt.Fprintf(&b, "\n\n%d late or doubled facts", s.Late)
	}
	return b.String()
}

func segmentWords(g call.Segment) string {
	words := g.Kind
	if g.Agent != "" {
		words += " " + string(g.Agent)
	} else if g.Queue != "" {
		words += " in " + string(g.Queue)
	}
	if g.To.IsZero() {
		return fmt.Sprintf("%s %s …", clock(g.From), words)
	}
	words = fmt.Sprintf("%s %s, %s", clock(g.From), words, g.To.Sub(g.From).Round(100*time.Millisecond))
	if g.Cause != "" {
		words += ": " + g.Cause.Words()
	}
	return words
}

// agentDetails is the session's page in the Web UI.
func agentDetails(s agent.State) string {
	var b strings.Builder
	fmt.Fprintf(&b, "**%s**\n", s.Describe())
	fmt.Fprintf(&b, "\n- checked in: %s", checkedIn(s.Members))
	fmt.Fprintf(&b, "\n- reachable: %s", joinDevices(s.Binding.Reachable))
	fmt.Fprintf(&b, "\n- signed in %s, %d queue calls taken", clock(s.SignedIn), s.Taken)
	if s.Late > 0 {
		fmt.Fprintf(&b, ", %d late or doubled facts", s.Late)
	}
	return b.String()
}

func checkedIn(members []agent.Membership) string {
	var queues []string
	for _, m := range members {
		if m.CheckedIn {
			queues = append(queues, string(m.Queue))
		}
	}
	return listOrNone(queues)
}

func joinDevices(devices []id.Device) string {
	var words []string
	for _, d := range devices {
		words = append(words, string(d))
	}
	return listOrNone(words)
}

func listOrNone(words []string) string {
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, ", ")
}

// clock is a time of day as people read it in the Web UI (UTC).
func clock(at time.Time) string { return at.UTC().Format("15:04:05") }
