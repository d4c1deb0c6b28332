package db

import (
	"context"
	"crypto/md5" //nolint:gosec // RFC 7616 names it; SHA-256 stands beside it
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/alexedwards/argon2id"
	"github.com/uptrace/bun"

	"holdfast/domain/account"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/tenancy"
)

// newHash is what replaces a user's hash, if that has not changed meanwhile.
type newHash struct{ had, hash string }

// hashes makes those of a document's users. It takes long, so it is done before the
// transaction begins: Postgres ends one that is silent (idleTimeout).
func (d *DB) hashes(ctx context.Context, doc tenancy.Document) (map[id.User]newHash, error) {
	var rows []struct {
		Name id.User `bun:"name"`
		Hash string  `bun:"password_hash"`
	}
	err := d.inTenant(ctx, "read the password hashes", doc.Tenant.Domain, func(ctx context.Context, tx bun.Tx) error {
		return tx.NewRaw(`SELECT name, password_hash FROM users WHERE tenant_id = ?`, doc.Tenant.Domain).Scan(ctx, &rows)
	})
	if err != nil {
		return nil, err
	}
	had := map[id.User]string{}
	for _, r := range rows {
		had[r.Name] = r.Hash
	}
	made := map[id.User]newHash{}
	for _, u := range doc.Users {
		if u.Password == "" {
			continue
		}
		hash, err := d.hashAgain(u.Password, had[u.Name])
		if err != nil {
			return nil, fmt.Errorf("hash the password of user %s: %w", u.Name, err)
		}
		made[u.Name] = newHash{had[u.Name], hash}
	}
	return made, nil
}

// hashAgain is the hash that a user had if the password still fits it, so that applying
// a file twice changes nothing; else a new one.
func (d *DB) hashAgain(password, had string) (string, error) {
	if had != "" {
		if same, err := argon2id.ComparePasswordAndHash(password, had); err == nil && same {
			return had, nil
		}
	}
	return d.hash(password)
}

func hashPassword(password string) (string, error) {
	return argon2id.CreateHash(password, &argon2id.Params{
		Memory: account.PasswordMemoryKiB, Iterations: account.PasswordPasses, Parallelism: account.PasswordLanes,
		SaltLength: account.PasswordSaltBytes, KeyLength: account.PasswordKeyBytes,
	})
}

// hashed replaces the passwords of a document by what is kept of them. made are the hashes
// made before; the few that were changed meanwhile are made anew.
func (d *DB) hashed(wanted, current tenancy.Document, made map[id.User]newHash) (tenancy.Document, error) {
	kept := map[id.User]string{}
	for _, u := range current.Users {
		kept[u.Name] = u.PasswordHash
	}
	for i := range wanted.Users {
		u := &wanted.Users[i]
		if u.PasswordHash == tenancy.KeptPassword {
			had, there := kept[u.Name]
			if !there {
				return wanted, noPasswordToKeep(i, u.Name)
			}
			u.PasswordHash = had
		}
		if u.Password == "" {
			continue
		}
		m, ready := made[u.Name]
		if !ready || m.had != kept[u.Name] {
			hash, err := d.hashAgain(u.Password, kept[u.Name])
			if err != nil {
				return wanted, fmt.Errorf("hash the password of user %s: %w", u.Name, err)
			}
			m.hash = hash
		}
		u.Password, u.PasswordHash = "", m.hash
	}
	digested(wanted)
	return wanted, nil
}

func noPasswordToKeep(i int, name id.User) error {
	field := fault.Field{Name: fmt.Sprintf("users[%d].password_hash", i), Sentence: fmt.Sprintf("there is no user %s yet whose password could be kept: give a password", name)}
	return &fault.Error{Kind: fault.Invalid, Op: "apply a tenant", Code: "tenant_document", Sentence: field.Name + ": " + field.Sentence, Fields: []fault.Field{field}}
}

// digested replaces the passwords of a document's devices and trunks by those of digest
// authentication.
func digested(wanted tenancy.Document) {
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
}

// ha1 is H(user:realm:password) of digest authentication (RFC 7616 §3.4.2), by MD5
// and by SHA-256. The realm of what we ask for is the tenant's domain, that of what we
// show to a carrier is the carrier's.
func ha1(user, realm, password string) (md5Hex, sha256Hex string) {
	secret := []byte(user + ":" + realm + ":" + password)
	m, s := md5.Sum(secret), sha256.Sum256(secret) //nolint:gosec // see the import
	return hex.EncodeToString(m[:]), hex.EncodeToString(s[:])
}
