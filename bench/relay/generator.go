package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	packetSize = 172 // 20 ms of G.711 with its RTP header
	sockets    = 16  // of the generator; legs share them
	slots      = 20  // one per ms of the 20 ms between two packets of a leg
	batch      = 64  // packets per system call
	warmUp     = 2 * time.Second
)

// loadResult is what the generator saw.
type loadResult struct {
	Sent, Received uint64
	Seconds        float64
	P50, P99, P999 float64 // ms
}

// message is a struct mmsghdr (recvmmsg(2)).
type message struct {
	header unix.Msghdr
	size   uint32
	_      [4]byte
}

// generate is the generator's process: it names its sockets, reads the port of
// each leg, warms up, says so, and reports.
func generate(s settings) error {
	fds, ports, err := openSockets()
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(ports); err != nil {
		return err
	}
	line, err := bufio.NewReader(os.Stdin).ReadBytes('\n')
	if err != nil {
		return err
	}
	var targets []int
	if err := json.Unmarshal(line, &targets); err != nil {
		return err
	}

	snd, rcv := newSender(fds, targets), &receiver{latency: make([]int32, 0, 1<<22)}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { snd.run(stop) })
	wg.Go(func() { rcv.run(fds, stop) })
	<-time.After(warmUp)
	rcv.measuring.Store(true)
	sent, received, began := snd.sent.Load(), rcv.received.Load(), time.Now()
	if err := out.Encode("warm"); err != nil {
		return err
	}
	<-time.After(s.length)
	rcv.measuring.Store(false)
	r := loadResult{Sent: snd.sent.Load() - sent, Received: rcv.received.Load() - received, Seconds: time.Since(began).Seconds()}
	close(stop)
	wg.Wait()
	r.P50, r.P99, r.P999 = rcv.quantile(0.5), rcv.quantile(0.99), rcv.quantile(0.999)
	// Packets on their way at either end of the measurement are no loss: what
	// was sent and never came is counted over the whole run.
	if missing := int64(snd.sent.Load()) - int64(rcv.received.Load()); missing >= 0 {
		r.Sent = r.Received + uint64(missing)
	}
	return out.Encode(r)
}

func openSockets() (fds, ports []int, err error) {
	for range sockets {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return nil, nil, fmt.Errorf("open socket: %w", err)
		}
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<20); err != nil {
			return nil, nil, fmt.Errorf("set buffer: %w", err)
		}
		if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: loopback.As4()}); err != nil {
			return nil, nil, fmt.Errorf("bind socket: %w", err)
		}
		sa, err := unix.Getsockname(fd)
		if err != nil {
			return nil, nil, err
		}
		fds, ports = append(fds, fd), append(ports, sa.(*unix.SockaddrInet4).Port)
	}
	return fds, ports, nil
}

// sender sends the packets of all legs, 1/20 of them each millisecond.
type sender struct {
	slots [slots][]*burst
	sent  atomic.Uint64
}

// burst is what one socket sends in one slot by one system call.
type burst struct {
	fd       int
	messages []message
	iovecs   []unix.Iovec
	to       []unix.RawSockaddrInet4
	packets  [][]byte
}

func newSender(fds, targets []int) *sender {
	s := &sender{}
	for slot := range slots {
		by := map[int]*burst{}
		for leg := slot; leg < len(targets); leg += slots {
			k := leg % len(fds)
			b := by[k]
			if b == nil {
				b = &burst{fd: fds[k]}
				by[k] = b
				s.slots[slot] = append(s.slots[slot], b)
			}
			packet := make([]byte, packetSize)
			packet[0] = 0x80
			binary.BigEndian.PutUint32(packet[8:], uint32(leg+1))
			b.packets = append(b.packets, packet)
			b.to = append(b.to, unix.RawSockaddrInet4{
				Family: unix.AF_INET, Port: uint16(targets[leg]>>8 | targets[leg]<<8), Addr: loopback.As4(),
			})
		}
		for _, b := range s.slots[slot] {
			b.prepare()
		}
	}
	return s
}

