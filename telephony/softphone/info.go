package softphone

import (
	"context"
	"errors"
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
	if c.state != Up {
		c.mu.Unlock()
		return 0, errors.New("only an answered call can send INFO")
	}
	req := dialog.WithBody(c.dialog.Request(sip.INFO), what.Type, []byte(what.Body))
	answered := make(chan int, 1)
	_, err = c.phone.layer.Request(req, func(res *sip.Response, err error) {
		if err != nil {
			answered <- 408
		} else if res.StatusCode >= 200 {
			answered <- res.StatusCode
		}
	})
	c.mu.Unlock()
	if err != nil {
		return 0, err
	}
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
	if c.phone.conf.RefuseInfo != 0 {
		code = c.phone.conf.RefuseInfo
	}
	_ = tx.Respond(tx.NewResponse(code, ""))
}
