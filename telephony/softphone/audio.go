package softphone

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"holdfast/domain/sound/g711"
	"holdfast/telephony/media/tone"
)

// frame is one packet's worth of sound: 20 ms at 8 kHz (RFC 3551 §4.2).
const (
	frame       = 20 * time.Millisecond
	frameLength = 160
	rtpHeader   = 12 // RFC 3550 §5.1 without CSRC
)

// listenWindow is the stretch over which tones are looked for: long enough to tell
// 25 Hz apart, short enough to notice a change within a syllable.
const listenWindow = 100 * time.Millisecond

// Heard is what a phone has heard so far in one call.
type Heard struct {
	Packets int       // RTP packets received
	Lost    int       // gaps in their sequence numbers
	First   time.Time // arrival of the first packet, zero if none
	Last    time.Time // arrival of the latest
	Digits  string    // telephone-events (RFC 4733), in order
	SSRCs   int       // how many synchronisation sources sent
	Presses []Press   // the same as Digits
}

// Press is a telephone-event as its packets told it.
type Press struct {
	Digit    byte
	Duration time.Duration // of the latest packet
	Packets  int
	Markers  int // packets with the marker bit
	Ends     int // packets with the end bit
}

// Audio is the sound of one call: it speaks and listens on one UDP socket.
type Audio struct {
	conn *net.UDPConn
	ssrc uint32

	mu       sync.Mutex
	remote   netip.AddrPort
	payload  uint8 // payload type that we send
	alaw     bool
	digits   uint8 // telephone-event payload type, 0 if none was agreed
	speaking bool  // false while on hold
	source   func([]int16)
	heard    Heard
	lastSeq  uint16
	lastSSRC uint32
	lastDTMF uint32
	window   []int16
	latest   []int16 // the last complete window
	windows  int
	recorded []int16
	record   bool
	changed  chan struct{} // closed and replaced at every complete window

	stop chan struct{}
	done sync.WaitGroup
}

// openAudio takes a free even UDP port of ip and begins to listen. Nothing is sent
// before connect.
func openAudio(ip netip.Addr) (*Audio, error) {
	conn, err := listenEven(ip)
	if err != nil {
		return nil, fmt.Errorf("open the sound's socket: %w", err)
	}
	a := &Audio{
		conn: conn, ssrc: uint32(time.Now().UnixNano()), changed: make(chan struct{}),
		stop: make(chan struct{}), window: make([]int16, 0, int(listenWindow/time.Millisecond)*8),
	}
	a.done.Add(2)
	go a.listen()
	go a.speak()
	return a, nil
}

// listenEven opens an even port, as RFC 3550 §11 asks of RTP.
func listenEven(ip netip.Addr) (*net.UDPConn, error) {
	for range 100 {
		conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, 0)))
		if err != nil {
			return nil, err
		}
		if conn.LocalAddr().(*net.UDPAddr).Port%2 == 0 {
			return conn, nil
		}
		_ = conn.Close() // an odd port: try another
	}
	return nil, fmt.Errorf("no even port is free on %s", ip)
}

// Port is the RTP port.
func (a *Audio) Port() int { return a.conn.LocalAddr().(*net.UDPAddr).Port }

// connect says where to send, as what, and whether to send at all.
func (a *Audio) connect(remote netip.AddrPort, codec payload, digits uint8, speaking bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.remote, a.payload, a.alaw, a.digits, a.speaking = remote, codec.number, codec.alaw, digits, speaking
}

// payload is an agreed codec.
type payload struct {
	number uint8
	alaw   bool
}

// Say speaks a tone of freq Hz from now on; 0 is silence (packets go on).
func (a *Audio) Say(freq float64) {
	var g *tone.Generator
	if freq > 0 {
		g = tone.New(freq)
	} else {
		g = tone.New()
	}
	a.SayFrom(g.PCM)
}

// SayFrom speaks what source fills in, one frame of 160 samples at a time.
func (a *Audio) SayFrom(source func([]int16)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.source = source
}

