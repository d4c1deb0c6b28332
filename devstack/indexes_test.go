package devstack

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestColumnOf_SpareIndexes_NamesTheirColumns(t *testing.T) {
	t.Parallel()
	for index, column := range map[string]string{
		"by_keyword_07":                          "Keyword07",
		"by_keyword_list_01":                     "KeywordList01",
		"by_temporal_low_cardinality_keyword_01": "TemporalLowCardinalityKeyword01",
	} {
		require.Regexp(t, spare, index)
		require.Equal(t, column, columnOf(index))
	}
	for _, used := range []string{"default_idx", "by_status", "by_temporal_change_version", "by_workflow_id"} {
		require.NotRegexp(t, spare, used)
	}
}
