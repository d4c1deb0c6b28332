package agent_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/domain/golden"
)

// The diagram in the docs is drawn from the matrix, and up to date.
func TestDiagram_IsDrawnFromTheMatrix(t *testing.T) {
	t.Parallel()
	const matrix = "testdata/transitions.txt"
	text, err := os.ReadFile(matrix)
	require.NoError(t, err)
	golden.Compare(t, "../../docs/states/agent.md", golden.Diagram("The states of an agent session", string(text), "domain/agent/"+matrix, "LoggedOff", "LoggedOff"))
}
