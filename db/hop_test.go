package db_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/db/dbtest"
)

func TestNodeSecret_IsTheSameForAllNodesOfADatabase(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	one, err := d.NodeSecret(t.Context())
	require.NoError(t, err)
	require.Len(t, one, 32)
	two, err := d.NodeSecret(t.Context())
	require.NoError(t, err)
	require.Equal(t, one, two)
}

func TestRegistrations_BehindAProxy_KeepItsPath(t *testing.T) { // RFC 3327
	t.Parallel()
	d := dbtest.New(t)
	apply(t, d)
	r := registration("1001", time.Now().Add(time.Hour))
	r.Path = []string{"sip:edge.example;lr", "sip:inner.example;lr"}
	_, _, err := d.SaveRegistration(t.Context(), r)
	require.NoError(t, err)
	list, err := d.Registrations(t.Context(), demoTenant, "1001")
	require.NoError(t, err)
	require.Equal(t, r.Path, list[0].Path)
}
