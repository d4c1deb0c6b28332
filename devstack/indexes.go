package devstack

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"
)

// spare matches the indexes of the columns that the visibility schema keeps for
// search attributes to come: by_keyword_07, by_temporal_int_01.
var spare = regexp.MustCompile(`^by_(temporal_)?(bool|datetime|double|int|keyword|low_cardinality_keyword|text|keyword_list)_[0-9]{2}$`)

// fitIndexes drops the indexes of columns that hold no search attribute, and makes
// those of keyword columns that got one since. The schema comes with some seventy
// indexes, more than half of them on empty columns, and each change of a workflow
// writes them all: 2 ms of Postgres instead of 1. A search by an attribute that
// somebody adds by Temporal's own tools works without its index.
func (c Config) fitIndexes(ctx context.Context, attributes map[string]string) error {
	conn, err := pgx.Connect(ctx, c.url(c.VisibilityDatabase))
	if err != nil {
		return fmt.Errorf("fit the indexes of database %s: %w", c.VisibilityDatabase, err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // the server forgets us either way
	rows, err := conn.Query(ctx, `SELECT indexname FROM pg_indexes WHERE tablename = 'executions_visibility'`)
	if err != nil {
		return fmt.Errorf("list the indexes of database %s: %w", c.VisibilityDatabase, err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("list the indexes of database %s: %w", c.VisibilityDatabase, err)
	}
	var statements []string
	for _, name := range names {
		if spare.MatchString(name) && attributes[columnOf(name)] == "" {
			statements = append(statements, `DROP INDEX IF EXISTS `+name)
		}
	}
	for n := 1; n <= columns; n++ {
		if attributes[column(n)] != "" {
			statements = append(statements, fmt.Sprintf(`CREATE INDEX IF NOT EXISTS by_keyword_%02d ON executions_visibility
				(namespace_id, %s, (COALESCE(close_time, '9999-12-31 23:59:59')) DESC, start_time DESC, run_id)`, n, column(n)))
		}
	}
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("fit the indexes of database %s: %w", c.VisibilityDatabase, err)
		}
	}
	return nil
}

// columnOf is the column of a spare index: by_keyword_list_01 is that of KeywordList01.
func columnOf(index string) string {
	var column strings.Builder
	for part := range strings.SplitSeq(strings.TrimPrefix(index, "by_"), "_") {
		column.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	return column.String()
}
