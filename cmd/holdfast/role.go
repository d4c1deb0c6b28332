package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"
)

// role is a part of Holdfast that runs in this process.
type role interface {
	// start returns when the role serves. It undoes what it began when it fails.
	start(ctx context.Context) error
	// stop ends in order; ctx bounds how long.
	stop(ctx context.Context)
	// addresses says where the role serves, by name.
	addresses() map[string]string
}

// runRole is the life of a process with one role: read the environment, wait for
// what it stands on, serve until asked to stop.
func runRole(c *cobra.Command, name string, build func(*ground) (role, error)) error {
	ctx := c.Context()
	e, log, err := prepare(c.ErrOrStderr())
	if err != nil {
		return err
	}
	g, err := lay(ctx, e, log)
	if err != nil {
		if stopped(ctx, err) {
			return nil
		}
		return err
	}
	defer g.close()
	r, err := build(g)
	if err != nil {
		return err
	}
	if err := r.start(ctx); err != nil {
		if stopped(ctx, err) {
			return nil
		}
		return err
	}
	tellReady(c.OutOrStdout(), name, r.addresses())
	log.Info("The role serves.", "role", name)
	<-ctx.Done()
	log.Info("The role stops.", "role", name)
	r.stop(context.WithoutCancel(ctx))
	return nil
}

// prepare reads the environment and makes the log.
func prepare(w io.Writer) (environment, *slog.Logger, error) {
	e, err := readEnvironment()
	if err != nil {
		return e, nil, err
	}
	log := e.logger(w)
	for _, name := range unknown(environ()) {
		log.Warn("A variable is not known and not read; see holdfast help environment.", "name", name)
	}
	return e, log, nil
}

// tellReady prints one line of JSON, by which scripts know that the role serves.
func tellReady(w io.Writer, name string, addresses map[string]string) {
	line := map[string]any{"ready": true, "role": name, "pid": os.Getpid()}
	for k, v := range addresses {
		line[k] = v
	}
	b, _ := json.Marshal(line) // words and numbers always marshal
	fmt.Fprintln(w, string(b))
}
