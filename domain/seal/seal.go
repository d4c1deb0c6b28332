// Package seal closes secrets that we must be able to read again, so that whoever reads
// the database, a copy of it or a cookie can't: AES-256-GCM.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
)

// Keys are keys that are derived from those of the tokens. The first closes, all open, so
// that keys can be rotated. Without any nothing can be closed or opened.
type Keys []cipher.AEAD

// New derives Keys from the keys that sign tokens, in their order.
func New(keys []ed25519.PrivateKey) (Keys, error) {
	var all Keys
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

// Close seals a secret; it opens for the same use only. There must be a key.
func (k Keys) Close(secret, use string) string {
	nonce := make([]byte, k[0].NonceSize())
	_, _ = rand.Read(nonce) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(k[0].Seal(nonce, nonce, []byte(secret), []byte(use)))
}

// ErrSealed says that a secret was sealed for another use, or with a key that is gone.
var ErrSealed = errors.New("the seal does not open")

// Open reads what Close sealed for that use; ErrSealed if it can't.
func (k Keys) Open(sealed, use string) (string, error) {
	b, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil {
		return "", ErrSealed
	}
	for _, aead := range k {
		if n := aead.NonceSize(); len(b) > n {
			if secret, err := aead.Open(nil, b[:n], b[n:], []byte(use)); err == nil {
				return string(secret), nil
			}
		}
	}
	return "", ErrSealed
}

// Again is what a secret is to be kept as from now on: as it is if the first key sealed it,
// else sealed by that one. ErrSealed: none of the keys opens it.
func (k Keys) Again(sealed, use string) (now string, changed bool, err error) {
	if len(k) == 0 {
		return sealed, false, ErrSealed
	}
	if _, err := k[:1].Open(sealed, use); err == nil {
		return sealed, false, nil
	}
	secret, err := k.Open(sealed, use)
	if err != nil {
		return sealed, false, err
	}
	return k.Close(secret, use), true, nil
}
