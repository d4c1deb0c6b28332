package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"holdfast/db"
	"holdfast/domain/id"
	"holdfast/domain/record"
	"holdfast/domain/seal"
)

func resealCommand() *cobra.Command {
	return &cobra.Command{
		Use: "reseal", Short: "Seal secrets anew with the first key of HOLDFAST_TOKEN_KEY", GroupID: "data",
		Long: "Seals every secret that is kept (of webhooks with the values of their headers, of sign-in providers) anew with the first key of\n" +
			"HOLDFAST_TOKEN_KEY, and says whether an old one is still needed. Tenant by tenant; ended in between, it is run again. Repeated, it does nothing more.\n" +
			"The exit code is 1 if something can't be opened with any of the keys.",
		RunE: func(c *cobra.Command, _ []string) error {
			return withDatabase(c, func(ctx context.Context, g *ground) error {
				if len(g.env.TokenKeys) == 0 {
					return usage("HOLDFAST_TOKEN_KEY is not set; it needs the new key first, then the old ones, separated by commas")
				}
				return reseal(ctx, g.db, g.env.TokenKeys, c.OutOrStdout())
			})
		},
	}
}

func reseal(ctx context.Context, d *db.DB, tokens tokenKeys, out io.Writer) error {
	keys, err := seal.New(tokens)
	if err != nil {
		return err
	}
	all, err := d.Sealed(ctx, keys, false, func(t id.Tenant, r record.Resealed) {
		fmt.Fprintf(out, "%s: %d of %d secrets sealed anew\n", t, r.Old, r.Secrets)
	})
	if err != nil {
		return err
	}
	if n := len(all.Lost); n > 0 {
		fmt.Fprintf(out, "%d secrets sealed anew. These can't be opened with any of the keys given:\n  %s\n", all.Old, strings.Join(all.Lost, "\n  "))
		return fmt.Errorf("%d secrets can't be opened: give the key that sealed them as well, or set them again", n)
	}
	_, err = fmt.Fprintf(out, "%d of %d secrets sealed anew. No secret needs another key than the first any more.\n"+
		"Logins that an older key signed last for 30 days: without it they end, and people sign in again.\n", all.Old, all.Secrets)
	return err
}

// checkSealed looks with which keys secrets are sealed.
func checkSealed(ctx context.Context, e environment, d *db.DB) finding {
	if len(e.TokenKeys) == 0 {
		return warn("sealed", "without HOLDFAST_TOKEN_KEY it can't be seen whether sealed secrets open")
	}
	keys, err := seal.New(e.TokenKeys)
	if err != nil {
		return wrong("sealed", "%s", sentence(err))
	}
	all, err := d.Sealed(ctx, keys, true, func(id.Tenant, record.Resealed) {})
	switch n := len(all.Lost); {
	case err != nil:
		return wrong("sealed", "the sealed secrets can't be read: %s", sentence(err))
	case n > 0:
		return wrong("sealed", "%d of %d secrets can't be opened with any key of HOLDFAST_TOKEN_KEY: %s", n, all.Secrets, strings.Join(all.Lost[:min(n, 5)], "; "))
	case all.Old > 0:
		return warn("sealed", "%d of %d secrets are sealed with an old key, or not at all: run holdfast reseal before you drop it", all.Old, all.Secrets)
	}
	return fine("sealed", "%s, all sealed with the first key", counted(all.Secrets, "secret"))
}
