package digest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/stretchr/testify/require"
)

const realm = "demo.localhost"

var (
	noon  = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	phone = netip.MustParseAddr("10.0.0.9")
)

// users is a store with one password for all users that begin with 1.
type users struct {
	asked int
	fail  error
}

func (u *users) Credentials(_ context.Context, user, realm string) (string, string, bool, error) {
	u.asked++
	if !strings.HasPrefix(user, "1") {
		return "", "", false, u.fail
	}
	return HA1(MD5, user, realm, "secret"), HA1(SHA256, user, realm, "secret"), true, u.fail
}

type bench struct {
	*Server
	store *users
	now   time.Time
}

func server(t *testing.T, c Config) *bench {
	t.Helper()
	b := &bench{store: &users{}, now: noon}
	c.Store, c.Key, c.Now = b.store, []byte("0123456789abcdef"), func() time.Time { return b.now }
	var err error
	b.Server, err = NewServer(c)
	require.NoError(t, err)
	return b
}

func register() *sip.Request {
	return sip.NewRequest(sip.REGISTER, sip.Uri{Scheme: "sip", Host: realm})
}

func (b *bench) check(t *testing.T, req *sip.Request) Result {
	t.Helper()
	r, err := b.Check(t.Context(), req, realm, phone)
	require.NoError(t, err)
	return r
}

// unauthorized wraps a challenge as the response that a client sees.
func unauthorized(r Result) *sip.Response {
	res := sip.NewResponse(401, "Unauthorized")
	for _, h := range r.Challenge {
		res.AppendHeader(h)
	}
	return res
}

// attempt goes through one challenge and returns the second check.
func (b *bench) attempt(t *testing.T, user, password string) Result {
	t.Helper()
	req := register()
	c := NewClient(user, password)
	require.NoError(t, c.Learn(req, unauthorized(b.check(t, req))))
	require.True(t, c.Sign(req))
	return b.check(t, req)
}

