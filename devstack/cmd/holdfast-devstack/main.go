// Command holdfast-devstack runs a Temporal service with its Web UI in one
// process, on a Postgres that already runs. It prints one line of JSON on
// standard output when it is ready, logs on standard error, and stops in order
// on SIGINT and SIGTERM. With -die-with-parent it ends at once at the end of
// standard input.
//
// Exit codes: 0 stopped as asked, 1 failed, 2 something that the user can
// change (a flag, a port in use, Postgres out of reach).
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"holdfast/devstack"
)

// environmentPrefix starts the variable of each flag: -frontend-port is
// HOLDFAST_DEVSTACK_FRONTEND_PORT. A flag wins over its variable.
const environmentPrefix = "HOLDFAST_DEVSTACK_"

// The server makes much garbage per request and keeps little, so that with Go's
// defaults it collects many times a second, which shows in the slowest requests:
// one update at a time on two cores took 24 ms at p99 and takes 14 ms with these,
// for 150 MB more memory.
const (
	garbagePercent = 300
	softMemory     = 1 << 30 // bytes; above it memory counts more than time
)

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbagePercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(softMemory)
	}
	err := run(os.Args[1:])
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return
	default:
		fmt.Fprintln(os.Stderr, "holdfast-devstack:", err)
		os.Exit(exitCode(err))
	}
}

// endWithParent ends the process at once when the parent's end of the pipe is
// closed, most likely because the parent was killed: whoever starts next wants
// the ports, and Temporal loses nothing by it.
func endWithParent() {
	_, _ = io.Copy(io.Discard, os.Stdin) // an error is an end, too
	os.Exit(0)
}

// usageError is something that the user can change.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func exitCode(err error) int {
	var usage usageError
	var taken *devstack.PortTakenError
	var away *devstack.PostgresError
	if errors.As(err, &usage) || errors.As(err, &taken) || errors.As(err, &away) {
		return 2
	}
	return 1
}

func run(args []string) error {
	config, dieWithParent, err := parse(args)
	if err != nil {
		return err
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	if dieWithParent {
		go endWithParent()
	}
	stack, err := devstack.Start(ctx, config, os.Stderr)
	if err != nil {
		if ctx.Err() != nil {
			return nil // asked to stop while starting
		}
		return err
	}
	defer stack.Stop()
	ready := struct {
		Ready     bool   `json:"ready"`
		Frontend  string `json:"frontend"`
		UI        string `json:"ui,omitempty"`
		Namespace string `json:"namespace"`
	}{true, stack.Frontend(), stack.UI(), config.Namespace}
	if err := json.NewEncoder(os.Stdout).Encode(ready); err != nil {
		return fmt.Errorf("tell that we are ready: %w", err)
	}
	<-ctx.Done()
	return nil
}

func parse(args []string) (devstack.Config, bool, error) {
	c := devstack.Defaults()
	var dieWithParent bool
	flags := flag.NewFlagSet("holdfast-devstack", flag.ContinueOnError)
	flags.StringVar(&c.PostgresAddr, "postgres-addr", c.PostgresAddr, "`host:port` of Postgres")
	flags.StringVar(&c.PostgresUser, "postgres-user", c.PostgresUser, "`user` who may create databases")
	flags.StringVar(&c.PostgresPassword, "postgres-password", "", "`password`; better given by the environment")
	flags.DurationVar(&c.PostgresWait, "postgres-wait", c.PostgresWait, "how long to wait for Postgres")
	flags.StringVar(&c.Database, "database", c.Database, "`name` of the database of workflow state")
	flags.StringVar(&c.VisibilityDatabase, "visibility-database", c.VisibilityDatabase, "`name` of the database of lists")
	flags.StringVar(&c.IP, "ip", c.IP, "`address` on which frontend and Web UI listen")
	flags.IntVar(&c.FrontendPort, "frontend-port", c.FrontendPort, "gRPC `port`, 0 for a free one")
	flags.IntVar(&c.UIPort, "ui-port", c.UIPort, "`port` of the Web UI, 0 for a free one")
	flags.BoolVar(&c.Headless, "headless", false, "no Web UI")
	flags.StringVar(&c.MetricsAddr, "metrics-addr", "", "`host:port` for Prometheus metrics; none when empty")
	flags.IntVar(&c.ProfilePort, "profile-port", 0, "`port` for Go profiles on 127.0.0.1; none when 0")
	flags.StringVar(&c.Namespace, "namespace", c.Namespace, "`name` of the namespace to register")
	flags.DurationVar(&c.Retention, "retention", c.Retention, "how long closed workflows stay readable")
	flags.IntVar(&c.Shards, "shards", c.Shards, "history shards of a new database")
	flags.IntVar(&c.Connections, "connections", c.Connections, "Postgres connections per service")
	flags.StringVar(&c.LogLevel, "log-level", c.LogLevel, "debug, info, warn or error")
	flags.BoolVar(&dieWithParent, "die-with-parent", false, "end at once when standard input ends")
	flags.Usage = func() {
		fmt.Fprintf(flags.Output(), "Temporal with its Web UI on a Postgres that runs.\n"+
			"Each flag may be given as %s…, e.g. %sFRONTEND_PORT.\n\n", environmentPrefix, environmentPrefix)
		flags.PrintDefaults()
	}
	if err := fromEnvironment(flags); err != nil {
		return c, false, usageError{err}
	}
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return c, false, err
		}
		return c, false, usageError{err}
	}
	if flags.NArg() > 0 {
		return c, false, usageError{fmt.Errorf("unexpected argument %q; see -help", flags.Arg(0))}
	}
	if err := c.Validate(); err != nil {
		return c, false, usageError{err}
	}
	return c, dieWithParent, nil
}

// fromEnvironment sets the flags whose variables are set.
func fromEnvironment(flags *flag.FlagSet) error {
	var first error
	flags.VisitAll(func(f *flag.Flag) {
		name := environmentPrefix + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		value, ok := os.LookupEnv(name)
		if !ok || first != nil {
			return
		}
		if err := f.Value.Set(value); err != nil {
			first = fmt.Errorf("%s=%q: %w", name, value, err)
		}
	})
	return first
}
