package mainjob

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/tenancy"
	"holdfast/telephony/softphone"
	"holdfast/tests/stage"
)

// set changes settings of a device by the API, and returns the device.
func set(t *testing.T, c *stage.Client, device string, fields map[string]any) map[string]any {
	t.Helper()
	return asked(t, c, http.StatusOK, http.MethodPatch, "/v1/devices/"+device, fields)
}

// wrong asks for settings that are refused, and returns the field that is named.
func wrong(t *testing.T, c *stage.Client, fields map[string]any) string {
	t.Helper()
	p := asked(t, c, http.StatusUnprocessableEntity, http.MethodPatch, "/v1/devices/1001", fields)
	errors := p["errors"].([]any)
	require.NotEmpty(t, errors, p)
	return errors[0].(map[string]any)["name"].(string)
}

// SEED-125, SEED-126, SEED-127, SEED-128, SEED-120, SEED-124: what an administrator may set of a telephone
// has its defaults, is kept and shown, in the tenant's file too; a wrong value is refused
// with the field that it stands in, and changes nothing.
func TestSEED127_SettingsOfATelephone_AreKeptShownAndValidated(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	admin := ten.Login("admin")
	asked(t, ten.Login("1001"), http.StatusForbidden, http.MethodGet, "/v1/devices/1001", nil)
	defaults := map[string]any{
		"transports": []any{}, "context": "from-sip", "caller_id": "", "call_groups": []any{}, "pickup_groups": []any{},
		"monitoring": true, "recording": "off", "srtp": false,
	}
	d := asked(t, admin, http.StatusOK, http.MethodGet, "/v1/devices/1001", nil)
	for field, value := range defaults {
		require.Equal(t, value, d[field], "%s of a new telephone", field)
	}
	wanted := map[string]any{
		"transports": []any{"tcp", "udp", "tls"}, "context": "from-office", "caller_id": "+41441112233", "call_groups": []any{"night", "sales"},
		"pickup_groups": []any{"night"}, "monitoring": false, "recording": "wav49", "srtp": true,
	}
	set(t, admin, "1001", wanted)
	now := asked(t, admin, http.StatusOK, http.MethodGet, "/v1/devices/1001", nil)
	for field, value := range wanted {
		require.Equal(t, value, now[field], field)
	}
	for field, bad := range map[string]any{
		"transports": []string{"udp", "pigeon"}, "call_groups": []string{"a b\n"}, "pickup_groups": "night", "monitoring": "perhaps",
		"recording": "mp3", "srtp": "yes", "caller_id": "nobody", "context": "from sip", "nat": "always", "type": "foe", "codecs": []string{"mp3"},
	} {
		require.Contains(t, wrong(t, admin, map[string]any{field: bad}), field)
	}
	require.Equal(t, now["version"], asked(t, admin, http.StatusOK, http.MethodGet, "/v1/devices/1001", nil)["version"], "refusals change nothing")
	for _, format := range []string{"gsm", "wav", "off"} {
		require.Equal(t, format, set(t, admin, "1001", map[string]any{"recording": format})["recording"])
	}
	file := exported(t, ten)
	for _, line := range []string{"- night", "monitoring: false", "srtp: true", "context: from-office"} {
		require.Contains(t, file, line)
	}
	trail(t, admin, "admin@ device.update device:1001 ok")
}

