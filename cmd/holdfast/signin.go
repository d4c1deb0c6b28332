package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// signedIn is an agent's session, as a client of the HTTP API holds it.
type signedIn struct {
	client http.Client
	api    string
	token  string
	state  string // of the agent, in words
}

// signIn logs a user in and makes its agent ready.
func signIn(ctx context.Context, api, tenant, user, password string) (*signedIn, error) {
	s := &signedIn{client: http.Client{Timeout: 10 * time.Second}, api: strings.TrimSuffix(api, "/")}
	var login struct {
		Token string `json:"access_token"`
	}
	err := s.do(ctx, http.MethodPost, "/v1/auth/login", map[string]string{"tenant": tenant, "username": user, "password": password}, &login)
	if err != nil {
		return nil, err
	}
	s.token = login.Token
	var view struct {
		State       string    `json:"state"`
		WrapUpUntil time.Time `json:"wrap_up_until"`
	}
	if err := s.do(ctx, http.MethodPost, "/v1/agent-session", map[string]string{"interface": "phone"}, &view); err != nil {
		return nil, err
	}
	if err := s.do(ctx, http.MethodPost, "/v1/agent-session/ready", nil, &view); err != nil {
		return nil, err
	}
	s.state = view.State
	if !view.WrapUpUntil.IsZero() { // of the last call, before which it signed out
		s.state += view.WrapUpUntil.Local().Format(" until 15:04:05, then Ready")
	}
	return s, nil
}

// signOut ends the session.
func (s *signedIn) signOut(ctx context.Context, tell *narrator) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), partWithin)
	defer cancel()
	if err := s.do(ctx, http.MethodDelete, "/v1/agent-session", nil, nil); err != nil {
		tell.say("could not sign out: %v", err)
		return
	}
	tell.say("signed out")
}

// do sends a request; a refusal comes back with its sentence. An API that is partly away
// for a moment is asked again, with the same Idempotency-Key.
func (s *signedIn) do(ctx context.Context, method, path string, body, into any) error {
	soon, cancel := context.WithTimeout(ctx, busyWithin)
	defer cancel()
	r := request{method: method, path: path, key: rand.Text()}
	if body != nil {
		var err error
		if r.body, err = json.Marshal(body); err != nil {
			return err
		}
	}
	for {
		busy, err := s.once(ctx, r, into)
		if !busy || !sleep(soon, busyPause) {
			return err
		}
	}
}

const (
	// busyWithin is for how long an API that is partly away is asked again, and busyPause
	// how often.
	busyWithin = 30 * time.Second
	busyPause  = time.Second
)

// request is one that may be sent again; key is its Idempotency-Key.
type request struct {
	method, path, key string
	body              []byte
}

// once sends it once; busy is whether it may work in a moment.
func (s *signedIn) once(ctx context.Context, r request, into any) (busy bool, err error) {
	req, err := http.NewRequestWithContext(ctx, r.method, s.api+r.path, bytes.NewReader(r.body))
	if err != nil {
		return false, usage("--api: %w", err)
	}
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.method != http.MethodGet {
		req.Header.Set("Idempotency-Key", r.key)
	}
	if s.token != "" {
		req.Header.Set("Authorization", "Bearer "+s.token)
	}
	res, err := s.client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		return false, usage("the HTTP API at %s can't be reached; is Holdfast running there? Else choose by --api", s.api)
	}
	defer func() { _ = res.Body.Close() }() // read to the end below
	if res.StatusCode >= http.StatusBadRequest {
		var problem struct {
			Detail string `json:"detail"`
		}
		if json.NewDecoder(res.Body).Decode(&problem) != nil || problem.Detail == "" {
			problem.Detail = fmt.Sprintf("the API answered %s", res.Status)
		}
		return res.StatusCode == http.StatusServiceUnavailable, usage("%s", problem.Detail)
	}
	if into == nil {
		return false, nil
	}
	return false, json.NewDecoder(res.Body).Decode(into)
}
