package stage

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/tenancy"
	"holdfast/telephony/softphone"
)

// Password is everybody's on the stage.
const Password = "holdfast-stage"

// Plan says what a tenant of a test looks like. The zero value has one agent, 1001,
// in queue "support" on number 8000, no wrap-up and 15 s of ringing.
type Plan struct {
	Agents   int
	WrapUp   time.Duration
	Ring     time.Duration
	MaxWait  time.Duration
	Devices  int    // SIP devices per agent; default 1
	Method   string // ring method; default all
	OnRONA   string // on_no_answer: not_ready (default) or stay
	Policies tenancy.Policies
	Trunk    []netip.Addr // customers call from these addresses too
	// Change has the last word on the tenant's file.
	Change func(*tenancy.Document)
}

// Tenant is one test's own contact center.
type Tenant struct {
	Domain string
	Watch  *Watch

	t     testing.TB // answers for the present step
	keep  testing.TB // made the tenant: what belongs to it ends with this one
	stage *Stage
	plan  Plan
	ip    netip.Addr // customers call from here: the tenant's trunk
	alien netip.Addr // nobody is known by this address
	calls *softphone.Phone
}

// Tenant makes a tenant with the people of plan; it lives as long as the test.
func (s *Stage) Tenant(t testing.TB, plan Plan) *Tenant {
	t.Helper()
	if plan.Agents == 0 {
		plan.Agents = 1
	}
	if plan.Devices == 0 {
		plan.Devices = 1
	}
	if plan.Ring == 0 {
		plan.Ring = 15 * time.Second
	}
	n := int(s.tenants.Add(1))
	ten := &Tenant{
		Domain: fmt.Sprintf("t%d.test.localhost", n), t: t, keep: t, stage: s, plan: plan,
		ip:    netip.AddrFrom4([4]byte{127, 8, byte(n >> 8), byte(n)}),
		alien: netip.AddrFrom4([4]byte{127, 9, byte(n >> 8), byte(n)}),
	}
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	require.NoError(t, os.WriteFile(ten.File(), ten.document(), 0o644))
	out, err := s.Holdfast(ctx, "apply", "-f", ten.File())
	require.NoError(t, err, out)
	boss, err := s.Login(ctx, ten.Domain, "supervisor", Password)
	require.NoError(t, err)
	ten.Watch = boss.watch(context.Background())
	t.Cleanup(ten.Watch.Close)
	ten.calls, err = softphone.New(ctx, softphone.Config{IP: ten.ip, Server: s.sip, User: "customer"})
	require.NoError(t, err)
	t.Cleanup(ten.calls.Close)
	return ten
}

// In makes a subtest answer for the tenant's steps from now on. The tenant, its people
// and its calls live on until the end of the test that made it.
func (ten *Tenant) In(t testing.TB) { ten.t = t }

// T answers for the tenant's present step.
func (ten *Tenant) T() testing.TB { return ten.t }

// Trunk is the address from which this tenant's customers call.
func (ten *Tenant) Trunk() netip.Addr { return ten.ip }

// Stranger is an address that belongs to no trunk, and that no other test calls from:
// what is held against it hits nobody else.
func (ten *Tenant) Stranger() netip.Addr { return ten.alien }

// File is the tenant's file, as it was applied.
func (ten *Tenant) File() string { return filepath.Join(ten.stage.dir, ten.Domain+".yaml") }

// Context bounds one step of the test by Patience.
func (ten *Tenant) Context() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	ten.keep.Cleanup(cancel)
	return ctx
}

// Login signs a user of this tenant in.
func (ten *Tenant) Login(user string) *Client {
	ten.t.Helper()
	c, err := ten.stage.Login(ten.Context(), ten.Domain, user, Password)
	require.NoError(ten.t, err)
	return c
}

// Call lets a customer dial a number.
func (ten *Tenant) Call(from, number string) *softphone.Call {
	ten.t.Helper()
	return ten.Dial(softphone.Dial{To: number, From: from, Tone: CustomerTone})
}

