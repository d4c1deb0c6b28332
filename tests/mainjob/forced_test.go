package mainjob

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/tests/stage"
)

// Two supervisors who happen to use the same Idempotency-Key are two people who ask;
// one who repeats is one.
func TestForced_TwoSupervisorsWithTheSameKey_AreTwoCommands(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	a := ten.ReadyAgent(1)
	one, two := ten.Login("supervisor"), ten.Login("admin")
	force := func(c *stage.Client) {
		require.NoError(t, c.Into(ten.Context(), nil, http.MethodPost, "/v1/agents/1001/session/not-ready", nil, "Idempotency-Key", "k-1"))
	}
	force(one)
	require.Equal(t, "NotReady", a.View().State)
	a.Ready()
	force(one)
	require.Equal(t, "Ready", a.View().State, "a repeat has no second effect")
	force(two)
	require.Equal(t, "NotReady", a.View().State)
}
