package db

import (
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/domain/call"
)

func TestRoutes_ConnectionIsLost_LastKnownIsKeptButNotTrue(t *testing.T) {
	t.Parallel()
	var c routeCache
	queue := call.Route{Kind: call.ToQueue, Queue: call.Queue{Name: "support"}}
	is := func(known, holds bool) {
		t.Helper()
		r, is := c.last("acme", "8000")
		require.Equal(t, known, is)
		if known {
			require.Equal(t, queue, r)
		}
		_, _, is = c.get("acme", "8000")
		require.Equal(t, holds, is)
	}
	look := func() {
		_, epoch, _ := c.get("acme", "8000")
		c.put("acme", "8000", queue, epoch)
	}
	is(false, false)
	look()
	is(true, false) // nobody would tell of a change
	for range 3 {
		c.trust()
		is(true, false)
		look()
		is(true, true)
		c.distrust()
		is(true, false)
	}
	c.trust()
	_, epoch, _ := c.get("acme", "8000")
	c.forget("acme")
	is(false, false)
	c.put("acme", "8000", queue, epoch)
	is(false, false) // looked up before the directory changed
}