// Dial lets a customer dial in a certain way.
func (ten *Tenant) Dial(how softphone.Dial) *softphone.Call {
	ten.t.Helper()
	c, err := ten.calls.Dial(ten.Context(), how)
	require.NoError(ten.t, err)
	ten.keep.Cleanup(func() { _ = c.HangUp() })
	return c
}

// The tones that people speak, far apart and none a multiple of another.
const (
	CustomerTone = 1000.0
	AgentTone    = 440.0
)

// Agent is one agent with a phone and an API client.
type Agent struct {
	Number string
	Phone  *softphone.Phone
	API    *Client
	ten    *Tenant
}

// Agent is the n-th agent (1 is 1001), its phone registered and its user logged in,
// but not signed in as an agent.
func (ten *Tenant) Agent(n int) *Agent {
	ten.t.Helper()
	a := &Agent{Number: fmt.Sprint(1000 + n), ten: ten}
	a.Phone = ten.NewPhone(a.Number, softphone.Config{})
	require.NoError(ten.t, a.Phone.Register(ten.Context(), 5*time.Minute))
	a.API = ten.Login(a.Number)
	return a
}

// Signed is an agent by number whose user is signed in, and whose phone is not ours.
func (ten *Tenant) Signed(number string) *Agent {
	ten.t.Helper()
	a := &Agent{Number: number, ten: ten, API: ten.Login(number)}
	a.SignIn()
	return a
}

// NewPhone is a phone with a device's credentials, not registered yet.
func (ten *Tenant) NewPhone(device string, conf softphone.Config) *softphone.Phone {
	ten.t.Helper()
	conf.Server, conf.User, conf.Domain, conf.Password = ten.stage.sip, device, ten.Domain, Password
	p, err := softphone.New(ten.Context(), conf)
	require.NoError(ten.t, err)
	ten.keep.Cleanup(p.Close)
	return p
}

// ReadyAgent is the n-th agent, signed in and Ready.
func (ten *Tenant) ReadyAgent(n int) *Agent {
	ten.t.Helper()
	a := ten.Agent(n)
	a.SignIn()
	a.Ready()
	return a
}

// T answers for the present step of the agent's tenant.
func (a *Agent) T() testing.TB { return a.ten.t }

// SignIn starts the agent session.
func (a *Agent) SignIn() Session {
	a.ten.t.Helper()
	s := a.must(http.MethodPost, "/v1/agent-session", map[string]string{"interface": "phone"})
	a.ten.keep.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), Patience)
		defer cancel()
		_, _ = a.API.Do(ctx, http.MethodDelete, "/v1/agent-session", nil) // signed out by the test, perhaps
	})
	return s
}

// Ready asks for Ready.
func (a *Agent) Ready() Session {
	a.ten.t.Helper()
	return a.must(http.MethodPost, "/v1/agent-session/ready", nil)
}

// NotReady asks for NotReady.
func (a *Agent) NotReady(reason string) Session {
	a.ten.t.Helper()
	return a.must(http.MethodPost, "/v1/agent-session/not-ready", map[string]string{"reason": reason})
}

// SignOut asks for the end of the session.
func (a *Agent) SignOut() Session {
	a.ten.t.Helper()
	return a.must(http.MethodDelete, "/v1/agent-session", nil)
}

// View reads the session.
func (a *Agent) View() Session {
	a.ten.t.Helper()
	return a.must(http.MethodGet, "/v1/agent-session", nil)
}

// must sends what has to succeed, where there are faults (Options) also after 503.
func (a *Agent) must(method, path string, body any) Session {
	a.ten.t.Helper()
	ans := a.Try(method, path, body)
	if a.ten.stage.faults && ans.Status == http.StatusServiceUnavailable {
		a.ten.t.Logf("agent %s comes back: %s", a.Number, ans.Body)
		var err error
		require.Eventually(a.ten.t, func() bool {
			ans, err = a.API.Do(a.ten.Context(), method, path, body)
			return err != nil || ans.Status != http.StatusServiceUnavailable
		}, 2*Patience, Soon, "%s %s: the service is back", method, path)
		require.NoError(a.ten.t, err)
	}
	require.Equal(a.ten.t, 2, ans.Status/100, "%s %s: %d %s", method, path, ans.Status, ans.Body)
	var s Session
	require.NoError(a.ten.t, json.Unmarshal(ans.Body, &s))
	return s
}

