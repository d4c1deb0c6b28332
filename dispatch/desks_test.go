package dispatch_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"holdfast/activities"
	"holdfast/dispatch"
	"holdfast/domain/agent"
	"holdfast/domain/id"
	"holdfast/domain/record"
)

// windows is the desks with one terminal whose lease ran out.
type windows struct {
	dispatch.Desks
	lapsed chan record.Terminal
	gone   bool // it did not come back
	closed chan bool
}

func (w *windows) LapsedTerminals(context.Context) ([]record.Terminal, error) {
	select {
	case t := <-w.lapsed:
		return []record.Terminal{t}, nil
	default:
		return nil, nil
	}
}

func (w *windows) CloseTerminal(_ context.Context, _ agent.Ref, _ id.Terminal, lapsed bool) (bool, error) {
	w.closed <- lapsed
	return w.gone, nil
}

// session takes what it is told of terminals.
type session struct {
	client.Client
	told chan agent.Touch
}

func (s session) UpdateWorkflow(_ context.Context, u client.UpdateWorkflowOptions) (client.WorkflowUpdateHandle, error) {
	var e agent.Touch
	err := json.Unmarshal(u.Args[0].(activities.Message).Event, &e)
	s.told <- e
	return updated{}, err
}

// SEED-61: a terminal whose lease ran out is told to its session; one that came back
// while that was told, is there again.
func TestTerminals_SEED61_LapsedIsTold_AndThatItCameBack(t *testing.T) {
	t.Parallel()
	for name, cameBack := range map[string]bool{"stays away": false, "comes back": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := session{told: make(chan agent.Touch, 4)}
			w := &windows{lapsed: make(chan record.Terminal, 1), gone: !cameBack, closed: make(chan bool, 4)}
			w.lapsed <- record.Terminal{Session: agent.Ref{Tenant: "acme.example", Agent: "1001"}, Terminal: "tab-1"}
			d := dispatch.New(dispatch.Config{
				Temporal: s, Ledger: newBooks(), Desks: w, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), LeaseEvery: time.Millisecond,
				SweepEvery: time.Hour, ReapEvery: time.Hour,
			})
			d.Start()
			require.True(t, <-w.closed, "only if it did not come back")
			d.Stop()
			close(s.told)
			var told []agent.Touch
			for e := range s.told {
				require.Equal(t, "system", e.User)
				require.True(t, e.Forced, "no sign of life of the agent's")
				told = append(told, agent.Touch{Terminal: e.Terminal, Gone: e.Gone, Leased: e.Leased})
			}
			want := []agent.Touch{{Terminal: "tab-1", Gone: true}}
			if cameBack {
				want = append(want, agent.Touch{Terminal: "tab-1", Leased: true})
			}
			require.Equal(t, want, told)
		})
	}
}
