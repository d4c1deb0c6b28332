package media

// leg is what a shard keeps of a stream. It holds no pointers, so that the
// garbage collector never looks at the slabs, and is touched by its shard only.
type leg struct {
	// Looked at for each packet.
	source    sockaddr // the locked source of the peer; see latch.go
	fd        int32
	partner   int32 // slot of the bridged leg, -1 if none
	state     legState
	dir       Direction
	flags     legFlags
	in        reception
	lastIn    int64 // when audio last came from the locked source
	life      int64 // when anything last came, RTCP included, or Configure
	digit     digit
	signalled signalled
	inCodec   [128]codecID
	route     [128]route // by incoming payload type, to the partner

	// Looked at for each packet out.
	dest sockaddr // where audio goes; invalid: nowhere
	out  sender

	// Looked at by commands and the sweep.
	slot     int32
	gen      int32
	warned   int64 // when Timeout was last reported
	rtcpFD   int32
	latch    latch
	reports  reports
	remote   sockaddr // the address in the peer's SDP
	payloads payloads
	play     playing
	ptime    uint32 // samples per packet that the peer asked for; 0: any
}

type legState uint8

const (
	legFree  legState = iota
	legOpen           // has ports, knows no peer: everything is dropped
	legReady          // configured
)

type legFlags uint16

const (
	connected   legFlags = 1 << iota // the kernel filters by source
	mutedIn                          // the partner gets silence instead of the peer
	mutedOut                         // the peer gets silence instead of anything
	muxed                            // RTCP on the RTP port
	sawIn                            // FirstIn was reported
	sawOut                           // FirstOut was reported
	awaitFlow                        // Flowing is to be reported
	repacketise                      // packets out are cut to ptime
	keyed                            // a key is pressed to the peer; see keypad
)

func (l *leg) is(f legFlags) bool { return l.flags&f != 0 }

func (l *leg) set(f legFlags, on bool) {
	if on {
		l.flags |= f
	} else {
		l.flags &^= f
	}
}

// side is what belongs to a leg but has pointers.
type side struct {
	stream *Stream
	clip   *Clip
	packer *repacker
	keys   *keypad // nil: none is pressed
}

// slabSize is how many legs are allocated together. They never move.
const slabSize = 64

// slabs is a growing set of legs with handles: the slot, and a generation that
// tells a slot's tenants apart in events that epoll reported earlier.
type slabs struct {
	list []*legBlock
	free []int32
	n    int
}

// legBlock is a slab, split so that the legs themselves are memory without pointers.
type legBlock struct {
	legs  *[slabSize]leg
	sides *[slabSize]side
}

func (s *slabs) leg(slot int32) *leg   { return &s.list[slot/slabSize].legs[slot%slabSize] }
func (s *slabs) side(slot int32) *side { return &s.list[slot/slabSize].sides[slot%slabSize] }
func (s *slabs) size() int32           { return int32(len(s.list) * slabSize) }

// add returns a free leg, empty but for slot and generation.
func (s *slabs) add() *leg {
	if len(s.free) == 0 {
		base := s.size()
		s.list = append(s.list, &legBlock{new([slabSize]leg), new([slabSize]side)})
		for i := int32(slabSize - 1); i >= 0; i-- {
			s.free = append(s.free, base+i)
		}
	}
	slot := s.free[len(s.free)-1]
	s.free = s.free[:len(s.free)-1]
	s.n++
	l := s.leg(slot)
	*l = leg{slot: slot, gen: l.gen + 1, partner: -1, state: legOpen}
	return l
}

func (s *slabs) remove(l *leg) {
	*s.side(l.slot) = side{}
	l.state = legFree
	s.free = append(s.free, l.slot)
	s.n--
}
