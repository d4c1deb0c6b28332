package media

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tick is the period of what a shard does by itself: playing, and a share of the
// sweep.
const tick = 20 * time.Millisecond

// maxEvents is how many ready sockets one wait returns.
const maxEvents = 256

// nice makes the audio threads win against everything else in the process when
// the system allows it: 2 % of a core late by 10 ms is heard, a query is not.
const nice = -10

// Handles in epoll's data that are not slots.
const (
	handleTimer int32 = -1
	handleWake  int32 = -2
)

// shard is an event loop and the legs that it owns. Everything but the command
// queue is touched by its goroutine only.
type shard struct {
	engine *Engine
	index  int
	epoll  int
	timer  int
	wake   int

	legs    slabs
	playing []int32 // slots of the legs that something is played to
	keyed   []int32 // and of those that a key is pressed to

	now       int64 // time of the packet, command or tick at hand
	from      sockaddr
	pkt       packet
	buf       [2048]byte
	scratch   [headerSize + maxFrame]byte // packets that we make
	reportBuf [128]byte
	events    [maxEvents]unix.EpollEvent
	nextTick  int64 // when the armed timer fires next
	ticks     int64
	armed     bool
	plays     uint64

	counts ShardStats
	late   lateness

	queue   queue
	halt    bool
	stopped chan struct{}
}

// queue holds the commands for a shard. Each caller waits for its own, so it is
// never longer than there are callers.
type queue struct {
	sync.Mutex
	waiting []func()
	closed  bool
}

func newShard(e *Engine, index int) (*shard, error) {
	sh := &shard{engine: e, index: index, epoll: -1, timer: -1, wake: -1, stopped: make(chan struct{})}
	var err error
	if sh.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("make epoll set: %w", err)
	}
	if sh.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC); err != nil {
		sh.free()
		return nil, fmt.Errorf("make timer: %w", err)
	}
	if sh.wake, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		sh.free()
		return nil, fmt.Errorf("make event descriptor: %w", err)
	}
	for handle, fd := range map[int32]int{handleTimer: sh.timer, handleWake: sh.wake} {
		if err := sh.watch(fd, handle, 0); err != nil {
			sh.free()
			return nil, err
		}
	}
	return sh, nil
}

func (sh *shard) watch(fd int, handle, gen int32) error {
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: handle, Pad: gen}
	if err := unix.EpollCtl(sh.epoll, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		return fmt.Errorf("watch descriptor: %w", err)
	}
	return nil
}

func (sh *shard) unwatch(fd int) {
	// It can only fail for a descriptor that is not watched.
	_ = unix.EpollCtl(sh.epoll, unix.EPOLL_CTL_DEL, fd, nil)
}

// free closes what the shard holds; its goroutine has ended or never ran.
func (sh *shard) free() {
	for _, fd := range []int{sh.epoll, sh.timer, sh.wake} {
		if fd >= 0 {
			_ = unix.Close(fd) // in-kernel objects: nothing to lose
		}
	}
	for slot := range sh.legs.size() {
		if l := sh.legs.leg(slot); l.state != legFree {
			portPair{rtp: int(l.fd), rtcp: int(l.rtcpFD)}.close()
		}
	}
}

// run is the shard's goroutine.
func (sh *shard) run() {
	// The thread dies with the goroutine, and its priority with it.
	runtime.LockOSThread()
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, nice) // needs a capability; works without
	defer close(sh.stopped)
	for !sh.halt {
		sh.step(true)
	}
}

// linger is how long a shard that has processors to spare waits without giving
// its own up, in ms.
const linger = 1

// step handles what is ready. It first asks by a raw system call, which keeps
// the goroutine's processor: under load there is always something, and giving
// the processor up and getting it back costs more than a packet. With processors
// to spare it even waits so for a moment, since the runtime otherwise watches
// each wait of a busy shard every 20 µs, which is a sixth of all the CPU.
func (sh *shard) step(wait bool) {
	var patience uintptr
	if wait && sh.engine.spare {
		patience = linger
	}
	r, _, e := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(sh.epoll),
		uintptr(unsafe.Pointer(&sh.events[0])), maxEvents, patience, 0, 0)
	n := int(r)
	if e != 0 {
		n = 0
	}
	if n == 0 && wait {
		var err error
		if n, err = unix.EpollWait(sh.epoll, sh.events[:], -1); err != nil {
			return // interrupted
		}
		sh.counts.Waits++
	}
	for i := range n {
		ev := &sh.events[i]
		switch {
		case ev.Fd >= 0:
			sh.ready(ev.Fd>>1, ev.Pad, ev.Fd&1 == 1)
		case ev.Fd == handleTimer:
			sh.onTimer()
		case ev.Fd == handleWake:
			sh.onWake()
		}
	}
}

