package transaction

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// framer cuts a byte stream into messages by their Content-Length (RFC 3261 §18.3). It looks at nothing else, so
// that a message the parser refuses does not cost the connection.
type framer struct {
	max  int
	buf  []byte
	done int // bytes of buf that the last message took
}

// errNoSIP says that a stream does not carry SIP, or that a message without Content-Length had a body.
var errNoSIP = errors.New("no start line where a message begins")

var headEnd = []byte("\r\n\r\n")

// next returns the next whole message, valid until the next call, or nil when more bytes are needed; and how many
// keep-alive pings (RFC 5626 §3.5.1) stood before it. An error means that the stream cannot be followed any more.
func (f *framer) next() (msg []byte, pings int, err error) {
	f.buf = append(f.buf[:0], f.buf[f.done:]...)
	f.done = 0
	for {
		switch {
		case bytes.HasPrefix(f.buf, headEnd):
			f.buf = append(f.buf[:0], f.buf[4:]...)
			pings++
			continue
		case len(f.buf) > 3 && bytes.HasPrefix(f.buf, headEnd[:2]):
			f.buf = append(f.buf[:0], f.buf[2:]...)
			continue
		}
		break
	}
	head := bytes.Index(f.buf, headEnd)
	if head < 0 {
		if len(f.buf) > f.max {
			return nil, pings, sip.ErrMessageTooLarge
		}
		return nil, pings, nil
	}
	if start, _, _ := bytes.Cut(f.buf[:head], headEnd[:2]); !bytes.Contains(bytes.ToUpper(start), []byte("SIP/")) {
		return nil, pings, errNoSIP
	}
	length, err := contentLength(f.buf[:head])
	if err != nil {
		return nil, pings, err
	}
	total := head + len(headEnd) + length
	if total > f.max {
		return nil, pings, sip.ErrMessageTooLarge
	}
	if len(f.buf) < total {
		return nil, pings, nil
	}
	f.done = total
	return f.buf[:total], pings, nil
}

// partial reports that a message has begun and is not complete.
func (f *framer) partial() bool { return len(f.buf)-f.done > 2 }

// fill reads once.
func (f *framer) fill(r io.Reader) error {
	const chunk = 4096
	n := len(f.buf)
	if cap(f.buf)-n < chunk {
		f.buf = append(make([]byte, 0, 2*cap(f.buf)+chunk), f.buf...)
	}
	read, err := r.Read(f.buf[n : n+chunk])
	f.buf = f.buf[:n+read]
	if read > 0 {
		return nil
	}
	return err
}

// contentLength finds the length in a message's head. None means 0: the rule of RFC 3261 §18.3 that it must be there
// is broken by peers that have no body to send.
func contentLength(head []byte) (int, error) {
	length, seen := 0, false
	_, headers := headerLines(head)
	for _, h := range headers {
		if !strings.EqualFold(h.name, "Content-Length") && !strings.EqualFold(h.name, "l") {
			continue
		}
		n, err := strconv.ParseUint(h.value, 10, 31)
		if err != nil || seen && int(n) != length {
			return 0, bad("Bad Content-Length")
		}
		length, seen = int(n), true
	}
	return length, nil
}
