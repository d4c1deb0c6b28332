package db

import (
	"crypto/md5" //nolint:gosec // RFC 7616 names it; SHA-256 stands beside it
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/alexedwards/argon2id"

	"holdfast/domain/account"
	"holdfast/domain/id"
	"holdfast/domain/tenancy"
)

// hashed replaces the passwords of a document by what is kept of them. A user's hash
// that the password still fits is kept, so that applying a file twice changes nothing.
func hashed(wanted, current tenancy.Document) (tenancy.Document, error) {
	kept := map[id.User]string{}
	for _, u := range current.Users {
		kept[u.Name] = u.PasswordHash
	}
	for i := range wanted.Users {
		if err := hashUser(&wanted.Users[i], kept); err != nil {
			return wanted, fmt.Errorf("hash the password of user %s: %w", wanted.Users[i].Name, err)
		}
	}
	for i := range wanted.Devices {
		v := &wanted.Devices[i]
		if v.Password != "" {
			v.HA1MD5, v.HA1SHA256 = ha1(string(v.Name), string(wanted.Tenant.Domain), v.Password)
			v.Password = ""
		}
	}
	for i := range wanted.Trunks {
		t := &wanted.Trunks[i]
		if t.Password != "" {
			t.HA1MD5, t.HA1SHA256 = ha1(t.User, string(wanted.Tenant.Domain), t.Password)
			if t.Realm != "" {
				t.CarrierMD5, t.CarrierSHA256 = ha1(t.User, t.Realm, t.Password)
			}
			t.Password = ""
		}
	}
	return wanted, nil
}

func hashUser(u *tenancy.User, kept map[id.User]string) error {
	if u.Password == "" {
		return nil
	}
	password := u.Password
	u.Password = ""
	if hash := kept[u.Name]; hash != "" {
		if same, err := argon2id.ComparePasswordAndHash(password, hash); err == nil && same {
			u.PasswordHash = hash
			return nil
		}
	}
	hash, err := argon2id.CreateHash(password, &argon2id.Params{
		Memory: account.PasswordMemoryKiB, Iterations: account.PasswordPasses, Parallelism: account.PasswordLanes,
		SaltLength: account.PasswordSaltBytes, KeyLength: account.PasswordKeyBytes,
	})
	u.PasswordHash = hash
	return err
}

// ha1 is H(user:realm:password) of digest authentication (RFC 7616 §3.4.2), by MD5
// and by SHA-256. The realm of what we ask for is the tenant's domain, that of what we
// show to a carrier is the carrier's.
func ha1(user, realm, password string) (md5Hex, sha256Hex string) {
	secret := []byte(user + ":" + realm + ":" + password)
	m, s := md5.Sum(secret), sha256.Sum256(secret) //nolint:gosec // see the import
	return hex.EncodeToString(m[:]), hex.EncodeToString(s[:])
}
