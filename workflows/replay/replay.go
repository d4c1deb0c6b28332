// Package replay runs recorded histories against this build: what a workflow did
// then, it must do again now.
package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/temporalproto"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"google.golang.org/protobuf/proto"

	"holdfast/domain/fault"
	"holdfast/workflows"
	"holdfast/workflows/timeline"
)

// History is a recorded run of a workflow.
type History struct {
	Title  string // the file, or workflow and run id
	Events *historypb.History
}

// Replay runs one history against this build. The error tells the first divergence.
func Replay(h History) error {
	r := worker.NewWorkflowReplayer()
	workflows.Register(r)
	events := proto.CloneOf(h.Events) // the SDK writes the attributes that are shown into the first event
	if err := r.ReplayWorkflowHistory(log.NewStructuredLogger(slog.New(slog.DiscardHandler)), events); err != nil {
		return fmt.Errorf("replay %s: %w", h.Title, err)
	}
	return nil
}

// All replays histories, writes each as a time line in words, and what diverged. The
// error joins all divergences.
func All(out io.Writer, histories []History) error {
	var failed []error
	for _, h := range histories {
		if err := timeline.Write(out, h.Title, h.Events); err != nil {
			return err
		}
		verdict := "replays"
		if err := Replay(h); err != nil {
			failed = append(failed, err)
			verdict = "DIVERGES: " + err.Error()
		}
		if _, err := fmt.Fprintf(out, "  %s\n\n", verdict); err != nil {
			return err
		}
	}
	return errors.Join(failed...)
}

// Files reads recorded histories; a folder stands for its *.json.
func Files(paths ...string) ([]History, error) {
	var found []History
	for _, p := range paths {
		names := []string{p}
		if info, err := os.Stat(p); err == nil && info.IsDir() {
			if names, err = filepath.Glob(filepath.Join(p, "*.json")); err != nil {
				return nil, err
			}
		}
		for _, name := range names {
			h, err := file(name)
			if err != nil {
				return nil, err
			}
			found = append(found, h)
		}
	}
	return found, nil
}

func file(name string) (_ History, err error) {
	f, err := os.Open(name)
	if err != nil {
		return History{}, fault.E(fault.NotFound, "read history", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	events, err := client.HistoryFromJSON(f, client.HistoryJSONOptions{})
	if err != nil {
		return History{}, fault.E(fault.Invalid, "read history "+name, err)
	}
	return History{Title: strings.TrimSuffix(filepath.Base(name), ".json"), Events: events}, nil
}

// ByID fetches the latest run of each workflow.
func ByID(ctx context.Context, c client.Client, ids ...string) ([]History, error) {
	var found []History
	for _, id := range ids {
		h, err := Fetch(ctx, c, id, "")
		if err != nil {
			return nil, err
		}
		found = append(found, h)
	}
	return found, nil
}

// ByQuery fetches the runs that a visibility query finds, at most limit.
func ByQuery(ctx context.Context, c client.Client, query string, limit int) ([]History, error) {
	var found []History
	var token []byte
	for {
		page, err := c.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{Query: query, NextPageToken: token})
		if err != nil {
			return nil, fault.E(fault.Unavailable, "list workflows", err)
		}
		for _, e := range page.GetExecutions() {
			if len(found) == limit {
				return found, nil
			}
			h, err := Fetch(ctx, c, e.GetExecution().GetWorkflowId(), e.GetExecution().GetRunId())
			if err != nil {
				return nil, err
			}
			found = append(found, h)
		}
		if token = page.GetNextPageToken(); len(token) == 0 {
			return found, nil
		}
	}
}

// Fetch reads the history of one run from the server; without run, of the latest.
func Fetch(ctx context.Context, c client.Client, id, run string) (History, error) {
	h := &historypb.History{}
	events := c.GetWorkflowHistory(ctx, id, run, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		e, err := events.Next()
		if err != nil {
			return History{}, fault.E(fault.Unavailable, "read history of "+id, err)
		}
		h.Events = append(h.Events, e)
	}
	return History{Title: id, Events: h}, nil
}

// Record writes histories as files of a folder, named by scenario and workflow type
// ("abandoned_while_ringing.Call.json"), for the corpus that every later build must
// replay. A file that exists is never overwritten: fault.Conflict.
func Record(dir, scenario string, histories ...History) error {
	for _, h := range histories {
		kind := "empty"
		if len(h.Events.GetEvents()) > 0 {
			kind = h.Events.GetEvents()[0].GetWorkflowExecutionStartedEventAttributes().GetWorkflowType().GetName()
		}
		name := filepath.Join(dir, scenario+"."+kind+".json")
		data, err := temporalproto.CustomJSONMarshalOptions{Indent: " "}.Marshal(h.Events)
		if err != nil {
			return fmt.Errorf("write history of %s: %w", h.Title, err)
		}
		if err := create(name, data); err != nil {
			return err
		}
	}
	return nil
}

func create(name string, data []byte) (err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, os.ErrExist) {
		return fault.E(fault.Conflict, "record history", fmt.Errorf("%s exists: a recorded history is never edited", name))
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = f.Write(append(data, '\n'))
	return err
}
