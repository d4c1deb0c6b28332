package registrar

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/stretchr/testify/require"

	"holdfast/telephony/headers"
	"holdfast/telephony/transaction"
)

const aor = "1001@demo.localhost"

var (
	noon   = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	direct = transaction.Flow{Transport: "UDP", Local: "127.0.0.1:5060", Remote: "10.0.0.9:5070"}
)

// memory is a store with a transcript.
type memory struct {
	mu    sync.Mutex
	saved map[string][]Binding
	saves int
	fail  error
	hook  func()
}

func (m *memory) SaveBindings(_ context.Context, aor string, list []Binding) error {
	if m.hook != nil {
		m.hook()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	m.saves++
	m.saved[aor] = slices.Clone(list)
	return nil
}

type bench struct {
	*Registrar
	store *memory
	now   time.Time
	mu    sync.Mutex
	heard []string
}

func registrar(t *testing.T, p Policy) *bench {
	t.Helper()
	b := &bench{store: &memory{saved: map[string][]Binding{}}, now: noon}
	var err error
	b.Registrar, err = New(Config{
		Policy: p, Store: b.store, Node: "n1", Now: func() time.Time { return b.now },
		OnChange: func(c Change) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.heard = append(b.heard, fmt.Sprintf("%s %s", c.Kind, c.Binding.Contact))
		},
	})
	require.NoError(t, err)
	return b
}

func (b *bench) changes() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	h := b.heard
	b.heard = nil
	return h
}

// register builds a REGISTER with a CSeq number and further header lines.
func register(t *testing.T, cseq int, lines ...string) *sip.Request {
	t.Helper()
	all := append([]string{"REGISTER sip:demo.localhost SIP/2.0", "Via: SIP/2.0/UDP 10.0.0.9:5070;branch=z9hG4bK1",
		"From: <sip:1001@demo.localhost>;tag=a", "To: <sip:1001@demo.localhost>", "Call-ID: reg1",
		fmt.Sprintf("CSeq: %d REGISTER", cseq)}, lines...)
	m, err := sip.ParseMessage([]byte(strings.Join(all, "\r\n") + "\r\nContent-Length: 0\r\n\r\n"))
	require.NoError(t, err)
	return m.(*sip.Request)
}

func (b *bench) register(t *testing.T, from transaction.Flow, cseq int, lines ...string) *Result {
	t.Helper()
	r, err := b.Register(t.Context(), register(t, cseq, lines...), aor, from)
	require.NoError(t, err)
	return r
}

func contactsOf(r *Result) (out []string) {
	for _, h := range r.Headers {
		if h.Name() == "Contact" {
			out = append(out, h.Value())
		}
	}
	return out
}

const contact = "Contact: <sip:1001@10.0.0.9:5070>"

func TestRegister_RefreshAndLeave_AreToldAndStored(t *testing.T) {
	t.Parallel()
	b := registrar(t, Policy{})
	r := b.register(t, direct, 1, contact, "Expires: 600", "User-Agent: Phone/1", "Path: <sip:p1.test;lr>, <sip:p2.test;lr>")
	require.Equal(t, 200, r.Code)
	require.Equal(t, []string{"<sip:1001@10.0.0.9:5070>;expires=600"}, contactsOf(r))
	require.Equal(t, []string{"registered sip:1001@10.0.0.9:5070"}, b.changes())
	got := b.Lookup(aor)
	require.Equal(t, b.store.saved[aor], got)
	require.Equal(t, []string{"sip:p1.test;lr", "sip:p2.test;lr"}, got[0].Path)
	require.Equal(t, "Phone/1", got[0].UserAgent)
	require.Equal(t, direct, got[0].Flow)
	require.Equal(t, "n1", got[0].Node)
	require.False(t, got[0].NAT)

	b.now = noon.Add(5 * time.Minute)
	other := direct
	other.Remote = "10.0.0.9:6000"
	r = b.register(t, other, 2, contact)
	require.True(t, r.Changes[0].Moved)
	require.Equal(t, []string{"refreshed sip:1001@10.0.0.9:5070"}, b.changes())
	require.Equal(t, noon, b.Lookup(aor)[0].RegisteredAt)
	require.Equal(t, b.now, b.Lookup(aor)[0].RefreshedAt)

	r = b.register(t, direct, 3, contact+";expires=0")
	require.Empty(t, contactsOf(r))
	require.Equal(t, []string{"unregistered sip:1001@10.0.0.9:5070"}, b.changes())
	require.Empty(t, b.Lookup(aor))
	require.Empty(t, b.store.saved[aor])
	b.register(t, direct, 4, contact+";expires=0")
	require.Empty(t, b.changes(), "to leave twice is no change")
}

