package media

import (
	"math"
	"math/bits"
	"net/netip"
	"time"
)

// Stats counts what a stream did since Open.
type Stats struct {
	// Peer is where audio is sent: the locked source, else the SDP's address.
	Peer netip.AddrPort
	// Latched says whether a source is locked.
	Latched   bool
	Direction Direction

	In  InStats
	Out OutStats
	// Rejected counts what was dropped unheard, by reason.
	Rejected Rejected

	// RTT is the round trip to the peer by RTCP; 0: unknown.
	RTT time.Duration
	// MOS estimates how the peer's audio sounds at our end, 1 to 4.5, by the
	// E-model (ITU-T G.107) from loss, jitter and RTT; 0: nothing was received.
	MOS float64
}

// InStats counts accepted audio.
type InStats struct {
	SSRC           uint32
	Packets, Bytes uint64
	// Lost is expected minus received (RFC 3550 §6.4.1); never below 0 here.
	Lost uint64
	// Late came after a newer one or twice.
	Late uint64
	// Jitter is the interarrival jitter (RFC 3550 §6.4.1).
	Jitter time.Duration
	// Last is when audio last came; zero: never.
	Last time.Time
}

// OutStats counts what was sent.
type OutStats struct {
	SSRC           uint32
	Packets, Bytes uint64
	// Failed packets were refused by the system.
	Failed uint64
	// Reported says that the peer's RTCP told of Lost and Jitter.
	Reported bool
	Lost     int64
	Jitter   time.Duration
}

// Rejected counts packets that were dropped.
type Rejected struct {
	// Early came before Configure.
	Early uint64
	// Stranger came from a source that is not locked, and was not yet or never
	// believed.
	Stranger uint64
	// Unwanted came while the direction was not to receive.
	Unwanted uint64
	// Unknown had a payload type that was not agreed on, or one that the partner
	// does not have.
	Unknown uint64
	// Invalid were no RTP or RTCP, or jumped in number without a successor.
	Invalid uint64
}

// Stats returns the stream's counters.
func (s *Stream) Stats() (Stats, error) {
	var st Stats
	err := s.do(func(sh *shard, l *leg) error {
		st = sh.stats(l)
		return nil
	})
	return st, err
}

func (sh *shard) stats(l *leg) Stats {
	in, out, r := &l.in, &l.out, &l.reports
	st := Stats{
		Peer: l.dest.addrPort(), Latched: l.latch.trust != nobody, Direction: l.dir,
		In: InStats{
			SSRC: in.ssrc, Packets: in.packets, Bytes: in.bytes, Late: in.late,
			Lost: uint64(max(in.lostBefore+in.lost(), 0)), Jitter: span(in.jitter>>4, in.rate),
		},
		Out: OutStats{
			SSRC: out.ssrc, Packets: out.packets, Bytes: out.octets + headerSize*out.packets, Failed: out.failed,
			Reported: r.heard, Lost: int64(r.lost), Jitter: span(r.jitter, out.rate),
		},
		Rejected: Rejected{
			Early: in.early, Stranger: in.stranger, Unwanted: in.unwanted, Unknown: in.unknown,
			Invalid: in.invalid + in.stuck,
		},
		RTT: time.Duration(r.rtt),
	}
	if in.packets > 0 {
		st.In.Last = sh.engine.clock.wall(l.lastIn)
		loss := float64(st.In.Lost) / float64(st.In.Lost+in.packets)
		st.MOS = mos(loss, st.RTT/2+2*st.In.Jitter+20*time.Millisecond)
	}
	return st
}

// mos estimates the mean opinion score of G.711 with concealment from the share
// of packets lost and the delay from mouth to ear (ITU-T G.107 §7, with
// Ie = 0 and Bpl = 25.1 of G.113 appendix I).
func mos(loss float64, delay time.Duration) float64 {
	const (
		best   = 93.2 // R of a perfect connection (G.107 §7.1)
		robust = 25.1
	)
	ms := float64(delay) / float64(time.Millisecond)
	// The delay impairment in its usual linear form: 24 per second, and 110 per
	// second more from 177.3 ms on.
	r := best - 0.024*ms - 0.11*max(ms-177.3, 0)
	r -= 95 * loss * 100 / (loss*100 + robust)
	r = max(0, min(100, r))
	return max(1, 1+0.035*r+r*(r-60)*(100-r)*7e-6)
}

// EngineStats counts what an engine did since New.
type EngineStats struct {
	Ports  PortStats
	Shards []ShardStats
	// EventsDropped did not fit into the backlog of Config.Events.
	EventsDropped uint64
}

// ShardStats counts what an event loop did.
type ShardStats struct {
	// Streams are open now; to Playing of them something is played.
	Streams, Playing int
	// PacketsIn and PacketsOut are audio, Reports the RTCP that was sent.
	PacketsIn, PacketsOut, Reports uint64
	// Waits is how often the thread slept, Commands how many it was given.
	Waits, Commands uint64
	// Ticks of 20 ms were run or, after a long stall, TicksMissed.
	Ticks, TicksMissed uint64
	// TickLateP99 bounds the lateness of 99 % of all wake-ups by the tick,
	// TickLateMax of all.
	TickLateP99, TickLateMax time.Duration
}

// Stats returns the engine's counters; after Close, ErrClosed.
func (e *Engine) Stats() (EngineStats, error) {
	st := EngineStats{Ports: e.ports.stats(), EventsDropped: e.events.dropped.Load()}
	for _, sh := range e.shards {
		err := sh.do(func() error {
			c := sh.counts
			c.Streams, c.Playing = sh.legs.n, len(sh.playing)
			c.TickLateP99, c.TickLateMax = sh.late.quantile(0.99), time.Duration(sh.late.worst)
			st.Shards = append(st.Shards, c)
			return nil
		})
		if err != nil {
			return EngineStats{}, err
		}
	}
	return st, nil
}

// lateness is a histogram of durations in steps of a quarter of each power of
// two of a microsecond.
type lateness struct {
	buckets [128]uint64
	count   uint64
	worst   int64 // ns
}

func (h *lateness) add(ns int64) {
	ns = max(ns, 0)
	h.worst = max(h.worst, ns)
	h.count++
	h.buckets[bucketOf(uint64(ns)/1000)]++
}

// bucketOf: values below 4 have a bucket each, later ones four per power of two.
func bucketOf(us uint64) int {
	if us < 4 {
		return int(us)
	}
	n := bits.Len64(us) - 3 // 4..7 → 0
	return min(4+4*n+int(us>>n&3), 127)
}

// top is the first value above a bucket, in microseconds.
func top(bucket int) uint64 {
	b := bucket + 1
	if b < 4 {
		return uint64(b)
	}
	n := (b - 4) / 4
	return uint64(4+(b-4)%4) << n
}

func (h *lateness) quantile(q float64) time.Duration {
	if h.count == 0 {
		return 0
	}
	need, seen := uint64(math.Ceil(q*float64(h.count))), uint64(0)
	for i, n := range h.buckets {
		if seen += n; seen >= need {
			return min(time.Duration(top(i))*time.Microsecond, time.Duration(h.worst))
		}
	}
	return time.Duration(h.worst)
}
