package webhook

import (
	"fmt"
	"strings"

	"holdfast/domain/seal"
)

// sealedPrefix marks what is sealed. What was kept before there were seals has none, and
// is taken as it is.
const sealedPrefix = "sealed:"

// Seal closes the secret of a webhook for that webhook only.
func Seal(keys seal.Keys, of Ref, secret string) string {
	return sealedPrefix + keys.Close(secret, secretUse(of))
}

// SealHeaders closes the values of a webhook's headers, each for its webhook and name.
func SealHeaders(keys seal.Keys, of Ref, headers map[string]string) map[string]string {
	closed := map[string]string{}
	for name, value := range headers {
		closed[name] = sealedPrefix + keys.Close(value, headerUse(of, name))
	}
	return closed
}

// Unsealed is the target with its secrets and headers open. seal.ErrSealed: the key that
// sealed one of them is gone.
func (t Target) Unsealed(keys seal.Keys, of Ref) (Target, error) {
	open := func(kept, use, what string) (string, error) {
		sealed, is := strings.CutPrefix(kept, sealedPrefix)
		if !is {
			return kept, nil
		}
		secret, err := keys.Open(sealed, use)
		if err != nil {
			return "", fmt.Errorf("%s of this webhook can't be read with HOLDFAST_TOKEN_KEY of the worker: %w", what, err)
		}
		return secret, nil
	}
	var err error
	secrets, headers := make([]string, len(t.Secrets)), make(map[string]string, len(t.Headers))
	for i, kept := range t.Secrets {
		if secrets[i], err = open(kept, secretUse(of), "the secret"); err != nil {
			return t, err
		}
	}
	for name, kept := range t.Headers {
		if headers[name], err = open(kept, headerUse(of, name), "header "+name); err != nil {
			return t, err
		}
	}
	t.Secrets, t.Headers = secrets, headers
	return t, nil
}

func secretUse(of Ref) string { return "webhook secret\x00" + string(of.Tenant) + "\x00" + of.Name }

func headerUse(of Ref, header string) string {
	return "webhook header\x00" + string(of.Tenant) + "\x00" + of.Name + "\x00" + header
}

// SealAgain is what a secret of a webhook, or with header the value of that header, is to
// be kept as from now on: sealed by the first key; see seal.Keys.Again. What was kept in
// clear is sealed, too.
func SealAgain(keys seal.Keys, of Ref, header, kept string) (now string, changed bool, err error) {
	use := secretUse(of)
	if header != "" {
		use = headerUse(of, header)
	}
	sealed, is := strings.CutPrefix(kept, sealedPrefix)
	switch {
	case len(keys) == 0:
		return kept, false, seal.ErrSealed
	case !is:
		return sealedPrefix + keys.Close(kept, use), true, nil
	}
	now, changed, err = keys.Again(sealed, use)
	return sealedPrefix + now, changed, err
}
