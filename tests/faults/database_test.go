package faults

import (
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/telephony/softphone"
	"holdfast/tests/stage"
)

// The database is away for a moment while a caller arrives: the caller hears music
// meanwhile, and is served as soon as it is back.
func TestDatabaseIsAwayForAMoment_NewCallersHearMusicAndAreServed(t *testing.T) {
	ten := hall.Tenant(t, stage.Plan{})
	a := ten.ReadyAgent(1)
	before := ten.Call("4935500", "8000")
	rung := a.Answered()
	ten.Talk(before, rung)
	require.NoError(t, rung.HangUp())
	ten.WaitEnded(before)
	a.Wait("Ready")

	hall.Postgres.Kill()
	back1 := make(chan error, 1)
	customer := ten.Call("4935501", "8000")
	musicErr := stage.WaitMusic(ten.Context(), customer)
	go func() { back1 <- hall.Postgres.Restart(back(t)) }()
	require.NoError(t, <-back1)
	require.NoError(t, musicErr)
	rung = a.Answered()
	require.Equal(t, "4935501", rung.From)
	ten.Talk(customer, rung)
	require.Equal(t, softphone.Up, customer.Status().State)
}
