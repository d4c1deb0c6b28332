package calls

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/bench/figures"
	"holdfast/telephony/softphone"
	"holdfast/tests/stage"
)

// crowd is many agents whose phones answer by themselves, and what was measured with them.
type crowd struct {
	talk   func() time.Duration // how long a call lasts at least
	failed atomic.Int64
	serial atomic.Int64
	rung   sync.Map // caller's number → chan *softphone.Call

	mu     sync.Mutex
	offers figures.Durations
	audio  figures.Durations
}

func newCrowd(b *testing.B, ten *stage.Tenant, n int) *crowd {
	b.Helper()
	c := &crowd{talk: func() time.Duration { return 0 }}
	for i := range n {
		a := ten.ReadyAgent(i + 1)
		go func() {
			for call := range a.Phone.Incoming() {
				call.Audio.Say(stage.AgentTone)
				if ch, ok := c.rung.Load(call.From); ok {
					ch.(chan *softphone.Call) <- call
				}
			}
		}()
	}
	return c
}

// oneCall is a whole call: dialled, answered at once, talked, hung up by the customer.
func (c *crowd) oneCall(b *testing.B, ten *stage.Tenant) {
	number := fmt.Sprintf("4930%07d", c.serial.Add(1))
	arrived := make(chan *softphone.Call, 4)
	c.rung.Store(number, arrived)
	defer c.rung.Delete(number)
	customer := ten.Call(number, "8000")
	var agent *softphone.Call
	select {
	case agent = <-arrived:
	case <-time.After(stage.Patience):
		c.failed.Add(1)
		b.Errorf("call %s rang nobody", number)
		return
	}
	if err := agent.Answer(); err != nil {
		c.failed.Add(1)
		b.Errorf("call %s: %v", number, err)
		return
	}
	answered := time.Now()
	if customer.Wait(ten.Context(), softphone.Up) != nil || customer.Audio.WaitPackets(ten.Context(), 1) != nil || agent.Audio.WaitPackets(ten.Context(), 1) != nil {
		c.failed.Add(1)
		b.Errorf("call %s was answered, but not connected", number)
		return
	}
	c.mu.Lock()
	c.offers = append(c.offers, agent.Status().Times.Invited.Sub(customer.Status().Times.Invited))
	for _, party := range []*softphone.Call{customer, agent} {
		c.audio = append(c.audio, party.Audio.Heard().First.Sub(answered))
	}
	c.mu.Unlock()
	const packetsPerSecond = 50 // they talk
	require.NoError(b, agent.Audio.WaitPackets(ten.Context(), int(c.talk().Seconds()*packetsPerSecond)))
	require.NoError(b, customer.HangUp())
	ten.WaitEnded(agent)
}

// forget drops what was measured so far.
func (c *crowd) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offers, c.audio = nil, nil
}

// usage is the CPU time used so far by each process of the stage.
func usage(b *testing.B) map[string]time.Duration {
	b.Helper()
	used := map[string]time.Duration{}
	for name, pid := range map[string]int{
		"telephony": hall.Node.PID(), "worker": hall.Worker.PID(), "api": hall.API.PID(),
		"temporal": hall.Temporal.PID(), "postgres": hall.Postgres.PID(),
	} {
		used[name] = cpuOf(b, pid)
	}
	return used
}

// cpuOf is user and system time of a process and its children, ended ones included
// (proc(5): utime, stime, cutime, cstime in ticks of 10 ms).
func cpuOf(b *testing.B, pid int) time.Duration {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	require.NoError(b, err)
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+2:]))
	var ticks int64
	for _, f := range fields[11:15] {
		n, err := strconv.ParseInt(f, 10, 64)
		require.NoError(b, err)
		ticks += n
	}
	total := time.Duration(ticks) * 10 * time.Millisecond
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return total // the kernel does not tell
	}
	for _, child := range strings.Fields(string(children)) {
		n, err := strconv.Atoi(child)
		require.NoError(b, err)
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", n)); err == nil {
			total += cpuOf(b, n)
		}
	}
	return total
}