func (b *burst) prepare() {
	b.messages, b.iovecs = make([]message, len(b.packets)), make([]unix.Iovec, len(b.packets))
	for i, p := range b.packets {
		b.iovecs[i] = unix.Iovec{Base: &p[0], Len: packetSize}
		h := &b.messages[i].header
		h.Iov, h.Iovlen = &b.iovecs[i], 1
		h.Name, h.Namelen = (*byte)(unsafe.Pointer(&b.to[i])), unix.SizeofSockaddrInet4
	}
}

func (s *sender) run(stop <-chan struct{}) {
	runtime.LockOSThread()
	next := time.Now()
	for tick := 0; ; tick++ {
		select {
		case <-stop:
			return
		default:
		}
		seq, now := uint16(tick/slots), uint64(time.Now().UnixNano())
		for _, b := range s.slots[tick%slots] {
			for _, p := range b.packets {
				binary.BigEndian.PutUint16(p[2:], seq)
				binary.BigEndian.PutUint32(p[4:], uint32(seq)*160)
				binary.BigEndian.PutUint64(p[12:], now)
			}
			n, _, e := syscall.RawSyscall6(unix.SYS_SENDMMSG, uintptr(b.fd), uintptr(unsafe.Pointer(&b.messages[0])), uintptr(len(b.messages)), 0, 0, 0)
			if e == 0 {
				s.sent.Add(uint64(n))
			}
		}
		next = next.Add(time.Millisecond)
		if d := time.Until(next); d > 0 {
			ts := unix.NsecToTimespec(int64(d))
			_ = unix.Nanosleep(&ts, nil) // interrupted: a little early
		}
	}
}

// receiver takes what the relay forwards.
type receiver struct {
	received  atomic.Uint64
	measuring atomic.Bool
	latency   []int32 // µs, of every seventh packet
}

func (r *receiver) run(fds []int, stop <-chan struct{}) {
	runtime.LockOSThread()
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		panic(err)
	}
	defer func() { _ = unix.Close(epoll) }() // the process ends soon
	for _, fd := range fds {
		if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
			panic(err)
		}
	}
	var messages [batch]message
	var iovecs [batch]unix.Iovec
	var buffers [batch][2048]byte
	for i := range messages {
		iovecs[i] = unix.Iovec{Base: &buffers[i][0], Len: uint64(len(buffers[i]))}
		messages[i].header.Iov, messages[i].header.Iovlen = &iovecs[i], 1
	}
	events := make([]unix.EpollEvent, sockets)
	idle := 0
	for idle < 5 { // after the stop until nothing has come for half a second
		n, _ := unix.EpollWait(epoll, events, 100)
		select {
		case <-stop:
			idle++
		default:
		}
		for _, ev := range events[:max(n, 0)] {
			got, _, e := syscall.RawSyscall6(unix.SYS_RECVMMSG, uintptr(ev.Fd), uintptr(unsafe.Pointer(&messages[0])), batch, unix.MSG_DONTWAIT, 0, 0)
			if e != 0 {
				continue
			}
			idle = 0
			r.take(messages[:got], &buffers)
		}
	}
}

// take counts packets; reports of the relay, which have no room for a time, do
// not count.
func (r *receiver) take(messages []message, buffers *[batch][2048]byte) {
	now := time.Now().UnixNano()
	for i := range messages {
		if messages[i].size != packetSize {
			continue
		}
		n := r.received.Add(1)
		if n%7 == 0 && r.measuring.Load() && len(r.latency) < cap(r.latency) {
			sent := int64(binary.BigEndian.Uint64(buffers[i][12:]))
			r.latency = append(r.latency, int32((now-sent)/1000))
		}
	}
}

// quantile returns a latency in ms.
func (r *receiver) quantile(q float64) float64 {
	if len(r.latency) == 0 {
		return 0
	}
	slices.Sort(r.latency)
	return float64(r.latency[int(q*float64(len(r.latency)-1))]) / 1000
}