// SEED-122, SEED-123: every NAT mode, type and codec of the source is kept and shown, and a telephone that
// could hear nobody is refused. The type says at once which way calls go.
func TestSEED122_TheTypeSaysWhichWayCallsGo(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Agents: 2})
	admin := ten.Login("admin")
	for field, values := range map[string][]any{
		"nat": {"no", "force_rport", "comedia", "never", "route", "yes"}, "type": {"user", "peer", "friend"}, "host": {"127.0.0.1", "dynamic"},
		"codecs": {[]any{"gsm", "ulaw"}, []any{"alaw", "g722", "g729", "opus"}, []any{"alaw", "ulaw"}},
	} {
		for _, v := range values {
			require.Equal(t, v, set(t, admin, "1001", map[string]any{field: v})[field])
		}
	}
	require.Contains(t, wrong(t, admin, map[string]any{"codecs": []string{"opus"}}), "codecs")
	require.Contains(t, wrong(t, admin, map[string]any{"host": "office"}), "host")
	a, b := ten.Agent(1), ten.Agent(2)
	call := rings(t, ten, b, a) // friend: it is called …
	ten.WaitUp(call)
	require.NoError(t, call.HangUp())
	require.Equal(t, 404, ten.WaitEnded(dials(t, ten, a, "5999")).Code, "… and calls")

	set(t, admin, "1001", map[string]any{"type": "peer"})
	require.Eventually(t, func() bool { return ten.WaitEnded(dials(t, ten, a, "5999")).Code == 403 }, stage.Patience, 100*time.Millisecond, "a peer does not call")
	call = rings(t, ten, b, a)
	ten.WaitUp(call)
	require.NoError(t, call.HangUp())

	set(t, admin, "1001", map[string]any{"type": "user"})
	require.Eventually(t, func() bool { return ten.WaitEnded(dials(t, ten, a, "5999")).Code == 404 }, stage.Patience, 100*time.Millisecond, "a user calls")
	before := a.Phone.Invites()
	require.GreaterOrEqual(t, ten.WaitEnded(dials(t, ten, b, "1001")).Code, 400)
	require.Equal(t, before, a.Phone.Invites(), "a user is not called")
	require.ErrorContains(t, a.Phone.Register(ten.Context(), time.Hour), "403")
}

// SEED-128: a telephone that must encrypt is neither rung nor let in, rather than heard in
// clear: this node does not speak SRTP. Without the switch it rings again at the next call.
func TestSEED128_ATelephoneThatMustEncrypt_IsNotHeardInClear(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Agents: 2})
	admin := ten.Login("admin")
	a, b := ten.Agent(1), ten.Agent(2)
	call := dials(t, ten, b, "1001")
	require.NoError(t, a.Offered().Reject(486))
	ten.WaitEnded(call)
	before := a.Phone.Invites()
	set(t, admin, "1001", map[string]any{"srtp": true})
	require.Eventually(t, func() bool { return ten.WaitEnded(dials(t, ten, a, "5999")).Code == 488 }, stage.Patience, 100*time.Millisecond)
	require.GreaterOrEqual(t, ten.WaitEnded(dials(t, ten, b, "1001")).Code, 400)
	require.Equal(t, before, a.Phone.Invites(), "it was not rung")
	set(t, admin, "1001", map[string]any{"srtp": false})
	call = rings(t, ten, b, a)
	ten.WaitUp(call)
	require.NoError(t, call.HangUp())
}

// rings dials until the other's phone rings, and answers.
func rings(t *testing.T, ten *stage.Tenant, from, to *stage.Agent) (call *softphone.Call) {
	t.Helper()
	for deadline := time.Now().Add(stage.Patience); ; {
		call = dials(t, ten, from, to.Number)
		select {
		case rung := <-to.Phone.Incoming():
			rung.Audio.Say(stage.AgentTone)
			require.NoError(t, rung.Answer())
			return call
		case <-ended(ten, call):
			require.True(t, time.Now().Before(deadline), "it never rang: %d", call.Status().Code)
		}
	}
}

// ringsOnly calls agent 1001, who declines by whatever rings, and reports whether only that
// phone did.
func ringsOnly(t *testing.T, ten *stage.Tenant, by *stage.Agent, phone, other *softphone.Phone) bool {
	t.Helper()
	before := [2]int{phone.Invites(), other.Invites()}
	over := ended(ten, dials(t, ten, by, "1001"))
	for patience := ten.Context(); ; {
		select {
		case rung := <-phone.Incoming():
			_ = rung.Reject(486) // it may have been taken back
		case rung := <-other.Incoming():
			_ = rung.Reject(486)
		case <-over:
			return phone.Invites() > before[0] && other.Invites() == before[1]
		case <-patience.Done():
			return false
		}
	}
}

