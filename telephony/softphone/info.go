package softphone

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/emiago/sipgo/sip"

	"holdfast/telephony/dialog"
	"holdfast/telephony/headers"
	"holdfast/telephony/transaction"
)

// Info is the body of an INFO (RFC 6086).
type Info struct{ Type, Body string }

// Info sends an INFO within an answered call, as phones do that tell digits by signalling, and returns the status of
// its answer.
func (c *Call) Info(ctx context.Context, what Info) (code int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != Up {
		return 0, errors.New("only an answered call can send INFO")
	}
	return c.ask(ctx, dialog.WithBody(c.dialog.Request(sip.INFO), what.Type, []byte(what.Body)))
}

// CaughtUp returns when the other side has read what we sent on this call before, whether it is answered or only
// rings: requests and responses with one Call-ID are read in their order, so the answer to an OPTIONS proves it.
func (c *Call) CaughtUp(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	code, err := c.ask(ctx, c.dialog.Request(sip.OPTIONS))
	if err == nil && code != sip.StatusOK {
		err = fmt.Errorf("OPTIONS within the call was answered with %d", code)
	}
	return err
}

// ask sends a request within the call's dialog and returns the status of its final response, 408 if none came. The
// caller holds c.mu; it is free while ask waits.
func (c *Call) ask(ctx context.Context, req *sip.Request) (code int, err error) {
	answered := make(chan int, 1)
	_, err = c.phone.layer.Request(req, func(res *sip.Response, err error) {
		if err != nil {
			answered <- sip.StatusRequestTimeout
		} else if res.StatusCode >= 200 {
			answered <- res.StatusCode
		}
	})
	if err != nil {
		return 0, err
	}
	c.mu.Unlock()
	defer c.mu.Lock()
	select {
	case code = <-answered:
		return code, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// Infos are the INFOs that came in.
func (c *Call) Infos() []Info {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.infos)
}

// informed takes an INFO; a phone with Config.RefuseInfo refuses it.
func (c *Call) informed(tx *transaction.Server) {
	req := tx.Request()
	c.infos = append(c.infos, Info{headers.Value(req, "Content-Type"), string(req.Body())})
	code := 200
	if c.phone.conf.RefuseInfo < 0 {
		return
	}
	if c.phone.conf.RefuseInfo != 0 {
		code = c.phone.conf.RefuseInfo
	}
	_ = tx.Respond(tx.NewResponse(code, ""))
}
