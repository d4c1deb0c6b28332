package stage

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Client speaks the HTTP API as one signed-in user.
type Client struct {
	base  string
	token string
	http  *http.Client // nil: the usual one
}

// Answer is what the API said.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Session is an agent session's view.
type Session struct {
	Agent   string    `json:"agent"`
	State   string    `json:"state"`
	Reason  string    `json:"reason"`
	Since   time.Time `json:"since"`
	Pending *struct {
		State  string `json:"state"`
		Reason string `json:"reason"`
		By     string `json:"by"`
	} `json:"pending"`
	Offer *struct {
		ID     string `json:"id"`
		CallID string `json:"call_id"`
		Queue  string `json:"queue"`
		From   string `json:"from"`

		Customer *Customer `json:"customer"`
	} `json:"offer"`
	CallIDs     []string `json:"call_ids"`
	Memberships []struct {
		Queue     string `json:"queue"`
		CheckedIn bool   `json:"checked_in"`
	} `json:"memberships"`
	Binding struct {
		Interface string `json:"interface"`
		Mode      string `json:"mode"`
		Addresses []struct {
			Device string `json:"device"`
		} `json:"addresses"`
		Taken []struct {
			Device string `json:"device"`
			By     string `json:"by"`
		} `json:"taken"`
	} `json:"binding"`
	Order *struct {
		Command string `json:"command"`
		By      string `json:"by"`
		Reason  string `json:"reason"`
	} `json:"order"`
	Terminals   []string   `json:"terminals"`
	Phone       string     `json:"phone_terminal"`
	LimitAt     *time.Time `json:"limit_at"`
	OverSince   *time.Time `json:"over_since"`
	ShiftEnd    *time.Time `json:"shift_end"`
	Delay       *Delay     `json:"delay"`
	Devices     []string   `json:"devices"`
	WrapUpUntil *time.Time `json:"wrap_up_until"`
	Version     int64      `json:"version"`
}

// Delay is why a Ready agent is not offered a call, and until when.
type Delay struct {
	Until time.Time `json:"until"`
	Cause string    `json:"cause"`
}

// Customer is who calls, as an offer shows it.
type Customer struct {
	ContactID string         `json:"contact_id"`
	Name      string         `json:"name"`
	Company   string         `json:"company"`
	Number    string         `json:"number"`
	Fields    map[string]any `json:"fields"`
	LastCall  *struct {
		CallID string `json:"call_id"`
	} `json:"last_call"`
}

// CallView is a call's view.
type CallView struct {
	ID    string `json:"id"`
	Class string `json:"class"`
	Phase string `json:"phase"`
	Queue string `json:"queue"`
	From  string `json:"from"`
	To    string `json:"to"`
	Agent string `json:"agent"`
	Cause string `json:"cause"`
	Legs  []struct {
		ID    string `json:"id"`
		Role  string `json:"role"`
		State string `json:"state"`
		Held  bool   `json:"held"`
		Cause string `json:"cause"`
	} `json:"legs"`
	Data     map[string]string `json:"attached_data"`
	QueuedAt *time.Time        `json:"queued_at"`
	Version  int64             `json:"version"`

	ContactID string `json:"contact_id"`
}

// Do sends a request; body is JSON-encoded unless it is nil, a []byte or a string.
func (c *Client) Do(ctx context.Context, method, path string, body any, headers ...string) (Answer, error) {
	var data []byte
	switch b := body.(type) {
	case nil:
	case []byte:
		data = b
	case string:
		data = []byte(b)
	default:
		var err error
		if data, err = json.Marshal(b); err != nil {
			return Answer{}, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(data))
	if err != nil {
		return Answer{}, err
	}
	if data != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	by := c.http
	if by == nil {
		by = http.DefaultClient
	}
	res, err := by.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	if res.Header.Get("Content-Type") == "text/event-stream" {
		return Answer{res.StatusCode, res.Header, nil}, nil // it has no end; see watch
	}
	all, err := io.ReadAll(res.Body)
	return Answer{res.StatusCode, res.Header, all}, err
}

// Into sends a request and reads a 2xx answer into out; anything else is an error that
// shows the problem.
func (c *Client) Into(ctx context.Context, out any, method, path string, body any, headers ...string) error {
	a, err := c.Do(ctx, method, path, body, headers...)
	if err != nil {
		return err
	}
	if a.Status/100 != 2 {
		return fmt.Errorf("%s %s: %d %s", method, path, a.Status, a.Body)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(a.Body, out)
}

// Login signs a user in.
func (s *Stage) Login(ctx context.Context, tenant, user, password string) (*Client, error) {
	c := &Client{base: s.http}
	var token struct {
		AccessToken string `json:"access_token"`
	}
	err := c.Into(ctx, &token, http.MethodPost, "/v1/auth/login", map[string]string{"tenant": tenant, "username": user, "password": password})
	if err != nil {
		return nil, fmt.Errorf("login of %s@%s: %w", user, tenant, err)
	}
	c.token = token.AccessToken
	return c, nil
}

// Anonymous is a client without a token.
func (s *Stage) Anonymous() *Client { return &Client{base: s.http} }

// Step asks for a page as a browser does that stops at each redirect.
func (c *Client) Step(ctx context.Context, path string, headers ...string) (Answer, error) {
	step := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if c.http != nil {
		step.Transport = c.http.Transport
	}
	return (&Client{base: c.base, http: &step}).Do(ctx, http.MethodGet, path, nil, headers...)
}