// SEED-120: a telephone that is registered by two transports rings by the one that stands
// first in its list, which an administrator turns round; one that is not in the list is
// not let in.
func TestSEED120_ATelephoneRingsByItsFavouriteTransport(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Agents: 2})
	admin := ten.Login("admin")
	phones := map[string]*softphone.Phone{}
	for _, transport := range []string{"UDP", "TCP"} {
		phones[transport] = ten.NewPhone("1001", softphone.Config{Transport: transport})
		require.NoError(t, phones[transport].Register(ten.Context(), time.Hour))
	}
	shown := map[any]bool{}
	for _, i := range asked(t, admin, http.StatusOK, http.MethodGet, "/v1/devices/1001/registrations", nil)["items"].([]any) {
		shown[i.(map[string]any)["transport"]] = true
	}
	require.Equal(t, map[any]bool{"udp": true, "tcp": true}, shown)
	a, b := ten.Person(1), ten.Agent(2)
	sat(t, a.Sit(map[string]any{"interface": "phone"}), http.StatusCreated)
	for _, order := range [][]string{{"tcp", "udp"}, {"udp", "tcp"}, {"tcp", "udp", "tls"}} {
		set(t, admin, "1001", map[string]any{"transports": order})
		favourite, other := phones["TCP"], phones["UDP"]
		if order[0] == "udp" {
			favourite, other = other, favourite
		}
		// The setting counts from the next call on; the node hears of it a moment later.
		heard := false
		ten.Until("the order counts", func() bool { heard = ringsOnly(t, ten, b, favourite, other); return heard })
		require.True(t, heard, "%v", order)
		before := other.Invites()
		a.Ready()
		customer := ten.Call("4931200", "8000")
		rung := ten.Offered(favourite, order[0])
		require.NoError(t, rung.Answer())
		ten.Talk(customer, rung)
		require.Equal(t, before, other.Invites(), "it is one telephone")
		require.NoError(t, customer.HangUp())
		a.Wait("Ready")
	}
	set(t, admin, "1001", map[string]any{"transports": []string{"udp"}})
	require.Eventually(t, func() bool {
		err := phones["TCP"].Register(ten.Context(), time.Hour)
		return err != nil && phones["UDP"].Register(ten.Context(), time.Hour) == nil
	}, stage.Patience, 100*time.Millisecond)
	require.ErrorContains(t, phones["TCP"].Register(ten.Context(), time.Hour), "403")
}

// SEED-46, SEED-21: an internal device is one that registers, here a SIP telephone: before, it is shown as not there and
// can't be dialled; registered, it is seen with address and transport, and rings; and
// when it goes, it is gone.
func TestSEED46_AnInternalDevice_IsOneThatRegisters(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	admin := ten.Login("admin")
	made := asked(t, admin, http.StatusCreated, http.MethodPost, "/v1/devices", map[string]any{"name": "lobby", "extension": "5460", "password": stage.Password})
	require.Equal(t, []any{"sip", "dynamic"}, []any{made["kind"], made["host"]})
	there := func() bool {
		return asked(t, admin, http.StatusOK, http.MethodGet, "/v1/devices/lobby/registrations", nil)["reachable"].(bool)
	}
	a := ten.Agent(1)
	require.False(t, there())
	require.Equal(t, 480, ten.WaitEnded(dials(t, ten, a, "5460")).Code)
	lobby := ten.Registered("lobby", ten.Stranger())
	require.True(t, there())
	item := asked(t, admin, http.StatusOK, http.MethodGet, "/v1/devices/lobby/registrations", nil)["items"].([]any)[0].(map[string]any)
	require.Equal(t, []any{lobby.Addr(), "udp", "node-1"}, []any{item["address"], item["transport"], item["node"]})
	call := dials(t, ten, a, "5460")
	rung := ten.Offered(lobby, "the lobby")
	require.NoError(t, rung.Answer())
	ten.WaitUp(call)
	ten.Talk(call, rung)
	require.NoError(t, rung.HangUp())
	ten.WaitEnded(call)
	require.NoError(t, lobby.Register(ten.Context(), 0))
	require.False(t, there())
	require.Equal(t, 480, ten.WaitEnded(dials(t, ten, a, "5460")).Code)
}

