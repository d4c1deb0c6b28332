package dialog

import (
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/stretchr/testify/require"

	"holdfast/telephony/headers"
)

// values are the headers as "Name: value".
func values(hs []sip.Header) (out []string) {
	for _, h := range hs {
		out = append(out, h.Name()+": "+h.Value())
	}
	return out
}

func TestTimer_OfferedAndAgreed_WeRefreshAtHalf(t *testing.T) {
	t.Parallel()
	d := outgoing(t)
	require.Equal(t, []string{"Session-Expires: 1800", "Min-SE: 90"}, values(d.Offer(TimerPolicy{})))
	inv := d.Invite(nil, d.Offer(TimerPolicy{})...)
	require.NoError(t, d.Answered(answer(t, inv, "200 OK", "them", "Contact: <sip:b@10.0.0.9>", "Session-Expires: 600;refresher=uac"), noon))
	require.Equal(t, RefreshLocal, d.Timer.Refresh)
	require.Equal(t, noon.Add(300*time.Second), d.Timer.Next())
	d.Timer.RefreshAt = time.Time{}
	require.Equal(t, noon.Add((600-32)*time.Second), d.Timer.Next())
	require.Equal(t, []string{"Session-Expires: 600;refresher=uac", "Min-SE: 90"}, values(d.Offer(TimerPolicy{})))

	later := noon.Add(300 * time.Second)
	up := d.Update(nil, d.Offer(TimerPolicy{})...)
	require.NoError(t, d.Answered(answer(t, up, "200 OK", "them", "Session-Expires: 90;refresher=uas"), later))
	require.Equal(t, RefreshRemote, d.Timer.Refresh)
	require.Equal(t, later.Add(60*time.Second), d.Timer.Next(), "min(32, a third) before the end")
	require.Equal(t, []string{"Session-Expires: 90;refresher=uas", "Min-SE: 90"}, values(d.Offer(TimerPolicy{})))
}

func TestTimer_PeerWithoutTimers_NoDeadline(t *testing.T) {
	t.Parallel()
	d := outgoing(t)
	inv := d.Invite(nil, d.Offer(TimerPolicy{})...)
	require.NoError(t, d.Answered(answer(t, inv, "200 OK", "them", "Contact: <sip:b@10.0.0.9>"), noon))
	require.True(t, d.Timer.Next().IsZero())
}

func TestTimer_422_NextOfferAsksForTheirMinimum(t *testing.T) {
	t.Parallel()
	d := outgoing(t)
	p := TimerPolicy{Interval: 120 * time.Second}
	inv := d.Invite(nil, d.Offer(p)...)
	res := answer(t, inv, "422 Session Interval Too Small", "x", "Min-SE: 3600")
	require.NoError(t, d.Answered(res, noon))
	require.True(t, d.TooSmall(res))
	require.False(t, d.TooSmall(res), "asked for the same again: no use")
	require.False(t, d.TooSmall(answer(t, inv, "422 x", "x")))
	d.Retry(nil)
	require.Equal(t, []string{"Session-Expires: 3600", "Min-SE: 3600"}, values(d.Offer(p)))
}

func TestTimer_Agree_FollowsRFC4028Table(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		lines   []string
		headers []string
		refresh Refresher
		ends    time.Duration
	}{
		{"nothing asked, nothing supported", nil, nil, "", 0},
		{"supported, we ask", []string{"Supported: 100rel, timer"}, []string{"Session-Expires: 1800;refresher=uac", "Require: timer"}, RefreshRemote, 1768 * time.Second},
		{"asked, they refresh", []string{"Supported: timer", "Session-Expires: 300;refresher=uac"}, []string{"Session-Expires: 300;refresher=uac", "Require: timer"}, RefreshRemote, 268 * time.Second},
		{"asked, we refresh", []string{"Supported: timer", "Session-Expires: 300;refresher=uas"}, []string{"Session-Expires: 300;refresher=uas"}, RefreshLocal, 268 * time.Second},
		{"a proxy asked", []string{"Session-Expires: 300"}, []string{"Session-Expires: 300;refresher=uas"}, RefreshLocal, 268 * time.Second},
		{"longer than ours is shortened", []string{"Supported: timer", "Session-Expires: 7200"}, []string{"Session-Expires: 1800;refresher=uac", "Require: timer"}, RefreshRemote, 1768 * time.Second},
		{"not below their minimum", []string{"Supported: timer", "Session-Expires: 7200", "Min-SE: 3600"}, []string{"Session-Expires: 3600;refresher=uac", "Require: timer"}, RefreshRemote, 3568 * time.Second},
		{"a proxy asked too little", []string{"Session-Expires: 5"}, nil, "", 0},
	} {
		d := incoming(t)
		got, err := d.Agree(inDialog(t, "INVITE", "8", test.lines...), TimerPolicy{}, noon)
		require.NoError(t, err, test.name)
		require.Equal(t, test.headers, values(got), test.name)
		require.Equal(t, test.refresh, d.Timer.Refresh, test.name)
		if test.ends > 0 {
			require.Equal(t, noon.Add(test.ends), d.Timer.ExpiresAt, test.name)
		} else {
			require.True(t, d.Timer.Next().IsZero(), test.name)
		}
	}
}

func TestTimer_AskedTooLittle_422WithOurMinimum(t *testing.T) {
	t.Parallel()
	d := incoming(t)
	_, err := d.Agree(inDialog(t, "INVITE", "8", "Supported: timer", "Session-Expires: 60"), TimerPolicy{}, noon)
	var reply *Reply
	require.ErrorAs(t, err, &reply)
	require.Equal(t, 422, reply.Code)
	require.Equal(t, []string{"Min-SE: 90"}, values(reply.Headers()))
}

func TestTimer_AbsurdAnswer_CannotMakeUsFlood(t *testing.T) {
	t.Parallel()
	d := outgoing(t)
	inv := d.Invite(nil)
	require.NoError(t, d.Answered(answer(t, inv, "200 OK", "them", "Session-Expires: 1;refresher=uac"), noon))
	require.Equal(t, noon.Add(15*time.Second), d.Timer.Next())
	require.Equal(t, "1 ACK", d.Ack().CSeq().Value())
	require.Equal(t, "SIP;cause=503", headers.Value(d.Bye(headers.Reason{Protocol: "SIP", Cause: 503}), "Reason"))
}
