package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"

	"holdfast/telephony/media"
)

// started is what the engine's process tells when its calls are up.
type started struct {
	Ports []int `json:"ports"`
	Empty int   `json:"empty"`
	Full  int   `json:"full"`
}

// startEngine runs the media engine in a process of its own.
func startEngine(s settings, remotes []int) (*relay, error) {
	c, err := startChild(s, "engine")
	if err != nil {
		return nil, err
	}
	var up started
	if err = c.write(remotes); err == nil {
		err = c.read(&up)
	}
	if len(up.Ports) != 2*s.calls {
		c.kill()
		return nil, fmt.Errorf("the engine did not start: %w", err)
	}
	return &relay{
		name: "holdfast", pid: c.cmd.Process.Pid, ports: up.Ports, empty: up.Empty, full: up.Full,
		stop: func() error { c.kill(); return nil },
		note: func() string {
			var st media.EngineStats
			if err := c.write("stats"); err != nil || c.read(&st) != nil {
				return ""
			}
			return describe(st)
		},
	}, nil
}

func describe(st media.EngineStats) (text string) {
	for _, sh := range st.Shards {
		text += fmt.Sprintf("[tick late p99 %s max %s, %d waits]", sh.TickLateP99, sh.TickLateMax, sh.Waits)
	}
	return text
}

// serve is the engine's process: it opens the calls, tells the ports, and
// answers each further line with its statistics.
func serve(s settings) error {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<20)
	var remotes []int
	if !in.Scan() {
		return fmt.Errorf("no sockets were named: %w", in.Err())
	}
	if err := json.Unmarshal(in.Bytes(), &remotes); err != nil {
		return err
	}
	// As the product does: a processor for each shard beside those of the cores.
	runtime.GOMAXPROCS(runtime.NumCPU() + s.threads)
	e, err := media.New(media.Config{PortMin: 20000, PortMax: 29999, Shards: s.threads})
	if err != nil {
		return err
	}
	media.Music() // once per process, whatever the number of calls
	debug.FreeOSMemory()
	up := started{}
	if up.Empty, err = rssOf(os.Getpid()); err != nil {
		return err
	}
	if up.Ports, err = open(e, s.calls, remotes); err != nil {
		return err
	}
	if up.Full, err = rssOf(os.Getpid()); err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(up); err != nil {
		return err
	}
	for in.Scan() {
		st, err := e.Stats()
		if err != nil {
			return err
		}
		if err := out.Encode(st); err != nil {
			return err
		}
	}
	return e.Close()
}

// open makes the calls and returns the port of each leg.
func open(e *media.Engine, calls int, remotes []int) (ports []int, err error) {
	for i := range calls {
		var pair [2]*media.Stream
		for k := range pair {
			if pair[k], err = e.Open(strconv.Itoa(i)); err != nil {
				return nil, err
			}
			err = pair[k].Configure(media.Params{
				Remote:    netip.AddrPortFrom(loopback, uint16(remotes[(2*i+k)%len(remotes)])),
				Direction: media.SendRecv,
				Out:       []media.Codec{media.PCMU, media.PCMA, media.TelephoneEvent(101)},
			})
			if err != nil {
				return nil, err
			}
			ports = append(ports, pair[k].Port())
		}
		if err := media.Bridge(pair[0], pair[1]); err != nil {
			return nil, err
		}
	}
	return ports, nil
}

var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})
