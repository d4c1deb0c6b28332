package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/domain/record"
)

// SEED-4: doctor says which trail was tampered with, and where.
func TestDoctor_TellsATamperedTrail(t *testing.T) {
	t.Parallel()
	whole := record.AuditChain{Tenant: "acme.example", Lines: 20, Head: []byte{0xab, 0xcd}}
	broken := record.AuditChain{Tenant: "demo.localhost", Lines: 6, Broken: 7, Why: "is missing"}
	found := auditFindings([]record.AuditChain{whole, broken})
	require.Len(t, found, 1)
	require.True(t, found[0].wrong)
	require.Equal(t, "the trail of demo.localhost was tampered with: line 7 is missing", found[0].sentence)
	found = auditFindings([]record.AuditChain{whole})
	require.Len(t, found, 1)
	require.False(t, found[0].wrong || found[0].warning)
	require.Contains(t, found[0].sentence, "20 lines in 1 trail: all as they were written (acme.example 20:abcd)")
	require.Empty(t, auditFindings(nil))
}
