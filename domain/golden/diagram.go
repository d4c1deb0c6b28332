package golden

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Diagram draws the states of a machine from its matrix: a Mermaid state diagram,
// and a table of what leads from where to where. first and last are the states in
// which it begins and ends.
func Diagram(title, matrix, source, first, last string) string {
	edges := edgesOf(matrix)
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n", title)
	fmt.Fprintf(&b, "Drawn from `%s`, which says for every state and every event what follows,\nor why it is refused. Do not edit: run `go test ./domain/... -run Diagram -update`.\n\n", source)
	b.WriteString("```mermaid\nstateDiagram-v2\n")
	fmt.Fprintf(&b, "    [*] --> %s\n", first)
	for _, e := range sortedEdges(edges) {
		fmt.Fprintf(&b, "    %s --> %s: %s\n", e.from, e.to, strings.Join(edges[e].labels(), "<br/>"))
	}
	fmt.Fprintf(&b, "    %s --> [*]\n```\n\n", last)
	b.WriteString("| from | to | when |\n| --- | --- | --- |\n")
	for _, e := range sortedEdges(edges) {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", e.from, e.to, strings.Join(edges[e].words(), "; "))
	}
	b.WriteString("\n" + refusals(matrix))
	return b.String()
}

// edge is a change from one state to another.
type edge struct{ from, to string }

// causes are the events that make a change, each with the variants of the state in
// which it does; usual is the variant that needs no mention.
type causes struct {
	usual string
	in    map[string][]string
}

// words are the events with their particulars.
func (c causes) words() []string {
	var list []string
	for _, e := range slices.Sorted(maps.Keys(c.in)) {
		if !slices.Contains(c.in[e], c.usual) {
			e += " (" + strings.Join(c.in[e], " or ") + ")"
		}
		list = append(list, e)
	}
	return list
}

// labels are the events without their particulars; what happens only because a
// state is pending is said in one word.
func (c causes) labels() []string {
	var list []string
	for e, variants := range c.in {
		if !slices.Contains(variants, c.usual) && strings.HasPrefix(variants[0], "then ") {
			list = append(list, "any end of it, if pending")
			continue
		}
		kind, rest, _ := strings.Cut(e, " ")
		switch kind = strings.TrimSuffix(kind, ","); kind {
		case "offer_ended", "ring_ended", "arrived", "failed":
			kind += " " + strings.Split(rest, ",")[0]
		}
		list = append(list, kind)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func sortedEdges(edges map[edge]causes) []edge {
	list := slices.Collect(maps.Keys(edges))
	slices.SortFunc(list, func(a, b edge) int { return strings.Compare(a.from+" "+a.to, b.from+" "+b.to) })
	return list
}

// row is one line of the matrix: an event in a variant of a state, and its result.
type row struct{ state, variant, event, result string }

// edgesOf reads the changes of state, each with the events that make them.
func edgesOf(matrix string) map[edge]causes {
	edges, usual := map[edge]causes{}, map[string]string{}
	for _, r := range rowsOf(matrix) {
		if _, known := usual[r.state]; !known {
			usual[r.state] = r.variant
		}
		next, changes := strings.CutPrefix(r.result, "→ ")
		e := edge{r.state, stateOf(next)}
		if !changes || e.from == e.to {
			continue
		}
		if edges[e].in == nil {
			edges[e] = causes{usual[r.state], map[string][]string{}}
		}
		edges[e].in[r.event] = append(edges[e].in[r.event], r.variant)
	}
	return edges
}

// rowsOf reads the matrix.
func rowsOf(matrix string) []row {
	var rows []row
	state, variant := "", ""
	for l := range strings.Lines(matrix) {
		l = strings.TrimRight(l, "\n")
		if name, heading := strings.CutPrefix(l, "## "); heading {
			state = stateOf(name)
			variant = strings.TrimPrefix(strings.TrimPrefix(name, state), ", ")
			continue
		}
		if i := strings.IndexAny(l, "→=✗"); i > 0 {
			event := strings.TrimSpace(strings.Replace(l[:i], "its deadline: ", "", 1))
			rows = append(rows, row{state, variant, event, l[i:]})
		}
	}
	return rows
}

// stateOf is the name of the state at the beginning of a label: "Busy[c1] then …".
func stateOf(label string) string {
	if i := strings.IndexAny(label, " ,[("); i >= 0 {
		return label[:i]
	}
	return label
}

// refusals is the table of what is refused where, with the sentence a person reads.
func refusals(matrix string) string {
	said := map[string]map[string]bool{}
	for _, r := range rowsOf(matrix) {
		sentence, refused := strings.CutPrefix(r.result, "✗ ")
		if !refused {
			continue
		}
		if said[sentence] == nil {
			said[sentence] = map[string]bool{}
		}
		said[sentence][r.state+": "+r.event] = true
	}
	if len(said) == 0 {
		return "Nothing is refused.\n"
	}
	var b strings.Builder
	b.WriteString("| refused | where |\n| --- | --- |\n")
	for _, s := range slices.Sorted(maps.Keys(said)) {
		fmt.Fprintf(&b, "| %s | %s |\n", s, strings.Join(slices.Sorted(maps.Keys(said[s])), "; "))
	}
	return b.String()
}
