package db

import (
	"context"

	"github.com/uptrace/bun"

	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/tenancy"
)

var musicKind = kind{
	table: "music", key: "name",
	body: `jsonb_build_object('name', x.name, 'display_name', x.display_name, 'duration_ms', x.duration_ms, 'size', length(x.audio), 'sha256', x.sha256)`,
	// audio is given as hexadecimal, as Postgres reads a bytea.
	columns: []string{"display_name", "audio", "duration_ms", "sha256"},
	search:  []string{"x.name", "x.display_name"},
	// Orders are of texts: a number has its zeros in front.
	sorts:  map[string]string{"display_name": "x.display_name", "updated_at": "x.updated_at", "duration_ms": "lpad(x.duration_ms::text, 12, '0')"},
	routes: true, // nodes have it at hand
	users:  `SELECT 'queue' AS kind, q.name FROM queues q WHERE q.tenant_id = x.tenant_id AND q.music = x.name`,
}

// The kinds are in a map that their own functions look into.
func init() { kinds[directory.Music] = musicKind }

// writeMusic checks the music that a queue chooses.
func writeMusic(ctx context.Context, tx bun.Tx, c *changing) error {
	name, given := part[string](c, "music")
	if !given || name == "" {
		return nil
	}
	return c.refer(ctx, tx, "music", `SELECT FROM music WHERE tenant_id = ? AND name = ?`, name)
}

// sqlMusic reads a sound, unless it is the one that is at hand already.
const sqlMusic = `SELECT CASE WHEN sha256 <> ? THEN audio END AS audio, sha256 FROM music WHERE tenant_id = ? AND name = ?`

// Music reads a tenant's sound file and its sum; nil if the sum is have, that is, nothing
// changed. fault.NotFound: there is none of that name.
func (d *DB) Music(ctx context.Context, t id.Tenant, name, have string) (audio tenancy.Audio, sum string, err error) {
	var rows []struct {
		Audio []byte `bun:"audio"`
		Sum   string `bun:"sha256"`
	}
	err = d.inTenant(ctx, "read music", t, func(ctx context.Context, tx bun.Tx) error {
		return tx.NewRaw(sqlMusic, have, t, name).Scan(ctx, &rows)
	})
	switch {
	case err != nil:
		return nil, "", err
	case len(rows) == 0:
		return nil, "", &fault.Error{Kind: fault.NotFound, Op: "read music", Sentence: "There is no such music."}
	}
	return rows[0].Audio, rows[0].Sum, nil
}

func exportMusic(ctx context.Context, tx bun.Tx, doc *tenancy.Document) error {
	var rows []struct {
		Name        string `bun:"name"`
		DisplayName string `bun:"display_name"`
		Audio       []byte `bun:"audio"`
	}
	err := tx.NewRaw(`SELECT name, display_name, audio FROM music WHERE tenant_id = ?`, doc.Tenant.Domain).Scan(ctx, &rows)
	for _, r := range rows {
		doc.Music = append(doc.Music, tenancy.Music{Name: r.Name, DisplayName: r.DisplayName, Audio: r.Audio})
	}
	return err
}

func musicRows(doc tenancy.Document) (rows []statement) {
	t := doc.Tenant.Domain
	rows = append(rows, statement{`DELETE FROM music WHERE tenant_id = ? AND NOT name = ANY (?)`,
		[]any{t, keys(doc.Music, func(m tenancy.Music) string { return m.Name })}})
	for _, m := range doc.Music {
		long, _ := m.Audio.Duration() // the document is valid
		rows = append(rows, statement{`
INSERT INTO music (tenant_id, name, display_name, audio, duration_ms, sha256) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (tenant_id, name) DO UPDATE SET display_name = excluded.display_name, audio = excluded.audio, duration_ms = excluded.duration_ms, sha256 = excluded.sha256
 WHERE (music.display_name, music.sha256) IS DISTINCT FROM (excluded.display_name, excluded.sha256)`,
			[]any{t, m.Name, m.DisplayName, []byte(m.Audio), long.Milliseconds(), m.Audio.Sum()}})
	}
	return rows
}

// musicOf is the music that a document leaves the tenant with: its own, or what is there if
// it speaks of none. Queues must choose among them.
func musicOf(wanted, current tenancy.Document) (tenancy.Document, error) {
	if wanted.Music != nil {
		return wanted, nil
	}
	wanted.Music = append([]tenancy.Music{}, current.Music...)
	if wrong := wanted.Validate(); len(wrong) > 0 {
		return wanted, &fault.Error{Kind: fault.Invalid, Op: "apply a tenant", Code: "tenant_document", Sentence: wrong[0].Name + ": " + wrong[0].Sentence, Fields: wrong}
	}
	return wanted, nil
}