// Somebody with one device's password registers from one place after the other: the history
// has the first few, and one line for all others that says how many, and where the last is.
func TestRegistrations_FromEverMorePlaces_AreCountedInTheHistory(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	admin := ten.Login("admin")
	const places = 15
	var last string
	for range places {
		p := ten.NewPhone("1001", softphone.Config{})
		require.NoError(t, p.Register(ten.Context(), time.Minute))
		last = p.Addr()
	}
	var registered, replaced []any
	for _, l := range asked(t, admin, http.StatusOK, http.MethodGet, "/v1/devices/1001/registrations", nil)["history"].([]any) {
		switch line := l.(map[string]any); line["change"] {
		case "registered":
			registered = append(registered, line["times"])
			if len(registered) == 1 {
				require.Equal(t, last, line["address"])
			}
		case "replaced":
			replaced = append(replaced, line["times"])
		}
	}
	require.Equal(t, []any{places - 4.0, 1.0, 1.0, 1.0, 1.0}, registered, "the latest first")
	require.Equal(t, []any{1.0, 1.0, 1.0, 1.0, 1.0}, replaced, "ten are kept")
}

// SEED-44: the user is who is billed: what its telephones dial, several of them, and what
// goes through its number outside is its account, read per day; nobody else's calls are in
// it, and it reads its own only.
func TestSEED44_TheUserIsBilledForAllItsTelephones(t *testing.T) {
	t.Parallel()
	ten, beyond := ordinary(t, func(d *tenancy.Document) {
		d.Tariffs = []tenancy.Tariff{{Prefix: "+86", PerMinute: 100_000}, {Prefix: "+86411", PerMinute: 70_000}}
	})
	admin := ten.Login("admin")
	asked(t, admin, http.StatusCreated, http.MethodPost, "/v1/devices", map[string]any{"name": "home-office", "owner": "1001", "password": stage.Password, "extension": "5441"})
	set(t, admin, "ordinary", map[string]any{"owner": "1001"})
	a, b := ten.Agent(1), ten.Agent(2)
	second := ten.Registered("home-office", ten.Stranger())
	for i, c := range []struct {
		by     *softphone.Phone
		number string
	}{{a.Phone, "0493055441"}, {second, "0493055442"}, {b.Phone, "5000"}, {b.Phone, "0493055443"}} {
		call, err := c.by.Dial(ten.Context(), softphone.Dial{To: c.number, Tone: stage.CustomerTone})
		require.NoError(t, err)
		rung := ten.Offered(beyond, c.number)
		require.NoError(t, rung.Answer())
		ten.WaitUp(call)
		ten.Talk(call, rung)
		require.NoError(t, call.HangUp())
		ten.WaitEnded(rung)
		booked(t, ten, i+1)
	}
	sums, prices := map[any]any{}, map[any]bool{}
	var talk float64
	for _, i := range asked(t, admin, http.StatusOK, http.MethodGet, "/v1/bookings?group=day&user=1001", nil)["days"].([]any) {
		day := i.(map[string]any)
		require.Equal(t, "1001", day["user"])
		n, _ := sums[day["kind"]].(float64)
		sums[day["kind"]] = n + day["calls"].(float64) // midnight may fall between the calls
		talk += day["talk_ms"].(float64)
	}
	require.Equal(t, map[any]any{"dialled": 2.0, "external": 1.0}, sums)
	require.Positive(t, talk)
	own := map[any]bool{}
	for _, i := range asked(t, ten.Login("1001"), http.StatusOK, http.MethodGet, "/v1/bookings", nil)["items"].([]any) {
		own[i.(map[string]any)["device"]] = true
		prices[i.(map[string]any)["price"]] = true
	}
	require.Equal(t, map[any]bool{"0.1": true, "0.07": true}, prices, "and what each costs")
	require.Equal(t, map[any]bool{"1001": true, "home-office": true, "ordinary": true}, own)
	require.Len(t, asked(t, ten.Login("1002"), http.StatusOK, http.MethodGet, "/v1/bookings", nil)["items"], 1)
	asked(t, ten.Login("1002"), http.StatusForbidden, http.MethodGet, "/v1/bookings?user=1001", nil)
}
