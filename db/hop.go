package db

import (
	"context"
	"crypto/rand"

	"github.com/uptrace/bun"
)

// nodeSecretSize is the size of a nodes' secret, in bytes.
const nodeSecretSize = 32

// NodeSecret is what only the telephony nodes know, the same for all of them: the first
// that asks makes it.
func (d *DB) NodeSecret(ctx context.Context) (secret []byte, err error) {
	fresh := make([]byte, nodeSecretSize)
	_, _ = rand.Read(fresh) // never fails
	err = d.asSystem(ctx, "read the nodes' secret", func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO node_secret (secret) VALUES (?) ON CONFLICT DO NOTHING`, fresh); err != nil {
			return err
		}
		return tx.NewRaw(`SELECT secret FROM node_secret`).Scan(ctx, &secret)
	})
	return secret, err
}
