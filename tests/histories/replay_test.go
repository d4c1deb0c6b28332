// Package histories keeps what workflows did in earlier builds. Every build must do
// the same again: a history here is never edited, a change of behaviour stands behind
// an id in workflows/changes.go.
package histories

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/workflows/replay"
	"holdfast/workflows/timeline"
)

func TestReplay_EveryRecordedHistory_ThisBuildDoesTheSame(t *testing.T) {
	t.Parallel()
	histories, err := replay.Files(".")
	require.NoError(t, err)
	files, err := filepath.Glob("*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	require.Len(t, histories, len(files), "every file is replayed")
	for _, h := range histories {
		t.Run(h.Title, func(t *testing.T) {
			t.Parallel()
			require.NoError(t, replay.Replay(h))
		})
	}
}

// These two were changed by hand: a replay that doesn't notice would notice nothing.
func TestReplay_HistoryOfAnotherProgram_Diverges(t *testing.T) {
	t.Parallel()
	histories, err := replay.Files("must_fail")
	require.NoError(t, err)
	require.Len(t, histories, 2)
	for _, h := range histories {
		require.ErrorContains(t, replay.Replay(h), "TMPRL1100", h.Title)
	}
	require.Error(t, replay.All(io.Discard, histories))
}

// The numbers of the parties are masked, and no event that concerns people is left
// without words.
func TestReplay_TimeLines_TellInWordsAndHideNumbers(t *testing.T) {
	t.Parallel()
	histories, err := replay.Files(".")
	require.NoError(t, err)
	for _, h := range histories {
		var out strings.Builder
		require.NoError(t, timeline.Write(&out, h.Title, h.Events))
		require.NotContains(t, out.String(), "12345678", h.Title)
		require.NotContains(t, out.String(), "EVENT_TYPE", h.Title)
		require.GreaterOrEqual(t, len(timeline.Lines(h.Events)), 3, h.Title)
	}
}

func TestRecord_FileExists_IsNotOverwritten(t *testing.T) {
	t.Parallel()
	histories, err := replay.Files(".")
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, replay.Record(dir, "again", histories[0]))
	require.Error(t, replay.Record(dir, "again", histories[0]))
	read, err := replay.Files(dir)
	require.NoError(t, err)
	require.NoError(t, replay.Replay(read[0]))
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Equal(t, "again."+kindOf(histories[0])+".json", files[0].Name())
}

// kindOf is the workflow type in the title: scenario.release.Type.
func kindOf(h replay.History) string { return strings.TrimPrefix(filepath.Ext(h.Title), ".") }
