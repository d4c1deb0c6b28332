package mainjob

import (
	"encoding/json"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/agent"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/domain/tenancy"
	"holdfast/telephony/softphone"
	"holdfast/tests/stage"
)

// desks are two agents of a mode, and telephones that belong to nobody.
func desks(mode string, conflict agent.Conflict, phones ...string) stage.Plan {
	return stage.Plan{
		Agents: 2, Policies: tenancy.Policies{SessionPolicies: tenancy.SessionPolicies{DeviceConflict: conflict}},
		Change: func(d *tenancy.Document) {
			for i := range d.Agents {
				d.Agents[i].Binding = mode
			}
			for _, p := range phones {
				d.Devices = append(d.Devices, tenancy.Device{Name: id.Device(p), Kind: leg.SIP, Password: stage.Password})
			}
		},
	}
}

// sat is the session of a sign-in that succeeded.
func sat(t *testing.T, ans stage.Answer, status int) (s stage.Session) {
	t.Helper()
	require.Equal(t, status, ans.Status, string(ans.Body))
	require.NoError(t, json.Unmarshal(ans.Body, &s))
	return s
}

func at(device string) map[string]any {
	return map[string]any{"interface": "phone", "device_id": device}
}

func boundTo(s stage.Session) (names []string) {
	for _, a := range s.Binding.Addresses {
		names = append(names, a.Device)
	}
	return names
}

// choice is what /v1/me says there is to choose.
type choice struct {
	Mode       string   `json:"binding_mode"`
	Interfaces []string `json:"interfaces"`
	Devices    []struct {
		ID        string `json:"id"`
		Reachable bool   `json:"reachable"`
		Offered   bool   `json:"offered"`
		InUseBy   string `json:"in_use_by"`
	} `json:"devices"`
}

func choices(t *testing.T, ten *stage.Tenant, a *stage.Agent) (c choice) {
	t.Helper()
	require.NoError(t, a.API.Into(ten.Context(), &c, http.MethodGet, "/v1/me", nil))
	return c
}

// SEED-113, SEED-114, SEED-115, SEED-116, SEED-117, SEED-119: with hot desk on, the agent
// chooses one of the pre-registered telephones at each sign-in, from any workstation; in
// use or not registered, they are marked and not to be had. The choice is of that session.
func TestSEED115_HotDesk_ATelephoneIsChosenForTheSession(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, desks("hot_desk", "", "hot-1", "hot-2", "hot-3"))
	one, three := ten.Registered("hot-1", ten.Stranger()), ten.Registered("hot-3", ten.Stranger())
	a, b := ten.Person(1), ten.Person(2)
	sat(t, b.Sit(at("hot-3")), http.StatusCreated)

	c := choices(t, ten, a)
	require.Equal(t, "hot_desk", c.Mode)
	require.Empty(t, c.Interfaces, "SEED-119")
	require.Len(t, c.Devices, 3, "those of nobody, and no others")
	require.Equal(t, []any{"hot-1", true, true, ""}, []any{c.Devices[0].ID, c.Devices[0].Reachable, c.Devices[0].Offered, c.Devices[0].InUseBy})
	require.Equal(t, []any{"hot-2", false, false, ""}, []any{c.Devices[1].ID, c.Devices[1].Reachable, c.Devices[1].Offered, c.Devices[1].InUseBy})
	require.Equal(t, []any{"hot-3", true, false, "1002"}, []any{c.Devices[2].ID, c.Devices[2].Reachable, c.Devices[2].Offered, c.Devices[2].InUseBy})

	for _, x := range []struct {
		ask  map[string]any
		code string
		says string
	}{
		{map[string]any{}, "choose_phone", "hot-1"},
		{at("hot-2"), "phone_not_registered", "hot-1"},
		{at("hot-3"), "device_in_use", "1002"},
		{at("1001"), "not_a_desk_phone", "hot-1"},
		{map[string]any{"interface": "mobile", "device_id": "hot-1"}, "hot_desk", "telephone"}, // SEED-119
	} {
		p := refused(t, a.Sit(x.ask), http.StatusConflict)
		require.Equal(t, x.code, p.Code, p.Detail)
		require.Contains(t, p.Detail, x.says)
	}
	require.Equal(t, []string{"hot-1"}, boundTo(sat(t, a.Sit(at("hot-1")), http.StatusCreated)))
	sat(t, a.Sit(map[string]any{"terminal_id": "second"}), http.StatusOK) // another window chooses nothing
	a.Ready()
	ten.Rings(one, "4941100")
	a.Wait("Ready")

	// The telephone calls, and is called, as the agent who sits there.
	call, err := three.Dial(ten.Context(), softphone.Dial{To: "1001", Tone: stage.CustomerTone})
	require.NoError(t, err)
	rung := ten.Offered(one, "1001")
	require.NoError(t, rung.Answer())
	require.Equal(t, "1002", b.Wait("Busy").Agent)
	a.Wait("Busy")
	ten.Talk(call, rung)
	require.NoError(t, call.HangUp())
	a.Wait("Ready")
	a.SignOut()
	require.Equal(t, "choose_phone", refused(t, a.Sit(map[string]any{}), http.StatusConflict).Code, "SEED-117")
}

