package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"holdfast/domain/account"
	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/id"
)

const (
	// maxImport bounds a file in bytes.
	maxImport = 5 << 20
	// maxSecrets bounds the passwords of new users in one file: each is made to be slow.
	maxSecrets = 2000
	// importTimeout bounds an import; its passwords take most of it.
	importTimeout = 4 * time.Minute
)

type importInput struct {
	Keyed
	DryRun  string `query:"dry_run" enum:"true,false" doc:"true: nothing is changed, and everything that would be wrong is named."`
	RawBody []byte `contentType:"text/csv" doc:"UTF-8, separated by commas, semicolons or tabs; the first row names the columns."`
}

type problemView struct {
	Row    int    `json:"row" doc:"As spreadsheets count: the row that names the columns is 1."`
	Column string `json:"column" doc:"Empty: the row as a whole."`
	Detail string `json:"detail" doc:"What is wrong, and what would be right."`
}

type importBody struct {
	DryRun        bool          `json:"dry_run"`
	Created       int           `json:"created"`
	Changed       int           `json:"changed"`
	Same          int           `json:"same" doc:"What is as the file says already: it was left alone."`
	PasswordsLeft int           `json:"passwords_left" doc:"Passwords in rows of what is there already: those stay as they are."`
	Problems      []problemView `json:"problems" doc:"By row; the first 200. With any of them nothing is changed."`
}

type importOutput struct{ Body importBody }

// importable is a resource that can be written as a file and read from one.
func importable[N, U any](a *API, r resource) {
	s := sheetOf[N, U](a, r)
	register(a, "export-"+r.plural, func(ctx context.Context, _ *struct{}) (*tableOutput, error) {
		out, n, err := a.exportSheet(ctx, s)
		detail, _ := json.Marshal(map[string]int{"rows": n}) // numbers always marshal
		a.audit.note(personOf(ctx), string(r.kind)+".export", r.plural, detail, err)
		return out, err
	})
	register(a, "import-"+r.plural, func(ctx context.Context, in *importInput) (*importOutput, error) {
		s, err := a.tailored(ctx, s)
		if err != nil {
			return nil, err
		}
		out, err := importSheet[N, U](ctx, a, s, in)
		if err != nil {
			a.audit.add(personOf(ctx), string(r.kind)+".import", r.plural, err)
		}
		return out, err
	})
}

// exportSheet writes all things of a kind that one reaches as a table, without secrets,
// and says how many they are.
func (a *API) exportSheet(ctx context.Context, s sheet) (*tableOutput, int, error) {
	s, err := a.tailored(ctx, s)
	if err != nil {
		return nil, 0, err
	}
	shown := slices.DeleteFunc(slices.Clone(s.columns), func(c column) bool { return c.secret })
	var head []string
	for _, c := range shown {
		head = append(head, c.name)
	}
	rows := [][]string{head}
	q := directory.Query{Kind: s.kind, Limit: 200}
	for {
		things, next, err := a.config.Directory.Things(ctx, a.author(ctx, "export-"+s.plural, nil), q)
		if err != nil {
			return nil, 0, unavailable("export things", err)
		}
		for _, t := range things {
			fields := map[string]any{}
			d := json.NewDecoder(bytes.NewReader(t.Body))
			d.UseNumber()
			if err := d.Decode(&fields); err != nil {
				return nil, 0, fault.E(fault.Internal, "export things", err)
			}
			var cells []string
			for _, c := range shown {
				cells = append(cells, c.cell(c.of(fields)))
			}
			rows = append(rows, cells)
		}
		if next == "" {
			out, err := table(s.plural, rows)
			return out, len(rows) - 1, err
		}
		if len(rows) > mostExported {
			return nil, 0, &fault.Error{Kind: fault.Invalid, Op: "export things", Code: "too_many",
				Sentence: fmt.Sprintf("There are more than %d %s; read the list page by page.", mostExported, s.plural)}
		}
		q.Cursor = next
	}
}

// importSheet makes and changes the things of a file, all or none, by the rules of single
// changes.
func importSheet[N, U any](ctx context.Context, a *API, s sheet, in *importInput) (*importOutput, error) {
	report, err := bringSheet[N, U](ctx, a, s, in)
	if err != nil {
		return nil, err
	}
	if len(report.Problems) > 0 && !report.DryRun {
		return nil, notImported(report)
	}
	return &importOutput{Body: report}, nil
}

