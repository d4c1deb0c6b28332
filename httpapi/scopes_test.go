package httpapi

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/domain/account"
	"holdfast/domain/id"
)

// without are the permissions that no request asks for yet, with the reason.
var without = map[account.Permission]string{
	account.CallsMonitor: "listening to calls is to come; roles may be made for it already (docs/integrating.md)",
}

// Every permission that can be granted, with every scope that it can have, opens what asks
// for it, and nothing opens without it; or it stands above with the reason.
func TestPermissions_EveryOneWithEveryScopeHasAnEffect(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	asked := map[account.Permission]*route{}
	inside := map[account.Permission]bool{}
	for _, group := range routes {
		for _, r := range group {
			if p, ok := r.access.permission(); ok && asked[p.Action()] == nil {
				asked[p.Action()] = &r
			}
			for _, p := range within[r.name] {
				inside[p.Action()] = true
			}
		}
	}
	holder := h.reader.users["1001"]
	pairs := 0
	for _, p := range account.All() {
		reason, listed := without[p]
		require.Equal(t, !listed, asked[p] != nil || inside[p], "%s is asked for somewhere, or listed with its reason: %s", p, reason)
		for _, scope := range account.ScopesOf(p) {
			pairs++
			r := asked[p]
			if r == nil {
				continue // an action within an endpoint: TestPermissions_EveryActionWithinAnEndpoint
			}
			holder.Name, holder.Permissions, holder.Teams = id.User(fmt.Sprint("holder-", pairs)), []account.Permission{p.At(scope)}, []id.Team{"first"}
			h.reader.users[holder.Name] = holder
			refused := func() bool {
				got := h.call(holder.Name, *r, nil)
				return got.Code == http.StatusForbidden && got.body["code"] == "forbidden" && strings.Contains(fmt.Sprint(got.body["detail"]), "permission "+string(p)+" ")
			}
			require.False(t, refused(), "%s at %s opens %s", p, scope, r.name)
			holder.Permissions = nil
			h.reader.users[holder.Name] = holder
			h.api.persons.forget()
			require.True(t, refused(), "%s is closed without %s", r.name, p)
		}
	}
	require.Greater(t, pairs, 250)
	for p := range without {
		require.True(t, slices.Contains(account.All(), p), "%s can be granted", p)
	}
}
