package main

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"

	"holdfast/dispatch"
	"holdfast/domain/id"
	"holdfast/httpapi"
)

func importCommand() *cobra.Command {
	var tenant, file string
	var dry bool
	c := &cobra.Command{
		Use: "import WHAT --tenant DOMAIN -f FILE", Short: "Make and change users, agents, devices, contacts or tariffs from a CSV file", GroupID: "data",
		Long: "Makes and changes what a CSV file says, all or none, as POST /v1/<what>/import does: WHAT is users, agents, devices, contacts or tariffs.\n" +
			"Each cell that is wrong is named, and the exit code is 2 then.",
		Example: "  holdfast import users --tenant demo.localhost -f people.csv --dry-run",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage("import needs one thing to import: users, agents, devices, contacts or tariffs")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if file == "" || tenant == "" {
				return usage("import needs a tenant and a file: holdfast import %s --tenant DOMAIN -f FILE, or -f - for standard input", args[0])
			}
			data, err := readFile(file, c.InOrStdin())
			if err != nil {
				return err
			}
			return withDatabase(c, func(ctx context.Context, g *ground) error {
				return bring(ctx, g, httpapi.Bringing{Tenant: id.Tenant(tenant), What: args[0], File: data, DryRun: dry}, c.OutOrStdout())
			})
		},
	}
	c.Flags().StringVar(&tenant, "tenant", "", "the tenant's `domain`")
	c.Flags().StringVarP(&file, "file", "f", "", "the CSV `file`; - is standard input")
	c.Flags().BoolVar(&dry, "dry-run", false, "name what is wrong and count what would change, and change nothing")
	return c
}

// bring imports a file by the code of the HTTP API, which serves nobody here.
func bring(ctx context.Context, g *ground, b httpapi.Bringing, out io.Writer) error {
	there, err := g.db.Tenants(ctx)
	if err != nil {
		return err
	}
	if !slices.Contains(there, b.Tenant) {
		return usage("there is no tenant %s", b.Tenant)
	}
	if len(g.env.TokenKeys) == 0 { // nothing is signed or sealed by what is imported
		_, key, err := ed25519.GenerateKey(nil)
		if err != nil {
			return err
		}
		g.env.TokenKeys = tokenKeys{key}
	}
	temporal, err := client.NewLazyClient(client.Options{}) // nobody is asked: an import starts no workflow
	if err != nil {
		return err
	}
	defer temporal.Close()
	r, err := newAPI(g, dispatch.New(dispatch.Config{Temporal: temporal, Ledger: g.db, Desks: g.db, Log: g.log}), newMetrics())
	if err != nil {
		return err
	}
	done, err := r.api.Bring(ctx, b)
	if err != nil {
		return err
	}
	for _, p := range done.Problems {
		column := p.Column
		if column != "" {
			column = ", " + column
		}
		fmt.Fprintf(out, "row %d%s: %s\n", p.Row, column, p.Sentence)
	}
	if n := len(done.Problems); n > 0 {
		return usage("nothing was imported: %s found", counted(n, "fault"))
	}
	words := map[bool]string{false: "", true: " (dry run: nothing was changed)"}[b.DryRun]
	if done.PasswordsLeft > 0 {
		fmt.Fprintf(out, "Passwords of users who are there already were left as they are: %d.\n", done.PasswordsLeft)
	}
	_, err = fmt.Fprintf(out, "%s, %s: %d made, %d changed, %d as the file says already%s.\n", b.Tenant, b.What, done.Created, done.Changed, done.Same, words)
	return err
}
