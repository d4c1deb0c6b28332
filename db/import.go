package db

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"holdfast/domain/directory"
	"holdfast/domain/fault"
)

// mostProblems is how many problems of a file are named.
const mostProblems = 200

// errUndone undoes a transaction that only tried.
var errUndone = errors.New("undone")

// Known are those of the names that things of a kind have.
func (d *DB) Known(ctx context.Context, by directory.Author, of directory.Kind, names []string) (map[string]bool, error) {
	k, known := kinds[of], map[string]bool{}
	err := d.inTenant(ctx, "look names up", by.Tenant, func(ctx context.Context, tx bun.Tx) error {
		var found []string
		err := tx.NewRaw(`SELECT ? FROM ? WHERE tenant_id = ? AND ? = ANY (?)`, bun.Ident(k.key), bun.Ident(k.table), by.Tenant, bun.Ident(k.key),
			keys(names, func(s string) string { return s })).Scan(ctx, &found)
		for _, name := range found {
			known[name] = true
		}
		return err
	})
	return known, err
}

// Import makes and changes the things of a file in one transaction, each by the rules of
// Create and Update, with its line of the audit trail; what is as the file says already
// is left alone. If anything is wrong nothing is changed, and the problems are named: as
// many as can be found without stopping at the first, at most 200.
func (d *DB) Import(ctx context.Context, by directory.Author, file directory.File) (directory.Imported, error) {
	if !file.DryRun {
		done, err := d.importFile(ctx, by, file)
		if err != nil || len(done.Problems) == 0 {
			return done, err
		}
		file.DryRun = true // finds the other problems
	}
	return d.importFile(ctx, by, file)
}

// importFile is one try. A dry run goes on after a problem, with a savepoint for each row;
// the true one needs none, for it stops: thousands of savepoints that are kept would slow
// down everybody else.
func (d *DB) importFile(ctx context.Context, by directory.Author, file directory.File) (done directory.Imported, err error) {
	err = d.inTenant(ctx, "import a file", by.Tenant, func(ctx context.Context, tx bun.Tx) error {
		done = directory.Imported{}
		// One at a time, as applies; and numbers are compared with each row, so that it is named.
		if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('apply ' || ?, 0))`, string(by.Tenant)); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `SET CONSTRAINTS ALL IMMEDIATE`); err != nil {
			return err
		}
		var all []*changing
		for _, row := range file.Rows {
			c, err := importRow(ctx, tx, by, file, row)
			if problems := problemsOf(row, err); len(problems) > 0 {
				done.Problems = append(done.Problems, problems...)
				if !file.DryRun || len(done.Problems) >= mostProblems {
					return errUndone
				}
				continue
			}
			if err != nil {
				return err
			}
			switch {
			case row.New:
				done.Created++
			case c.after.Version == c.before.Version:
				done.Same++
				continue
			default:
				done.Changed++
			}
			all = append(all, c)
		}
		if file.DryRun {
			return errUndone
		}
		return settle(ctx, tx, all)
	})
	if err == nil {
		d.nudgeOf(file.Kind)
	}
	if errors.Is(err, errUndone) {
		err = nil
	}
	return done, err
}

func importRow(ctx context.Context, tx bun.Tx, by directory.Author, file directory.File, row directory.Row) (*changing, error) {
	by.Needs = row.Needs
	c := &changing{Change: directory.Change{Kind: file.Kind, Name: row.Name, Set: maps.Clone(row.Set), Secrets: file.Secrets}, by: by, k: kinds[file.Kind], action: "update"}
	write := func(ctx context.Context, tx bun.Tx) error {
		if err := c.see(ctx, tx); err != nil {
			return err
		}
		if err := c.unmoved(row.Fixed); err != nil {
			return err
		}
		if err := complete(ctx, tx, c); err != nil {
			return err
		}
		return c.update(ctx, tx)
	}
	if row.New {
		c.action, write = "create", c.insert
	}
	if !file.DryRun {
		return c, explained(c, c.perform(ctx, tx, write))
	}
	if _, err := tx.ExecContext(ctx, `SAVEPOINT one_row`); err != nil {
		return c, err
	}
	failed := explained(c, c.perform(ctx, tx, write))
	end := `RELEASE SAVEPOINT one_row`
	if failed != nil {
		end = `ROLLBACK TO SAVEPOINT one_row`
	}
	if _, err := tx.ExecContext(ctx, end); err != nil {
		return c, err
	}
	return c, failed
}

// unmoved refuses other values of fields that can't be changed.
func (c *changing) unmoved(fixed map[string]string) error {
	if len(fixed) == 0 {
		return nil
	}
	now := map[string]any{}
	if err := json.Unmarshal(c.before.Body, &now); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(fixed)) {
		if is := fmt.Sprint(now[name]); is != fixed[name] {
			return wrongField(name, "is %s and can't be changed", is)
		}
	}
	return nil
}

// problemsOf says for the person with the file what refused a row; nil for what is no
// refusal.
func problemsOf(row directory.Row, err error) (list []directory.Problem) {
	var e *fault.Error
	if err == nil || !errors.As(err, &e) || fault.KindOf(err) == fault.Internal || fault.KindOf(err) == fault.Unavailable {
		return nil
	}
	for _, f := range e.Fields {
		column, _, _ := strings.Cut(f.Name, "[")
		list = append(list, directory.Problem{Row: row.Number, Column: column, Sentence: f.Sentence})
	}
	if len(list) == 0 {
		list = append(list, directory.Problem{Row: row.Number, Sentence: strings.TrimSuffix(fault.Sentence(err), ".")})
	}
	return list
}
