package httpapi

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"time"

	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/record"
)

const (
	// auditQueue is how many lines may wait to be written; when it is full, whoever
	// adds one writes it, so that none is lost to load.
	auditQueue = 1024
	// auditTries and auditPause: how often a line is tried while the database is away.
	auditTries = 5
	auditPause = 500 * time.Millisecond
	// auditWrite bounds one write.
	auditWrite = 5 * time.Second
	// aboutCustomers begins the actions on people who may ask to be forgotten. The trail
	// can't be changed then, so that no sentence with a name or a number is kept in it.
	aboutCustomers = string(directory.Contact) + "."
)

// auditor writes the audit trail (SEED-4) beside the requests, so that a command
// need not wait for it. What a person did to sessions and calls stands in their
// histories as well.
type auditor struct {
	reader Reader
	log    *slog.Logger
	now    func() time.Time
	lines  chan record.AuditEntry

	mu      sync.Mutex
	stopped bool
}

func newAuditor(r Reader, log *slog.Logger, now func() time.Time) *auditor {
	return &auditor{reader: r, log: log, now: now, lines: make(chan record.AuditEntry, auditQueue)}
}

// add notes what p did to object, and how it ended.
func (a *auditor) add(p person, action, object string, result error) {
	a.note(p, action, object, nil, result)
}

// note is add with what else there is to say of it.
func (a *auditor) note(p person, action, object string, detail json.RawMessage, result error) {
	e := record.AuditEntry{
		Detail: detail,
		Tenant: p.Tenant, User: p.Name, Home: p.Home, At: a.now().UTC(), Action: action, Object: object, Source: p.address, Result: "ok",
	}
	if result != nil {
		problem := problemOf(result)
		e.Result = problem.Code
		// The sentence is for people who read the trail.
		said := map[string]string{"detail": problem.Detail, "kind": string(fault.KindOf(result))}
		if strings.HasPrefix(action, aboutCustomers) {
			delete(said, "detail")
		}
		e.Detail, _ = json.Marshal(said) // texts always marshal
	}
	if !a.enqueue(e) {
		a.write(e)
	}
}

// enqueue reports whether the line waits to be written by run.
func (a *auditor) enqueue(e record.AuditEntry) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopped {
		return false
	}
	select {
	case a.lines <- e:
		return true
	default:
		return false
	}
}

// run writes until stop.
func (a *auditor) run() {
	for e := range a.lines {
		a.write(e)
	}
}

// stop lets run end after what was added is written. It is safe twice.
func (a *auditor) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.stopped {
		a.stopped = true
		close(a.lines)
	}
}

func (a *auditor) write(e record.AuditEntry) {
	for try := 1; ; try++ {
		ctx, cancel := context.WithTimeout(context.Background(), auditWrite)
		err := a.reader.Audit(ctx, e)
		cancel()
		if err == nil {
			return
		}
		if try == auditTries {
			a.log.Error("A line of the audit trail could not be written.", "tenant", e.Tenant, "user", e.User,
				"action", e.Action, "object", e.Object, "result", e.Result, "err", err)
			return
		}
		time.Sleep(auditPause)
	}
}
