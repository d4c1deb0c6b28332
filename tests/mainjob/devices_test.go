package mainjob

import (
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"holdfast/cmd/tenantfile"
	"holdfast/domain/device"
	"holdfast/domain/leg"
	"holdfast/domain/tenancy"
	"holdfast/telephony/softphone"
	"holdfast/tests/stage"
)

// ordinary is the external device of SEED-49, in a tenant in China whose calls with a leading
// 0 go to the network beyond; the supervisor pays for it.
func ordinary(t *testing.T, more func(*tenancy.Document)) (*stage.Tenant, *softphone.Phone) {
	t.Helper()
	return reaching(t, stage.Plan{Agents: 2, Change: func(d *tenancy.Document) {
		d.Tenant.Country = "CN"
		d.Devices = append(d.Devices, tenancy.Device{Name: "ordinary", Kind: leg.PSTN, Number: "041139735857", Extension: "5000", Owner: "supervisor"})
		if more != nil {
			more(d)
		}
	}}, "0*")
}

// booked waits for the tenant's bookings, as "kind account device number".
func booked(t *testing.T, ten *stage.Tenant, n int) []string {
	t.Helper()
	sql := hall.SQL(t)
	var lines []string
	require.Eventually(t, func() bool {
		rows, err := sql.Query(t.Context(), `SELECT concat_ws(' ', kind, account, device, number) FROM bookings WHERE tenant_id = $1 AND ended_at > answered_at ORDER BY answered_at`, ten.Domain)
		require.NoError(t, err)
		lines, err = pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		return len(lines) >= n
	}, stage.Patience, 20*time.Millisecond)
	return lines
}

// SEED-49, SEED-50, SEED-47: dialling 5000 from another extension calls 041139735857, and
// the owner of that device pays; what the agent dials itself, the agent's user pays.
func TestSEED49_AnInternalNumber_CallsTheNumberOutside(t *testing.T) {
	t.Parallel()
	ten, beyond := ordinary(t, func(d *tenancy.Document) {
		d.Devices[0].CallerID = "+8641188888888"
		d.Tariffs = []tenancy.Tariff{{Prefix: "+86", PerMinute: 120_000}, {Prefix: "+86411", PerMinute: 80_000, PerCall: 10_000}}
	})
	a := ten.Agent(1)
	a.SignIn()
	for _, c := range [][2]string{{"5000", "041139735857"}, {"0493055501", "0493055501"}} {
		call := dials(t, ten, a, c[0])
		rung := ten.Offered(beyond, "the number outside")
		require.Equal(t, c[1], rung.To)
		require.Equal(t, "+8641188888888", rung.Invite.From().Address.User, "SEED-124: the caller id of the device that calls")
		require.NoError(t, rung.Answer())
		ten.WaitUp(call)
		ten.Talk(call, rung)
		a.Wait("Busy")
		require.NoError(t, call.HangUp())
		ten.WaitEnded(rung)
		a.Wait("NotReady(LOGIN)")
	}
	require.Equal(t, []string{"external supervisor ordinary +8641139735857", "dialled 1001 1001 0493055501"}, booked(t, ten, 2))
	readBookings(t, ten, a)
}

// readBookings reads the two bookings of above as the administrator, as the agent and as
// the supervisor, by day and as a table (SEED-47, SEED-50).
func readBookings(t *testing.T, ten *stage.Tenant, a *stage.Agent) {
	t.Helper()
	admin := ten.Login("admin")
	today := time.Now().UTC().Format(time.DateOnly)
	days := asked(t, admin, http.StatusOK, http.MethodGet, "/v1/bookings?group=day&from="+time.Now().UTC().AddDate(0, 0, -1).Format(time.DateOnly)+"&to="+today, nil)["days"].([]any)
	require.Len(t, days, 2)
	kinds := map[any]any{}
	for _, d := range days {
		d := d.(map[string]any)
		kinds[d["kind"]] = []any{d["user"], d["price"], d["currency"], d["unpriced"]}
	}
	require.Equal(t, map[any]any{"external": []any{"supervisor", "0.09", "EUR", 0.0}, "dialled": []any{"1001", "0.12", "EUR", 0.0}}, kinds, "by the minute that has begun")
	mine := asked(t, ten.Login(a.Number), http.StatusOK, http.MethodGet, "/v1/bookings", nil)["items"].([]any)
	require.Len(t, mine, 1)
	require.Equal(t, "0493055501", mine[0].(map[string]any)["number"])
	asked(t, ten.Login(a.Number), http.StatusForbidden, http.MethodGet, "/v1/bookings?user=supervisor", nil)
	ans, err := admin.Do(t.Context(), http.MethodGet, "/v1/bookings?device=ordinary", nil, "Accept", "text/csv")
	require.NoError(t, err)
	require.Contains(t, string(ans.Body), ",external,supervisor,ordinary,,'+8641139735857,")
	require.Contains(t, string(ans.Body), ",0.09,EUR,'+86411\n")
}

