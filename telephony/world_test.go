package telephony

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/call"
	"holdfast/domain/device"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/telephony/digest"
	"holdfast/telephony/media"
	"holdfast/telephony/softphone"
	"holdfast/telephony/transaction"
)

const demo id.Tenant = "demo.localhost"

const password = "secret"

// world is what stands around a node: the Handler that it reports to and the Directory that it asks, with a transcript.
type world struct {
	mu         sync.Mutex
	changed    chan struct{}
	arrived    []call.Incoming
	facts      []fact
	regs       map[string]device.Registration // by device and instance, as a database would keep them
	beats      []device.Node
	trunks     []device.Trunk
	lookups    int
	refusal    error                                      // of Incoming
	opening    func(ctx context.Context, c call.Incoming) // runs inside Incoming
	away       error                                      // of the directory
	phoneLog   []device.Registration
	rejections []device.Rejection

	givenUp string                      // the boot whose calls are closed
	routes  map[string]string           // which trunk a number goes out by
	barred  map[string]string           // why a number may not be dialled
	devices map[id.Device]device.Device // other than friends without settings
	pulses  []device.Pulse

	forgetful bool                  // registrations that went stay, as if nobody had told
	reading   func(context.Context) // runs inside Registrations
}

// fact is one report.
type fact struct {
	ref call.Ref
	e   call.Event
}

func (f fact) String() string { return fmt.Sprintf("%s %+v", f.e.Kind(), f.e) }

func newWorld() *world {
	return &world{
		changed: make(chan struct{}), regs: map[string]device.Registration{},
		trunks: []device.Trunk{{Tenant: demo, Name: "loopback", Addresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}},
	}
}

func (w *world) change(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
	close(w.changed)
	w.changed = make(chan struct{})
}

// until waits for a condition over the world's state.
func (w *world) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(15 * time.Second)
	for {
		w.mu.Lock()
		done, changed := ok(), w.changed
		w.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			require.FailNow(t, "waited too long", "%s; facts so far: %v", what, w.all())
		}
	}
}

func (w *world) all() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []string
	for _, f := range w.facts {
		list = append(list, f.String())
	}
	return list
}

// of are the facts of one call.
func (w *world) of(c id.Call) (list []call.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.facts {
		if f.ref.Call == c {
			list = append(list, f.e)
		}
	}
	return list
}

// waitFact waits for a fact of a call; when a ring that was out began is of no interest.
func (w *world) waitFact(t *testing.T, c id.Call, want call.Event) {
	t.Helper()
	w.until(t, fmt.Sprintf("%s %+v of %s", want.Kind(), want, c), func() bool {
		return slices.ContainsFunc(w.facts, func(f fact) bool {
			if ended, ok := f.e.(call.LegEnded); ok {
				ended.RangAt = time.Time{}
				f.e = ended
			}
			return f.ref.Call == c && f.e == want
		})
	})
}

// waitCall waits for the n-th call that came in, counting from 0.
func (w *world) waitCall(t *testing.T, n int) call.Incoming {
	t.Helper()
	w.until(t, fmt.Sprintf("call %d", n), func() bool { return len(w.arrived) > n })
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.arrived[n]
}

func (w *world) calls() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.arrived)
}

// Incoming implements Handler.
func (w *world) Incoming(ctx context.Context, in call.Incoming) error {
	w.mu.Lock()
	opening := w.opening
	w.mu.Unlock()
	if opening != nil {
		opening(ctx, in)
	}
	w.change(func() { w.arrived = append(w.arrived, in) })
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.refusal
}

// Report implements Handler.
func (w *world) Report(ref call.Ref, e call.Event) {
	w.change(func() { w.facts = append(w.facts, fact{ref, e}) })
}

// Tenants implements Directory.
func (w *world) Tenants(context.Context) ([]id.Tenant, error) { return []id.Tenant{demo}, nil }

// Credentials implements Directory: devices 1001 to 1009 and the trunk "carrier".
func (w *world) Credentials(_ context.Context, t id.Tenant, user string) (device.Credentials, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lookups++
	if w.away != nil {
		return device.Credentials{}, w.away
	}
	c := device.Credentials{
		Tenant: t, User: user, MD5: digest.HA1(digest.MD5, user, string(t), password), SHA256: digest.HA1(digest.SHA256, user, string(t), password),
	}
	switch {
	case w.devices[id.Device(user)].Fixed() && w.devices[id.Device(user)].Owner == "":
		return device.Credentials{}, fault.E(fault.NotFound, "credentials", errors.New(user)) // known by its address
	case t == demo && len(user) == 4 && strings.HasPrefix(user, "100"):
		c.Device, c.Agent = id.Device(user), id.Agent(user)
	case t == demo && user == "carrier":
		c.Trunk = "carrier"
	default:
		return device.Credentials{}, fault.E(fault.NotFound, "credentials", errors.New(user))
	}
	return c, nil
}

