package db

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast/domain/id"
)

const (
	// channelEvents tells followers that there may be new events; channelDirectory,
	// with a tenant's domain, that its directory has changed.
	channelEvents    = "holdfast_events"
	channelDirectory = "holdfast_directory"

	// nudgeEvery is the least time between two nudges of one process: what is
	// written in between is seen with the next.
	nudgeEvery = 5 * time.Millisecond
	// listenAgain is the pause after a lost connection of the listener. Followers
	// poll meanwhile, and routes are looked up anew each time.
	listenAgain = 500 * time.Millisecond
)

// nudges connects the writers of this process with its followers, and, through the
// database, with those of other processes. Writers never wait: NOTIFY is sent by a
// goroutine of its own, outside of their transactions, because a NOTIFY within
// makes all commits of the database queue up behind one lock.
type nudges struct {
	once    sync.Once
	pending chan struct{} // of the notifier; one place: more nudges are the same nudge

	mu        sync.Mutex
	followers map[chan struct{}]struct{}
	directory []func(id.Tenant)
	prompted  func(payload string)
}

// OnDirectoryChange has fn called with each tenant whose directory changes, by
// whichever process, from now until Close; and with "" whenever changes may have been
// missed. fn must not block.
func (d *DB) OnDirectoryChange(fn func(id.Tenant)) {
	d.nudges.mu.Lock()
	d.nudges.directory = append(d.nudges.directory, fn)
	d.nudges.mu.Unlock()
	d.startListening()
}

func (n *nudges) directoryChanged(t id.Tenant) {
	n.mu.Lock()
	listeners := slices.Clone(n.directory)
	n.mu.Unlock()
	for _, fn := range listeners {
		fn(t)
	}
}

// nudge says that events were committed.
func (d *DB) nudge() {
	d.nudges.wake()
	d.notify.Do(func() {
		d.workers.Add(1)
		go d.notifier()
	})
	select {
	case d.nudges.queue() <- struct{}{}:
	default:
	}
}

func (n *nudges) queue() chan struct{} {
	n.once.Do(func() { n.pending = make(chan struct{}, 1) })
	return n.pending
}

// wake nudges the followers in this process.
func (n *nudges) wake() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for f := range n.followers {
		select {
		case f <- struct{}{}:
		default: // it has not looked since the last nudge
		}
	}
}

// Nudges returns a channel that receives when something new may be in the events,
// until ctx ends. It may miss some: whoever follows polls besides.
func (d *DB) Nudges(ctx context.Context) <-chan struct{} {
	d.startListening()
	f := make(chan struct{}, 1)
	d.nudges.mu.Lock()
	defer d.nudges.mu.Unlock()
	if d.nudges.followers == nil {
		d.nudges.followers = map[chan struct{}]struct{}{}
	}
	d.nudges.followers[f] = struct{}{}
	context.AfterFunc(ctx, func() {
		d.nudges.mu.Lock()
		defer d.nudges.mu.Unlock()
		delete(d.nudges.followers, f)
	})
	return f
}

// notifier passes nudges on to other processes until Close. One that fails is
// lost, which their polling makes up for.
func (d *DB) notifier() {
	defer d.workers.Done()
	for {
		select {
		case <-d.life.Done():
			return
		case <-d.nudges.queue():
		}
		if _, err := d.live.Exec(d.life, `NOTIFY `+channelEvents, pgx.QueryExecModeSimpleProtocol); err != nil && d.life.Err() == nil {
			d.log.Warn("Could not tell other processes of new events", "err", err)
		}
		select {
		case <-d.life.Done():
			return
		case <-time.After(nudgeEvery):
		}
	}
}

// startListening starts the listener, once.
func (d *DB) startListening() {
	d.listen.Do(func() {
		d.workers.Add(1)
		go d.listener()
	})
}

// listener hears what other processes say, on a connection of its own, until Close.
func (d *DB) listener() {
	defer d.workers.Done()
	for d.life.Err() == nil {
		err := d.hear()
		d.routes.distrust()
		d.logins.distrust()
		if d.life.Err() != nil {
			return
		}
		d.log.Warn("Lost the connection that tells of changes in the database", "err", err)
		select {
		case <-d.life.Done():
		case <-time.After(listenAgain):
		}
	}
}

func (d *DB) hear() error {
	config, err := pgx.ParseConfig(d.config.URL)
	if err != nil {
		return err
	}
	serve(config, "holdfast listener")
	conn, err := pgx.ConnectConfig(d.life, config)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.Background()) }() // only listened on
	channels := []string{channelEvents, channelDirectory, channelRevoked}
	if d.nudges.onPrompt() != nil {
		channels = append(channels, channelRings)
	}
	for _, channel := range channels {
		if _, err := conn.Exec(d.life, `LISTEN `+channel); err != nil {
			return err
		}
	}
	d.routes.trust()
	d.logins.trust()
	d.nudges.wake() // what was written while nobody listened
	d.nudges.directoryChanged("")
	for {
		n, err := conn.WaitForNotification(d.life)
		if err != nil {
			return err
		}
		switch n.Channel {
		case channelEvents:
			d.nudges.wake()
		case channelRevoked:
			d.logins.revoked(n.Payload)
		case channelRings:
			d.nudges.onPrompt()(n.Payload)
		case channelDirectory:
			d.routes.forget(n.Payload)
			d.nudges.directoryChanged(id.Tenant(n.Payload))
		}
	}
}
