package account

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Nobody can give what they don't hold.
func TestUngrantable_WhatOneDoesNotHold(t *testing.T) {
	t.Parallel()
	business := BusinessAdmin.Permissions()
	for _, r := range []Role{BusinessAdmin, Supervisor, Regular, TeamAdmin} {
		require.Empty(t, Ungrantable(business, r.Permissions()), r)
	}
	require.Equal(t, []Permission{"ops:temporal:tenant", "trunks:write:tenant", "trunks:set_password:tenant"}, Ungrantable(business, ITAdmin.Permissions()))
	require.NotEmpty(t, Ungrantable(business, SystemAdmin.Permissions()))
	require.NotEmpty(t, Ungrantable(ITAdmin.Permissions(), Supervisor.Permissions()))
	require.Empty(t, Ungrantable(ITAdmin.Permissions(), Regular.Permissions()), "work for oneself gives no power over others")
	require.Equal(t, []Permission{"users:read:division"}, Ungrantable(business, []Permission{"users:read:division", "users:read:team"}), "nor farther than one reaches")
}

func TestAdministers_WhoCanBringATenantIntoOrderAgain(t *testing.T) {
	t.Parallel()
	for r, want := range map[Role]bool{BusinessAdmin: true, ITAdmin: true, SystemAdmin: true, TeamAdmin: false, Supervisor: false, Regular: false} {
		require.Equal(t, want, Administers(r.Permissions()), r)
	}
	require.False(t, Administers([]Permission{"users:update:tenant"}))
}

// SEED-40: in another tenant one has what reaches there, if one may switch there at all.
func TestVisiting_OnlyWhatReachesThere(t *testing.T) {
	t.Parallel()
	held := []Permission{"tenants:switch:division", "users:read:organization", "users:update:division", "calls:read:tenant"}
	require.Equal(t, []Permission{"tenants:switch:division", "users:read:organization", "users:update:division"}, Visiting(held, Division))
	require.Empty(t, Visiting(held, Organization), "no switch reaches there")
	require.Empty(t, Visiting(BusinessAdmin.Permissions(), Division))
	require.Empty(t, Visiting(held, Tenant), "one's own tenant needs no visit")
	require.Equal(t, len(SystemAdmin.Permissions()), len(Visiting(SystemAdmin.Permissions(), System)))
}