// SEED-30, SEED-32: of many who want the same free telephone at once, one gets it; whoever
// goes offline lets go of it, and the next has it at once.
func TestSEED30_OneTelephoneNeverServesTwo_AndIsFreeAtOnce(t *testing.T) {
	t.Parallel()
	plan := desks("dynamic", "", "desk-1")
	plan.Agents = 4
	ten := hall.Tenant(t, plan)
	phone := ten.Registered("desk-1", ten.Stranger())
	people := []*stage.Agent{ten.Person(1), ten.Person(2), ten.Person(3), ten.Person(4)}
	answers := make([]stage.Answer, len(people))
	var all sync.WaitGroup
	for i, p := range people {
		all.Go(func() { answers[i] = p.Sit(at("desk-1")) })
	}
	all.Wait()
	var winner, loser *stage.Agent
	for i, ans := range answers {
		if ans.Status == http.StatusCreated {
			require.Nil(t, winner, "two have the telephone")
			winner = people[i]
			continue
		}
		require.Equal(t, "device_in_use", refused(t, ans, http.StatusConflict).Code)
		loser = people[i]
	}
	require.NotNil(t, winner)
	winner.Ready()
	ten.Rings(phone, "4941200")
	winner.Wait("Ready")
	winner.SignOut()
	sat(t, loser.Sit(at("desk-1")), http.StatusCreated) // SEED-32
	loser.Ready()
	ten.Rings(phone, "4941201")
}

// SEED-54: self-adapting: the telephone that is registered from the address of the
// sign-in is the agent's. None or several: the answer says what to do.
func TestSEED54_SelfAdapting_TheTelephoneAtTheAddressOfTheSignIn(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, desks("self_adapting", "", "desk-1", "desk-2"))
	phone := ten.Registered("desk-1", ten.Stranger())
	elsewhere := refused(t, ten.Person(1).Sit(map[string]any{}), http.StatusConflict)
	require.Equal(t, "no_phone_here", elsewhere.Code)
	require.Contains(t, elsewhere.Detail, "desk-1")

	a := ten.Person(1).At(ten.Stranger())
	s := sat(t, a.Sit(map[string]any{}), http.StatusCreated)
	require.Equal(t, "self_adapting", s.Binding.Mode)
	require.Equal(t, []string{"desk-1"}, boundTo(s))
	a.Ready()
	ten.Rings(phone, "4941300")
	a.Wait("Ready")
	a.SignOut()

	ten.Registered("desk-2", ten.Stranger())
	several := refused(t, a.Sit(map[string]any{}), http.StatusConflict)
	require.Equal(t, "several_phones_here", several.Code)
	require.Contains(t, several.Detail, "desk-1, desk-2")
	require.Equal(t, []string{"desk-2"}, boundTo(sat(t, a.Sit(at("desk-2")), http.StatusCreated)))
}

