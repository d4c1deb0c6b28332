package mainjob

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"

	"holdfast/domain/id"
	"holdfast/tests/stage"
	"holdfast/workflows"
	"holdfast/workflows/replay"
	"holdfast/workflows/timeline"
)

// about are the types of the messages about a subject, in order.
func about(told []stage.Told, subject string) (types []string) {
	for _, t := range told {
		if strings.HasPrefix(t.Subject, subject) {
			types = append(types, t.Type)
		}
	}
	return types
}

// inOrder proves that no subject's sequence goes back.
func inOrder(t *testing.T, told []stage.Told) {
	t.Helper()
	last := map[string]int64{}
	for _, m := range told {
		require.Greater(t, m.Sequence, last[m.Subject], "%s of %s", m.Type, m.Subject)
		last[m.Subject] = m.Sequence
	}
}

func has(types ...string) func([]stage.Told) bool {
	return func(told []stage.Told) bool {
		all := fmt.Sprint(about(told, ""))
		for _, want := range types {
			if !strings.Contains(all, want) {
				return false
			}
		}
		return true
	}
}

// one lets a customer talk with the agent once.
func one(t *testing.T, ten *stage.Tenant, a *stage.Agent, from string) {
	t.Helper()
	customer := ten.Call(from, "8000")
	rung := a.Answered()
	ten.Talk(customer, rung)
	a.Wait("Busy")
	require.NoError(t, customer.HangUp())
	a.Wait("Ready")
}

// deliveries are the items of a webhook's list.
func deliveries(t *testing.T, r *stage.Receiver, query string) (items []map[string]any) {
	t.Helper()
	for _, i := range asked(t, r.API, http.StatusOK, http.MethodGet, "/v1/webhooks/"+r.Name+"/deliveries"+query, nil)["items"].([]any) {
		items = append(items, i.(map[string]any))
	}
	return items
}

// SEED-63: an outside CRM follows a real call: each message is signed, in the order of its
// subject, with the view as the API shows it. It can be looked at, sent again, replayed.
func TestWebhook_ARealCall_IsToldInOrderAndSigned(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	crm := ten.Receiver("crm", map[string]any{"headers": map[string]string{"X-Key": "k"}}, nil)
	a := ten.ReadyAgent(1)
	one(t, ten, a, "4930701")
	told := crm.WaitAccepted("the end of the call, and that the agent was Busy", has("call.cleared", "agent.busy"))
	require.Equal(t, []string{"call.offered", "call.established", "call.cleared"}, about(told, "call:"))
	inOrder(t, told)
	for _, m := range told {
		require.Equal(t, ten.Domain, m.Tenant)
		require.Equal(t, "event", m.Cause)
	}
	require.Contains(t, string(told[indexOf(told, "call.cleared")].Data), `"version"`)

	a.SignOut()
	told = crm.WaitAccepted("the sign-out", has("agent.logged_off"))
	require.Eventually(t, func() bool { return len(deliveries(t, crm, "?state=delivered&limit=200")) == len(told) }, stage.Patience, stage.Soon,
		"that it was accepted is written a moment later")
	require.Empty(t, deliveries(t, crm, "?state=pending"))
	ofCall := deliveries(t, crm, "?subject="+told[indexOf(told, "call.cleared")].Subject)
	require.Len(t, ofCall, 3)
	detail := asked(t, crm.API, http.StatusOK, http.MethodGet, "/v1/webhooks/crm/deliveries/"+ofCall[0]["id"].(string), nil)
	require.Equal(t, "call.cleared", detail["request_body"].(map[string]any)["type"])
	require.EqualValues(t, 204, detail["status"])

	asked(t, crm.API, http.StatusAccepted, http.MethodPost, "/v1/webhooks/crm/deliveries/"+ofCall[0]["id"].(string)+"/redeliver", nil)
	again := crm.WaitAccepted("the redelivery", func(now []stage.Told) bool { return len(now) == len(told)+1 })
	require.Equal(t, ofCall[0]["message_id"], again[len(told)].ID, "the same id, so that a receiver can drop it")
	require.Equal(t, "redelivery", again[len(told)].Cause)
	replayed := asked(t, crm.API, http.StatusAccepted, http.MethodPost, "/v1/webhooks/crm/replay",
		map[string]any{"from": time.Now().Add(-time.Hour).Format(time.RFC3339), "events": []string{"call.*"}})
	require.EqualValues(t, 3, replayed["queued"])
	again = crm.WaitAccepted("the replay", func(now []stage.Told) bool { return len(now) == len(told)+4 })
	require.Equal(t, []string{"call.offered", "call.established", "call.cleared"}, about(again[len(told)+1:], "call:"))
	inOrder(t, again[len(told)+1:])
	asked(t, crm.API, http.StatusAccepted, http.MethodPost, "/v1/webhooks/crm/test", nil)
	crm.WaitAccepted("the ping", has("ping"))
	h := hall.History(t, "webhook_follows_a_call", id.WebhookWorkflow(id.Tenant(ten.Domain), "crm"))
	require.NotEmpty(t, h.Events)
	trail(t, crm.API, "admin@ webhook.redeliver webhook:crm ok")
	trail(t, crm.API, "admin@ webhook.replay webhook:crm ok")
}

