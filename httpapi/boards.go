package httpapi

import (
	"context"
	"strings"
	"sync"
	"time"

	"holdfast/domain/event"
	"holdfast/domain/id"
	"holdfast/domain/record"
)

const (
	// boardRead bounds one reading of a queue for the streams.
	boardRead = 2 * time.Second
	// maxBoards bounds the memory of the boards.
	maxBoards = 1000
)

// boards reads each queue once for all the streams that show it.
type boards struct {
	reader Reader
	mu     sync.Mutex
	all    map[boardID]*board
}

type boardID struct {
	tenant id.Tenant
	queue  id.Queue
}

type board struct {
	mu    sync.Mutex // held while reading, so that others wait for the answer instead of asking too
	known int64      // the board shows everything up to this event
	live  record.QueueLive
}

func newBoards(r Reader) *boards { return &boards{reader: r, all: map[boardID]*board{}} }

// of returns the queue as it stood after the event seq, or later.
func (b *boards) of(ctx context.Context, t id.Tenant, q id.Queue, seq int64) (record.QueueLive, error) {
	b.mu.Lock()
	key := boardID{t, q}
	one := b.all[key]
	if one == nil {
		if len(b.all) >= maxBoards {
			clear(b.all) // they are read again when shown: costs a moment, bounds the memory
		}
		one = &board{}
		b.all[key] = one
	}
	b.mu.Unlock()
	one.mu.Lock()
	defer one.mu.Unlock()
	if one.known >= seq {
		return one.live, nil
	}
	ctx, cancel := context.WithTimeout(ctx, boardRead)
	defer cancel()
	live, err := b.reader.QueueLive(ctx, t, q)
	if err != nil {
		return record.QueueLive{}, err
	}
	one.live, one.known = live, seq
	return live, nil
}

// cut splits a stream's name: "agent:1001" is agent, 1001.
func cut(s event.Stream) (kind, name string, ok bool) { return strings.Cut(string(s), ":") }