func TestRegister_Expires_ParameterThenHeaderThenDefault(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		lines []string
		want  time.Duration
		code  int
	}{
		{[]string{contact + ";expires=300", "Expires: 600"}, 300 * time.Second, 200},
		{[]string{contact, "Expires: 600"}, 600 * time.Second, 200},
		{[]string{contact}, time.Hour, 200},
		{[]string{contact + ";expires=junk", "Expires: more"}, time.Hour, 200},
		{[]string{contact + ";expires=99999999999"}, 2 * time.Hour, 200},
		{[]string{contact + ";expires=30"}, 0, 423},
		{[]string{contact, "Expires: 1"}, 0, 423},
	} {
		b := registrar(t, Policy{})
		r := b.register(t, direct, 1, test.lines...)
		require.Equal(t, test.code, r.Code, test.lines)
		if test.code == 423 {
			require.Equal(t, "Min-Expires: 60", r.Headers[0].Name()+": "+r.Headers[0].Value())
			require.Empty(t, b.Lookup(aor))
			continue
		}
		require.Equal(t, noon.Add(test.want), b.Lookup(aor)[0].ExpiresAt, test.lines)
	}
}

func TestRegister_BehindNAT_ShortOnUDPAndFlowKept(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		contact, transport string
		nat                bool
		life               time.Duration
	}{
		{"<sip:1001@10.0.0.9:5070>", "UDP", false, 600 * time.Second},
		{"<sip:1001@192.168.1.5:5070>", "UDP", true, 120 * time.Second},
		{"<sip:1001@10.0.0.9>", "UDP", true, 120 * time.Second},
		{"<sip:1001@10.0.0.9:34000;transport=tcp>", "TCP", false, 600 * time.Second},
		{"<sip:abc@def.invalid;transport=ws>", "WS", true, 600 * time.Second},
	} {
		b := registrar(t, Policy{})
		from := transaction.Flow{Transport: test.transport, Remote: "10.0.0.9:5070"}
		b.register(t, from, 1, "Contact: "+test.contact, "Expires: 600")
		got := b.Lookup(aor)[0]
		require.Equal(t, test.nat, got.NAT, test.contact)
		require.Equal(t, noon.Add(test.life), got.ExpiresAt, test.contact)
		require.Equal(t, from, got.Flow)
		require.Equal(t, strings.Trim(test.contact, "<>"), got.Contact, "the phone expects its own URI in requests")
	}
}

func TestRegister_Wildcard_RemovesAllOnlyWithExpiresZero(t *testing.T) {
	t.Parallel()
	b := registrar(t, Policy{})
	b.register(t, direct, 1, contact, "Contact: <sip:1001@10.0.0.9:5080>")
	b.changes()
	for _, lines := range [][]string{{"Contact: *"}, {"Contact: *", "Expires: 60"}, {"Contact: *", contact, "Expires: 0"}} {
		require.Equal(t, 400, b.register(t, direct, 2, lines...).Code, lines)
	}
	require.Equal(t, 500, b.register(t, direct, 1, "Contact: *", "Expires: 0").Code, "older than what it would remove")
	require.Len(t, b.Lookup(aor), 2)
	require.Equal(t, 200, b.register(t, direct, 2, "Contact: *", "Expires: 0").Code)
	require.Len(t, b.changes(), 2)
	require.Empty(t, b.Lookup(aor))
}

func TestRegister_OutOfOrder_IsAbortedAsAWhole(t *testing.T) {
	t.Parallel()
	b := registrar(t, Policy{})
	b.register(t, direct, 5, contact)
	b.changes()
	for _, cseq := range []int{5, 4} {
		r := b.register(t, direct, cseq, "Contact: <sip:new@10.0.0.9:5099>", contact)
		require.Equal(t, 500, r.Code)
	}
	require.Len(t, b.Lookup(aor), 1)
	require.Empty(t, b.changes())
	req := register(t, 1, contact)
	*req.CallID() = "after-reboot"
	r, err := b.Register(t.Context(), req, aor, direct)
	require.NoError(t, err)
	require.Equal(t, 200, r.Code, "another Call-ID counts for itself")
}

func TestRegister_Query_ListsBestFirst(t *testing.T) {
	t.Parallel()
	b := registrar(t, Policy{})
	b.register(t, direct, 1, "Contact: <sip:a@10.0.0.9:1>;q=0.2, <sip:b@10.0.0.9:2>;q=0.7, <sip:c@10.0.0.9:3>;q=nonsense", "Expires: 100")
	b.changes()
	saves := b.store.saves
	r := b.register(t, direct, 1)
	require.Equal(t, []string{"<sip:c@10.0.0.9:3>;expires=100", "<sip:b@10.0.0.9:2>;expires=100;q=0.7", "<sip:a@10.0.0.9:1>;expires=100;q=0.2"}, contactsOf(r))
	require.Equal(t, saves, b.store.saves)
	require.Empty(t, b.changes())
}