func TestResponse_ExamplesOfRFC7616_AreMet(t *testing.T) {
	t.Parallel()
	c := credentials{nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc: "00000001", cnonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop: "auth", uri: "/dir/index.html"}
	ha1 := HA1(MD5, "Mufasa", "http-auth@example.org", "Circle of Life")
	require.Equal(t, "8ca523f5e9506fed4657c9700eebdbec", response(MD5, ha1, "GET", c))
	ha1 = HA1(SHA256, "Mufasa", "http-auth@example.org", "Circle of Life")
	require.Equal(t, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1", response(SHA256, ha1, "GET", c))
}

func TestServer_RightPassword_IsLetIn(t *testing.T) {
	t.Parallel()
	for _, algorithms := range [][]Algorithm{nil, {MD5}, {SHA256}, {MD5, SHA256}} {
		r := server(t, Config{Algorithms: algorithms}).attempt(t, "1001", "secret")
		require.True(t, r.OK)
		require.Equal(t, "1001", r.User)
	}
}

func TestServer_Challenges_SHA256BeforeMD5(t *testing.T) {
	t.Parallel()
	r := server(t, Config{}).check(t, register())
	require.Len(t, r.Challenge, 2)
	require.Contains(t, r.Challenge[0].Value(), `algorithm=SHA-256, qop="auth"`)
	require.Contains(t, r.Challenge[1].Value(), `algorithm=MD5, qop="auth"`)
	require.NotContains(t, r.Challenge[0].Value(), "stale")
	require.False(t, r.Tried)
}

func TestServer_UnknownUserAndWrongPassword_LookAlike(t *testing.T) {
	t.Parallel()
	b := server(t, Config{})
	wrong, unknown := b.attempt(t, "1001", "guess"), b.attempt(t, "9999", "guess")
	require.Equal(t, 2, b.store.asked)
	shape := func(r Result) string {
		var out []string
		for _, h := range r.Challenge {
			p, ok := parse(h.Value())
			require.True(t, ok)
			out = append(out, fmt.Sprint(p["realm"], p["algorithm"], p["stale"], len(p["nonce"])))
		}
		return strings.Join(out, "|")
	}
	require.Equal(t, shape(wrong), shape(unknown))
	require.False(t, wrong.OK || unknown.OK || wrong.Banned || unknown.Banned)
}

func TestServer_SameRequestTwice_IsAReplay(t *testing.T) {
	t.Parallel()
	b := server(t, Config{})
	req, c := register(), NewClient("1001", "secret")
	require.NoError(t, c.Learn(req, unauthorized(b.check(t, req))))
	c.Sign(req)
	require.True(t, b.check(t, req).OK)
	again := b.check(t, req)
	require.False(t, again.OK)
	require.Contains(t, again.Challenge[0].Value(), "stale=true", "a new nonce, no new password")
	c.Sign(req)
	require.True(t, b.check(t, req).OK, "the client's next count")
	require.Len(t, req.GetHeaders("Authorization"), 1)
}

func TestServer_OldNonce_StaleOnlyWithTheRightPassword(t *testing.T) {
	t.Parallel()
	b := server(t, Config{})
	for password, stale := range map[string]bool{"secret": true, "guess": false} {
		b.now = noon
		req, c := register(), NewClient("1001", password)
		require.NoError(t, c.Learn(req, unauthorized(b.check(t, req))))
		c.Sign(req)
		b.now = noon.Add(6 * time.Minute)
		r := b.check(t, req)
		require.False(t, r.OK)
		require.Equal(t, stale, strings.Contains(r.Challenge[0].Value(), "stale=true"), password)
		if stale {
			require.NoError(t, c.Learn(req, unauthorized(r)), "stale: the client may go on")
			c.Sign(req)
			require.True(t, b.check(t, req).OK)
		} else {
			require.ErrorIs(t, c.Learn(req, unauthorized(r)), ErrRejected)
		}
	}
}

func TestServer_NonceOfAnotherAddress_TellsNothingAndCountsNothing(t *testing.T) {
	t.Parallel()
	b := server(t, Config{})
	elsewhere := netip.MustParseAddr("10.0.0.66")
	for _, password := range []string{"secret", "guess"} {
		for range 30 {
			req, c := register(), NewClient("1001", password)
			require.NoError(t, c.Learn(req, unauthorized(b.check(t, req))))
			c.Sign(req)
			r, err := b.Check(t.Context(), req, realm, elsewhere)
			require.NoError(t, err)
			require.False(t, r.OK || r.Banned)
			require.Contains(t, r.Challenge[0].Value(), "stale=true")
		}
	}
	require.Zero(t, b.store.asked)
}

func TestServer_RepeatedFailures_BanGrowsAndSuccessForgives(t *testing.T) {
	t.Parallel()
	b := server(t, Config{Bans: BanPolicy{Failures: 3}})
	for range 3 {
		require.False(t, b.attempt(t, "1001", "guess").Banned)
	}
	req := register()
	req.AppendHeader(sip.NewHeader("Authorization", `Digest username="1001", realm="demo.localhost", nonce="x", response="y"`))
	r := b.check(t, req)
	require.True(t, r.Banned)
	require.Equal(t, noon.Add(30*time.Second), r.Until)
	require.True(t, b.attempt(t, "1002", "secret").OK, "others at the address go on")
	b.now = noon.Add(31 * time.Second)
	b.attempt(t, "1001", "guess")
	r = b.check(t, req)
	require.Equal(t, b.now.Add(60*time.Second), r.Until)
	b.now = b.now.Add(61 * time.Second)
	require.True(t, b.attempt(t, "1001", "secret").OK)
	require.False(t, b.attempt(t, "1001", "guess").Banned)
	require.False(t, b.check(t, req).Banned, "counted anew")
}

func TestServer_ManyUsersFromOneAddress_AddressIsBanned(t *testing.T) {
	t.Parallel()
	b := server(t, Config{Bans: BanPolicy{Users: 4}})
	for i := range 4 {
		b.attempt(t, fmt.Sprint("90", i), "guess")
	}
	require.True(t, b.check(t, register()).Banned)
	r, err := b.Check(t.Context(), register(), realm, netip.MustParseAddr("10.0.0.66"))
	require.NoError(t, err)
	require.False(t, r.Banned)
}

func TestServer_OneWrongPhone_NeverBansTheOffice(t *testing.T) {
	t.Parallel()
	b := server(t, Config{})
	for range 500 {
		b.attemptIgnoringBan(t, "1001", "guess")
		b.now = b.now.Add(10 * time.Minute)
	}
	require.True(t, b.attempt(t, "1002", "secret").OK)
}

func (b *bench) attemptIgnoringBan(t *testing.T, user, password string) {
	t.Helper()
	req, c := register(), NewClient(user, password)
	require.NoError(t, c.Learn(req, unauthorized(b.check(t, req))))
	c.Sign(req)
	b.check(t, req)
}

func TestServer_StoreFails_ErrorAndNoFailureCounted(t *testing.T) {
	t.Parallel()
	b := server(t, Config{Bans: BanPolicy{Failures: 1}})
	req, c := register(), NewClient("1001", "guess")
	require.NoError(t, c.Learn(req, unauthorized(b.check(t, req))))
	c.Sign(req)
	b.store.fail = errors.New("database away")
	_, err := b.Check(t.Context(), req, realm, phone)
	require.ErrorIs(t, err, b.store.fail)
	require.False(t, b.check2(t).Banned)
}

func (b *bench) check2(t *testing.T) Result {
	t.Helper()
	b.store.fail = nil
	return b.check(t, register())
}

func TestServer_OtherTargetMethodOrQop_IsNotAccepted(t *testing.T) {
	t.Parallel()
	b := server(t, Config{Algorithms: []Algorithm{MD5}})
	sign := func() (*sip.Request, *Client) {
		req := sip.NewRequest(sip.INVITE, sip.Uri{Scheme: "sip", User: "8000", Host: realm})
		c := NewClient("1001", "secret")
		require.NoError(t, c.Learn(req, unauthorized(b.check(t, req))))
		c.Sign(req)
		return req, c
	}
	req, _ := sign()
	require.True(t, b.check(t, req).OK)
	req, _ = sign()
	req.Recipient.User = "00882999"
	require.False(t, b.check(t, req).OK, "credentials for another number")
	req, _ = sign()
	req.Method = sip.BYE
	require.False(t, b.check(t, req).OK)
	req, c := sign()
	c.last.qop = false
	c.Sign(req)
	require.False(t, b.check(t, req).OK, "without qop a request could be replayed")
	req, c = sign()
	c.last.algorithm = SHA256
	c.Sign(req)
	require.False(t, b.check(t, req).OK, "an algorithm that was not offered")
}

func TestServer_FullNonceTable_AsksAgainInsteadOfAccepting(t *testing.T) {
	t.Parallel()
	b := server(t, Config{Nonces: 1})
	require.True(t, b.attempt(t, "1001", "secret").OK)
	r := b.attempt(t, "1002", "secret")
	require.False(t, r.OK)
	require.Contains(t, r.Challenge[0].Value(), "stale=true")
	b.now = noon.Add(11 * time.Minute)
	b.attempt(t, "1002", "secret")
	b.now = noon.Add(22 * time.Minute)
	require.True(t, b.attempt(t, "1002", "secret").OK)
}

func TestServer_ConfigurationErrors_AreRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []Config{{}, {Store: &users{}}, {Store: &users{}, Key: make([]byte, 16), Algorithms: []Algorithm{"SHA-1"}}} {
		_, err := NewServer(c)
		require.Error(t, err)
	}
}