// ready reads one packet from a socket of the leg. One: epoll tells again if
// there are more, and so no leg starves another.
func (sh *shard) ready(slot, gen int32, rtcp bool) {
	l := sh.legs.leg(slot)
	if l.gen != gen || l.state == legFree {
		return
	}
	fd := l.fd
	if rtcp {
		fd = l.rtcpFD
	}
	n := receive(fd, sh.buf[:], &sh.from)
	if n < 0 {
		return
	}
	sh.now = sh.engine.clock.now()
	if rtcp {
		sh.onReport(l, sh.buf[:n])
	} else {
		sh.onPacket(l, sh.buf[:n])
	}
}

// do runs fn on the shard and returns its error, or ErrClosed if the shard has
// stopped.
func (sh *shard) do(fn func() error) error {
	done := make(chan error, 1)
	if !sh.post(func() { done <- fn() }) {
		return ErrClosed
	}
	return <-done
}

// post queues fn and says whether it will run.
func (sh *shard) post(fn func()) bool {
	sh.queue.Lock()
	if sh.queue.closed {
		sh.queue.Unlock()
		return false
	}
	sh.queue.waiting = append(sh.queue.waiting, fn)
	first := len(sh.queue.waiting) == 1
	sh.queue.Unlock()
	if first {
		one := binary.NativeEndian.AppendUint64(nil, 1)
		// The counter cannot overflow: it is reset at each wake-up.
		_, _ = unix.Write(sh.wake, one)
	}
	return true
}

// stop makes the goroutine end after the commands that are queued.
func (sh *shard) stop() {
	sh.post(func() { sh.halt = true })
}

func (sh *shard) onWake() {
	var counter [8]byte
	_, _ = unix.Read(sh.wake, counter[:]) // the value says nothing that the queue does not
	for {
		sh.queue.Lock()
		batch := sh.queue.waiting
		sh.queue.waiting = nil
		if len(batch) == 0 {
			sh.queue.closed = sh.halt
			sh.queue.Unlock()
			return
		}
		sh.queue.Unlock()
		for _, fn := range batch {
			sh.now = sh.engine.clock.now()
			fn()
			sh.counts.Commands++
		}
	}
}

// arm starts the tick with the first leg and stops it with the last: a node
// without calls sleeps.
func (sh *shard) arm() {
	want := sh.legs.n > 0
	if want == sh.armed {
		return
	}
	sh.armed = want
	var spec unix.ItimerSpec
	if want {
		// The schedule is absolute, so that lateness never adds up; shards tick in
		// turn.
		phase := int64(tick) * int64(sh.index) / int64(len(sh.engine.shards)+1)
		sh.nextTick = (sh.engine.clock.now()/int64(tick)+1)*int64(tick) + phase
		sh.ticks = sh.nextTick/int64(tick) - 1
		spec.Value = unix.NsecToTimespec(sh.engine.clock.mono + sh.nextTick)
		spec.Interval = unix.NsecToTimespec(int64(tick))
	}
	if err := unix.TimerfdSettime(sh.timer, unix.TFD_TIMER_ABSTIME, &spec, nil); err != nil {
		panic("media: arm timer: " + err.Error()) // only wrong arguments can fail
	}
}

func (sh *shard) onTimer() {
	var b [8]byte
	if n, err := unix.Read(sh.timer, b[:]); err != nil || n != 8 || !sh.armed {
		return
	}
	fired := int64(binary.NativeEndian.Uint64(b[:]))
	sh.now = sh.engine.clock.now()
	sh.late.add(sh.now - sh.nextTick)
	sh.nextTick += fired * int64(tick)

	// After a short stall the missed frames are sent late, which the peer's
	// buffer evens out; after a long one they are left out.
	run := min(fired, int64(sh.engine.cfg.tune.catchUp))
	if fired > run {
		sh.counts.TicksMissed += uint64(fired - run)
		sh.skipFrames(fired - run)
		sh.ticks += fired - run
	}
	for range run {
		sh.ticks++
		sh.counts.Ticks++
		sh.playAll()
		sh.pressAll()
		sh.sweep()
	}
}
