package stage

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os/exec"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
)

// Ran is what a command of the binary did.
type Ran struct {
	Code   int
	Out    string
	Errors string
}

// Command runs a command of the binary against this stage, with input as its standard
// input, and returns how it ended.
func (s *Stage) Command(ctx context.Context, input string, args ...string) (Ran, error) {
	cmd := s.command(ctx, s.Worker.env, args...)
	var out, problems bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &problems
	err := cmd.Run()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		return Ran{}, err
	}
	return Ran{cmd.ProcessState.ExitCode(), out.String(), problems.String()}, nil
}

// Client is a client of the stage's Temporal; it lives as long as the test.
func (s *Stage) Client(t testing.TB) client.Client {
	t.Helper()
	c, err := client.NewLazyClient(client.Options{
		HostPort: s.Temporal.Frontend(), Logger: sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler)),
	})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// SQL is a connection with the stage's database that sees all tenants; it lives as long
// as the test.
func (s *Stage) SQL(t testing.TB) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), s.Postgres.DSN())
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close(context.Background()) }) // the database may be away by then
	return c
}
