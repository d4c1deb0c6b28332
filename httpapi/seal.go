package httpapi

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
)

// seals keep secrets that we must be able to read again from whoever reads the database or
// a cookie: AES-256-GCM, by keys that are derived from those of the tokens. The first
// seals, all open, so that keys can be rotated.
type seals []cipher.AEAD

func newSeals(keys []ed25519.PrivateKey) (seals, error) {
	var all seals
	for _, k := range keys {
		sum := sha256.Sum256(append([]byte("holdfast seal\x00"), k.Seed()...))
		block, err := aes.NewCipher(sum[:])
		if err != nil {
			return nil, err
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			return nil, err
		}
		all = append(all, aead)
	}
	return all, nil
}

// seal closes a secret; it opens for the same use only.
func (s seals) seal(secret, use string) string {
	nonce := make([]byte, s[0].NonceSize())
	_, _ = rand.Read(nonce) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(s[0].Seal(nonce, nonce, []byte(secret), []byte(use)))
}

// errSealed says that a secret was sealed for another use, or with a key that is gone.
var errSealed = errors.New("the seal does not open")

func (s seals) open(sealed, use string) (string, error) {
	b, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil {
		return "", errSealed
	}
	for _, aead := range s {
		if n := aead.NonceSize(); len(b) > n {
			if secret, err := aead.Open(nil, b[:n], b[n:], []byte(use)); err == nil {
				return string(secret), nil
			}
		}
	}
	return "", errSealed
}
