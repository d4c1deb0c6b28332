package transaction

import "sync/atomic"

// Stats are counters since the start (and a few levels), for metrics.
type Stats struct {
	Received     uint64 // messages that were parsed
	Malformed    uint64 // messages that could not be parsed or broke a rule
	Filtered     uint64 // datagrams, messages and connections that the filter dropped
	Merged       uint64 // requests answered 482
	Overloaded   uint64 // requests answered 503 because a queue or the table was full
	Dropped      uint64 // responses and ACKs dropped because a queue was full
	Strays       uint64 // responses without a transaction
	RepeatedIn   uint64 // repeated requests absorbed
	RepeatedOut  uint64 // requests and responses that we repeated
	Timeouts     uint64 // transactions that ended without the answer or ACK they waited for
	WriteErrors  uint64 // failed writes that no caller was told of
	Refused      uint64 // connections closed because there were too many
	ServersAlive int64
	ClientsAlive int64
	ConnsAlive   int64
}

type counters struct {
	received, malformed, filtered, merged, overloaded, dropped, strays atomic.Uint64
	repeatedIn, repeatedOut, timeouts, writeErrors, refused            atomic.Uint64
	servers, clients                                                   atomic.Int64
}

// Stats reads the counters; they are not from one instant.
func (l *Layer) Stats() Stats {
	c := &l.stats
	l.mu.Lock()
	conns := int64(len(l.conns))
	l.mu.Unlock()
	return Stats{
		Received: c.received.Load(), Malformed: c.malformed.Load(), Filtered: c.filtered.Load(),
		Merged: c.merged.Load(), Overloaded: c.overloaded.Load(), Dropped: c.dropped.Load(),
		Strays: c.strays.Load(), RepeatedIn: c.repeatedIn.Load(), RepeatedOut: c.repeatedOut.Load(),
		Timeouts: c.timeouts.Load(), WriteErrors: c.writeErrors.Load(), Refused: c.refused.Load(),
		ServersAlive: c.servers.Load(), ClientsAlive: c.clients.Load(), ConnsAlive: conns,
	}
}
