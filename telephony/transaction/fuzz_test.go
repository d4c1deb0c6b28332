package transaction

import (
	"bytes"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/telephony/torture"
)

// FuzzInput throws datagrams at a whole layer: it must survive, answer only requests, and answer in readable SIP.
func FuzzInput(f *testing.F) {
	for _, m := range torture.Messages() {
		f.Add(m.Data)
	}
	f.Add(request("INVITE", "z9hG4bK1", "1", ""))
	f.Add(request("CANCEL", "z9hG4bK1", "1", ""))
	f.Add(request("ACK", "z9hG4bK1", "1", "x"))
	from := netip.MustParseAddrPort("127.0.0.1:4000")
	f.Fuzz(func(t *testing.T, data []byte) {
		j := &judge{seen: make(chan string, 2)}
		l, err := newLayer(Config{User: j, Shards: 1, Log: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		w, lane := tap("UDP"), l.shards[0]
		for range 2 { // the repetition meets the transaction
			l.input(data, from, w)
			for len(lane.queue) > 0 {
				lane.receive(<-lane.queue)
			}
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, m := range w.sent {
			require.True(t, strings.HasPrefix(m, "SIP/2.0 "), m)
			require.True(t, strings.Contains(m, "\r\n\r\n"), m)
		}
	})
}

// FuzzFramer checks that a stream is cut the same whatever the pieces it comes in.
func FuzzFramer(f *testing.F) {
	two := append(request("OPTIONS", "z9hG4bK1", "1", ""), request("OPTIONS", "z9hG4bK2", "2", "")...)
	f.Add(two, byte(7))
	f.Add([]byte("\r\n\r\n\r\nOPTIONS x SIP/2.0\r\nl: 3\r\n\r\nabcGARBAGE\r\n\r\n"), byte(1))
	f.Add([]byte("X SIP/2.0\r\nContent-Length: 1\r\nl: 2\r\n\r\n"), byte(3))
	cut := func(data []byte, piece int) (out [][]byte) {
		fr := framer{max: 4096}
		r := bytes.NewReader(data)
		for {
			msg, _, err := fr.next()
			if err != nil {
				return out
			}
			if msg != nil {
				out = append(out, bytes.Clone(msg))
				continue
			}
			if fr.fill(io.LimitReader(r, int64(piece))) != nil {
				return out
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, piece byte) {
		if len(data) > 3000 {
			return
		}
		require.Equal(t, cut(data, 4096), cut(data, int(piece)+1))
	})
}
