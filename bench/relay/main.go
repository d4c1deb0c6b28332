// Relay measures what the media engine costs: CPU per forwarded packet, loss,
// latency and memory per call, for a number of two-party calls on loopback, and,
// if it is installed, rtpengine in userspace beside it, under the same load in
// the same run.
//
// The load comes from a process of its own, on a CPU of its own when there are
// two: each leg sends 50 packets of 172 bytes per second, each of which the relay
// forwards to the partner's leg. CPU is that of the relay's process as the kernel
// accounts it (user and system, which on loopback includes the delivery into the
// receiver's socket).
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// settings of a run.
type settings struct {
	calls   int
	length  time.Duration
	threads int
	pin     bool
	peer    string // rtpengine's binary, "" for none
	json    bool
}

// result of one relay.
type result struct {
	Relay        string  `json:"relay"`
	Calls        int     `json:"calls"`
	PacketsPerS  float64 `json:"packets_per_s"`
	CPUPerPacket float64 `json:"cpu_us_per_packet"`
	UserShare    float64 `json:"user_us_per_packet"`
	Sent         uint64  `json:"sent"`
	LossPercent  float64 `json:"loss_percent"`
	P50          float64 `json:"latency_p50_ms"`
	P99          float64 `json:"latency_p99_ms"`
	P999         float64 `json:"latency_p999_ms"`
	KBPerCall    float64 `json:"rss_kb_per_call"`
	RSSMB        float64 `json:"rss_mb"`
	Note         string  `json:"note,omitempty"`
}

func main() {
	var s settings
	role := flag.String("role", "", "used by the program for its own processes: engine or generator")
	flag.IntVar(&s.calls, "calls", 500, "two-party calls")
	flag.DurationVar(&s.length, "time", 10*time.Second, "length of the measurement")
	flag.IntVar(&s.threads, "threads", 1, "shards of the engine, threads of rtpengine")
	flag.BoolVar(&s.pin, "pin", runtime.NumCPU() > 1, "generator on the last CPU, the relay on the others")
	flag.StringVar(&s.peer, "rtpengine", findPeer(), "binary of rtpengine; empty: none")
	flag.BoolVar(&s.json, "json", false, "print JSON")
	flag.Parse()

	var err error
	switch *role {
	case "engine":
		err = serve(s)
	case "generator":
		err = generate(s)
	default:
		err = compare(s)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "relay:", err)
		os.Exit(1)
	}
}

func findPeer() string {
	path, err := exec.LookPath("rtpengine")
	if err != nil {
		return ""
	}
	return path
}

// compare measures all relays one after the other.
func compare(s settings) error {
	var list []result
	r, err := measure(s, startEngine)
	if err != nil {
		return fmt.Errorf("holdfast: %w", err)
	}
	list = append(list, r)
	if s.peer != "" {
		if r, err = measure(s, startPeer); err != nil {
			return fmt.Errorf("rtpengine: %w", err)
		}
		list = append(list, r)
	}
	if s.json {
		return json.NewEncoder(os.Stdout).Encode(list)
	}
	fmt.Printf("%d calls, %d legs x 50 packets/s of %d bytes, %s, %d relay thread(s), %d CPUs, pinned: %v\n",
		s.calls, 2*s.calls, packetSize, s.length, s.threads, runtime.NumCPU(), s.pin)
	fmt.Printf("%-10s %10s %18s %10s %9s %9s %9s %12s %8s\n", "relay", "packets/s", "CPU us/packet", "loss %", "p50 ms", "p99 ms", "p99.9 ms", "RSS KB/call", "RSS MB")
	for _, r := range list {
		fmt.Printf("%-10s %10.0f %7.2f (user %4.2f) %10.4f %9.2f %9.2f %9.2f %12.1f %8.1f %s\n",
			r.Relay, r.PacketsPerS, r.CPUPerPacket, r.UserShare, r.LossPercent, r.P50, r.P99, r.P999, r.KBPerCall, r.RSSMB, r.Note)
	}
	if s.peer == "" {
		fmt.Println("rtpengine is not installed (Debian: rtpengine-daemon)")
	}
	return nil
}

// relay is a started relay with its calls.
type relay struct {
	name  string
	pid   int
	ports []int // where leg i sends to; legs 2k and 2k+1 are partners
	empty int   // resident memory before the calls, bytes
	full  int   // and with them
	stop  func() error
	note  func() string
}