func TestRegister_Instance_ReplacesItselfOnAnotherPort(t *testing.T) {
	t.Parallel()
	b := registrar(t, Policy{})
	ws := transaction.Flow{Transport: "WS", Remote: "10.0.0.8:999"}
	const id = `;+sip.instance="<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>"`
	b.register(t, ws, 1, "Contact: <sip:x@abc.invalid;transport=ws>;reg-id=1"+id, "Supported: path, outbound")
	r := b.register(t, ws, 2, "Contact: <sip:y@def.invalid;transport=ws>;+sip.ice;reg-id=1"+id, "Supported: path, outbound")
	require.Len(t, b.Lookup(aor), 1)
	require.Equal(t, []string{"registered sip:x@abc.invalid;transport=ws", "refreshed sip:y@def.invalid;transport=ws"}, b.changes())
	require.Equal(t, []string{`<sip:y@def.invalid;transport=ws>;expires=3600;+sip.instance="<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>";reg-id=1`}, contactsOf(r))
	require.True(t, slices.ContainsFunc(r.Headers, func(h sip.Header) bool { return h.Name() == "Require" && h.Value() == "outbound" }))
	b.register(t, ws, 3, "Contact: <sip:z@ghi.invalid;transport=ws>;reg-id=2"+id)
	require.Len(t, b.Lookup(aor), 2, "another flow of the same device")
}

func TestRegister_TooMany_OldestMakesRoom(t *testing.T) {
	t.Parallel()
	b := registrar(t, Policy{Contacts: 2})
	for i := range 3 {
		b.now = noon.Add(time.Duration(i) * time.Second)
		b.register(t, direct, i+1, fmt.Sprintf("Contact: <sip:p%d@10.0.0.9:5070>", i))
	}
	require.Equal(t, []string{"registered sip:p0@10.0.0.9:5070", "registered sip:p1@10.0.0.9:5070", "registered sip:p2@10.0.0.9:5070", "replaced sip:p0@10.0.0.9:5070"}, b.changes())
	require.Len(t, b.Lookup(aor), 2)
	require.Equal(t, 403, b.register(t, direct, 9, "Contact: <sip:a@x>, <sip:b@x>, <sip:c@x>").Code)
}

func TestRegister_NonsenseIsRefused(t *testing.T) {
	t.Parallel()
	b := registrar(t, Policy{})
	require.Equal(t, 400, b.register(t, direct, 1, "Contact: <tel:+491>").Code)
	require.Equal(t, 400, b.register(t, direct, 1, "Contact: <sip:\xff@h>").Code, "a store takes no broken UTF-8")
	r := b.register(t, direct, 1, contact, "Require: path, teleport")
	require.Equal(t, 420, r.Code)
	require.Equal(t, "teleport", r.Headers[0].Value())
	require.Equal(t, 200, b.register(t, direct, 1, contact, "Require: path").Code)
	_, err := New(Config{})
	require.Error(t, err)
}

func TestRegister_StoreFails_NothingChanges(t *testing.T) {
	t.Parallel()
	b := registrar(t, Policy{})
	b.store.fail = errors.New("database away")
	_, err := b.Register(t.Context(), register(t, 1, contact), aor, direct)
	require.ErrorIs(t, err, b.store.fail)
	require.Empty(t, b.Lookup(aor))
	require.Empty(t, b.changes())
}

func TestRegister_TwoAtOnce_NeitherIsLost(t *testing.T) {
	t.Parallel()
	b := registrar(t, Policy{})
	b.store.hook = func() {
		b.store.hook = nil
		_, err := b.Register(t.Context(), register(t, 7, "Contact: <sip:second@10.0.0.9:5071>"), aor, direct)
		require.NoError(t, err)
	}
	b.register(t, direct, 1, contact)
	require.Len(t, b.Lookup(aor), 2)
	require.Len(t, b.store.saved[aor], 2)
}

func TestFlowClosed_ItsBindingsAreLost(t *testing.T) {
	t.Parallel()
	b := registrar(t, Policy{})
	ws := transaction.Flow{Transport: "WS", Remote: "10.0.0.8:999"}
	b.register(t, ws, 1, "Contact: <sip:x@abc.invalid>")
	b.register(t, direct, 2, contact)
	b.changes()
	require.NoError(t, b.FlowClosed(t.Context(), ws))
	require.Equal(t, []string{"lost sip:x@abc.invalid"}, b.changes())
	require.Len(t, b.store.saved[aor], 1)
	last := b.Lookup(aor)[0]
	require.NoError(t, b.Remove(t.Context(), aor, last.Key()))
	require.Equal(t, []string{"lost sip:1001@10.0.0.9:5070"}, b.changes())
	require.Empty(t, b.All())
}