// Play speaks the samples once, then is silent.
func (a *Audio) Play(pcm []int16) {
	a.SayFrom(func(dst []int16) {
		n := copy(dst, pcm)
		clear(dst[n:])
		pcm = pcm[n:]
	})
}

// Record keeps everything heard from now on; see Recorded.
func (a *Audio) Record() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.record = true
}

// Recorded returns the samples kept since Record.
func (a *Audio) Recorded() []int16 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]int16(nil), a.recorded...)
}

// Heard says what was heard so far.
func (a *Audio) Heard() Heard {
	a.mu.Lock()
	defer a.mu.Unlock()
	heard := a.heard
	heard.Presses = slices.Clone(heard.Presses)
	return heard
}

// Dominant is the strongest frequency of the last complete window and its level in dBFS.
func (a *Audio) Dominant() (freq, level float64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return tone.Dominant(a.latest)
}

// WaitTone returns when freq stands out in three windows running, or ctx ends.
func (a *Audio) WaitTone(ctx context.Context, freq float64) error {
	return a.waitWindows(ctx, 3, fmt.Sprintf("hear %.0f Hz", freq), func(w []int16) bool { return tone.Heard(w, freq) })
}

// WaitWithout returns when freq is not heard in three windows running, while packets
// still come, or ctx ends.
func (a *Audio) WaitWithout(ctx context.Context, freq float64) error {
	return a.waitWindows(ctx, 3, fmt.Sprintf("stop hearing %.0f Hz", freq), func(w []int16) bool { return !tone.Heard(w, freq) })
}

func (a *Audio) waitWindows(ctx context.Context, want int, what string, fits func([]int16) bool) error {
	run, seen := 0, -1
	for {
		a.mu.Lock()
		changed, n, latest := a.changed, a.windows, a.latest
		heard := a.heard
		a.mu.Unlock()
		if n != seen && n > 0 {
			seen = n
			if fits(latest) {
				run++
			} else {
				run = 0
			}
			if run >= want {
				return nil
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			freq, level := tone.Dominant(latest)
			return fmt.Errorf("%s: %w (%d packets so far, last %.0f Hz at %.0f dBFS)", what, ctx.Err(), heard.Packets, freq, level)
		}
	}
}

// WaitPackets returns when n packets have come in all, or ctx ends.
func (a *Audio) WaitPackets(ctx context.Context, n int) error {
	for {
		a.mu.Lock()
		changed, got := a.changed, a.heard.Packets
		a.mu.Unlock()
		if got >= n {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for %d packets, %d came: %w", n, got, ctx.Err())
		}
	}
}

// close ends both goroutines and waits for them. It may be called twice.
func (a *Audio) close() {
	a.mu.Lock()
	select {
	case <-a.stop:
	default:
		close(a.stop)
	}
	a.mu.Unlock()
	_ = a.conn.Close() // ends listen
	a.done.Wait()
}

// speak sends a frame each 20 ms on an absolute schedule, so that it never drifts.
func (a *Audio) speak() {
	defer a.done.Done()
	var (
		packet  = make([]byte, rtpHeader+frameLength)
		pcm     = make([]int16, frameLength)
		seq     = uint16(a.ssrc >> 16)
		stamp   = a.ssrc * 7
		started bool
	)
	next := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-a.stop:
			return
		}
		if remote, ok := a.nextFrame(pcm, packet); ok {
			packet[0] = 0x80 // version 2
			if !started {
				packet[1] |= 0x80 // marker: a talkspurt begins (RFC 3551 §4.1)
				started = true
			}
			binary.BigEndian.PutUint16(packet[2:], seq)
			binary.BigEndian.PutUint32(packet[4:], stamp)
			binary.BigEndian.PutUint32(packet[8:], a.ssrc)
			_, _ = a.conn.WriteToUDPAddrPort(packet, remote) // UDP: a lost packet is a lost packet
			seq++
		}
		stamp += frameLength
		next = next.Add(frame)
		timer.Reset(time.Until(next))
	}
}