func indexOf(told []stage.Told, what string) int {
	for i, t := range told {
		if t.Type == what {
			return i
		}
	}
	return -1
}

// A receiver that fails twice is asked again; what comes later of that subject waits, and
// other subjects don't.
func TestWebhook_ReceiverFailsTwice_TheSubjectWaitsAndOthersDont(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	crm := ten.Receiver("crm", nil, func(m stage.Told, _ http.ResponseWriter) int {
		if n, _ := strconv.Atoi(m.Attempt); m.Type == "call.offered" && n <= 2 {
			return http.StatusInternalServerError
		}
		return http.StatusOK
	})
	a := ten.ReadyAgent(1)
	one(t, ten, a, "4930702")
	told := crm.WaitAccepted("the end of the call", has("call.cleared", "agent.ready"))
	require.Equal(t, []string{"call.offered", "call.established", "call.cleared"}, about(told, "call:"))
	inOrder(t, told)
	var tries []int
	for _, m := range crm.Told() {
		if m.Type == "call.offered" {
			tries = append(tries, m.Status)
		}
	}
	require.Equal(t, []int{500, 500, 200}, tries)
	require.Eventually(t, func() bool {
		ofCall := deliveries(t, crm, "?state=delivered&subject="+told[indexOf(told, "call.offered")].Subject)
		return len(ofCall) == 3 && ofCall[2]["attempts"] == 3.0
	}, stage.Patience, stage.Soon, "that it was accepted is written a moment later")
	a.SignOut()
	crm.WaitAccepted("the sign-out", has("agent.logged_off"))
	hall.History(t, "webhook_receiver_fails_twice", id.WebhookWorkflow(id.Tenant(ten.Domain), "crm"))
}

// 410 disables the webhook, with a line of the trail, and nothing is sent any more; when it
// is enabled again, what waited is sent.
func TestWebhook_ReceiverIsGone_TheWebhookIsDisabledUntilSomebodyEnablesIt(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	crm := ten.Receiver("crm", map[string]any{"events": []string{"agent.*"}}, func(stage.Told, http.ResponseWriter) int { return http.StatusGone })
	a := ten.Agent(1)
	a.SignIn()
	trail(t, crm.API, "system@ webhook.disable webhook:crm ok")
	now := asked(t, crm.API, http.StatusOK, http.MethodGet, "/v1/webhooks/crm", nil)
	require.Equal(t, false, now["enabled"])
	require.Equal(t, "gone", now["disabled_because"])
	a.Ready()
	crm.Answer(nil)
	asked(t, crm.API, http.StatusOK, http.MethodPatch, "/v1/webhooks/crm", map[string]any{"enabled": true})
	a.NotReady("LUNCH")
	told := crm.WaitAccepted("what comes after it was enabled", func(told []stage.Told) bool {
		return slices.ContainsFunc(told, func(m stage.Told) bool { return strings.Contains(string(m.Data), "LUNCH") })
	})
	require.NotContains(t, about(told, ""), "agent.ready", "what happened while it was disabled is not told; a replay does")
}

