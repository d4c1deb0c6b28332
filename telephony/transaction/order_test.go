package transaction

import (
	"fmt"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/stretchr/testify/require"
)

// A peer that answers and hangs up in one breath: the layer must not let the BYE overtake the answer, though they belong to
// two transactions.
func TestLayer_AnswerThenByeBackToBack_ReachTheUserInOrder300Times(t *testing.T) {
	t.Parallel()
	patient := Config{Timers: Timers{T1: 10 * time.Second}} // nothing is lost here, and an answer that is repeated would be told again
	callee, caller := start(t, patient), start(t, patient)
	callee.handle(func(tx *Server) {
		if tx.Request().Method != sip.INVITE {
			return
		}
		_ = tx.Respond(tx.NewResponse(200, ""))
		bye := newRequest(sip.BYE)
		bye.RemoveHeader("Route")
		*bye.CallID() = *tx.Request().CallID()
		bye.To().Params.Add("tag", "x")
		bye.SetDestination(tx.Flow().Remote)
		_, _ = callee.Layer.Request(bye, func(*sip.Response, error) {})
	})
	heard := make(chan string, 4)
	caller.handle(func(tx *Server) {
		heard <- string(tx.Request().Method)
		_ = tx.Reject(200)
	})
	next := func() string {
		select {
		case s := <-heard:
			return s
		case <-time.After(10 * time.Second):
			return "nothing"
		}
	}
	for i := range 300 {
		tx, err := caller.Layer.Request(invite(i, "UDP", callee.udp), func(res *sip.Response, err error) {
			heard <- fmt.Sprint(res.StatusCode, err)
		})
		require.NoError(t, err)
		require.Equal(t, "200 <nil>", next())
		require.Equal(t, "BYE", next())
		ack := invite(i, "UDP", callee.udp)
		ack.Method, ack.CSeq().MethodName = sip.ACK, sip.ACK
		ack.To().Params.Add("tag", callee.latest().Tag())
		require.NoError(t, tx.Acknowledge(ack))
	}
}
