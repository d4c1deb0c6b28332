package db

import (
	"context"

	"github.com/uptrace/bun"
)

// NodeSecret is what only the telephony nodes know, the same for all of them; it was
// made at random with the database.
func (d *DB) NodeSecret(ctx context.Context) (secret []byte, err error) {
	err = d.asSystem(ctx, "read the nodes' secret", func(ctx context.Context, tx bun.Tx) error {
		return tx.NewRaw(`SELECT secret FROM node_secret`).Scan(ctx, &secret)
	})
	return secret, err
}
