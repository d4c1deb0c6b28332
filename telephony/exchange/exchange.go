// Package exchange plays a carrier in tests: one that asks for credentials at each request,
// answers calls at once, lets nobody hear anything, and keeps what it was asked.
package exchange

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/emiago/sipgo/sip"
	"github.com/stretchr/testify/require"

	"holdfast/telephony/digest"
	"holdfast/telephony/transaction"
)

// The account of a trunk at the exchange.
const (
	User     = "acct"
	Password = "carrier-secret"
	Realm    = "carrier.example"
)

// audio is where the exchange wants sound to go: nowhere.
const audio = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n"

// Exchange is a carrier's server on UDP.
type Exchange struct {
	transaction.Unhandled
	t     testing.TB
	layer *transaction.Layer
	over  chan struct{}

	mu     sync.Mutex
	addr   string
	guard  *digest.Server
	heard  []string
	called []string
	acks   []*sip.Request
}

// New starts an exchange on loopback; it lives as long as the test.
func New(t testing.TB) *Exchange {
	t.Helper()
	x := &Exchange{t: t, over: make(chan struct{})}
	x.Forget()
	var err error
	x.layer, err = transaction.New(transaction.Config{User: x})
	require.NoError(t, err)
	t.Cleanup(x.layer.Stop)
	addr, err := x.layer.Listen(t.Context(), transaction.Endpoint{Transport: "UDP", Addr: "127.0.0.1:0"})
	require.NoError(t, err)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.addr = addr.String()
	return x
}

// Credentials implements digest.Credentials: one account.
func (x *Exchange) Credentials(_ context.Context, user, realm string) (string, string, bool, error) {
	return digest.HA1(digest.MD5, user, realm, Password), digest.HA1(digest.SHA256, user, realm, Password), user == User, nil
}

// Request implements transaction.User.
func (x *Exchange) Request(tx *transaction.Server) {
	x.mu.Lock()
	defer x.mu.Unlock()
	req, res := tx.Request(), tx.NewResponse(200, "")
	result, err := x.guard.Check(x.t.Context(), req, Realm, netip.MustParseAddrPort(tx.Flow().Remote).Addr())
	known := err == nil && result.OK
	switch {
	case !known:
		res = tx.NewResponse(401, "")
		for _, h := range result.Challenge {
			res.AppendHeader(h)
		}
	case req.Method == sip.INVITE:
		x.called = append(x.called, req.Recipient.User)
		res.AppendHeader(sip.NewHeader("Contact", "<sip:x@"+x.addr+">"))
		res.AppendHeader(sip.NewHeader("Content-Type", "application/sdp"))
		res.SetBody([]byte(audio))
	case req.Method == sip.BYE:
		close(x.over)
	}
	x.heard = append(x.heard, fmt.Sprintf("%s %d", req.Method, res.StatusCode))
	_ = tx.Respond(res) // a lost answer is asked for again
}

// Ack implements transaction.User.
func (x *Exchange) Ack(ack *sip.Request, _ transaction.Flow) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.acks = append(x.acks, ack)
}

// Forget makes all nonces void, as time does.
func (x *Exchange) Forget() {
	key := make([]byte, 32)
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.guard != nil {
		key[0] = 1
	}
	guard, err := digest.NewServer(digest.Config{Store: x, Key: key})
	require.NoError(x.t, err)
	x.guard = guard
}

// Addr is ip:port of the exchange.
func (x *Exchange) Addr() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.addr
}

// Heard are the requests so far with their answers: "INVITE 401".
func (x *Exchange) Heard() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Clone(x.heard)
}

// Called are the numbers that were dialled.
func (x *Exchange) Called() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Clone(x.called)
}

// Acks are the ACKs of calls that were answered.
func (x *Exchange) Acks() []*sip.Request {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Clone(x.acks)
}

// Over is closed by the BYE of the one call.
func (x *Exchange) Over() <-chan struct{} { return x.over }