// bringSheet is importSheet with a report of what is wrong, if anything is.
func bringSheet[N, U any](ctx context.Context, a *API, s sheet, in *importInput) (importBody, error) {
	report := importBody{DryRun: in.DryRun == "true", Problems: []problemView{}}
	rows, wrong := s.read(in.RawBody)
	var names []string
	for _, r := range rows {
		names = append(names, r.name)
	}
	me := a.author(ctx, "import-"+s.plural, nil)
	known, err := a.config.Clerk.Known(ctx, me, s.kind, names)
	if err != nil {
		return report, unavailable("look up names", err)
	}
	file := directory.File{Kind: s.kind, Secrets: s.secrets, DryRun: report.DryRun || len(wrong) > 0}
	for _, r := range rows {
		row, bad, err := importRow[N, U](ctx, a, s, r, !known[r.name])
		if err != nil {
			return report, err
		}
		if _, given := r.cells["password"]; given && known[r.name] {
			report.PasswordsLeft++
		}
		if len(bad) > 0 {
			wrong, file.DryRun = append(wrong, bad...), true
			continue
		}
		file.Rows = append(file.Rows, row)
	}
	weak, err := s.passwords(ctx, a, &file)
	if err != nil {
		return report, err
	}
	wrong = append(wrong, weak...)
	done, err := a.config.Clerk.Import(ctx, me, file)
	if err != nil {
		return report, unavailable("import a file", err)
	}
	if s.kind == directory.User {
		a.persons.forget()
	}
	report.Created, report.Changed, report.Same = done.Created, done.Changed, done.Same
	wrong = append(wrong, done.Problems...)
	slices.SortStableFunc(wrong, func(a, b directory.Problem) int { return a.Row - b.Row })
	for _, w := range wrong[:min(200, len(wrong))] {
		report.Problems = append(report.Problems, problemView{w.Row, w.Column, w.Sentence})
	}
	return report, nil
}

// notImported refuses a file with what is wrong in it.
func notImported(report importBody) error {
	report.Created, report.Changed, report.Same = 0, 0, 0
	first := report.Problems[0]
	e := &fault.Error{Kind: fault.Invalid, Code: "import", Sentence: fmt.Sprintf("Nothing was imported: row %d, %s: %s.", first.Row, first.Column, first.Detail)}
	for _, w := range report.Problems {
		e.Fields = append(e.Fields, fault.Field{Name: strings.TrimSuffix(fmt.Sprintf("rows[%d].%s", w.Row, w.Column), "."), Sentence: w.Detail})
	}
	p := problemOf(e)
	p.View = report
	return p
}

// importRow is a row as a change, or what is wrong with it. The error is a refusal of the
// whole file: the person may not do what it asks for.
func importRow[N, U any](ctx context.Context, a *API, s sheet, r sheetRow, begins bool) (row directory.Row, wrong []directory.Problem, err error) {
	row = directory.Row{Number: r.number, Name: r.name, New: begins, Set: map[string]any{}, Fixed: map[string]string{}}
	cells, schema, name := maps.Clone(r.cells), s.make, "create-"+string(s.kind)
	if !begins {
		schema, name = s.alter, "update-"+string(s.kind)
		for _, c := range s.columns {
			v, given := cells[c.name]
			if given && c.fixed {
				row.Fixed[c.name] = c.cell(v)
			}
			if c.key || c.secret || c.fixed {
				delete(cells, c.name)
			}
		}
	}
	if wrong = s.check(r, schema, cells); len(wrong) > 0 {
		return row, wrong, nil
	}
	for field, p := range schema.Properties {
		if _, given := cells[field]; !given && p.Default != nil && begins {
			cells[field] = p.Default
		}
	}
	var fields []field
	if begins {
		fields, err = bodyOf[N](cells)
	} else {
		fields, err = bodyOf[U](cells)
	}
	if err != nil {
		return row, nil, err
	}
	if p, _ := a.byName[name].access.permission(); !personOf(ctx).May(p) {
		return row, nil, forbidden("action_forbidden", "You need the permission %s: row %d says what is not so now.", p, r.number)
	}
	for _, f := range fields {
		if p, more := within[name][f.name]; more && !personOf(ctx).May(p) {
			return row, nil, forbidden("action_forbidden", "You need the permission %s for the column %s.", p, f.name)
		}
		row.Set[f.column] = f.value
	}
	row.Needs = a.author(ctx, name, fields).Needs
	return row, nil, nil
}

