package media

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
)

// Codec is a line of a payload map: an RTP payload type and what it means.
// Streams are connected by name and rate; the numbers may differ.
type Codec struct {
	// Name is the encoding name of a=rtpmap, in any case (RFC 8866 §6.6).
	Name string
	// Rate is the RTP clock in Hz. Zero: 8000.
	Rate int
	// PT is the payload type, 0 to 127.
	PT uint8
}

// The codecs that the engine speaks itself, under their static numbers
// (RFC 3551 §6). Any other is passed through between streams that both have it.
var (
	PCMU = Codec{Name: "PCMU", Rate: 8000, PT: 0}
	PCMA = Codec{Name: "PCMA", Rate: 8000, PT: 8}
)

// TelephoneEvent is telephone-event/8000 (RFC 4733) under the given payload type.
func TelephoneEvent(pt uint8) Codec { return Codec{Name: "telephone-event", Rate: 8000, PT: pt} }

// codecID is a codec's name and rate as a number: what the packet path works
// with. Zero is no codec.
type codecID uint8

const (
	codecPCMU  codecID = 1
	codecPCMA  codecID = 2
	codecEvent codecID = 3 // to 7: telephone-event at other clocks
	codecCN    codecID = 8 // comfort noise (RFC 3389)
	codecOther codecID = 16
)

func (id codecID) isEvent() bool { return id >= codecEvent && id < codecCN }
func (id codecID) isG711() bool  { return id == codecPCMU || id == codecPCMA }
func (id codecID) isAudio() bool { return id.isG711() || id >= codecOther }

// registry gives every codec that a peer ever named its number. There are few:
// a node that has seen 240 of them takes all others for no codec.
var registry = struct {
	sync.Mutex
	ids map[string]codecID
}{ids: map[string]codecID{
	"PCMU/8000":             codecPCMU,
	"PCMA/8000":             codecPCMA,
	"TELEPHONE-EVENT/8000":  codecEvent,
	"TELEPHONE-EVENT/16000": codecEvent + 1,
	"TELEPHONE-EVENT/24000": codecEvent + 2,
	"TELEPHONE-EVENT/32000": codecEvent + 3,
	"TELEPHONE-EVENT/48000": codecEvent + 4,
	"CN/8000":               codecCN,
}}

// clocks are the rates of the codecs in Hz, by number; unknown ones count as
// 8000. Written under the registry's lock, read on the packet path.
var clocks [256]atomic.Uint32

func init() {
	for i := range clocks {
		clocks[i].Store(8000)
	}
	for i, rate := range []uint32{16000, 24000, 32000, 48000} {
		clocks[int(codecEvent)+1+i].Store(rate)
	}
}

func (id codecID) rate() uint32 { return clocks[id].Load() }

// id returns the codec's number, 0 if it cannot have one.
func (c Codec) id() codecID {
	rate := c.Rate
	if rate == 0 {
		rate = 8000
	}
	name := strings.ToUpper(c.Name)
	key := fmt.Sprintf("%s/%d", name, rate)
	registry.Lock()
	defer registry.Unlock()
	id, known := registry.ids[key]
	if known || name == "TELEPHONE-EVENT" || name == "CN" {
		return id
	}
	next := int(codecOther)
	for _, used := range registry.ids {
		next = max(next, int(used)+1)
	}
	if next > 255 {
		return 0
	}
	registry.ids[key] = codecID(next)
	clocks[next].Store(uint32(rate))
	return codecID(next)
}

// payload is a codec as a leg keeps it.
type payload struct {
	id codecID
	pt uint8
}

// maxPayloads is how many codecs a leg can send; a list that is longer is cut.
const maxPayloads = 12

// payloads are the codecs that a peer wants to receive, its favourite first.
type payloads struct {
	list [maxPayloads]payload
	n    uint8
}

func outPayloads(codecs []Codec) payloads {
	var p payloads
	for _, c := range codecs {
		id := c.id()
		if id == 0 || p.n == maxPayloads {
			continue
		}
		p.list[p.n] = payload{id, c.PT & 0x7F}
		p.n++
	}
	return p
}

// find returns the payload type of the codec.
func (p *payloads) find(id codecID) (pt uint8, found bool) {
	for _, pl := range p.list[:p.n] {
		if pl.id == id {
			return pl.pt, true
		}
	}
	return 0, false
}

// g711 returns the first codec of the list that the engine can encode.
func (p *payloads) g711() (payload, bool) {
	for _, pl := range p.list[:p.n] {
		if pl.id.isG711() {
			return pl, true
		}
	}
	return payload{}, false
}

// inPayloads maps payload types to codecs.
func inPayloads(codecs []Codec) (m [128]codecID) {
	for _, c := range codecs {
		m[c.PT&0x7F] = c.id()
	}
	return m
}
