package mainjob

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/domain/tenancy"
	"holdfast/telephony/headers"
	"holdfast/telephony/softphone"
	"holdfast/tests/stage"
)

// An agent's phone that withholds its number (CLIR) shows it to nobody: not to the customer
// outside, whose carrier alone is told, and not to a colleague, neither on its phone nor on its
// page. The record says who it was.
func TestAgentWithholdsItsNumber_NobodySeesIt(t *testing.T) {
	t.Parallel()
	var ten *stage.Tenant
	var beyond *softphone.Phone
	ten, beyond = inGermany(t, tenancy.CallPolicies{}, func(d *tenancy.Document) { d.Trunks[0].CallerID = "+493055500" })
	a, colleague := ten.Agent(1), ten.Agent(2)
	a.SignIn()
	colleague.SignIn()
	call, err := a.Phone.Dial(ten.Context(), softphone.Dial{To: "03055501", From: "sip:anonymous@anonymous.invalid", Headers: map[string]string{"Privacy": "id"}})
	require.NoError(t, err)
	rung := ten.Offered(beyond, "the customer")
	require.Equal(t, "sip:anonymous@anonymous.invalid", rung.Invite.From().Address.String())
	require.Equal(t, "id", headers.Value(rung.Invite, "Privacy"))
	require.Equal(t, "<sip:+493055500@127.0.0.1>", headers.Value(rung.Invite, "P-Asserted-Identity"))
	require.NoError(t, call.HangUp())
	record := ten.WaitCall("end", func(c stage.CallView) bool { return c.Phase == "Ended" && c.To == "03055501" })
	require.Equal(t, "outbound_manual 1001", record.Class+" "+record.From)

	call, err = a.Phone.Dial(ten.Context(), softphone.Dial{To: "1002", Headers: map[string]string{"Privacy": "id"}})
	require.NoError(t, err)
	inside := ten.Offered(colleague.Phone, "the colleague")
	require.Equal(t, "sip:anonymous@anonymous.invalid", inside.Invite.From().Address.String())
	require.NoError(t, inside.Answer())
	ten.WaitUp(call)
	require.NoError(t, call.HangUp())

	trunk := asked(t, ten.Login("admin"), http.StatusOK, http.MethodPatch, "/v1/trunks/carrier", map[string]any{"identity": "none", "caller_id": "+493055599"})
	require.Equal(t, "none", trunk["identity"])
	require.Eventually(t, func() bool { // as soon as the node has heard of it
		call := dials(t, ten, a, "03055502")
		rung := ten.Offered(beyond, "the customer")
		require.Equal(t, "", headers.Value(rung.Invite, "Privacy"))
		told, from := headers.Value(rung.Invite, "P-Asserted-Identity"), rung.Invite.From().Address.User
		require.NoError(t, call.HangUp())
		ten.WaitEnded(rung)
		return told == "" && from == "+493055599"
	}, stage.Patience, stage.Patience/100)
}
