package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"

	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"

	"holdfast/domain/fault"
	"holdfast/workflows/replay"
)

type replayOptions struct {
	ids    []string
	query  string
	limit  int
	record string
}

func replayCommand() *cobra.Command {
	var o replayOptions
	c := &cobra.Command{
		Use: "replay [FILE…]", Short: "Replay histories against this build, and read them as a time line", GroupID: "tools",
		Long: "Replays workflow histories against this build and prints each as a time line in words.\n" +
			"They come from files or folders (JSON, as the Temporal Web UI and CLI download them) or, by --id or --query,\n" +
			"from the server that TEMPORAL_ADDRESS names. The exit code is 1 if any of them diverges.",
		Example: "  holdfast replay tests/histories\n  holdfast replay --id agent:demo.localhost:1001\n  holdfast replay --query \"CCQueue = 'support'\"",
		Args:    cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, files []string) error {
			return replayAll(c.Context(), c.OutOrStdout(), files, o)
		},
	}
	c.Flags().StringArrayVar(&o.ids, "id", nil, "workflow `id` on the server, its latest run; may be repeated")
	c.Flags().StringVar(&o.query, "query", "", "visibility `query` that lists workflows on the server, e.g. WorkflowType = 'Call'")
	c.Flags().IntVar(&o.limit, "limit", 1000, "how many workflows a query brings at most")
	c.Flags().StringVar(&o.record, "record", "", "keep the server's histories as files `FOLDER/SCENARIO`, for the corpus of the tests")
	return c
}

// replayAll replays everything that was named, and fails if anything diverged.
func replayAll(ctx context.Context, out io.Writer, files []string, o replayOptions) error {
	if len(files) == 0 && len(o.ids) == 0 && o.query == "" {
		return usage("replay needs files, --id or --query; see holdfast replay --help")
	}
	histories, err := replay.Files(files...)
	if err != nil {
		return usage("%w", err)
	}
	if len(o.ids) > 0 || o.query != "" {
		fetched, err := fetchHistories(ctx, o)
		if err != nil {
			return err
		}
		histories = append(histories, fetched...)
	}
	if err := replay.All(out, histories); err != nil {
		return fmt.Errorf("this build does not do what was recorded: %w", err)
	}
	said := fmt.Sprintf("%d histories replayed, none diverges", len(histories))
	if len(histories) == 1 {
		said = "1 history replayed, it does not diverge"
	}
	_, err = fmt.Fprintln(out, said)
	return err
}

// fetchHistories reads histories from the server, and keeps them if asked to.
func fetchHistories(ctx context.Context, o replayOptions) ([]replay.History, error) {
	options, err := temporalOptions(slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	c, err := client.DialContext(ctx, options)
	if err != nil {
		return nil, usage("Temporal can't be reached (TEMPORAL_ADDRESS=%s): %w", options.HostPort, err)
	}
	defer c.Close()
	found, err := replay.ByID(ctx, c, o.ids...)
	if err == nil && o.query != "" {
		var listed []replay.History
		listed, err = replay.ByQuery(ctx, c, o.query, o.limit)
		found = append(found, listed...)
	}
	if err != nil {
		return nil, usage("%w", err)
	}
	return found, recordHistories(o.record, found)
}

func recordHistories(where string, found []replay.History) error {
	if where == "" {
		return nil
	}
	err := replay.Record(filepath.Dir(where), filepath.Base(where), found...)
	if fault.KindOf(err) == fault.Conflict {
		return usage("%w", err)
	}
	return err
}
