// Command holdfast is the whole of Holdfast: each role, everything on one machine,
// and the tools of operators and developers. Here stands only wiring.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"holdfast/domain/fault"
)

// The exit codes.
const (
	exitFailed = 1 // something went wrong
	exitUsage  = 2 // something that the user can change: an argument, a variable, a port in use, a missing program
)

func main() { os.Exit(run(os.Args[1:])) }

// run executes a command line and returns the exit code. The first SIGINT or
// SIGTERM asks the command to stop in order; a second one ends the process.
func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the signals have their usual effect again
	root := commands()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	var told *toldError
	if !errors.As(err, &told) {
		fmt.Fprintln(os.Stderr, "holdfast: "+sentence(err))
	}
	return exitCode(err)
}

func commands() *cobra.Command {
	root := &cobra.Command{
		Use:                   "holdfast",
		Short:                 "A durable contact center",
		Long:                  "Holdfast is a contact center whose agent sessions and calls are durable workflows.\nStart with: holdfast dev",
		SilenceUsage:          true,
		SilenceErrors:         true,
		DisableFlagsInUseLine: true,
		Version:               version(),
		Args:                  knownCommand,
		RunE:                  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage("%w", err) })
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddGroup(
		&cobra.Group{ID: "run", Title: "Run:"},
		&cobra.Group{ID: "data", Title: "Data:"},
		&cobra.Group{ID: "tools", Title: "Tools:"},
	)
	root.AddCommand(
		devCommand(), apiCommand(), workerCommand(), telephonyCommand(),
		migrateCommand(), applyCommand(), exportCommand(), importCommand(), resealCommand(),
		phoneCommand(), callCommand(), replayCommand(), doctorCommand(), versionCommand(),
		environmentTopic(),
	)
	for _, c := range root.Commands() {
		if c.Args == nil && c.RunE != nil {
			c.Args = noArguments
		}
	}
	return root
}

func noArguments(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage("%s takes no argument %q; see holdfast %s --help", c.Name(), args[0], c.Name())
	}
	return nil
}

// knownCommand refuses a word that is none of root's commands. Cobra would do so by an
// error without a type.
func knownCommand(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	advice := "see holdfast help"
	if like := root.SuggestionsFor(args[0]); len(like) > 0 {
		advice = "did you mean " + strings.Join(like, " or ") + "?"
	}
	return usage("there is no command %q; %s", args[0], advice)
}

// usageError is something that the user can change.
type usageError struct{ error }

// Unwrap returns the cause.
func (e *usageError) Unwrap() error { return e.error }

// toldError is a failure that the command's own lines have told already.
type toldError struct{ error }

// Unwrap returns the cause.
func (e *toldError) Unwrap() error { return e.error }

// usage is an error of the user's, as one sentence that names what is wrong and what to do.
func usage(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

// sentence is what the user is told of err.
func sentence(err error) string {
	var u *usageError
	if errors.As(err, &u) {
		return u.Error()
	}
	if s := fault.Sentence(err); s != "" {
		return s
	}
	if errors.Is(err, context.Canceled) {
		return "interrupted"
	}
	return err.Error()
}

// exitCode is 2 for what the user can change, which is what carries a sentence or
// comes of the command line.
func exitCode(err error) int {
	var u *usageError
	if errors.As(err, &u) || fault.Sentence(err) != "" || fault.KindOf(err) == fault.Invalid ||
		fault.KindOf(err) == fault.NotFound {
		return exitUsage
	}
	return exitFailed
}
