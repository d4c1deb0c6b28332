package postbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"holdfast/domain/webhook"
)

// maxReason bounds the reason why there was no answer, in bytes.
const maxReason = 500

// answer is what a receiver said; the zero answer is none.
type answer struct {
	status     int
	body       []byte
	retryAfter time.Duration
}

// body is the body of a message.
func (p *Postbox) body(m webhook.Message) ([]byte, error) {
	data := m.Event.View
	if m.Event.Seq != 0 {
		var err error
		if data, err = p.config.Render(m.Event); err != nil {
			return nil, fmt.Errorf("write event %d: %w", m.Event.Seq, err)
		}
	}
	return webhook.Body(m.ID, m.Type, m.Event, data)
}

// send posts one message. An error is said beside whatever answer there was.
func (p *Postbox) send(ctx context.Context, to webhook.Target, m webhook.Message) (answer, error) {
	body, err := p.body(m)
	if err != nil {
		return answer{}, err
	}
	if err := p.config.Fence.CheckURL(to.URL); err != nil { // the operator may have closed a network since
		return answer{}, fmt.Errorf("the address %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, to.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to.URL, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if err := p.head(req, to, m, body); err != nil {
		return answer{}, err
	}
	res, err := p.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = res.Body.Close() }() // its beginning is read
	a := answer{status: res.StatusCode, retryAfter: retryAfter(res.Header.Get("Retry-After"), time.Now())}
	a.body, err = io.ReadAll(io.LimitReader(res.Body, webhook.ResponseKept))
	if err != nil && len(a.body) == 0 && a.status/100 != 2 {
		return a, err
	}
	return a, nil
}

// head writes the head of a request: the webhook's own headers first, so that none of
// them stands in for ours.
func (p *Postbox) head(req *http.Request, to webhook.Target, m webhook.Message, body []byte) error {
	at := time.Now()
	signature, err := webhook.Sign(to.Secrets, m.ID, at, body)
	if err != nil {
		return err
	}
	for name, value := range to.Headers {
		if webhook.CheckHeader(name, value) == nil {
			req.Header.Set(name, value)
		}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Holdfast-Webhooks/"+p.config.Version)
	req.Header.Set(webhook.HeaderID, m.ID)
	req.Header.Set(webhook.HeaderTimestamp, strconv.FormatInt(at.Unix(), 10))
	req.Header.Set(webhook.HeaderSignature, signature)
	req.Header.Set(webhook.HeaderCause, string(m.Cause))
	req.Header.Set(webhook.HeaderAttempt, strconv.Itoa(m.Claim))
	return nil
}

// retryAfter reads Retry-After (RFC 9110 §10.2.3); 0: there is none that can be read.
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(strings.TrimSpace(value), 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// reason is an error as an administrator may read it: without the address, which is known.
func reason(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		if u.Timeout() {
			return "no answer in time"
		}
		err = u.Err
	}
	text := strings.ToValidUTF8(strings.ReplaceAll(err.Error(), "\x00", ""), "?") // the database keeps no other
	return strings.ToValidUTF8(text[:min(len(text), maxReason)], "")
}