func TestExpire_AtTheDeadline_ToldAndRemoved(t *testing.T) {
	t.Parallel()
	b := registrar(t, Policy{})
	b.register(t, direct, 1, contact, "Expires: 100")
	b.changes()
	b.now = noon.Add(99 * time.Second)
	require.NoError(t, b.Expire(t.Context()))
	require.Len(t, b.All(), 1)
	b.now = noon.Add(100 * time.Second)
	require.Empty(t, b.Lookup(aor), "not used even before it is removed")
	require.Empty(t, b.All())
	require.NoError(t, b.Expire(t.Context()))
	require.Equal(t, []string{"expired sip:1001@10.0.0.9:5070"}, b.changes())
	require.Empty(t, b.store.saved[aor])
}

func TestRun_ExpiresInTimeAndSurvivesAFailingStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &memory{saved: map[string][]Binding{}}
		var mu sync.Mutex
		var at []time.Duration
		begin := time.Now()
		r, err := New(Config{Store: store, Log: slog.New(slog.DiscardHandler), OnChange: func(c Change) {
			mu.Lock()
			defer mu.Unlock()
			if c.Kind == Expired {
				at = append(at, time.Since(begin))
			}
		}})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		var run sync.WaitGroup
		run.Go(func() { r.Run(ctx) })
		synctest.Wait()
		for i, life := range []int{300, 100} {
			_, err := r.Register(ctx, register(t, i+1, fmt.Sprintf("Contact: <sip:%d@10.0.0.9:5070>;expires=%d", i, life)), aor, direct)
			require.NoError(t, err)
		}
		time.Sleep(200 * time.Second) // virtual time
		store.mu.Lock()
		store.fail = errors.New("database away")
		store.mu.Unlock()
		time.Sleep(102 * time.Second)
		store.mu.Lock()
		store.fail = nil
		store.mu.Unlock()
		time.Sleep(10 * time.Second)
		mu.Lock()
		require.Equal(t, []time.Duration{100 * time.Second, 305 * time.Second}, at)
		mu.Unlock()
		cancel()
		run.Wait()
	})
}

func TestRestore_BindingsOfAFormerProcess_AreThereAgain(t *testing.T) {
	t.Parallel()
	b := registrar(t, Policy{})
	b.register(t, direct, 1, contact, "Expires: 100")
	b.register(t, direct, 2, "Contact: <sip:old@10.0.0.9:5071>;expires=60")
	text, err := json.Marshal(b.store.saved[aor])
	require.NoError(t, err)
	var stored []Binding
	require.NoError(t, json.Unmarshal(text, &stored))
	again := registrar(t, Policy{})
	again.now = noon.Add(80 * time.Second)
	again.Restore(stored)
	require.Len(t, again.All(), 1)
	require.Empty(t, again.changes())
	require.Zero(t, again.store.saves)
	require.Equal(t, 500, again.register(t, direct, 1, contact).Code, "the order is remembered, too")
	require.Equal(t, 200, again.register(t, direct, 3, contact).Code)
}

func TestAOR_IsTheCanonicalAddress(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"sip:1001@Demo.LOCALHOST:5060;transport=tcp": "1001@demo.localhost", "sip:%31001@d": "1001@d",
		"sip:demo.localhost": "", "sip:a%0D%0Ab@d": "", "sip:%ff@d": "", "tel:+491": "",
	} {
		var uri sip.Uri
		require.NoError(t, sip.ParseUri(in, &uri))
		require.Equal(t, want, AOR(uri), in)
	}
}

func FuzzRegister(f *testing.F) {
	f.Add(`<sip:a@b>;expires=60;q=0.5;+sip.instance="<urn:x>";reg-id=1`, "60", "path")
	f.Add("*", "0", "")
	f.Add("<sip:a@b;x=%00>, sip:c@d;expires=-1", "x", "outbound")
	f.Fuzz(func(t *testing.T, contact, expires, supported string) {
		m, err := sip.ParseMessage([]byte("REGISTER sip:d SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@d>;tag=a\r\nTo: <sip:a@d>\r\n" +
			"Call-ID: 1\r\nCSeq: 1 REGISTER\r\nContact: " + contact + "\r\nExpires: " + expires + "\r\nSupported: " + supported + "\r\n\r\n"))
		req, ok := m.(*sip.Request)
		if err != nil || !ok || req.CallID() == nil || req.CSeq() == nil {
			return
		}
		reg := registration{req: req, aor: "a@d", from: direct, policy: Policy{}.orDefault(), now: noon}
		list, result := reg.apply(nil)
		require.LessOrEqual(t, len(list), 10)
		for _, b := range list {
			require.True(t, b.ExpiresAt.After(noon))
			require.NoError(t, headers.Clean(b.UserAgent))
		}
		require.GreaterOrEqual(t, result.Code, 200)
	})
}