// nextFrame encodes the next 20 ms into packet; false while nothing is to be sent.
func (a *Audio) nextFrame(pcm []int16, packet []byte) (netip.AddrPort, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.remote.IsValid() || !a.speaking {
		return netip.AddrPort{}, false
	}
	clear(pcm)
	if a.source != nil {
		a.source(pcm)
	}
	packet[1] = a.payload
	if a.alaw {
		g711.EncodeAlaw(packet[rtpHeader:], pcm)
	} else {
		g711.EncodeUlaw(packet[rtpHeader:], pcm)
	}
	return a.remote, true
}

// listen receives until the socket is closed.
func (a *Audio) listen() {
	defer a.done.Done()
	buf := make([]byte, 2048)
	pcm := make([]int16, len(buf))
	for {
		n, _, err := a.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		if n > rtpHeader && buf[0]>>6 == 2 {
			a.receive(buf[:n], pcm, time.Now())
		}
	}
}

func (a *Audio) receive(p []byte, pcm []int16, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.count(p, now)
	switch kind := p[1] & 0x7f; {
	case a.digits != 0 && kind == a.digits:
		a.digit(p)
		return
	case kind == 0, kind != 8 && names[kind] != "":
		pcm = pcm[:g711.DecodeUlaw(pcm, p[rtpHeader:])]
	case kind == 8:
		pcm = pcm[:g711.DecodeAlaw(pcm, p[rtpHeader:])]
	default:
		return
	}
	if a.record {
		a.recorded = append(a.recorded, pcm...)
	}
	a.window = append(a.window, pcm...)
	if len(a.window) < cap(a.window) && len(a.window) < int(listenWindow/time.Millisecond)*8 {
		return
	}
	a.latest = append([]int16(nil), a.window...)
	a.window = a.window[:0]
	a.windows++
	close(a.changed)
	a.changed = make(chan struct{})
}

func (a *Audio) count(p []byte, now time.Time) {
	seq, ssrc := binary.BigEndian.Uint16(p[2:]), binary.BigEndian.Uint32(p[8:])
	if a.heard.Packets == 0 {
		a.heard.First = now
		close(a.changed)
		a.changed = make(chan struct{})
	}
	if ssrc != a.lastSSRC {
		a.heard.SSRCs++
	} else if gap := seq - a.lastSeq; gap > 1 && gap < 1000 {
		a.heard.Lost += int(gap) - 1
	}
	a.lastSeq, a.lastSSRC = seq, ssrc
	a.heard.Packets++
	a.heard.Last = now
}

// digit notes a telephone-event once per event, by its timestamp (RFC 4733 §2.5.1.2).
func (a *Audio) digit(p []byte) {
	stamp := binary.BigEndian.Uint32(p[4:])
	if len(p) < rtpHeader+4 || int(p[rtpHeader]) >= len(dtmf) {
		return
	}
	if stamp != a.lastDTMF {
		a.lastDTMF = stamp
		a.heard.Digits += string(dtmf[p[rtpHeader]])
		a.heard.Presses = append(a.heard.Presses, Press{Digit: dtmf[p[rtpHeader]]})
	}
	press := &a.heard.Presses[len(a.heard.Presses)-1]
	press.Packets++
	press.Duration = time.Duration(binary.BigEndian.Uint16(p[rtpHeader+2:])) * time.Second / 8000
	press.Markers += int(p[1] >> 7)
	press.Ends += int(p[rtpHeader+1] >> 7)
	close(a.changed)
	a.changed = make(chan struct{})
}

// WaitDigits returns when as many telephone-events have come in, each to its third end packet, or ctx ends.
func (a *Audio) WaitDigits(ctx context.Context, n int) error {
	for {
		a.mu.Lock()
		changed, presses := a.changed, a.heard.Presses
		done := len(presses) >= n && presses[n-1].Ends >= 3
		a.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for %d digits, so far %v: %w", n, presses, ctx.Err())
		}
	}
}

// dtmf are the events 0 to 15 of RFC 4733 §3.2.
const dtmf = "0123456789*#ABCD"
