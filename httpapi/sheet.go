package httpapi

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"holdfast/domain/directory"
)

// maxRows bounds the rows of a file of things.
const maxRows = 10_000

// mostExported bounds the rows of an export: what can be read and sent within a request.
const mostExported = 100_000

// cellKind is how a cell stands for a value.
type cellKind int

const (
	cellText cellKind = iota
	cellYes
	cellNumber
	cellList   // a,b
	cellLevels // german:7,english:10
	cellDecimal
)

// column is a field of a kind of thing as a column of a file.
type column struct {
	name   string
	kind   cellKind
	key    bool
	secret bool // of new things only, and never exported
	fixed  bool // of new things only
}

// sheet is a kind of thing as a table: how its fields are columns, and what they may hold.
type sheet struct {
	resource
	columns     []column
	make, alter *huma.Schema // of what makes one, and of what changes one
	registry    huma.Registry
}

// sheetOf is the sheet of a resource: N makes one, U changes one.
func sheetOf[N, U any](a *API, r resource) sheet {
	registry := a.huma.OpenAPI().Components.Schemas
	of := func(t reflect.Type) *huma.Schema {
		return registry.SchemaFromRef(registry.Schema(t, true, "").Ref)
	}
	s := sheet{resource: r, registry: registry, make: of(reflect.TypeFor[N]()), alter: of(reflect.TypeFor[U]())}
	s.columns = columnsOf(reflect.TypeFor[N]())
	slices.SortStableFunc(s.columns, func(a, b column) int { // the key first
		switch {
		case a.key == b.key:
			return 0
		case a.key:
			return -1
		}
		return 1
	})
	for i, c := range s.columns {
		s.columns[i].fixed = !c.key && s.alter.Properties[c.name] == nil
	}
	return s
}

func columnsOf(t reflect.Type) (list []column) {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			list = append(list, columnsOf(f.Type)...)
			continue
		}
		ft := f.Type
		if ft.Kind() == reflect.Pointer {
			ft = ft.Elem()
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		c := column{name: name, key: f.Tag.Get("key") != "", secret: name == "password"}
		switch {
		case ft == reflect.TypeFor[[]skillLevel]():
			c.kind = cellLevels
		case ft.Kind() == reflect.Slice:
			c.kind = cellList
		case ft.Kind() == reflect.Bool:
			c.kind = cellYes
		case ft.Kind() == reflect.Int || ft.Kind() == reflect.Int64:
			c.kind = cellNumber
		}
		list = append(list, c)
	}
	return list
}

// sheetRow is a row of a file as its cells say.
type sheetRow struct {
	number int
	name   string
	cells  map[string]any // by column; what was left empty and can't be is not in it
}

// trouble is what is wrong with a cell or a row.
func trouble(row int, column, sentence string, args ...any) directory.Problem {
	return directory.Problem{Row: row, Column: column, Sentence: fmt.Sprintf(sentence, args...)}
}

// read reads a file: UTF-8 with or without a byte order mark, separated by commas,
// semicolons or tabs, the first row naming the columns.
func (s sheet) read(file []byte) (rows []sheetRow, wrong []directory.Problem) {
	file = bytes.TrimPrefix(file, []byte("\xef\xbb\xbf"))
	if !utf8.Valid(file) {
		return nil, []directory.Problem{trouble(1, "", "the file is not UTF-8: save it as CSV UTF-8")}
	}
	r := csv.NewReader(bytes.NewReader(file))
	r.Comma, r.FieldsPerRecord = separator(file), -1
	header, err := r.Read()
	if err != nil {
		return nil, []directory.Problem{trouble(1, "", "the file has no row that names the columns: %s", s.named())}
	}
	columns, wrong := s.header(header)
	if len(wrong) > 0 {
		return nil, wrong
	}
	first := map[string]int{}
	for number := 2; ; number++ {
		record, err := r.Read()
		var broken *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			return rows, wrong
		case errors.As(err, &broken):
			return nil, append(wrong, trouble(number, "", "the row can't be read: %s (line %d of the file)", broken.Err, broken.Line))
		case err != nil:
			return nil, append(wrong, trouble(number, "", "the row can't be read"))
		case number > maxRows+1:
			return nil, []directory.Problem{trouble(number, "", "the file has more than %d rows: divide it", maxRows)}
		case strings.TrimSpace(strings.Join(record, "")) == "":
			continue
		case len(record) != len(columns):
			wrong = append(wrong, trouble(number, "", "has %d cells, and there are %d columns", len(record), len(columns)))
			continue
		}
		row, bad := s.row(number, columns, record)
		wrong = append(wrong, bad...)
		if before := first[row.name]; row.name != "" && before > 0 {
			wrong = append(wrong, trouble(number, columns[s.keyAt(columns)].name, "%s stands in row %d already", row.name, before))
			continue
		}
		if row.name != "" {
			first[row.name] = number
			rows = append(rows, row)
		}
	}
}

// separator is what stands most often in the first line, outside of quotes.
func separator(file []byte) rune {
	line, _, _ := bytes.Cut(file, []byte("\n"))
	best := ','
	for _, c := range ";\t" {
		if bytes.Count(line, []byte(string(c))) > bytes.Count(line, []byte(string(best))) {
			best = c
		}
	}
	return best
}

