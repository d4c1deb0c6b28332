package dispatch

import (
	"context"
	"errors"
	"sync"
	"time"

	"holdfast/domain/call"
	"holdfast/domain/fault"
)

// writer writes the journal of one opening, in order, with retries until the
// workflow has taken over. It has a goroutine only while there is something to write.
type writer struct {
	o     *opening
	mu    sync.Mutex
	lane  []call.Effect
	state *call.State // the latest state, if it is not written
	busy  bool
}

// put writes an effect and answers it.
func (w *writer) put(f call.Effect) {
	w.mu.Lock()
	w.lane = append(w.lane, f)
	w.mu.Unlock()
	w.start()
}

// advance writes the state reached; an older one that waits is passed over.
func (w *writer) advance(s call.State) {
	w.mu.Lock()
	w.state = &s
	w.mu.Unlock()
	w.start()
}

func (w *writer) start() {
	w.mu.Lock()
	idle := !w.busy
	w.busy = true
	w.mu.Unlock()
	if idle && !w.o.d.run(w.work) {
		w.mu.Lock()
		w.busy = false
		w.mu.Unlock()
	}
}

func (w *writer) work(ctx context.Context) {
	wait := firstPause
	for {
		f, s := w.next()
		if f == nil && s == nil {
			return
		}
		var err error
		if f != nil {
			err = w.write(ctx, *f)
		} else {
			err = w.o.d.conf.Ledger.Advance(ctx, *s)
		}
		if away(err) && !w.obsolete() {
			if !pause(ctx, wait) {
				return
			}
			wait = min(2*wait, longPause)
			continue
		}
		if err != nil && f == nil {
			w.o.d.log.Error("The state of a call could not be written.", "call", w.o.ref.Call, "err", err)
		}
		wait = firstPause
		w.done(f, s)
	}
}

// next is what to write next; nothing ends the goroutine.
func (w *writer) next() (*call.Effect, *call.State) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.obsolete():
	case len(w.lane) > 0:
		return &w.lane[0], nil
	case w.state != nil:
		return nil, w.state
	}
	w.busy, w.lane, w.state = false, nil, nil
	return nil, nil
}

func (w *writer) done(f *call.Effect, s *call.State) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if f != nil {
		w.lane = w.lane[1:]
	} else if w.state == s {
		w.state = nil
	}
}

// obsolete reports whether the workflow writes now.
func (w *writer) obsolete() bool {
	w.o.mu.Lock()
	defer w.o.mu.Unlock()
	return w.o.over
}

func (w *writer) write(ctx context.Context, f call.Effect) error {
	o := w.o
	if f.Place == nil {
		err := o.d.conf.Journal.SaveCall(ctx, o.ref, *f.Save)
		if !away(err) {
			o.answer(answerTo(f, nil, err))
		}
		return err
	}
	placed, err := o.d.conf.Journal.Place(ctx, o.ref, *f.Place)
	switch {
	case away(err):
	case err == nil && placed.Matched != nil:
		o.answer(*placed.Matched)
	case err == nil && placed.Waiting != nil:
		o.answer(*placed.Waiting)
	default:
		o.answer(answerTo(f, nil, err))
	}
	return err
}

// answerTo is the event that answers effect f, as far as Done, Failed and the
// outcome of a ring do.
func answerTo(f call.Effect, ended any, err error) call.Event {
	if err != nil {
		return call.Failed{Seq: f.Seq, Error: err.Error(), Gone: fault.KindOf(err) == fault.NotFound}
	}
	if e, ok := ended.(call.RingEnded); ok {
		return e
	}
	return call.Done{Seq: f.Seq}
}

// away reports whether err is the database's being away: something that passes.
func away(err error) bool {
	return fault.KindOf(err) == fault.Unavailable || errors.Is(err, context.DeadlineExceeded)
}

// outage notes how long the database has been away, so that callers who can't be
// helped are not kept waiting.
type outage struct {
	mu    sync.Mutex
	since time.Time // zero: it is there
	last  time.Time
	err   error
}

const (
	// outageCertain is how long an outage must last before callers are refused at once.
	outageCertain = 3 * time.Second
	// outageProbe is how often one caller is let through to see whether it is over.
	outageProbe = 2 * time.Second
)

func (o *outage) note(now time.Time, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !away(err) {
		o.since, o.err = time.Time{}, nil
		return
	}
	if o.since.IsZero() {
		o.since = now
	}
	o.last, o.err = now, err
}

// lasts returns fault.Unavailable if callers should be refused now.
func (o *outage) lasts(now time.Time) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.since.IsZero() || now.Sub(o.since) < outageCertain || now.Sub(o.last) > outageProbe {
		return nil
	}
	return fault.E(fault.Unavailable, "open call", o.err)
}