func TestCounts_OvertakingIsAllowedRepeatingIsNot(t *testing.T) {
	t.Parallel()
	var w counts
	for _, step := range []struct {
		n  uint64
		ok bool
	}{{1, true}, {3, true}, {2, true}, {2, false}, {3, false}, {100, true}, {37, true}, {36, false}, {100, false}, {1000, true}, {999, true}, {999, false}} {
		require.Equal(t, step.ok, w.use(step.n), step.n)
	}
}

func TestBans_TableIsBounded(t *testing.T) {
	t.Parallel()
	b := banTable{policy: BanPolicy{Entries: 100}.orDefault()}
	for i := range 1000 {
		b.failed(phone, fmt.Sprint(i), noon)
	}
	require.LessOrEqual(t, len(b.records), 100)
}

func TestClient_Proxy407AndOldPeers_AreAnswered(t *testing.T) {
	t.Parallel()
	res := sip.NewResponse(407, "x")
	res.AppendHeader(sip.NewHeader("Proxy-Authenticate", `Basic realm="x"`))
	res.AppendHeader(sip.NewHeader("Proxy-Authenticate", `Digest realm="t", nonce="a", algorithm=SHA-512-256`))
	res.AppendHeader(sip.NewHeader("Proxy-Authenticate", `Digest realm="t", nonce="a", qop="auth-int"`))
	req, c := register(), NewClient(`a"b`, "p")
	require.False(t, c.Sign(req))
	require.ErrorIs(t, c.Learn(req, res), ErrUnsupported)
	res.AppendHeader(sip.NewHeader("Proxy-Authenticate", `DIGEST realm="t\"x", nonce=a,opaque="o"`))
	require.NoError(t, c.Learn(req, res))
	require.True(t, c.Sign(req))
	got, ok := parseCredentials(req.GetHeader("Proxy-Authorization").Value())
	require.True(t, ok)
	require.Equal(t, `a"b`, got.user)
	require.Equal(t, `t"x`, got.realm)
	require.Equal(t, "o", got.opaque)
	require.Empty(t, got.qop)
	require.Equal(t, response(MD5, HA1(MD5, `a"b`, `t"x`, "p"), "REGISTER", got), got.response)
	c.Forget()
	require.False(t, c.Sign(register()))
}

