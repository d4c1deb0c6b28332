package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"holdfast/cmd/tenantfile"
	"holdfast/domain/fault"
	"holdfast/domain/id"
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
			return withDatabase(c, func(ctx context.Context, g *ground) error {
				err := apply(ctx, g, data, dry, c.OutOrStdout())
				if s := fault.Sentence(err); s != "" && file != "-" {
					return usage("%s, %s", file, s)
				}
				return err
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

// withDatabase is the life of a command that needs the database only.
func withDatabase(c *cobra.Command, do func(context.Context, *ground) error) error {
	e, log, err := prepare(c.ErrOrStderr())
	if err != nil {
		return err
	}
	g, err := layDatabase(c.Context(), e, log)
	if err != nil {
		return err
	}
	defer g.close()
	return do(c.Context(), g)
}

// apply brings a tenant to what data says, and prints the difference.
func apply(ctx context.Context, g *ground, data []byte, dry bool, out io.Writer) error {
	wanted, err := tenantfile.Read(data)
	if err != nil {
		return err
	}
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
	switch len(changes) {
	case 0:
		_, err = fmt.Fprintf(out, "%s is as the file says.\n", wanted.Tenant.Domain)
	case 1:
		_, err = fmt.Fprintf(out, "%s: 1 thing %s.\n", wanted.Tenant.Domain, words)
	default:
		_, err = fmt.Fprintf(out, "%s: %d things %s.\n", wanted.Tenant.Domain, len(changes), words)
	}
	return err
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
