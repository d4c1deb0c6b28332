package main

import (
	"errors"
	"fmt"
	"net"
	"os/exec"
	"regexp"
	"strconv"
	"time"
)

// startPeer runs rtpengine in userspace (no kernel table) and opens the calls
// over its ng protocol, as a SIP proxy does.
func startPeer(s settings, remotes []int) (*relay, error) {
	control, err := freePort()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(s.peer, "--foreground", "--config-file=none", "--interface=127.0.0.1",
		"--listen-ng="+control, "--port-min=30000", "--port-max=39999", "--table=-1",
		"--num-threads="+strconv.Itoa(s.threads), "--log-level=1", "--log-stderr", "--no-log-timestamps")
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	rl := &relay{name: "rtpengine", pid: cmd.Process.Pid, stop: func() error {
		return errors.Join(cmd.Process.Kill(), ignoreExit(cmd.Wait()))
	}}
	ng, err := dialNG(control)
	if err == nil {
		defer func() { _ = ng.conn.Close() }() // UDP: nothing to lose
		if rl.empty, err = rssOf(rl.pid); err == nil {
			rl.ports, err = ng.open(s.calls, remotes)
		}
	}
	if err == nil {
		rl.full, err = rssOf(rl.pid)
	}
	if err != nil {
		return nil, errors.Join(err, rl.stop())
	}
	return rl, nil
}

// ignoreExit forgives a process that was killed.
func ignoreExit(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil
	}
	return err
}

func freePort() (string, error) {
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return c.LocalAddr().String(), c.Close()
}

// ngClient speaks rtpengine's control protocol: a cookie, a blank, and a
// bencoded dictionary in each datagram.
type ngClient struct {
	conn   net.Conn
	cookie int
	buf    [65536]byte
}

// dialNG waits until the daemon answers a ping.
func dialNG(address string) (*ngClient, error) {
	conn, err := net.Dial("udp4", address)
	if err != nil {
		return nil, err
	}
	c := &ngClient{conn: conn}
	for range 50 {
		var answer map[string]any
		if answer, err = c.ask(map[string]any{"command": "ping"}); err == nil && answer["result"] == "pong" {
			return c, nil
		}
		<-time.After(100 * time.Millisecond)
	}
	_ = conn.Close() // UDP: nothing to lose
	return nil, fmt.Errorf("rtpengine does not answer: %w", err)
}

func (c *ngClient) ask(question map[string]any) (map[string]any, error) {
	c.cookie++
	cookie := strconv.Itoa(c.cookie) + " "
	if _, err := c.conn.Write(append([]byte(cookie), bencode(question)...)); err != nil {
		return nil, err
	}
	if err := c.conn.SetReadDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return nil, err
	}
	for {
		n, err := c.conn.Read(c.buf[:])
		if err != nil {
			return nil, err
		}
		if n < len(cookie) || string(c.buf[:len(cookie)]) != cookie {
			continue // of an earlier question
		}
		v, _, err := bdecode(c.buf[len(cookie):n])
		if err != nil {
			return nil, err
		}
		answer, _ := v.(map[string]any)
		if answer["result"] == "error" {
			return nil, fmt.Errorf("rtpengine: %v", answer["error-reason"])
		}
		return answer, nil
	}
}

// open makes the calls: an offer from leg 2k, an answer from leg 2k+1. Each
// returns the port at which the other side is to be reached.
func (c *ngClient) open(calls int, remotes []int) ([]int, error) {
	ports := make([]int, 2*calls)
	for i := range calls {
		q := map[string]any{
			"command": "offer", "call-id": "call" + strconv.Itoa(i), "from-tag": "a", "ICE": "remove",
			"sdp": sdp(remotes[2*i%len(remotes)]),
		}
		a, err := c.ask(q)
		if err != nil {
			return nil, fmt.Errorf("offer: %w", err)
		}
		if ports[2*i+1], err = audioPort(a); err != nil {
			return nil, err
		}
		q["command"], q["to-tag"], q["sdp"] = "answer", "b", sdp(remotes[(2*i+1)%len(remotes)])
		if a, err = c.ask(q); err != nil {
			return nil, fmt.Errorf("answer: %w", err)
		}
		if ports[2*i], err = audioPort(a); err != nil {
			return nil, err
		}
	}
	return ports, nil
}

func sdp(port int) string {
	return fmt.Sprintf("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"+
		"m=audio %d RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"+
		"a=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n", port)
}

var mediaLine = regexp.MustCompile(`(?m)^m=audio (\d+) `)

func audioPort(answer map[string]any) (int, error) {
	text, _ := answer["sdp"].(string)
	m := mediaLine.FindStringSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("no audio in the SDP of rtpengine: %q", text)
	}
	return strconv.Atoi(m[1])
}
