package id_test

import (
	"fmt"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/domain/id"
)

func ExampleNewCall() {
	c := id.NewCall("a84b4c76e66710@pc33.atlanta.example", "1928301774", "9f2c")
	fmt.Println(c)
	fmt.Println(id.CallWorkflow("demo.localhost", c))
	o := id.NewOffer(c, 2)
	fmt.Println(o, o.Call() == c, o.N())
	// Output:
	// nfy9r3dg7wghnigegv9j
	// call:demo.localhost:nfy9r3dg7wghnigegv9j
	// nfy9r3dg7wghnigegv9j/2 true 2
}

// A retransmission, however late, opens nothing twice; another dialog is another call.
func TestNewCall_SameInvite_SameCall(t *testing.T) {
	t.Parallel()
	require.Equal(t, id.NewCall("a@x", "1", "b1"), id.NewCall("a@x", "1", "b1"))
	require.NotEqual(t, id.NewCall("a@x", "1", "b1"), id.NewCall("a@x", "2", "b1"))
	require.NotEqual(t, id.NewCall("a@x", "1", "b1"), id.NewCall("b@x", "1", "b1"))
	require.NotEqual(t, id.NewCall("ab", "c", "b1"), id.NewCall("a", "bc", "b1"), "the border between the two counts")
	require.NotEqual(t, id.NewCall("a@x", "1", "b1"), id.NewCall("a@x", "1", "b2"), "what the run before took died with it")
}

// Ids are safe in a path, a workflow id and a file name, whatever a phone sends.
func TestNewCall_AnyInput_SafeCharacters(t *testing.T) {
	t.Parallel()
	safe := regexp.MustCompile(`^[a-z2-9]{20}$`)
	for _, s := range []string{"", "\r\n", "../../etc", "+41791234567@carrier", "日本"} {
		require.Regexp(t, safe, string(id.NewCall(s, s, s)))
	}
}

func TestOffer_NotMadeByUs_HasNoNumber(t *testing.T) {
	t.Parallel()
	for _, o := range []id.Offer{"", "c1", "c1/", "c1/x"} {
		require.Zero(t, o.N(), o)
	}
	require.Equal(t, id.Call("c1"), id.Offer("c1").Call())
}

func TestWorkflowNames(t *testing.T) {
	t.Parallel()
	require.Equal(t, "agent:demo.localhost:1001", id.AgentWorkflow("demo.localhost", "1001"))
	tenant, number, ok := id.SessionOf("agent:demo.localhost:1001")
	require.True(t, ok)
	require.Equal(t, id.AgentWorkflow(tenant, number), "agent:demo.localhost:1001")
	for _, other := range []string{"", "agent:", "agent:demo.localhost", "agent::1001", "call:demo.localhost:1001"} {
		_, _, ok = id.SessionOf(other)
		require.False(t, ok, other)
	}
	require.Equal(t, "node:node-1", id.NodeWorkflow("node-1"))
	require.Equal(t, "telephony:node-1", id.NodeTaskQueue("node-1"))
}