// measure starts a generator, a relay for its sockets, and lets them run.
func measure(s settings, start func(s settings, remotes []int) (*relay, error)) (result, error) {
	gen, err := startGenerator(s)
	if err != nil {
		return result{}, err
	}
	defer gen.kill()
	var remotes []int
	if err := gen.read(&remotes); err != nil {
		return result{}, fmt.Errorf("start generator: %w", err)
	}
	var rl *relay
	err = onCPUs(s.pin, relayCPUs(), func() (err error) {
		rl, err = start(s, remotes)
		return err
	})
	if err != nil {
		return result{}, err
	}
	defer func() { _ = rl.stop() }() // measured already
	if err := gen.write(rl.ports); err != nil {
		return result{}, err
	}

	var mark string // the generator tells when warming up is over, and the end
	if err := gen.read(&mark); err != nil {
		return result{}, err
	}
	before, err := cpuOf(rl.pid)
	if err != nil {
		return result{}, err
	}
	var load loadResult
	if err := gen.read(&load); err != nil {
		return result{}, err
	}
	after, err := cpuOf(rl.pid)
	if err != nil {
		return result{}, err
	}
	rss, err := rssOf(rl.pid)
	if err != nil {
		return result{}, err
	}
	used := after.sub(before)
	got := float64(load.Received)
	r := result{
		Relay: rl.name, Calls: s.calls, PacketsPerS: got / load.Seconds,
		CPUPerPacket: float64(used.total().Nanoseconds()) / 1e3 / got,
		UserShare:    float64(used.user.Nanoseconds()) / 1e3 / got,
		Sent:         load.Sent, LossPercent: 100 * (float64(load.Sent) - got) / float64(load.Sent),
		P50: load.P50, P99: load.P99, P999: load.P999,
		KBPerCall: float64(max(rl.full, rss)-rl.empty) / 1024 / float64(s.calls), RSSMB: float64(rss) / (1 << 20),
	}
	if rl.note != nil {
		r.Note = rl.note()
	}
	return r, nil
}

// relayCPUs are all but the last.
func relayCPUs() (list []int) {
	for i := range runtime.NumCPU() - 1 {
		list = append(list, i)
	}
	return list
}

// onCPUs runs fn, which starts a process, bound to some CPUs: the process
// inherits them.
func onCPUs(pin bool, cpus []int, fn func() error) error {
	if !pin {
		return fn()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var old, set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &old); err != nil {
		return fmt.Errorf("read CPU affinity: %w", err)
	}
	for _, cpu := range cpus {
		set.Set(cpu)
	}
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("set CPU affinity: %w", err)
	}
	return errors.Join(fn(), unix.SchedSetaffinity(0, &old))
}

// child is a process of this program that speaks JSON lines.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startChild(s settings, role string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "-role", role, "-calls", strconv.Itoa(s.calls), "-time", s.length.String(), "-threads", strconv.Itoa(s.threads))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &child{cmd, in, bufio.NewReader(out)}, nil
}

func (c *child) read(v any) error {
	line, err := c.out.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read from process: %w", err)
	}
	return json.Unmarshal(line, v)
}

func (c *child) write(v any) error { return json.NewEncoder(c.in).Encode(v) }

// kill ends the process and waits for it.
func (c *child) kill() {
	_ = c.cmd.Process.Kill() // it may have ended already
	_ = c.cmd.Wait()
}

func startGenerator(s settings) (gen *child, err error) {
	err = onCPUs(s.pin, []int{runtime.NumCPU() - 1}, func() (err error) {
		gen, err = startChild(s, "generator")
		return err
	})
	return gen, err
}

// cpu is the time that a process has used.
type cpu struct{ user, system time.Duration }

func (c cpu) total() time.Duration  { return c.user + c.system }
func (c cpu) sub(earlier cpu) cpu   { return cpu{c.user - earlier.user, c.system - earlier.system} }
func ticks(n int64) time.Duration   { return time.Duration(n) * 10 * time.Millisecond } // USER_HZ is 100
func proc(pid int, f string) string { return fmt.Sprintf("/proc/%d/%s", pid, f) }

func cpuOf(pid int) (cpu, error) {
	b, err := os.ReadFile(proc(pid, "stat"))
	if err != nil {
		return cpu{}, err
	}
	// The second field, in brackets, may hold blanks (proc(5)).
	_, rest, _ := strings.Cut(string(b), ") ")
	f := strings.Fields(rest)
	if len(f) < 13 {
		return cpu{}, fmt.Errorf("unexpected content of %s", proc(pid, "stat"))
	}
	user, err1 := strconv.ParseInt(f[11], 10, 64)
	system, err2 := strconv.ParseInt(f[12], 10, 64)
	return cpu{ticks(user), ticks(system)}, errors.Join(err1, err2)
}

// rssOf is the resident memory of a process in bytes.
func rssOf(pid int) (int, error) {
	b, err := os.ReadFile(proc(pid, "statm"))
	if err != nil {
		return 0, err
	}
	f := strings.Fields(string(b))
	if len(f) < 2 {
		return 0, fmt.Errorf("unexpected content of %s", proc(pid, "statm"))
	}
	pages, err := strconv.Atoi(f[1])
	return pages * os.Getpagesize(), err
}