// Device implements Directory.
func (w *world) Device(_ context.Context, t id.Tenant, name id.Device) (device.Device, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	v, found := w.devices[name]
	switch {
	case w.away != nil:
		return device.Device{}, w.away
	case t != demo || !found && (len(name) != 4 || !strings.HasPrefix(string(name), "100")):
		return device.Device{}, fault.E(fault.NotFound, "device", errors.New(string(name)))
	case !found:
		v = device.Device{Kind: leg.SIP, Agent: id.Agent(name)}
	}
	v.Tenant, v.Name, v.Settings = t, name, v.Settings.Complete(leg.SIP)
	return v, nil
}

// SavePulses implements Directory.
func (w *world) SavePulses(_ context.Context, list []device.Pulse) error {
	w.change(func() { w.pulses = append(w.pulses, list...) })
	return nil
}

// Trunks implements Directory.
func (w *world) Trunks(context.Context) ([]device.Trunk, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.trunks), nil
}

// Route implements Directory.
func (w *world) Route(_ context.Context, _ id.Tenant, number string) (call.Route, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	trunk, found := w.routes[number]
	if w.away != nil {
		return call.Route{}, w.away
	}
	if !found {
		return call.Route{Kind: call.ToNobody, Barred: w.barred[number]}, nil
	}
	return call.Route{Kind: call.ToTrunk, Barred: w.barred[number], Targets: []leg.Address{{Device: id.Device(trunk), Kind: leg.PSTN, URI: number}}}, nil
}

// Registrations implements Directory.
func (w *world) Registrations(ctx context.Context, t id.Tenant, d id.Device) (list []device.Registration, _ error) {
	if w.reading != nil {
		w.reading(ctx)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.regs {
		if r.Tenant == t && r.Device == d {
			list = append(list, r)
		}
	}
	return list, nil
}

// Nodes implements Directory: the last beat of each.
func (w *world) Nodes(context.Context) ([]device.Node, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	last := map[id.Node]device.Node{}
	for _, b := range w.beats {
		last[b.Name] = b
	}
	return slices.Collect(maps.Values(last)), nil
}

// NodeSecret implements Directory.
func (w *world) NodeSecret(context.Context) ([]byte, error) {
	return []byte("the nodes' secret, of a good length"), nil
}

// Beat implements Directory.
func (w *world) Beat(_ context.Context, n device.Node) (lost bool, err error) {
	w.change(func() {
		if lost = w.givenUp == n.Boot; !lost {
			w.beats = append(w.beats, n)
		}
	})
	return lost, nil
}

// stage is a node with its world on 127.0.0.1.
type stage struct {
	*Node
	w   *world
	t   *testing.T
	udp string
	tcp string
}

// play makes a stage; change may alter the configuration.
func play(t *testing.T, change ...func(*Config, *world)) *stage {
	t.Helper()
	return playIn(t, newWorld(), change...)
}

// playIn makes a stage in a world where others may play as well.
func playIn(t *testing.T, w *world, change ...func(*Config, *world)) *stage {
	t.Helper()
	conf := Config{
		Name: "node-1", Boot: "boot-1", Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Listen: []transaction.Endpoint{{Transport: "UDP", Addr: "127.0.0.1:0"}, {Transport: "TCP", Addr: "127.0.0.1:0"}},
		Media:  media.Config{Shards: 1},
		Timers: transaction.Timers{T1: 100 * time.Millisecond, T2: 400 * time.Millisecond, T4: 500 * time.Millisecond},
	}
	for _, f := range change {
		f(&conf, w)
	}
	n, err := New(conf, w, w)
	require.NoError(t, err)
	require.NoError(t, n.Start(t.Context()))
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // live calls end at once
		_ = n.Stop(ctx)
	})
	return &stage{Node: n, w: w, t: t, udp: n.Addr("UDP"), tcp: n.Addr("TCP")}
}

func (s *stage) within(d time.Duration) context.Context {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), d)
	s.t.Cleanup(cancel)
	return ctx
}