// bodyOf reads cells as the body of a request.
func bodyOf[B any](cells map[string]any) ([]field, error) {
	data, err := json.Marshal(cells)
	if err != nil {
		return nil, fault.E(fault.Internal, "read a row", err)
	}
	var body B
	if err := json.Unmarshal(data, &body); err != nil {
		return nil, fault.E(fault.Internal, "read a row", err)
	}
	_, fields := given(reflect.ValueOf(body))
	return fields, nil
}

// passwords holds the passwords of new users to the tenant's policy, and puts what is kept
// of them in their place: before the transaction, and side by side but leaving a processor
// to others. A dry run keeps nothing, so it hashes nothing.
func (s sheet) passwords(ctx context.Context, a *API, file *directory.File) (wrong []directory.Problem, err error) {
	var todo, fine []directory.Row
	for _, row := range file.Rows {
		if _, given := row.Set["password_hash"]; given && s.kind == directory.User {
			todo = append(todo, row)
			continue
		}
		fine = append(fine, row)
	}
	if len(todo) == 0 {
		return nil, nil
	}
	if len(todo) > maxSecrets {
		return nil, &fault.Error{Kind: fault.Invalid, Code: "too_many_passwords", Sentence: fmt.Sprintf("The file has %d passwords of new users, at most %d are allowed: divide it.", len(todo), maxSecrets)}
	}
	known, err := a.config.Logins.Passwords(ctx, personOf(ctx).Tenant, id.User(todo[0].Name))
	if err != nil {
		return nil, unavailable("read the policy of passwords", err)
	}
	var good []directory.Row
	for _, row := range todo {
		password, _ := row.Set["password_hash"].(string)
		err := a.refusePassword(account.Passwords{Policy: known.Policy, Off: known.Off}, wish{"password", row.Name, password})
		var e *fault.Error
		switch {
		case err == nil:
			good = append(good, row)
		case errors.As(err, &e) && len(e.Fields) > 0:
			wrong = append(wrong, trouble(row.Number, "password", "%s", e.Fields[0].Sentence))
		default:
			return nil, err
		}
	}
	file.Rows = append(fine, good...)
	slices.SortFunc(file.Rows, func(a, b directory.Row) int { return a.Number - b.Number })
	if file.DryRun = file.DryRun || len(wrong) > 0; file.DryRun {
		for _, row := range good {
			row.Set["password_hash"] = "dry run"
		}
		return wrong, nil
	}
	return nil, hashed(ctx, good)
}

func hashed(ctx context.Context, todo []directory.Row) error {
	var all sync.WaitGroup
	rows, failed := make(chan directory.Row), make(chan error, len(todo))
	for range max(1, runtime.GOMAXPROCS(0)-1) {
		all.Go(func() {
			for row := range rows {
				hash, err := HashPassword(row.Set["password_hash"].(string))
				if row.Set["password_hash"] = hash; err != nil {
					failed <- err
				}
			}
		})
	}
	for _, row := range todo {
		if ctx.Err() != nil {
			break
		}
		rows <- row
	}
	close(rows)
	all.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return fault.E(fault.Unavailable, "hash passwords", ctx.Err())
	}
}

// importing are the routes of a resource that can be written as a file and read from one.
func importing(r resource, read, create account.Permission) []route {
	return []route{
		{"export-" + r.plural, http.MethodGet, r.path + "/export", may(read), "All " + r.plural + " as CSV, as the import reads it, without passwords", 0},
		{"import-" + r.plural, http.MethodPost, r.path + "/import", may(create), "Make and change " + r.plural + " from a CSV file, all or none; a dry run names each bad cell", 0},
	}
}

// fileResponse describes an answer that is a table only.
func fileResponse() map[string]*huma.Response {
	return map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{mediaCSV: {Schema: &huma.Schema{Type: huma.TypeString}}}}}
}
