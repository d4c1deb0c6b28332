package fault_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/domain/fault"
)

func ExampleE() {
	read := fault.E(fault.Unavailable, "read route", io.ErrUnexpectedEOF)
	err := fmt.Errorf("open call: %w", read)
	fmt.Println(err)
	fmt.Println(fault.KindOf(err), errors.Is(err, io.ErrUnexpectedEOF))
	// Output:
	// open call: read route: unexpected EOF
	// unavailable true
}

func ExampleRefuse() {
	err := fault.Refuse("no_device", "No phone of agent %s is registered.", "1001")
	fmt.Println(err.Kind, err.Code)
	fmt.Println(fault.Sentence(err))
	// Output:
	// conflict no_device
	// No phone of agent 1001 is registered.
}

func TestE_NoError_NoFault(t *testing.T) {
	t.Parallel()
	require.NoError(t, fault.E(fault.Internal, "nothing", nil))
	require.Empty(t, fault.KindOf(nil))
}

func TestKindOf_PlainError_IsOurDefect(t *testing.T) {
	t.Parallel()
	require.Equal(t, fault.Internal, fault.KindOf(io.EOF))
}

// The outermost kind counts: whoever wraps last knows best whose turn it is.
func TestKindOf_WrappedTwice_TheOutermost(t *testing.T) {
	t.Parallel()
	inner := fault.E(fault.NotFound, "read", io.EOF)
	require.Equal(t, fault.Unavailable, fault.KindOf(fault.E(fault.Unavailable, "open", inner)))
}

// Users see a sentence that somebody wrote for them, from however deep, and nothing
// of the chain.
func TestSentence_FoundInTheChain_NothingElseShown(t *testing.T) {
	t.Parallel()
	refusal := fault.Refuse("x", "Do this.")
	require.Equal(t, "Do this.", fault.Sentence(fault.E(fault.Conflict, "step", fmt.Errorf("a: %w", refusal))))
	require.Empty(t, fault.Sentence(fault.E(fault.Internal, "step", io.EOF)))
	require.Empty(t, fault.Sentence(io.EOF))
}

func TestKinds_KnowThemselves(t *testing.T) {
	t.Parallel()
	for _, k := range []fault.Kind{fault.Invalid, fault.Unauthenticated, fault.Forbidden, fault.NotFound, fault.Conflict, fault.TooMany, fault.Unavailable, fault.Internal} {
		require.True(t, k.Valid(), k)
	}
	require.False(t, fault.Kind("odd").Valid())
}

func TestError_SaysWhatItCan(t *testing.T) {
	t.Parallel()
	require.Equal(t, "match: Away.: EOF", (&fault.Error{Kind: fault.Unavailable, Op: "match", Sentence: "Away.", Err: io.EOF}).Error())
	require.Equal(t, "unavailable", (&fault.Error{Kind: fault.Unavailable}).Error())
}
