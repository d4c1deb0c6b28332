package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"holdfast/cmd/tenantfile"
	"holdfast/db"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/tenancy"
)

func applyCommand() *cobra.Command {
	var file string
	var dry bool
	c := &cobra.Command{
		Use: "apply -f FILE", Short: "Bring a tenant to what a YAML file says", GroupID: "data",
		Long: "Brings a tenant to what a YAML file says and prints what changed. Repeated, it changes nothing.\n" +
			"A file with anything wrong in it changes nothing; line and field are named.",
		Example: "  holdfast apply -f demo/demo.yaml --dry-run\n  holdfast export --tenant demo.localhost | holdfast apply -f -",
		RunE: func(c *cobra.Command, _ []string) error {
			if file == "" {
				return usage("apply needs a file: holdfast apply -f FILE, or -f - for standard input")
			}
			data, err := readFile(file, c.InOrStdin())
			if err != nil {
				return err
			}
			named := func(err error) error {
				if s := fault.Sentence(err); s != "" && file != "-" {
					return usage("%s, %s", file, s)
				}
				return err
			}
			wanted, err := tenantfile.Read(data)
			if err != nil {
				return named(err)
			}
			return withDatabase(c, func(ctx context.Context, g *ground) error {
				return named(apply(ctx, g, wanted, dry, c.OutOrStdout()))
			})
		},
	}
	c.Flags().StringVarP(&file, "file", "f", "", "the tenant's YAML `file`; - is standard input")
	c.Flags().BoolVar(&dry, "dry-run", false, "print what would change, and change nothing")
	return c
}

func readFile(file string, in io.Reader) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(in)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, usage("%w", err)
	}
	return data, nil
}

// databaseWithin is how long a command waits for the database. A role waits for ever.
const databaseWithin = 30 * time.Second

// withDatabase is the life of a command that needs the database only.
func withDatabase(c *cobra.Command, do func(context.Context, *ground) error) error {
	e, log, err := prepare(c.ErrOrStderr())
	if err != nil {
		return err
	}
	soon, cancel := context.WithTimeout(c.Context(), databaseWithin)
	defer cancel()
	g, err := layDatabase(soon, e, log)
	switch {
	case err != nil && c.Context().Err() != nil:
		return err
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("the database at %s did not come within %s; is it running, and migrated?", hostOf(e.DatabaseURL), databaseWithin)
	case err != nil:
		return err
	}
	defer g.close()
	return do(c.Context(), g)
}

// documents lets the API read and write tenants as the commands do.
type documents struct{ *db.DB }

func (documents) Read(data []byte) (tenancy.Document, error) { return tenantfile.Read(data) }
func (documents) Write(d tenancy.Document) ([]byte, error)   { return tenantfile.Write(d) }

// apply brings a tenant to what is wanted, and prints the difference.
func apply(ctx context.Context, g *ground, wanted tenancy.Document, dry bool, out io.Writer) error {
	changes, err := g.db.Apply(ctx, wanted, dry)
	if err != nil {
		return err
	}
	for _, change := range changes {
		if _, err := fmt.Fprintln(out, change); err != nil {
			return err
		}
	}
	words := map[bool]string{false: "changed", true: "would change"}[dry]
	if len(changes) == 0 {
		_, err = fmt.Fprintf(out, "%s is as the file says.\n", wanted.Tenant.Domain)
		return err
	}
	_, err = fmt.Fprintf(out, "%s: %s %s.\n", wanted.Tenant.Domain, counted(len(changes), "thing"), words)
	return err
}

// counted is a number with its word, which takes an s.
func counted[N int | int64](n N, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

func exportCommand() *cobra.Command {
	var tenant string
	c := &cobra.Command{
		Use: "export --tenant DOMAIN", Short: "Print a tenant as YAML", GroupID: "data",
		Long:    "Prints a tenant as the YAML that apply reads, with the hashes of its passwords: keep it to yourself.",
		Example: "  holdfast export --tenant demo.localhost > demo.yaml",
		RunE: func(c *cobra.Command, _ []string) error {
			if tenant == "" {
				return usage("export needs a tenant, e.g. holdfast export --tenant demo.localhost")
			}
			return withDatabase(c, func(ctx context.Context, g *ground) error {
				d, err := g.db.Export(ctx, id.Tenant(tenant))
				if err != nil {
					return err
				}
				b, err := tenantfile.Write(d)
				if err != nil {
					return err
				}
				_, err = c.OutOrStdout().Write(b)
				return err
			})
		},
	}
	c.Flags().StringVar(&tenant, "tenant", "", "the tenant's `domain`")
	return c
}
