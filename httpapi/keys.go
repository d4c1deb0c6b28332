package httpapi

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"time"

	"holdfast/domain/account"
	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/id"
)

const (
	// keyMark is how every API key begins, so that people and scanners of source code
	// know one when they see it.
	keyMark = "hf_"
	// keyBytes is how much chance is in a key. 256 bits can't be guessed, so that a hash
	// without salt and without cost keeps them: there is nothing to try.
	keyBytes = 32
	// keyShown is how many characters of a key stay visible, the mark included: enough to
	// tell keys apart, and 40 bits of 256.
	keyShown = len(keyMark) + 8
	// useNoted is how often the last use of a key is written down.
	useNoted = time.Minute
	// keyStream bounds a stream by a key that never expires.
	keyStream = 24 * time.Hour
)

var keys = resource{kind: directory.Key, path: "/v1/api-keys", plural: "keys", consult: readKey, secrets: []string{"secret_hash"}}

type keyView struct {
	Name        string     `json:"name" example:"crm"`
	DisplayName string     `json:"display_name"`
	MadeBy      string     `json:"made_by" doc:"Its maker: it never may more than that user may at the moment."`
	Prefix      string     `json:"prefix" doc:"How it begins." example:"hf_k3v6qzab"`
	Permissions []string   `json:"permissions"`
	Addresses   []string   `json:"addresses" doc:"Networks from which it may be used; none: from everywhere."`
	ExpiresAt   *time.Time `json:"expires_at,omitempty" doc:"Absent: never."`
	LastUsedAt  *time.Time `json:"last_used_at,omitempty" doc:"To the minute."`
	LastAddress string     `json:"last_address,omitempty"`
	Key         string     `json:"key,omitempty" doc:"The key itself: in the answer to its making only, and never again."`
	Stamp
}

// KeyFields are what can be set of an API key.
type KeyFields struct {
	DisplayName *line      `json:"display_name,omitempty" maxLength:"200"`
	Permissions *[]line    `json:"permissions,omitempty" maxItems:"200" doc:"Each with its scope, from team on; you can give only what you hold."`
	Addresses   *[]line    `json:"addresses,omitempty" maxItems:"50" doc:"Addresses or networks (CIDR) from which it may be used; none: from everywhere." example:"[\"192.0.2.0/24\"]"`
	ExpiresAt   *time.Time `json:"expires_at,omitempty" doc:"Left out: never."`
}

type newKey struct {
	Name line `json:"name" key:"true" minLength:"1" maxLength:"60" pattern:"^[A-Za-z0-9][A-Za-z0-9._@+-]*$" patternDescription:"letters, digits and . _ @ + -"`
	KeyFields
}

type listKeys struct {
	Listing
	MadeBy line `query:"made_by" maxLength:"64"`
}

func (a *API) registerKeys() {
	showThings[keyView, *keyView, listKeys](a, keys)
	register(a, "create-key", a.createKey)
	changeThings[keyView, *keyView, KeyFields](a, keys)
}

// createKey makes an API key. Its answer is not kept for repeats in other processes: the
// key would stand there in clear.
func (a *API) createKey(ctx context.Context, in *createInput[newKey]) (*thingOutput[keyView], error) {
	name, fields := given(reflect.ValueOf(in.Body))
	key := newSecret()
	fields = append(fields, field{"maker", "maker", string(personOf(ctx).Name)}, field{"prefix", "prefix", key[:keyShown]},
		field{"secret_hash", "secret_hash", `\x` + hex.EncodeToString(hashOfKey(key))})
	out, err := shown[keyView](change(ctx, a, keys, asked{"create-key", name, fields, 0}, a.config.Directory.Create))
	if err == nil {
		out.Body.Key = key
	}
	return out, err
}

// readKey puts networks into one form, and refuses an end that is past.
func readKey(_ context.Context, a *API, _ string, set map[string]any) error {
	if at, given := set["expires_at"].(time.Time); given && !at.After(a.now()) {
		return invalidField("expires_at", "is past")
	}
	texts, given := set["addresses"].([]string)
	for i, text := range texts {
		network, err := networkOf(text)
		if err != nil {
			return invalidField(fmt.Sprintf("addresses[%d]", i), "is neither an address nor a network such as 192.0.2.0/24")
		}
		texts[i] = network.String()
	}
	if given {
		set["addresses"] = texts
	}
	return nil
}

