package db_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/call"
	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/leg"
	"holdfast/domain/tenancy"
)

// requireField asks for a refusal with a sentence about one field.
func requireField(t *testing.T, err error, field, sentence string) {
	t.Helper()
	require.Equal(t, fault.Invalid, fault.KindOf(err), "%v", err)
	var e *fault.Error
	require.ErrorAs(t, err, &e)
	for _, f := range e.Fields {
		if f.Name == field {
			require.Contains(t, f.Sentence, sentence)
			return
		}
	}
	require.Fail(t, "no such field", "%s in %v", field, e.Fields)
}

// What an external device dials and what leads inside are never the same number, however
// either is written, and whichever is made first: a call would go round for ever.
func TestNumbersAndDevices_NoCallComesBack(t *testing.T) {
	t.Parallel()
	w := booking(t) // in China
	w.make(directory.Number, "+*", map[string]any{"trunk": "carrier"})
	own := directory.Change{Kind: directory.Number, Name: "8641188888888", Set: map[string]any{"queue": "support"}}
	mobile := directory.Change{Kind: directory.Device, Name: "home", Set: map[string]any{"kind": "external", "number": "0411 8888 8888"}}

	w.make(own.Kind, own.Name, own.Set)
	_, err := w.Create(t.Context(), w.ada(), mobile)
	requireField(t, err, "number", "+8641188888888 is a number of this tenant itself: a call to it would come back")
	require.NoError(t, w.Delete(t.Context(), w.ada(), directory.Change{Kind: own.Kind, Name: own.Name}))

	w.make(mobile.Kind, mobile.Name, mobile.Set)
	const back = `is what external device "home" dials: a call to it would come back`
	for _, name := range []string{"8641188888888", "+8641188888888", "041188888888", "008641188888888"} {
		_, err := w.Create(t.Context(), w.ada(), directory.Change{Kind: own.Kind, Name: name, Set: own.Set})
		requireField(t, err, "number", back)
	}
	_, err = w.Restore(t.Context(), w.ada(), directory.Change{Kind: own.Kind, Name: own.Name})
	requireField(t, err, "number", back)
	_, err = w.Create(t.Context(), w.ada(), directory.Change{Kind: directory.User, Name: "zoe", Set: map[string]any{"roles": []string{"regular_agent"}, "agent": "8641188888888"}})
	requireField(t, err, "agent", back)
	did, err := w.Import(t.Context(), w.ada(), directory.File{Kind: directory.Number, Rows: []directory.Row{{Number: 2, Name: own.Name, New: true, Set: own.Set}}})
	require.NoError(t, err)
	require.Equal(t, []directory.Problem{{Row: 2, Column: "number", Sentence: `8641188888888 ` + back}}, did.Problems)

	w.make(directory.Number, "041188888888", map[string]any{"trunk": "carrier"}) // that leads outside
	_, err = w.Update(t.Context(), w.ada(), directory.Change{Kind: directory.Number, Name: "041188888888", Set: map[string]any{"trunk": "", "queue": "support"}})
	requireField(t, err, "number", back)

	doc, err := w.Export(t.Context(), w.tenant)
	require.NoError(t, err)
	doc.Numbers = append(doc.Numbers, tenancy.Number{Number: "8641188888888", Queue: "support"})
	_, err = w.Apply(t.Context(), doc, true)
	require.ErrorContains(t, err, "is a number of this tenant itself: a call to it would come back")
}

// Of two who make the number and the device at one time, one is refused.
func TestNumbersAndDevices_MadeAtOneTime_NoCallComesBack(t *testing.T) {
	t.Parallel()
	w := booking(t)
	w.make(directory.Number, "+*", map[string]any{"trunk": "carrier"})
	for i := range 5 {
		var both sync.WaitGroup
		var errs [2]error
		both.Go(func() {
			_, errs[0] = w.Create(t.Context(), w.ada(), directory.Change{Kind: directory.Number, Name: fmt.Sprint("864118888888", i), Set: map[string]any{"queue": "support"}})
		})
		both.Go(func() {
			_, errs[1] = w.Create(t.Context(), w.ada(), directory.Change{Kind: directory.Device, Name: fmt.Sprint("home-", i), Set: map[string]any{"kind": "external", "number": fmt.Sprint("+864118888888", i)}})
		})
		both.Wait()
		require.True(t, (errs[0] == nil) != (errs[1] == nil), "%v, %v", errs[0], errs[1])
	}
}

// The policy dial_allowed is held against external devices when they are made and when it
// is narrowed, and against each number that is looked up.
func TestDialAllowed_IsHeldAgainstDevicesAndRoutes(t *testing.T) {
	t.Parallel()
	w := booking(t)
	limit := func(allowed ...string) error {
		_, err := w.Update(t.Context(), w.ada(), directory.Change{Kind: directory.Tenant, Name: string(w.tenant), Set: map[string]any{"policies": map[string]any{"dial_allowed": append([]string{}, allowed...)}}})
		return err
	}
	requireField(t, limit("+86", "0049"), "policies.dial_allowed[1]", "is not the beginning of an international number")
	requireRefused(t, limit("+41"), fault.Conflict, "device_unreachable")
	require.NoError(t, limit("+86", "+49"))
	thing, err := w.Thing(t.Context(), w.ada(), directory.Tenant, string(w.tenant))
	require.NoError(t, err)
	require.Contains(t, string(thing.Body), `"dial_allowed":["+86","+49"]`)
	_, err = w.Create(t.Context(), w.ada(), directory.Change{Kind: directory.Device, Name: "home", Set: map[string]any{"kind": "external", "number": "+43158858"}})
	requireField(t, err, "number", "only numbers that begin with +86 or +49 may be dialled")
	_, err = w.Create(t.Context(), w.ada(), directory.Change{Kind: directory.Device, Name: "line", Set: map[string]any{"kind": "external", "number": "+499001234567"}})
	requireField(t, err, "number", "premium rate")

	why := func(number string, kind call.RouteKind) string {
		var r call.Route
		require.Eventually(t, func() bool {
			var err error
			r, err = w.Route(t.Context(), w.tenant, number)
			return err == nil && r.Kind == kind
		}, 20*time.Second, 5*time.Millisecond)
		return r.Barred
	}
	require.Empty(t, why("041139735857", call.ToTrunk))
	require.Empty(t, why("0049301234567", call.ToTrunk))
	require.Contains(t, why("0043158858", call.ToTrunk), "+43158858 may not be dialled")
	require.Contains(t, why("00499001234567", call.ToTrunk), "premium rate")
	require.Contains(t, why("+43158858", call.ToNobody), "+43158858 may not be dialled", "the only trunk would take it")
	require.Empty(t, why("8000", call.ToQueue))

	require.NoError(t, limit())
	require.Eventually(t, func() bool { return why("0043158858", call.ToTrunk) == "" }, 20*time.Second, 5*time.Millisecond, "changed policies count at once")
	require.Contains(t, why("00499001234567", call.ToTrunk), "premium rate")
	w.exec(`UPDATE devices SET number = '+499001234567', dial = '00499001234567' WHERE tenant_id = $1 AND name = 'carrier'`, string(w.tenant))
	w.exec(`SELECT pg_notify('holdfast_directory', $1)`, string(w.tenant))
	require.Eventually(t, func() bool {
		r, err := w.Route(t.Context(), w.tenant, "5000")
		return err == nil && r.Targets[0] == leg.Address{Device: "carrier", Kind: leg.PSTN, URI: "00499001234567"} && r.Barred != ""
	}, 20*time.Second, 5*time.Millisecond, "also one that was kept since before")
}