// SEED-53: a fixed device can't be changed, at the sign-in or later.
func TestSEED53_FixedDeviceCannotBeChanged(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, desks("fixed", "", "desk-1"))
	ten.Registered("desk-1", ten.Stranger())
	a := ten.Agent(1)
	require.Equal(t, "binding_fixed", refused(t, a.Sit(at("desk-1")), http.StatusConflict).Code)
	require.Equal(t, []string{"1001"}, boundTo(sat(t, a.Sit(map[string]any{}), http.StatusCreated)))
	ans := a.Try(http.MethodPost, "/v1/agent-session/binding", map[string]any{"device_ids": []string{"desk-1"}})
	require.Equal(t, "binding_fixed", refused(t, ans, http.StatusConflict).Code)
	require.Equal(t, "Ready", a.Ready().State)
}

// SEED-55, policy device_conflict refuse: dynamic agents change their device at any time,
// but not during an offer, and not to one that another agent uses.
func TestSEED55_Dynamic_SwitchesAtAnyTime_NotToADeviceInUse(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, desks("dynamic", "", "desk-1", "desk-2"))
	one := ten.Registered("desk-1", ten.Stranger())
	ten.Registered("desk-2", ten.Stranger())
	a, b := ten.Agent(1), ten.Person(2)
	a.SignIn()
	a.Ready()
	sat(t, b.Sit(at("desk-2")), http.StatusCreated)
	bind := func(device string) stage.Answer {
		return a.Try(http.MethodPost, "/v1/agent-session/binding", map[string]any{"device_ids": []string{device}})
	}
	p := refused(t, bind("desk-2"), http.StatusConflict)
	require.Equal(t, "device_in_use", p.Code)
	require.Contains(t, p.Detail, "1002")
	require.Equal(t, []string{"1001"}, boundTo(a.View()), "nothing changed")

	s := sat(t, bind("desk-1"), http.StatusOK)
	require.Equal(t, []string{"desk-1"}, boundTo(s))
	require.Equal(t, "Ready", s.State)
	customer := ten.Call("4941400", "8000")
	rung := ten.Offered(one, "1001")
	a.Wait("Reserved")
	require.Equal(t, "binding_in_use", refused(t, bind("1001"), http.StatusConflict).Code)
	require.NoError(t, rung.Answer())
	ten.Talk(customer, rung)
	require.NoError(t, customer.HangUp())
	a.Wait("Ready")
	require.Equal(t, []string{"1001"}, boundTo(sat(t, bind("1001"), http.StatusOK)))
}

// SEED-55, policy device_conflict take_over: the other session loses the device and
// becomes Not Ready; but nobody is cut off from a call.
func TestSEED55_TakeOver_TheOtherBecomesNotReady(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, desks("dynamic", agent.ConflictTakeOver, "desk-1"))
	phone := ten.Registered("desk-1", ten.Stranger())
	a, b := ten.Person(1), ten.Person(2)
	sat(t, a.Sit(at("desk-1")), http.StatusCreated)
	a.Ready()
	customer := ten.Call("4941500", "8000")
	rung := ten.Offered(phone, "1001")
	require.NoError(t, rung.Answer())
	ten.Talk(customer, rung)
	require.Equal(t, "device_in_use", refused(t, b.Sit(at("desk-1")), http.StatusConflict).Code, "a call is in progress")
	require.NoError(t, customer.HangUp())
	a.Wait("Ready")

	sat(t, b.Sit(at("desk-1")), http.StatusCreated)
	lost := a.Wait("NotReady(DEVICE_LOST)")
	require.Empty(t, boundTo(lost))
	require.Equal(t, "1002", lost.Binding.Taken[0].By)
	p := refused(t, a.Try(http.MethodPost, "/v1/agent-session/ready", nil), http.StatusConflict)
	require.Contains(t, p.Detail, "in use by agent 1002")
	b.Ready()
	ten.Rings(phone, "4941501")
}

