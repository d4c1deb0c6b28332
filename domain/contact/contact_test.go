package contact_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/domain/contact"
)

func ExampleTerms() {
	fmt.Println(contact.Terms("Groß-Meyer  meyer", ""))
	fmt.Println(contact.Terms("(030) 123456-01", "DE"))
	fmt.Println(contact.Terms("Erika@Example.com", ""))
	// Output:
	// [gross meyer]
	// [493012345601]
	// [erika@example.com]
}

// What is searched for is found by what is kept, whatever the notation.
func TestTerms_FitTheWords(t *testing.T) {
	t.Parallel()
	words := contact.Words([]string{"Łukasz Żak", "ACME, Inc."}, []string{"L.Zak@acme.example"}, []string{"+493012345601"}, "DE")
	for _, search := range []string{"lukasz", "zak łuk", "acme", "inc", "l.zak@", "+49 30 123", "030123", "03012345601", "00493012345601", "493012345601"} {
		for _, term := range contact.Terms(search, "DE") {
			require.Condition(t, func() bool {
				for _, w := range words {
					if len(w) >= len(term) && w[:len(term)] == term {
						return true
					}
				}
				return false
			}, "%s: no word of %v begins with %s", search, words, term)
		}
	}
	require.Empty(t, contact.Terms(" %_- ", "DE"))
	require.Len(t, contact.Terms("a b c d e f g h i j k", ""), 8)
}

// Values keep to their field's type, and a change takes away with null.
func TestMerged_ChecksEachType(t *testing.T) {
	t.Parallel()
	fields := []contact.Field{
		{Key: "t", Type: contact.Text}, {Key: "n", Type: contact.Number}, {Key: "d", Type: contact.Date},
		{Key: "c", Type: contact.Choice, Choices: []string{"a", "b"}}, {Key: "b", Type: contact.Boolean, Required: true},
	}
	good := map[string]any{"t": "x", "n": 1.5, "d": "2026-11-21", "c": "a", "b": false}
	after, wrong := contact.Merged(fields, nil, good)
	require.Empty(t, wrong)
	require.Equal(t, good, after)
	for key, bad := range map[string]any{"t": "a\nb", "n": "1", "d": "21.11.2026", "c": "z", "b": "yes", "x": 1} {
		_, wrong := contact.Merged(fields, good, map[string]any{key: bad})
		require.Len(t, wrong, 1, key)
		require.Equal(t, "fields."+key, wrong[0].Name)
	}
	after, wrong = contact.Merged(fields, good, map[string]any{"t": nil})
	require.Empty(t, wrong)
	require.NotContains(t, after, "t")
	require.Contains(t, good, "t", "what was given stays as it is")
	_, wrong = contact.Merged(fields, good, map[string]any{"b": nil})
	require.Equal(t, "fields.b", wrong[0].Name)
}