func networkOf(text string) (netip.Prefix, error) {
	if at, err := netip.ParseAddr(text); err == nil {
		at = at.Unmap().WithZone("")
		return netip.PrefixFrom(at, at.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	return p.Masked(), err
}

var keyLetters = base32.StdEncoding.WithPadding(base32.NoPadding)

// newSecret is a new API key.
func newSecret() string {
	b := make([]byte, keyBytes)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return keyMark + strings.ToLower(keyLetters.EncodeToString(b))
}

// hashOfKey is what is kept of a key. It is looked up by this hash: how long that takes
// tells of the hash of what somebody sent, which nobody can steer towards another's.
func hashOfKey(key string) []byte {
	sum := sha256.Sum256([]byte(key))
	return sum[:]
}

// isKey reports whether a bearer token is an API key by its form.
func isKey(token string) bool {
	secret, marked := strings.CutPrefix(token, keyMark)
	if !marked || len(secret) != keyLetters.EncodedLen(keyBytes) {
		return false
	}
	_, err := keyLetters.DecodeString(strings.ToUpper(secret))
	return err == nil && secret == strings.ToLower(secret)
}

// Keys finds API keys; *db.DB satisfies it.
type Keys interface {
	// Key finds a key by its hash, as it is now; fault.NotFound: there is none.
	Key(ctx context.Context, hash []byte) (account.Key, error)
	// UsedKey notes that a key is in use.
	UsedKey(ctx context.Context, t id.Tenant, name, address string) error
}

// uses remembers when the use of a key was written down last.
type uses struct {
	mu    sync.Mutex
	noted map[string]time.Time
}

// due reports whether the use of a key must be written down, and takes it for done.
func (u *uses) due(key string, now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if at, known := u.noted[key]; known && now.Sub(at) < useNoted {
		return false
	}
	if u.noted == nil || len(u.noted) >= maxPersons {
		u.noted = map[string]time.Time{}
	}
	u.noted[key] = now
	return true
}

// byKey returns who acts by an API key, from that address: the key itself, with what is
// left of its permissions. It is looked up each time: deleted means deleted.
func (s *persons) byKey(ctx context.Context, token, address string) (person, error) {
	if !isKey(token) {
		return person{}, wrongKey()
	}
	hash := hashOfKey(token)
	k, err := s.keys.Key(ctx, hash)
	if fault.KindOf(err) == fault.NotFound && err != nil {
		if err := s.throttle.knock(ctx, "key", sourceOf(address)); err != nil {
			return person{}, err
		}
		return person{}, wrongKey()
	}
	if err != nil {
		return person{}, unavailable("look up an API key", err)
	}
	now := s.now()
	switch {
	case !k.Expires.IsZero() && !k.Expires.After(now):
		return person{}, &fault.Error{Kind: fault.Unauthenticated, Op: "identify", Code: "key_expired", Sentence: "This API key has expired; make a new one."}
	case !allowed(k.Addresses, address):
		return person{}, forbidden("key_address", "This API key may not be used from %s.", address)
	}
	maker, err := s.user(ctx, personID{tenant: k.Tenant, name: k.Maker})
	if fault.KindOf(err) == fault.Unauthenticated && err != nil {
		return person{}, &fault.Error{Kind: fault.Unauthenticated, Op: "identify", Code: "key_maker_gone", Sentence: "The account of the user who made this API key is no longer in use."}
	}
	if err != nil {
		return person{}, err
	}
	if s.uses.due(string(k.Tenant)+"/"+k.Name, now) {
		if err := s.keys.UsedKey(ctx, k.Tenant, k.Name, address); err != nil {
			return person{}, unavailable("note the use of an API key", err)
		}
	}
	expires := k.Expires
	if expires.IsZero() {
		expires = now.Add(keyStream)
	}
	return person{key: token, expires: expires, address: address, User: account.User{
		Tenant: k.Tenant, Name: k.Principal(), DisplayName: "API key " + k.Name, Permissions: account.Lent(maker.Permissions, k.Permissions), Teams: maker.Teams, Key: k.Name,
	}}, nil
}

// wrongKey is the answer to what is no API key, and to one that was deleted.
func wrongKey() error {
	return &fault.Error{Kind: fault.Unauthenticated, Op: "identify", Code: "wrong_key", Sentence: "There is no such API key; it may have been deleted."}
}

// allowed reports whether an address is in one of the networks, or there are none.
func allowed(networks []string, address string) bool {
	at, err := netip.ParseAddr(address)
	for _, n := range networks {
		p, bad := netip.ParsePrefix(n)
		if err == nil && bad == nil && p.Contains(at.Unmap().WithZone("")) {
			return true
		}
	}
	return len(networks) == 0
}
