package httpapi

import (
	"bytes"
	"encoding/csv"
	"reflect"
	"strings"

	"holdfast/domain/fault"
)

// tables are the routes that answer with a table if text/csv is asked for, and what they
// answer else.
var tables = map[string]reflect.Type{
	"list-bookings": reflect.TypeFor[bookingsBody](),
}

const mediaCSV = "text/csv"

// wantsTable reports whether a client asks for a table (RFC 9110 §12.5.1): it names the
// media type itself.
func wantsTable(accept line) bool {
	for _, part := range strings.Split(string(accept), ",") {
		media, _, _ := strings.Cut(part, ";")
		if strings.EqualFold(strings.TrimSpace(media), mediaCSV) {
			return true
		}
	}
	return false
}

// tableOutput is an answer as JSON or as a table.
type tableOutput struct {
	ContentType string `header:"Content-Type"`
	Disposition string `header:"Content-Disposition"`
	Body        any
}

// table writes rows as CSV (RFC 4180) that no spreadsheet takes for formulas.
func table(file string, rows [][]string) (*tableOutput, error) {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = shielded(cell)
		}
		if err := w.Write(cells); err != nil {
			return nil, fault.E(fault.Internal, "write a table", err)
		}
	}
	w.Flush()
	return &tableOutput{ContentType: mediaCSV + "; charset=utf-8; header=present", Disposition: `attachment; filename="` + file + `.csv"`, Body: b.Bytes()}, fault.E(fault.Internal, "write a table", w.Error())
}

// formula are the characters with which a cell is taken for a formula by spreadsheets.
const formula = "=+-@\t\r"

// shielded puts an apostrophe before what a spreadsheet would take for a formula, and
// before what looks shielded already: bared takes it away again.
func shielded(cell string) string {
	if cell != "" && strings.ContainsRune(formula+"'", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}

// bared is a cell without the apostrophe that shielded put there, or a person: a cell
// that begins with an apostrophe and anything else stays as it is.
func bared(cell string) string {
	if len(cell) > 1 && cell[0] == '\'' && strings.ContainsRune(formula+"'", rune(cell[1])) {
		return cell[1:]
	}
	return cell
}