// soon is the patience of a test with things that should take milliseconds.
func (s *stage) soon() context.Context { return s.within(10 * time.Second) }

// phone makes a registered phone of a device.
func (s *stage) phone(user, transport string) *softphone.Phone {
	s.t.Helper()
	p := s.unregistered(user, transport)
	require.NoError(s.t, p.Register(s.soon(), time.Hour))
	return p
}

func (s *stage) unregistered(user, transport string) *softphone.Phone {
	s.t.Helper()
	server := s.udp
	if transport == "TCP" {
		server = s.tcp
	}
	p, err := softphone.New(s.t.Context(), softphone.Config{Server: server, User: user, Domain: string(demo), Password: password, Transport: transport})
	require.NoError(s.t, err)
	s.t.Cleanup(p.Close)
	return p
}

// customer makes a phone outside, behind the loopback trunk.
func (s *stage) customer(number string) *softphone.Phone {
	s.t.Helper()
	p, err := softphone.New(s.t.Context(), softphone.Config{Server: s.udp, User: number})
	require.NoError(s.t, err)
	s.t.Cleanup(p.Close)
	return p
}

// dial calls the queue and waits until the Handler knows the call.
func (s *stage) dial(p *softphone.Phone, how softphone.Dial) (*softphone.Call, call.Incoming) {
	s.t.Helper()
	if how.To == "" {
		how.To = "8000"
	}
	before := s.w.calls()
	c, err := p.Dial(s.t.Context(), how)
	require.NoError(s.t, err)
	return c, s.w.waitCall(s.t, before)
}

// ref names the call that came in.
func ref(in call.Incoming) call.Ref { return call.Ref{Tenant: in.Tenant, Call: in.Call} }

// order is a ring of devices.
func order(in call.Incoming, n int, devices ...id.Device) call.Ring {
	r := call.Ring{
		Offer: id.NewOffer(in.Call, n), Leg: id.Leg(fmt.Sprintf("agent-%d", n)), Customer: call.CallerLeg, Agent: "1001", Queue: "support",
		From: in.From, To: in.To, Method: ringAll, Timeout: 10 * time.Second, Data: in.Data,
	}
	for _, d := range devices {
		r.Targets = append(r.Targets, leg.Address{Device: d, Kind: leg.SIP})
	}
	return r
}

// outcome is what a Ring returned.
type outcome struct {
	call.RingEnded
	err error
}

// ring rings in the background, as the dispatcher does.
func (s *stage) ring(in call.Incoming, r call.Ring) <-chan outcome {
	done := make(chan outcome, 1)
	go func() {
		e, err := s.Ring(s.t.Context(), ref(in), r)
		done <- outcome{e, err}
	}()
	return done
}

// wait takes the outcome of a ring.
func (s *stage) wait(done <-chan outcome) call.RingEnded {
	s.t.Helper()
	select {
	case o := <-done:
		require.NoError(s.t, o.err)
		return o.RingEnded
	case <-s.soon().Done():
		require.FailNow(s.t, "the ring did not end")
		return call.RingEnded{}
	}
}

// rings waits for the call at a phone and lets it ring.
func (s *stage) rings(p *softphone.Phone) *softphone.Call {
	s.t.Helper()
	c := s.invited(p)
	require.NoError(s.t, c.Ring())
	return c
}

// invited waits for the call at a phone.
func (s *stage) invited(p *softphone.Phone) *softphone.Call {
	s.t.Helper()
	select {
	case c := <-p.Incoming():
		return c
	case <-s.soon().Done():
		require.FailNow(s.t, "the phone does not ring")
		return nil
	}
}

// connected is a customer that talks with an agent's phone.
func (s *stage) connected() (customer, agent *softphone.Call, in call.Incoming) {
	s.t.Helper()
	p := s.phone("1001", "UDP")
	customer, in = s.dial(s.customer("4930123"), softphone.Dial{Tone: 1000})
	require.NoError(s.t, s.Treat(s.soon(), ref(in), call.Treat{Leg: call.CallerLeg, With: call.TreatRingback}))
	done := s.ring(in, order(in, 1, "1001"))
	agent = s.rings(p)
	agent.Audio.Say(440)
	require.NoError(s.t, agent.Answer())
	require.Equal(s.t, call.RingAnswered, s.wait(done).Outcome)
	require.NoError(s.t, customer.Wait(s.soon(), softphone.Up))
	return customer, agent, in
}