// Try sends a command and returns the answer, whatever it is.
func (a *Agent) Try(method, path string, body any, headers ...string) Answer {
	a.ten.t.Helper()
	ans, err := a.API.Do(a.ten.Context(), method, path, body, headers...)
	require.NoError(a.ten.t, err)
	return ans
}

// Wait returns when the agent is in the state, as the supervisor's stream shows it.
// A reason may follow in brackets: "NotReady(RONA)". Ready is what the database calls free
// as well (WaitFree): a stream that has not shown the last call yet shows Ready of before it.
func (a *Agent) Wait(state string) Session {
	a.ten.t.Helper()
	var newest int64
	if state == "Ready" {
		newest = a.WaitFree()
	}
	s, err := a.ten.Watch.WaitSession(a.ten.Context(), a.Number, "become "+state, func(s Session) bool {
		return s.Version >= newest && (s.State == state || s.State+"("+s.Reason+")" == state)
	})
	require.NoError(a.ten.t, err)
	return s
}

// WentThrough returns when the agent's latest states, as the supervisor's stream shows
// them, are these: also when they followed each other so fast that no look caught one.
func (a *Agent) WentThrough(states ...string) {
	a.ten.t.Helper()
	require.NoError(a.ten.t, a.ten.Watch.WaitStates(a.ten.Context(), a.Number, states))
}

// Offered returns the call that rings the agent's phone, ringing.
func (a *Agent) Offered() *softphone.Call {
	a.ten.t.Helper()
	return a.ten.Offered(a.Phone, a.Number)
}

// Offered returns the call that rings a phone, ringing and ready to speak.
func (ten *Tenant) Offered(p *softphone.Phone, who string) *softphone.Call {
	ten.t.Helper()
	select {
	case c := <-p.Incoming():
		c.Audio.Say(AgentTone)
		require.NoError(ten.t, c.Ring())
		return c
	case <-ten.Context().Done():
		require.FailNow(ten.t, "no call rang the phone of "+who, "states: %v", ten.Watch.States(who))
		return nil
	}
}

// Answered returns the call that rings the agent's phone, answered and up.
func (a *Agent) Answered() *softphone.Call {
	a.ten.t.Helper()
	c := a.Offered()
	require.NoError(a.ten.t, c.Answer())
	return c
}

// WaitUp waits until a call is answered.
func (ten *Tenant) WaitUp(c *softphone.Call) {
	ten.t.Helper()
	require.NoError(ten.t, c.Wait(ten.Context(), softphone.Up))
}

// WaitEnded waits until a call is over and returns how it ended.
func (ten *Tenant) WaitEnded(c *softphone.Call) softphone.Status {
	ten.t.Helper()
	require.NoError(ten.t, c.Wait(ten.Context(), softphone.Ended))
	return c.Status()
}

// Talk proves that both parties hear each other's tone.
func (ten *Tenant) Talk(customer, agent *softphone.Call) {
	ten.t.Helper()
	require.NoError(ten.t, customer.Audio.WaitTone(ten.Context(), AgentTone), "the customer hears the agent")
	require.NoError(ten.t, agent.Audio.WaitTone(ten.Context(), CustomerTone), "the agent hears the customer")
}

// WaitCall returns the tenant's call whose view fits, from the supervisor's stream.
func (ten *Tenant) WaitCall(what string, fits func(CallView) bool) CallView {
	ten.t.Helper()
	c, err := ten.Watch.WaitCall(ten.Context(), what, fits)
	require.NoError(ten.t, err)
	return c
}