// SEED-48: an external device receives calls and originates none: it has no credentials, and
// who calls from its number is a customer like any other, who is not sent out again.
func TestSEED48_AnExternalDevice_CanNotCallThroughTheSystem(t *testing.T) {
	t.Parallel()
	ten, beyond := ordinary(t, nil)
	p := ten.NewPhone("ordinary", softphone.Config{})
	require.ErrorContains(t, p.Register(ten.Context(), time.Hour), "the password was not accepted")
	call, err := p.Dial(ten.Context(), softphone.Dial{To: "0493055501"})
	require.NoError(t, err)
	require.Equal(t, 401, ten.WaitEnded(call).Code)
	for _, number := range []string{"0493055501", "5000"} {
		require.Equal(t, 404, ten.WaitEnded(ten.Call("041139735857", number)).Code)
	}
	require.Zero(t, beyond.Invites())
}

// SEED-45, SEED-121: a phone that belongs to nobody, at a fixed address, calls and is called by
// its extension, without registration.
func TestSEED45_APhoneInTheLobby_CallsAndIsCalledByItsExtension(t *testing.T) {
	t.Parallel()
	ten, _ := ordinary(t, nil)
	lobby, err := softphone.New(t.Context(), softphone.Config{Server: hall.SIP(), IP: netip.MustParseAddr("127.0.0.77"), User: "lobby", Domain: ten.Domain})
	require.NoError(t, err)
	t.Cleanup(lobby.Close)
	apply(t, ten, func(d *tenancy.Document) {
		d.Devices = append(d.Devices, tenancy.Device{Name: "lobby", Extension: "5001", Settings: device.Settings{Host: lobby.Addr()}})
	})
	a := ten.Agent(1)
	call := dials(t, ten, a, "5001")
	rung := ten.Offered(lobby, "the lobby")
	require.NoError(t, rung.Answer())
	ten.WaitUp(call)
	ten.Talk(call, rung)
	require.NoError(t, call.HangUp())
	ten.WaitEnded(rung)

	call, err = lobby.Dial(ten.Context(), softphone.Dial{To: "1001", Tone: stage.CustomerTone})
	require.NoError(t, err)
	rung = ten.Offered(a.Phone, a.Number)
	require.Equal(t, "lobby", rung.Invite.From().Address.User)
	require.NoError(t, rung.Answer())
	ten.WaitUp(call)
	ten.Talk(call, rung)
	require.NoError(t, rung.HangUp())
	ten.WaitEnded(call)
}

// SEED-122, SEED-123: settings that are applied reach the phones that are registered already.
func TestSEED123_ChangedSettings_CountFromTheNextCall(t *testing.T) {
	t.Parallel()
	ten, _ := ordinary(t, nil)
	a, b := ten.Agent(1), ten.Agent(2)
	call := dials(t, ten, a, "1002")
	rung := ten.Offered(b.Phone, b.Number)
	require.Contains(t, string(rung.Invite.Body()), "RTP/AVP 0 8 ")
	require.NoError(t, rung.Reject(486))
	ten.WaitEnded(call)
	apply(t, ten, func(d *tenancy.Document) {
		d.Devices[0].Type = device.Peer
		d.Devices[1].Codecs = []device.Codec{device.ALaw}
	})
	require.Eventually(t, func() bool { return ten.WaitEnded(dials(t, ten, a, "5999")).Code == 403 }, stage.Patience, 100*time.Millisecond, "a peer may not call")
	call = dials(t, ten, b, "1001")
	rung = ten.Offered(a.Phone, a.Number)
	require.Contains(t, string(rung.Invite.Body()), "RTP/AVP 8 0 ", "the caller's codec first, which is alaw now")
	require.NoError(t, rung.Reject(486))
	ten.WaitEnded(call)
}

// SEED-26: a number that nothing leads to is refused with the reason.
func TestSEED26_ANumberThatNoTrunkReaches_IsRefused(t *testing.T) {
	t.Parallel()
	ten, _ := ordinary(t, nil)
	doc, err := tenantfile.Read([]byte(exported(t, ten)))
	require.NoError(t, err)
	require.Equal(t, "+8641139735857", doc.Devices[2].Number)
	doc.Trunks[0].Host = ""
	text, err := tenantfile.Write(doc)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "tenant.yaml")
	require.NoError(t, os.WriteFile(file, text, 0o600))
	refused := ran(t, ten, 2, "", "apply", "-f", file)
	require.Contains(t, refused.Errors, `devices[2].number: +8641139735857 can't be reached: its route leads to trunk "carrier", which has no host to call out by`)
}
