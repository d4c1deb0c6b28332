package headers

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/emiago/sipgo/sip"
)

const (
	// MaxPairs is how many pairs of attached data a call carries.
	MaxPairs = 10
	// MaxKey and MaxData bound a pair, in bytes.
	MaxKey  = 64
	MaxData = 256

	prefix  = "x-cc-"
	wholeIn = "data" // X-CC-Data: percent-encoded JSON object
	// uuiKey holds User-to-User content that is neither JSON nor key=value.
	uuiKey = "user_to_user"
)

// reserved are X-CC- headers that are ours and no data: a caller cannot set them.
var reserved = map[string]bool{"call_id": true, "queue": true, wholeIn: true}

// Attached reads the data that came with a request: X-CC-<Key> headers, X-CC-Data, and User-to-User (RFC 7433;
// plain or hex; a JSON object, key=value pairs joined by & or ;, or else whole under the key user_to_user). Keys are
// in lower case with _ for -. The earlier source wins. Pairs beyond MaxPairs, or that CheckPair refuses, are left out
// and counted in dropped.
func Attached(req *sip.Request) (data map[string]string, dropped int) {
	data = map[string]string{}
	add := func(key, value string) {
		key = strings.ReplaceAll(strings.ToLower(strings.TrimSpace(key)), "-", "_")
		if _, known := data[key]; known || reserved[key] {
			return
		}
		if len(data) >= MaxPairs || CheckPair(key, value) != nil {
			dropped++
			return
		}
		data[key] = value
	}
	for _, h := range req.Headers() {
		if name := strings.ToLower(h.Name()); strings.HasPrefix(name, prefix) {
			value := strings.TrimSpace(h.Value())
			if plain, err := url.PathUnescape(value); err == nil {
				value = plain
			}
			add(name[len(prefix):], value)
		}
	}
	if v, err := url.PathUnescape(Value(req, prefix+wholeIn)); err == nil {
		addObject(v, add)
	}
	for _, v := range List(req, "User-to-User") {
		addUserToUser(v, add)
	}
	return data, dropped
}

// CheckPair returns ErrUnsafe for a pair that cannot travel: keys are letters, digits, _ and ., up to MaxKey bytes;
// values are clean text up to MaxData bytes.
func CheckPair(key, value string) error {
	if key == "" || len(key) > MaxKey || strings.Trim(key, "abcdefghijklmnopqrstuvwxyz0123456789_.") != "" {
		return fmt.Errorf("key %q: %w", key, ErrUnsafe)
	}
	if len(value) > MaxData {
		return fmt.Errorf("value of %s: %d bytes, at most %d: %w", key, len(value), MaxData, ErrUnsafe)
	}
	if err := Clean(value); err != nil {
		return fmt.Errorf("value of %s: %w", key, err)
	}
	return nil
}

// AttachedHeaders writes data for a request to a device or a trunk: X-CC-Data and User-to-User with the same JSON, the
// latter in hex. Empty data gives no headers. Errors: more than MaxPairs, or what CheckPair refuses.
func AttachedHeaders(data map[string]string) ([]sip.Header, error) {
	if len(data) == 0 {
		return nil, nil
	}
	if len(data) > MaxPairs {
		return nil, fmt.Errorf("%d pairs of attached data, at most %d: %w", len(data), MaxPairs, ErrUnsafe)
	}
	for _, k := range slices.Sorted(maps.Keys(data)) {
		if err := CheckPair(k, data[k]); err != nil {
			return nil, err
		}
	}
	text, err := json.Marshal(data)
	if err != nil {
		return nil, fmt.Errorf("write attached data: %w", err)
	}
	return []sip.Header{
		sip.NewHeader("X-CC-Data", url.PathEscape(string(text))),
		sip.NewHeader("User-to-User", hex.EncodeToString(text)+";encoding=hex"),
	}, nil
}

func addObject(text string, add func(key, value string)) bool {
	var object map[string]any
	if json.Unmarshal([]byte(text), &object) != nil {
		return false
	}
	for _, k := range slices.Sorted(maps.Keys(object)) {
		if s, ok := object[k].(string); ok {
			add(k, s)
		} else {
			add(k, fmt.Sprint(object[k]))
		}
	}
	return true
}

func addUserToUser(value string, add func(key, value string)) {
	parts := split(value, ';')
	text := unquote(parts[0])
	if strings.EqualFold(params(parts[1:])["encoding"], "hex") {
		raw, err := hex.DecodeString(text)
		if err != nil {
			return
		}
		if len(raw) > 1 && (raw[0] == 0 || raw[0] == 4) {
			raw = raw[1:] // the protocol discriminator of Q.931, which old PBXs send along
		}
		if utf8.Valid(raw) {
			text = string(raw)
		}
	}
	if text == "" || addObject(text, add) {
		return
	}
	if !addPairs(text, add) {
		add(uuiKey, text)
	}
}

// addPairs reads k=v&k2=v2 or k=v;k2=v2; everything must be pairs or nothing is taken.
func addPairs(text string, add func(key, value string)) bool {
	var pairs [][2]string
	for _, p := range strings.FieldsFunc(text, func(r rune) bool { return r == '&' || r == ';' }) {
		k, v, ok := strings.Cut(p, "=")
		if !ok || CheckPair(strings.ReplaceAll(strings.ToLower(k), "-", "_"), "") != nil {
			return false
		}
		if plain, err := url.QueryUnescape(v); err == nil {
			v = plain
		}
		pairs = append(pairs, [2]string{k, v})
	}
	for _, p := range pairs {
		add(p[0], p[1])
	}
	return len(pairs) > 0
}
