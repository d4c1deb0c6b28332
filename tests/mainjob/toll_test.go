package mainjob

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/domain/leg"
	"holdfast/domain/tenancy"
	"holdfast/telephony/softphone"
	"holdfast/tests/stage"
)

// inGermany is a tenant in Germany that calls out by what begins with 0 or +.
func inGermany(t *testing.T, policies tenancy.CallPolicies, more func(*tenancy.Document)) (*stage.Tenant, *softphone.Phone) {
	t.Helper()
	return reaching(t, stage.Plan{Agents: 2, Policies: tenancy.Policies{CallPolicies: policies}, Change: func(d *tenancy.Document) {
		d.Tenant.Country = "DE"
		if more != nil {
			more(d)
		}
	}}, "0*", "+*")
}

// Policy dial_allowed: what is not allowed is refused with the reason, does not leave the
// house, and stands in the record; what is allowed goes out. A number at premium rate is
// refused though the policy says nothing of it.
func TestDialAllowed_WhatTheTenantDoesNotAllow_IsRefusedWithTheReason(t *testing.T) {
	t.Parallel()
	ten, beyond := inGermany(t, tenancy.CallPolicies{DialAllowed: []string{"+49"}}, nil)
	a := ten.Agent(1)
	a.SignIn()
	for _, number := range []string{"0025261234567", "+43158858", "09001234567", "010130301234567"} {
		refused := ten.WaitEnded(dials(t, ten, a, number))
		require.Equal(t, 403, refused.Code, number)
		require.Contains(t, refused.Reason, "This number may not be dialled")
		call := ten.WaitCall("end", func(c stage.CallView) bool { return c.Phase == "Ended" && c.To == number })
		require.Equal(t, "outbound_manual barred", call.Class+" "+call.Cause, number)
	}
	require.Zero(t, beyond.Invites())
	call := dials(t, ten, a, "0301234567")
	rung := ten.Offered(beyond, "the customer")
	require.NoError(t, rung.Answer())
	ten.WaitUp(call)
	require.NoError(t, call.HangUp())
	ten.WaitEnded(rung)

	admin := ten.Login("admin")
	const devices = "/v1/devices"
	external := func(number string) map[string]any {
		return map[string]any{"name": "mobile", "kind": "external", "number": number}
	}
	wrong := asked(t, admin, http.StatusUnprocessableEntity, http.MethodPost, devices, external("+43158858"))
	require.Equal(t, "number", wrong["errors"].([]any)[0].(map[string]any)["name"])
	asked(t, admin, http.StatusCreated, http.MethodPost, devices, external("+491701234567"))
	asked(t, admin, http.StatusConflict, http.MethodPatch, "/v1/tenants/"+ten.Domain, map[string]any{"policies": map[string]any{"dial_allowed": []string{"+43"}}})
	asked(t, admin, http.StatusOK, http.MethodPatch, "/v1/tenants/"+ten.Domain, map[string]any{"policies": map[string]any{"dial_allowed": []string{"+49", "+43"}}})
	ten.Until("a changed policy counts, as soon as the node has heard of it", func() bool {
		call = dials(t, ten, a, "+43158858")
		select {
		case rung = <-beyond.Incoming():
			return true
		case <-ended(ten, call):
			return false
		}
	})
	require.Equal(t, "+43158858", rung.To)
	require.NoError(t, call.HangUp())
}

// A carrier's call to a number that leads to an agent whose mobile is called by a trunk: that is
// what SEED-23 is for, and goes on with one hop less. That the mobile's number is the called one
// can't be set up, in whatever form either is written.
func TestSEED23_ACarriersCall_GoesOutAgainOnceAndNeverInACircle(t *testing.T) {
	t.Parallel()
	ten, beyond := inGermany(t, tenancy.CallPolicies{}, func(d *tenancy.Document) {
		d.Numbers = append(d.Numbers, tenancy.Number{Number: "493012345678", Agent: "1001"})
		d.Devices = append(d.Devices, tenancy.Device{Name: "mobile", Kind: leg.PSTN, Number: "+491701234567"})
		d.Agents[0].Addresses = append(d.Agents[0].Addresses, "mobile")
	})
	customer := ten.Dial(softphone.Dial{From: "4930401", To: "493012345678", Hops: 12})
	rung := ten.Offered(beyond, "the mobile")
	require.EqualValues(t, 11, *rung.Invite.MaxForwards())
	require.NoError(t, rung.Answer())
	ten.WaitUp(customer)
	require.NoError(t, customer.HangUp())
	ten.WaitEnded(rung)

	looped := ten.Dial(softphone.Dial{From: "4930402", To: "493012345678"})
	rung = ten.Offered(beyond, "the mobile")
	require.NoError(t, rung.Reject(483))
	require.Equal(t, 483, ten.WaitEnded(looped).Code)
	require.Equal(t, "looped", ten.WaitCall("end", func(c stage.CallView) bool { return c.From == "4930402" && c.Phase == "Ended" }).Cause)

	admin := ten.Login("admin")
	for path, body := range map[string]map[string]any{
		"/v1/devices": {"name": "loop", "kind": "external", "number": "030 12345678"},
		"/v1/numbers": {"number": "00491701234567", "queue": "support"},
	} {
		wrong := asked(t, admin, http.StatusUnprocessableEntity, http.MethodPost, path, body)["errors"].([]any)[0].(map[string]any)
		require.Equal(t, "number", wrong["name"], path)
		require.Contains(t, wrong["detail"], "a call to it would come back", path)
	}
}
