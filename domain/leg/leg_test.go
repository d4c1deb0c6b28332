package leg_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/domain/leg"
)

func ExampleMask() {
	fmt.Println(leg.Mask("+41791234567"), leg.Mask("112"), leg.Mask("8000"), leg.Mask("030123"), leg.Mask("+4930"), leg.Mask(""), leg.Mask("anonymous"))
	// Output: …567 112 8000 …123 …930 unknown …ous
}

// What a person hears of a call's end is never the code.
func TestCauses_AreValidAndHaveWords(t *testing.T) {
	t.Parallel()
	for _, c := range []leg.Cause{
		leg.Hangup, leg.Abandoned, leg.NoAnswer, leg.Rejected, leg.Busy, leg.Unreachable, leg.ElsewhereWon, leg.Rescinded,
		leg.NoCommonCodec, leg.MediaTimeout, leg.NodeLost, leg.SessionExpiry, leg.AckMissing, leg.Forced, leg.MaxWait,
		leg.MaxDuration, leg.NoRoute, leg.TrunkBusy, leg.Overload, leg.Failed,
	} {
		require.True(t, c.Valid(), c)
		require.NotEmpty(t, c.Words(), c)
		require.NotContains(t, c.Words(), "_", c)
	}
	require.False(t, leg.Cause("odd").Valid())
	require.Equal(t, "odd", leg.Cause("odd").Words())
}

func TestClasses_HaveWords(t *testing.T) {
	t.Parallel()
	for _, c := range []leg.CallClass{leg.InboundQueue, leg.InboundDirect, leg.Internal, leg.OutboundManual, leg.OutboundCampaign, leg.Consult, "odd"} {
		require.NotContains(t, c.Words(), "_")
		require.NotEmpty(t, c.Words())
	}
}

// A number in any script keeps its last three characters, never half of one.
func TestMask_CountsCharactersNotBytes(t *testing.T) {
	t.Parallel()
	require.Equal(t, "…五六七", leg.Mask("一二三四五六七"))
}