// What stands inside can't be reached: neither by an address, nor by a redirection from one
// that may be called.
func TestWebhook_WhatStandsInsideCantBeReached(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	inside := ten.Receiver("inside", map[string]any{"enabled": false}, nil)
	for _, url := range []string{"http://10.0.0.1/", "https://169.254.169.254/latest/meta-data", "https://[fd00::1]/", "http://192.168.0.1:8080/"} {
		ans, err := inside.API.Do(t.Context(), http.MethodPost, "/v1/webhooks", map[string]any{"name": "x", "url": url})
		require.NoError(t, err)
		require.Equal(t, http.StatusUnprocessableEntity, ans.Status, url)
	}
	var target string
	crm := ten.Receiver("crm", map[string]any{"events": []string{"call.*"}}, func(_ stage.Told, w http.ResponseWriter) int {
		w.Header().Set("Location", target)
		return http.StatusTemporaryRedirect
	})
	target = asked(t, inside.API, http.StatusOK, http.MethodGet, "/v1/webhooks/inside", nil)["url"].(string)
	ping := asked(t, crm.API, http.StatusAccepted, http.MethodPost, "/v1/webhooks/crm/test", nil)
	require.Eventually(t, func() bool {
		d := asked(t, crm.API, http.StatusOK, http.MethodGet, "/v1/webhooks/crm/deliveries/"+ping["id"].(string), nil)
		return d["state"] == "failed" && d["status"] == float64(http.StatusTemporaryRedirect)
	}, stage.Patience, stage.Soon)
	require.Empty(t, inside.Told(), "a redirection is not followed")
}

// Nobody of another tenant sees a webhook or what was sent to it.
func TestWebhook_OfAnotherTenant_IsNotThere(t *testing.T) {
	t.Parallel()
	ten, other := hall.Tenant(t, stage.Plan{}), hall.Tenant(t, stage.Plan{})
	crm := ten.Receiver("crm", nil, nil)
	ping := asked(t, crm.API, http.StatusAccepted, http.MethodPost, "/v1/webhooks/crm/test", nil)
	stranger := other.Login("admin")
	for _, path := range []string{"", "/deliveries", "/deliveries/" + ping["id"].(string)} {
		asked(t, stranger, http.StatusNotFound, http.MethodGet, "/v1/webhooks/crm"+path, nil)
	}
	for _, path := range []string{"/rotate-secret", "/test", "/deliveries/" + ping["id"].(string) + "/redeliver"} {
		asked(t, stranger, http.StatusNotFound, http.MethodPost, "/v1/webhooks/crm"+path, nil)
	}
	require.Empty(t, asked(t, stranger, http.StatusOK, http.MethodGet, "/v1/webhooks", nil)["items"])
	crm.WaitAccepted("the ping", has("ping"))
}

// The care of all webhooks has done its first round, and its history replays.
func TestWebhook_CareOfAll_Replays(t *testing.T) {
	t.Parallel()
	c := hall.Client(t)
	var h replay.History
	require.Eventually(t, func() bool {
		var err error
		h, err = replay.Fetch(t.Context(), c, workflows.StartWebhookCare().ID, "")
		return err == nil && timeline.Actions(h.Events)[timeline.Timers] == 1
	}, stage.Patience, 50*time.Millisecond)
	require.NoError(t, replay.Replay(h))
	if dir := os.Getenv("HOLDFAST_RECORD"); dir != "" {
		require.NoError(t, replay.Record(dir, "webhook_care.v0.1", h))
	}
}

// A tenant without a webhook has no workflow of one, whatever it does.
func TestWebhook_ATenantWithoutOne_PaysNothingAtTemporal(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	a := ten.ReadyAgent(1)
	one(t, ten, a, "4930703")
	a.SignOut()
	c := hall.Client(t)
	count := func(query string) (n int) {
		ctx, cancel := context.WithTimeout(t.Context(), stage.Patience)
		defer cancel()
		found, err := c.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{Query: query})
		require.NoError(t, err)
		for _, w := range found.GetExecutions() {
			if w.GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_UNSPECIFIED {
				n++
			}
		}
		return n
	}
	// Call and session are visible: a workflow of a webhook would be, too.
	require.Eventually(t, func() bool { return count(fmt.Sprintf("CCTenant = '%s'", ten.Domain)) == 2 }, stage.Patience, stage.Soon)
	require.Zero(t, count(fmt.Sprintf("WorkflowType = 'Webhook' AND CCTenant = '%s'", ten.Domain)))
	var rows int
	require.NoError(t, hall.SQL(t).QueryRow(t.Context(), `SELECT count(*) FROM deliveries WHERE tenant_id = $1`, ten.Domain).Scan(&rows))
	require.Zero(t, rows)
}
