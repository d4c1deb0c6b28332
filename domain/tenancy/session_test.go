package tenancy

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The end of a shift is the next such time of day in the tenant's zone, also when the
// clocks change.
func TestNextTime_FollowsTheTenantsClock(t *testing.T) {
	t.Parallel()
	p := SessionPolicies{TimeZone: "Europe/Zurich"}
	for now, want := range map[string]string{
		"2026-11-21T16:29:59Z": "2026-11-21T16:30:00Z",
		"2026-11-21T16:30:00Z": "2026-11-22T16:30:00Z",
		"2026-10-24T16:00:00Z": "2026-10-25T16:30:00Z", // summer ends in the night
		"2026-07-01T00:00:00Z": "2026-07-01T15:30:00Z",
	} {
		at, err := time.Parse(time.RFC3339, now)
		require.NoError(t, err)
		require.Equal(t, want, p.NextTime("17:30", at).Format(time.RFC3339), now)
	}
	require.Zero(t, p.NextTime("", time.Now()))
	require.Equal(t, 15, SessionPolicies{}.NextTime("17:30:15", time.Now()).Second())
}

// What the file says about sessions is checked field by field.
func TestValidate_NamesEachBadSettingOfSessions(t *testing.T) {
	t.Parallel()
	d := Document{Organization: Unit{Name: "o"}, Division: Unit{Name: "d"}, Tenant: Tenant{Domain: "acme.example"}}
	d.Tenant.Policies.SessionPolicies = SessionPolicies{DeviceConflict: "fight", TimeZone: "Mars/Base", NotReadyReasons: []Reason{
		{Code: "LUNCH", Limit: Duration(-1)}, {Code: "LUNCH", Then: "sleep"},
	}}
	d.Agents = []Agent{{Number: "1001", Binding: "loose", ShiftEnd: "25:00"}}
	named := map[string]bool{}
	for _, f := range d.Validate() {
		named[f.Name] = true
	}
	for _, name := range []string{
		"tenant.policies.device_conflict", "tenant.policies.time_zone", "tenant.policies.not_ready_reasons[0].limit",
		"tenant.policies.not_ready_reasons[1].code", "tenant.policies.not_ready_reasons[1].then", "agents[0].binding", "agents[0].shift_end",
	} {
		require.True(t, named[name], "%s in %v", name, named)
	}
}