// SEED-52: without a connected device an agent can sign in, and not work.
func TestSEED52_WithoutADevice_NoWork(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	a := ten.Person(1)
	sat(t, a.Sit(map[string]any{}), http.StatusCreated)
	require.Equal(t, "no_device", refused(t, a.Try(http.MethodPost, "/v1/agent-session/ready", nil), http.StatusConflict).Code)
	ten.Registered("1001", ten.Stranger())
	require.Eventually(t, func() bool { return len(a.View().Devices) > 0 }, stage.Patience, 20*time.Millisecond)
	require.Equal(t, "Ready", a.Ready().State)
}

// SEED-118: with hot desk off the agent chooses an interface: internal (web) by default,
// phone, or mobile if there is a number outside. SEED-33: in remote mode (mobile) the
// agent is bound to its external number, until it goes offline.
func TestSEED118_TheInterfaceDecidesTheDevices(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Agents: 2, Change: func(d *tenancy.Document) {
		d.Trunks[0].Host = "127.0.0.1:9"
		d.Numbers = append(d.Numbers, tenancy.Number{Number: "+*", Trunk: "carrier"})
		d.Devices = append(d.Devices, tenancy.Device{Name: "home", Kind: leg.PSTN, Agent: "1001", Number: "+41441234567"})
		d.Agents[0].Addresses = append(d.Agents[0].Addresses, "home")
	}})
	a, b := ten.Agent(1), ten.Agent(2)
	require.Equal(t, []string{"web", "phone", "mobile"}, choices(t, ten, a).Interfaces)
	require.Equal(t, []string{"web", "phone"}, choices(t, ten, b).Interfaces)
	s := sat(t, a.Sit(map[string]any{}), http.StatusCreated)
	require.Equal(t, "web", s.Binding.Interface, "the default")
	a.SignOut()
	s = sat(t, a.Sit(map[string]any{"interface": "mobile"}), http.StatusCreated)
	require.Equal(t, "mobile", s.Binding.Interface)
	require.Equal(t, []string{"home"}, boundTo(s))
	require.Equal(t, "Ready", a.Ready().State, "a number outside needs no registration")
	held := func() (n int) {
		require.NoError(t, hall.SQL(t).QueryRow(ten.Context(), `SELECT count(*) FROM bindings WHERE tenant_id = $1`, ten.Domain).Scan(&n))
		return n
	}
	require.Equal(t, 1, held())
	a.SignOut()
	require.Zero(t, held())
	require.Equal(t, "no_mobile", refused(t, b.Sit(map[string]any{"interface": "mobile"}), http.StatusConflict).Code)
}

// SEED-106, SEED-117, ring methods linear and single over several addresses: one after the
// other in their order, or only the first; a chosen device is the only one in any case.
func TestSEED106_SeveralAddresses_LinearAndSingle(t *testing.T) {
	t.Parallel()
	for method, plan := range map[string]stage.Plan{
		"linear": {Devices: 2, Method: "linear"}, "single": {Devices: 2, Method: "single"},
	} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			ten := hall.Tenant(t, plan)
			a := ten.Agent(1)
			second := ten.Registered("1001-2", ten.Stranger())
			sat(t, a.Sit(map[string]any{}), http.StatusCreated)
			a.Ready()
			customer := ten.Call("4941700", "8000")
			rung := a.Offered()
			require.Zero(t, second.Invites())
			require.NoError(t, rung.Reject(486))
			if method == "linear" {
				rung = ten.Offered(second, "1001-2")
				require.NoError(t, rung.Answer())
				ten.Talk(customer, rung)
			} else {
				a.Wait("NotReady(REJECTED)")
				require.Zero(t, second.Invites())
			}
			require.NoError(t, customer.HangUp())
			a.SignOut()
			a.Wait("LoggedOff")
			sat(t, a.Sit(at("1001-2")), http.StatusCreated)
			a.Ready()
			before := a.Phone.Invites()
			ten.Rings(second, "4941701")
			require.Equal(t, before, a.Phone.Invites(), "only the chosen one rings")
		})
	}
}
