package faults

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/tests/stage"
)

// ground is something that the roles stand on.
type ground interface {
	Kill()
	Restart(ctx context.Context) error
}

// Database or Temporal away at the start: each role says so and waits, and serves as
// soon as it is there.
func TestStartedWithoutItsGround_ARoleSaysSoAndWaits_ThenServes(t *testing.T) {
	for name, c := range map[string]struct {
		ground ground
		says   string
	}{
		"database": {hall.Postgres, "is not there yet (is it migrated?); waiting for it."},
		"temporal": {hall.Temporal, "is not there yet; waiting for it."},
	} {
		t.Run(name, func(t *testing.T) {
			ten := hall.Tenant(t, stage.Plan{})
			a := ten.Agent(1)
			roles := []*stage.Process{hall.API, hall.Node, hall.Worker}
			from := map[*stage.Process]int64{}
			for _, p := range roles {
				p.Kill()
				from[p] = p.LogSize()
			}
			c.ground.Kill()
			away := true
			defer func() {
				if away {
					_ = c.ground.Restart(back(t))
				}
			}()
			served := make(chan error, len(roles))
			for _, p := range roles {
				go func() { served <- p.Start(back(t)) }()
			}
			for _, p := range roles {
				require.NoError(t, p.Logged(back(t), from[p], c.says))
			}
			select {
			case err := <-served:
				require.NoError(t, errors.Join(errors.New("a role claims to serve"), err))
			default:
			}
			require.NoError(t, c.ground.Restart(back(t)))
			away = false
			for range roles {
				require.NoError(t, <-served)
			}
			require.Eventually(t, func() bool {
				ans, err := hall.Anonymous().Do(back(t), http.MethodGet, "/readyz", nil)
				return err == nil && ans.Status == http.StatusOK
			}, stage.Patience, 20*time.Millisecond, "all that it needs is there")
			a.SignIn()
			require.Equal(t, "Ready", a.Ready().State, "the phone's registration has outlived all this")
			customer := ten.Call("4935200", "8000")
			ten.Talk(customer, a.Answered())
		})
	}
}
