package main

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// bencode writes strings, ints and dictionaries of them (BEP 3).
func bencode(v any) []byte {
	switch v := v.(type) {
	case string:
		return append(strconv.AppendInt(nil, int64(len(v)), 10), ":"+v...)
	case int:
		return fmt.Appendf(nil, "i%de", v)
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		b := []byte("d")
		for _, k := range keys {
			b = append(append(b, bencode(k)...), bencode(v[k])...)
		}
		return append(b, 'e')
	}
	panic(fmt.Sprintf("bencode: %T", v))
}

var errBencode = errors.New("broken bencoding")

// bdecode reads one value and returns what follows it.
func bdecode(b []byte) (v any, rest []byte, err error) {
	if len(b) == 0 {
		return nil, nil, errBencode
	}
	switch b[0] {
	case 'i':
		end := bytes.IndexByte(b, 'e')
		if end < 0 {
			return nil, nil, errBencode
		}
		n, err := strconv.Atoi(string(b[1:end]))
		return n, b[end+1:], err
	case 'l', 'd':
		var items []any
		for rest = b[1:]; len(rest) > 0 && rest[0] != 'e'; {
			if v, rest, err = bdecode(rest); err != nil {
				return nil, nil, err
			}
			items = append(items, v)
		}
		if len(rest) == 0 {
			return nil, nil, errBencode
		}
		if b[0] == 'l' {
			return items, rest[1:], nil
		}
		d, err := dictionary(items)
		return d, rest[1:], err
	}
	head, tail, found := bytes.Cut(b, []byte(":"))
	n, err := strconv.Atoi(string(head))
	if !found || err != nil || n < 0 || n > len(tail) {
		return nil, nil, errBencode
	}
	return string(tail[:n]), tail[n:], nil
}

func dictionary(items []any) (map[string]any, error) {
	d := map[string]any{}
	if len(items)%2 != 0 {
		return nil, errBencode
	}
	for i := 0; i < len(items); i += 2 {
		k, ok := items[i].(string)
		if !ok {
			return nil, errBencode
		}
		d[k] = items[i+1]
	}
	return d, nil
}