func FuzzParse(f *testing.F) {
	f.Add(`Digest username="1001", realm="r", nonce="n", uri="sip:x", response="abc", algorithm=MD5, qop=auth, cnonce="c", nc=00000001`)
	f.Add(`Digest a="\`)
	f.Add(`digest =,=,"`)
	f.Fuzz(func(t *testing.T, s string) {
		c, ok := parseCredentials(s)
		if !ok {
			return
		}
		back, ok := parseCredentials(credentials{user: c.user, realm: c.realm, nonce: c.nonce, response: "r", algorithm: "MD5"}.String())
		if strings.ContainsAny(s, "\r\n") {
			return
		}
		require.True(t, ok, s)
		require.Equal(t, c.user, back.user)
	})
}

func TestServer_BanOfAUser_IsNotThatOfItsNamesakeElsewhere(t *testing.T) { // SEED-39
	t.Parallel()
	b := server(t, Config{Bans: BanPolicy{Failures: 1}})
	b.attempt(t, "1001", "guess")
	req, c := register(), NewClient("1001", "secret")
	r, err := b.Check(t.Context(), req, "other.localhost", phone)
	require.NoError(t, err)
	require.NoError(t, c.Learn(req, unauthorized(r)))
	require.True(t, c.Sign(req))
	r, err = b.Check(t.Context(), req, "other.localhost", phone)
	require.NoError(t, err)
	require.True(t, r.OK)
}

func TestClient_WithHashesOnly_AnswersItsRealmAndSaysWhichItLacks(t *testing.T) { // RFC 8760 §2.4
	t.Parallel()
	challenge := func(lines ...string) *sip.Response {
		res := sip.NewResponse(407, "x")
		for _, l := range lines {
			res.AppendHeader(sip.NewHeader("Proxy-Authenticate", l))
		}
		return res
	}
	both := challenge(`Digest realm="carrier.example", nonce="n", algorithm=SHA-256, qop="auth"`, `Digest realm="carrier.example", nonce="n", algorithm=MD5, qop="auth"`)
	req, c := register(), NewHashed("acct", "carrier.example", HA1(MD5, "acct", "carrier.example", "p"), "")
	require.NoError(t, c.Learn(req, both))
	require.True(t, c.Sign(req))
	require.Contains(t, req.GetHeader("Proxy-Authorization").Value(), "algorithm=MD5", "of SHA-256 nothing is known")

	plain, hashed := NewClient("acct", "p"), NewHashed("acct", "carrier.example", "", HA1(SHA256, "acct", "carrier.example", "p"))
	one, two := register(), register()
	old := challenge(`Digest realm="carrier.example", nonce="n", algorithm=SHA-256`)
	require.NoError(t, plain.Learn(one, old))
	require.NoError(t, hashed.Learn(two, old))
	plain.Sign(one)
	hashed.Sign(two)
	require.Equal(t, one.GetHeader("Proxy-Authorization").Value(), two.GetHeader("Proxy-Authorization").Value())

	err := hashed.Learn(register(), challenge(`Digest realm="other", nonce="n"`))
	require.ErrorIs(t, err, ErrUnsupported)
	require.ErrorContains(t, err, `MD5 of realm "other"`)
}
