package transaction

import (
	"bytes"
	"strings"
)

// tidied are the headers whose white space the parser does not take where RFC 3261 §7.3.1 allows it.
var tidied = map[string]bool{
	"via": true, "v": true, "from": true, "f": true, "to": true, "t": true, "contact": true, "m": true, "cseq": true,
}

// tidy rewrites the head of a message that was refused: headers unfolded, no white space before the colon and around
// the separators of parameters. False if there is nothing to tidy.
func tidy(data []byte) ([]byte, bool) {
	end := bytes.Index(data, headEnd)
	if end < 0 {
		return nil, false
	}
	first := bytes.Index(data[:end], headEnd[:2])
	if first < 0 {
		return nil, false
	}
	_, headers := headerLines(data[:end])
	var out bytes.Buffer
	out.Write(data[:first])
	for _, h := range headers {
		value := h.value
		if tidied[strings.ToLower(h.name)] {
			value = squeeze(value)
		}
		out.WriteString("\r\n" + h.name + ": " + value)
	}
	out.Write(data[end:])
	return out.Bytes(), !bytes.Equal(out.Bytes(), data)
}

// squeeze drops white space around ; = , / and makes other runs of it one space, outside of quotes and angle brackets.
func squeeze(s string) string {
	var out strings.Builder
	quoted, angle, space := false, false, false
	last := byte(';')
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !quoted && !angle && (c == ' ' || c == '\t') {
			space = true
			continue
		}
		if space && !strings.ContainsRune(";=,/", rune(c)) && !strings.ContainsRune(";=,/", rune(last)) {
			out.WriteByte(' ')
		}
		space = false
		switch {
		case quoted && c == '\\' && i+1 < len(s):
			out.WriteByte(c)
			i++
			c = s[i]
		case c == '"':
			quoted = !quoted
		case !quoted && c == '<':
			angle = true
		case !quoted && c == '>':
			angle = false
		}
		out.WriteByte(c)
		last = c
	}
	return out.String()
}