func (s sheet) header(cells []string) (list []column, wrong []directory.Problem) {
	for _, cell := range cells {
		name := strings.ToLower(strings.TrimSpace(cell))
		i := slices.IndexFunc(s.columns, func(c column) bool { return c.name == name })
		switch {
		case i < 0:
			wrong = append(wrong, trouble(1, name, "there is no such column; there are %s", s.named()))
		case slices.ContainsFunc(list, func(c column) bool { return c.name == name }):
			wrong = append(wrong, trouble(1, name, "stands twice"))
		default:
			list = append(list, s.columns[i])
		}
	}
	if len(wrong) == 0 && s.keyAt(list) < 0 && s.resource.named == nil {
		wrong = append(wrong, trouble(1, s.columns[0].name, "the column is missing: it says which %s a row is about", s.kind))
	}
	return list, wrong
}

func (s sheet) keyAt(list []column) int {
	return slices.IndexFunc(list, func(c column) bool { return c.key })
}

func (s sheet) named() string {
	var names []string
	for _, c := range s.columns {
		names = append(names, c.name)
	}
	return strings.Join(names, ", ")
}

func (s sheet) row(number int, columns []column, record []string) (row sheetRow, wrong []directory.Problem) {
	row = sheetRow{number: number, cells: map[string]any{}}
	for i, c := range columns {
		cell := strings.TrimSpace(bared(strings.TrimSpace(record[i])))
		v, sentence := c.value(cell)
		switch {
		case sentence != "":
			wrong = append(wrong, trouble(number, c.name, "%s", sentence))
		case cell == "" && c.key && s.resource.named != nil: // a new one
			row.name = s.resource.named()
			c.put(row.cells, row.name)
		case cell == "" && (c.key || !s.mayBeEmpty(c)):
			if c.key {
				wrong = append(wrong, trouble(number, c.name, "is empty: it says which %s the row is about", s.kind))
			}
		default:
			c.put(row.cells, v)
			if c.key {
				row.name = cell
			}
		}
	}
	if s.keyAt(columns) < 0 {
		row.name = s.resource.named() // a file of new things only
		row.cells[s.columns[0].name] = row.name
	}
	return row, wrong
}

// mayBeEmpty reports whether an empty cell empties the field; else it leaves it as it is.
func (s sheet) mayBeEmpty(c column) bool {
	if _, own := c.own(); own {
		return true
	}
	p := s.make.Properties[c.name]
	switch {
	case c.secret || c.kind == cellYes || c.kind == cellNumber || len(p.Enum) > 0:
		return false
	case c.kind == cellList || c.kind == cellLevels:
		return p.MinItems == nil || *p.MinItems == 0
	case p.MinLength != nil && *p.MinLength > 0:
		return false
	}
	pattern, err := regexp.Compile(p.Pattern)
	return err == nil && pattern.MatchString("")
}

// value reads a cell as JSON would have it, or says what is wrong with it.
func (c column) value(cell string) (v any, sentence string) {
	switch c.kind {
	case cellYes:
		switch strings.ToLower(cell) {
		case "true", "yes", "1":
			return true, ""
		case "false", "no", "0":
			return false, ""
		case "":
			return nil, ""
		}
		return nil, "must be true or false"
	case cellDecimal:
		if cell == "" {
			return nil, ""
		}
		n, err := strconv.ParseFloat(cell, 64)
		if err != nil || math.IsInf(n, 0) || math.IsNaN(n) {
			return nil, "must be a number, such as 12.5"
		}
		return n, ""
	case cellNumber:
		if cell == "" {
			return nil, ""
		}
		n, err := strconv.ParseInt(cell, 10, 53)
		if err != nil {
			return nil, "must be a whole number"
		}
		return float64(n), ""
	case cellList, cellLevels:
		list := []any{}
		for _, part := range strings.Split(cell, ",") {
			part = strings.TrimSpace(part)
			if part == "" {
				continue
			}
			if c.kind == cellList {
				list = append(list, part)
				continue
			}
			skill, level, _ := strings.Cut(part, ":")
			n, err := strconv.ParseInt(strings.TrimSpace(level), 10, 32)
			if err != nil {
				return nil, "must be skills with their levels, such as german:7,english:10"
			}
			list = append(list, map[string]any{"skill": strings.TrimSpace(skill), "level": float64(n)})
		}
		return list, ""
	}
	return cell, ""
}

// cell writes a field as value reads it.
func (c column) cell(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case []any:
		var parts []string
		for _, one := range v {
			if m, ok := one.(map[string]any); ok {
				parts = append(parts, fmt.Sprintf("%v:%v", m["skill"], m["level"]))
				continue
			}
			parts = append(parts, fmt.Sprint(one))
		}
		return strings.Join(parts, ",")
	case json.Number:
		return v.String()
	}
	return fmt.Sprint(v)
}

// check holds cells to the rules of a request's body.
func (s sheet) check(row sheetRow, schema *huma.Schema, cells map[string]any) (wrong []directory.Problem) {
	at, found := huma.NewPathBuffer([]byte{}, 0), &huma.ValidateResult{}
	huma.Validate(s.registry, schema, at, huma.ModeWriteToServer, cells, found)
	for _, err := range found.Errors {
		d := (*huma.ErrorDetail)(nil)
		if !errors.As(err, &d) {
			continue
		}
		name, _, _ := strings.Cut(nameOf(d, d.Location), "[")
		wrong = append(wrong, trouble(row.number, name, "%s", readable(d.Message)))
	}
	return wrong
}
