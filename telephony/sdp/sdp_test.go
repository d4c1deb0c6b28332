package sdp

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/emiago/sipgo/sip"
	"github.com/stretchr/testify/require"
)

const phoneOffer = `v=0
o=phone 123 7 IN IP4 10.0.0.9
s=call
c=IN IP4 10.0.0.9
t=0 0
m=audio 4000 RTP/AVP 97 8 0 96
a=rtpmap:97 opus/48000/2
a=fmtp:97 useinbandfec=1
a=rtpmap:8 PCMA/8000
a=rtpmap:96 telephone-event/8000
a=fmtp:96 0-15
a=ptime:30
a=rtcp:4100 IN IP4 10.0.0.9
`

func crlf(s string) []byte { return []byte(strings.ReplaceAll(s, "\n", "\r\n")) }

func parse(t *testing.T, s string) *Session {
	t.Helper()
	got, err := Parse(crlf(s))
	require.NoError(t, err, s)
	return got
}

func ours() *Local {
	l := New("192.0.2.1", 20000, PCMU, PCMA, DTMF)
	l.SessionID = 5
	return l
}

func TestAnswer_PhoneOffer_FirstCommonCodecWithItsNumbers(t *testing.T) {
	t.Parallel()
	l := ours()
	answer, a, err := l.Answer(parse(t, phoneOffer))
	require.NoError(t, err)
	require.Equal(t, string(crlf(`v=0
o=- 5 1 IN IP4 192.0.2.1
s=-
c=IN IP4 192.0.2.1
t=0 0
m=audio 20000 RTP/AVP 8 96
a=rtpmap:8 PCMA/8000
a=rtpmap:96 telephone-event/8000
a=fmtp:96 0-16
a=ptime:20
a=sendrecv
`)), string(answer))
	require.Equal(t, "PCMA", a.Codec.Name)
	require.EqualValues(t, 96, a.Event.SendPT)
	require.EqualValues(t, 96, a.Event.RecvPT)
	require.Equal(t, 30, a.PTime)
	require.Equal(t, 4100, a.RTCPPort)
	require.Equal(t, SendRecv, a.Direction)
	require.Len(t, a.Codecs, 2)
	remote, ok := a.Remote()
	require.True(t, ok)
	require.Equal(t, "10.0.0.9:4000", remote.String())
}

func TestAnswer_ManyStreams_AllButTheAudioRefusedCountKept(t *testing.T) {
	t.Parallel()
	offer := parse(t, `v=0
o=- 1 1 IN IP4 10.0.0.9
s=-
c=IN IP4 10.0.0.9
t=0 0
m=audio 4010 RTP/SAVP 0
m=video 4020 RTP/AVP 31 34
a=mid:v
m=audio 4000 RTP/AVP 0
a=mid:a
m=audio 4002 RTP/AVP 0
m=image 4004 udptl t38
`)
	answer, a, err := ours().Answer(offer)
	require.NoError(t, err)
	require.Equal(t, 4000, a.Port)
	require.Equal(t, []string{"m=audio 0 RTP/SAVP 0", "m=video 0 RTP/AVP 31 34", "m=audio 20000 RTP/AVP 0", "m=audio 0 RTP/AVP 0", "m=image 0 UDPTL t38"}, lines(answer, "m="))
	require.Equal(t, []string{"a=mid:v", "a=mid:a"}, lines(answer, "a=mid"))
	require.Nil(t, a.Event)
}

func lines(body []byte, prefix string) (out []string) {
	for _, line := range strings.Split(string(body), "\r\n") {
		if strings.HasPrefix(line, prefix) {
			out = append(out, line)
		}
	}
	return out
}

func TestAnswer_Unacceptable_488(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		media string
		err   error
	}{
		"foreign codecs":  {"m=audio 4000 RTP/AVP 18 96\na=rtpmap:96 AMR/8000\n", ErrNoCommonCodec},
		"only events":     {"m=audio 4000 RTP/AVP 101\na=rtpmap:101 telephone-event/8000\n", ErrNoCommonCodec},
		"SRTP only":       {"m=audio 4000 RTP/SAVP 0\n", ErrNoAudio},
		"browser":         {"m=audio 4000 UDP/TLS/RTP/SAVPF 0\n", ErrNoAudio},
		"no audio at all": {"m=video 4000 RTP/AVP 31\n", ErrNoAudio},
		"refused audio":   {"m=audio 0 RTP/AVP 0\n", ErrNoAudio},
		"nothing":         {"", ErrNoAudio},
	} {
		l := ours()
		_, _, err := l.Answer(parse(t, "v=0\no=- 1 1 IN IP4 1.2.3.4\ns=-\nc=IN IP4 1.2.3.4\nt=0 0\n"+test.media))
		require.ErrorIs(t, err, test.err, name)
		require.Equal(t, sip.StatusNotAcceptableHere, Status(err), name)
		require.Zero(t, l.Version, name)
	}
}

func TestAnswer_Directions_AreMirroredAndLimitedByOurWish(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		offer string
		want  Direction
		got   Direction
		held  bool
	}{
		{"a=sendrecv", "", SendRecv, false},
		{"a=sendonly", "", RecvOnly, true},
		{"a=recvonly", "", SendOnly, false},
		{"a=inactive", "", Inactive, true},
		{"c=IN IP4 0.0.0.0", "", RecvOnly, true},
		{"c=IN IP4 0.0.0.0\na=sendonly", "", RecvOnly, true},
		{"c=IN IP4 0.0.0.0\na=recvonly", "", Inactive, true},
		{"a=sendrecv", SendOnly, SendOnly, false},
		{"a=sendonly", SendOnly, Inactive, true},
	} {
		l := ours()
		l.Want = test.want
		answer, a, err := l.Answer(parse(t, strings.Replace(phoneOffer, "a=ptime:30", test.offer, 1)))
		require.NoError(t, err)
		require.Equal(t, test.got, a.Direction, test.offer)
		require.Equal(t, test.held, a.Held, test.offer)
		require.Contains(t, string(answer), "a="+string(test.got)+"\r\n")
		require.Contains(t, string(answer), "c=IN IP4 192.0.2.1\r\n", "our address stays real")
		_, reachable := a.Remote()
		require.Equal(t, !strings.Contains(test.offer, "0.0.0.0"), reachable)
	}
	session := parse(t, strings.Replace(strings.Replace(phoneOffer, "t=0 0", "t=0 0\na=sendonly", 1), "a=ptime:30", "a=x", 1))
	require.Equal(t, SendOnly, session.Media[0].Direction(), "the session's direction holds for its streams")
}

func TestOffer_OursAnswered_NumbersOfEachSide(t *testing.T) {
	t.Parallel()
	l := New("2001:db8::1", 20000, G722, PCMU, DTMF, Opus, DTMF48)
	l.RTCPMux = true
	l.Extra = []Attribute{{Key: "label", Value: "1"}, {Key: "x"}}
	offer := l.Offer()
	require.Equal(t, []string{"m=audio 20000 RTP/AVP 9 0 101 96 97"}, lines(offer, "m="))
	require.Equal(t, []string{"c=IN IP6 2001:db8::1"}, lines(offer, "c="))
	require.Equal(t, []string{"a=label:1"}, lines(offer, "a=label"))
	answer := parse(t, `v=0
o=- 1 1 IN IP4 10.0.0.9
s=-
c=IN IP4 10.0.0.9
t=0 0
m=audio 4000 RTP/AVP 110 111
a=rtpmap:110 OPUS/48000/2
a=rtpmap:111 telephone-event/48000
a=rtcp-mux
a=recvonly
`)
	a, err := l.Accept(answer)
	require.NoError(t, err)
	require.EqualValues(t, 110, a.Codec.SendPT)
	require.EqualValues(t, 96, a.Codec.RecvPT)
	require.EqualValues(t, 111, a.Event.SendPT)
	require.EqualValues(t, 97, a.Event.RecvPT)
	require.Equal(t, SendOnly, a.Direction)
	require.True(t, a.RTCPMux)
	require.Equal(t, 4000, a.RTCPPort)
}

func TestAccept_BadAnswers_AreErrors(t *testing.T) {
	t.Parallel()
	head := "v=0\no=- 1 1 IN IP4 1.2.3.4\ns=-\nc=IN IP4 1.2.3.4\nt=0 0\n"
	for media, want := range map[string]error{
		"":                         ErrMalformed,
		"m=audio 0 RTP/AVP 0\n":    ErrNoAudio,
		"m=audio 9 RTP/SAVP 0\n":   ErrNoAudio,
		"m=video 9 RTP/AVP 0\n":    ErrNoAudio,
		"m=audio 9 RTP/AVP 18 3\n": ErrNoCommonCodec,
	} {
		l := ours()
		l.Offer()
		_, err := l.Accept(parse(t, head+media))
		require.ErrorIs(t, err, want, media)
	}
}

func TestVersion_GrowsOnlyWhenTheDescriptionChanges(t *testing.T) {
	t.Parallel()
	l := ours()
	first := l.Offer()
	require.Equal(t, first, l.Offer(), "a session refresh repeats the description")
	require.EqualValues(t, 1, l.Version)
	l.Want = SendOnly
	hold := l.Offer()
	require.Equal(t, []string{"o=- 5 2 IN IP4 192.0.2.1"}, lines(hold, "o="))
	require.Equal(t, []string{"a=sendonly"}, lines(hold, "a=send"))

	text, err := json.Marshal(l)
	require.NoError(t, err)
	var restored Local
	require.NoError(t, json.Unmarshal(text, &restored))
	require.Equal(t, hold, restored.Offer(), "also in another process")
	restored.Want = SendRecv
	require.Equal(t, []string{"o=- 5 3 IN IP4 192.0.2.1"}, lines(restored.Offer(), "o="))
}

func TestOffer_AfterTheirs_KeepsStreamsAndNumbers(t *testing.T) {
	t.Parallel()
	l := New("192.0.2.1", 20000, PCMU, PCMA, Codec{Name: "iLBC", Rate: 8000, PT: 96}, DTMF)
	_, _, err := l.Answer(parse(t, phoneOffer+"m=video 4002 RTP/AVP 31\n"))
	require.NoError(t, err)
	offer := l.Offer()
	require.Equal(t, []string{"m=audio 20000 RTP/AVP 0 8 97 96", "m=video 0 RTP/AVP 31"}, lines(offer, "m="),
		"full capability again; 96 means telephone-event in this session")
	require.Equal(t, []string{"a=rtpmap:97 iLBC/8000"}, lines(offer, "a=rtpmap:97"))
	require.Equal(t, offer, l.Offer())
	a, err := l.Accept(parse(t, phoneOffer+"m=video 0 RTP/AVP 31\n"))
	require.NoError(t, err)
	require.Equal(t, "PCMA", a.Codec.Name)
}

func TestCodecs_UnknownNames_ArePassedOn(t *testing.T) {
	t.Parallel()
	s := parse(t, "v=0\no=- 1 1 IN IP4 1.2.3.4\nc=IN IP4 1.2.3.4\nm=audio 9 RTP/AVP 99 98 18 77 0 0 300\na=rtpmap:99 EVS/16000\na=fmtp:99 br=13.2\na=rtpmap:98 broken\n")
	require.Equal(t, []Codec{{Name: "EVS", Rate: 16000, PT: 99, Fmtp: "br=13.2"}, {Name: "G729", Rate: 8000, PT: 18}, {Name: "PCMU", Rate: 8000, PT: 0}}, s.Media[0].Codecs())
	l := New("192.0.2.1", 9, s.Media[0].Codecs()...)
	require.Equal(t, []string{"a=rtpmap:99 EVS/16000", "a=rtpmap:18 G729/8000", "a=rtpmap:0 PCMU/8000"}, lines(l.Offer(), "a=rtpmap"))
}

func TestParse_WhatPhonesSend_IsTaken(t *testing.T) {
	t.Parallel()
	s, err := Parse([]byte("v=0\no=- 1 1 IN IP4 1.2.3.4\nm=audio 49170/2 RTP/AVP 0\nc=IN IP4 224.2.1.1/127/3\na=sendonly"))
	require.NoError(t, err, "LF, no s=, no t=, no last line end")
	require.Equal(t, "224.2.1.1", s.Media[0].Connection)
	require.Equal(t, 49170, s.Media[0].Port)
	require.Equal(t, SendOnly, s.Media[0].Direction())
}

func TestParse_Nonsense_IsMalformed(t *testing.T) {
	t.Parallel()
	head := "v=0\no=- 1 1 IN IP4 1.2.3.4\ns=-\nc=IN IP4 1.2.3.4\n"
	for _, s := range []string{
		"", "hello", "v=1\n", "v=0\n", "v=0\nx", head + "m=audio\n", head + "m=audio x RTP/AVP 0\n", head + "m=audio 70000 RTP/AVP 0\n",
		head + "m=audio -1 RTP/AVP 0\n", head + "m=audio 9 RTP/AVP\n", head + "m=audio 9 RTP/AVP \x01\n", head + "c=IN IP5 1.2.3.4\n",
		"v=0\no=- 1\n", "v=0\no=- 1 1 IN IP4 1.2.3.4\nm=audio 9 RTP/AVP 0\n", head + strings.Repeat("m=audio 9 RTP/AVP 0\n", 33),
		head + strings.Repeat("a=x\n", 1000), head + "a=" + strings.Repeat("x", 33000),
	} {
		_, err := Parse([]byte(s))
		require.ErrorIs(t, err, ErrMalformed, "%.60q", s)
		require.Equal(t, sip.StatusBadRequest, Status(err))
	}
}

func TestRead_FindsTheDescriptionInAMultipart(t *testing.T) {
	t.Parallel()
	body := "--b1\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b1\r\nContent-Type: application/sdp\r\n\r\n" + string(crlf(phoneOffer)) + "\r\n--b1--\r\n"
	req := sip.NewRequest(sip.INVITE, sip.Uri{Scheme: "sip", Host: "x"})
	got, err := Read(req)
	require.NoError(t, err)
	require.Nil(t, got, "no body: a late offer")
	ct := sip.ContentTypeHeader(`multipart/mixed;boundary="b1"`)
	req.AppendHeader(&ct)
	req.SetBody([]byte(body))
	got, err = Read(req)
	require.NoError(t, err)
	require.Equal(t, "10.0.0.9", got.Connection)

	for _, test := range []struct{ kind, body string }{{"multipart/mixed;boundary=b1", "--b1\r\nno"}, {"multi/part/x", "y"}} {
		_, err = Extract(test.kind, []byte(test.body))
		require.ErrorIs(t, err, ErrMalformed, test.kind)
	}
	none, err := Extract("application/pidf+xml", []byte("<x/>"))
	require.NoError(t, err)
	require.Nil(t, none)
}

func FuzzParse(f *testing.F) {
	f.Add(crlf(phoneOffer))
	f.Add([]byte("v=0\no=- 1 1 IN IP4 1.2.3.4\nm=audio 49170/2 RTP/AVP 0 300 x\nc=IN IP4 0.0.0.0\na=sendonly\na=ptime:999999999999\na=rtcp:-1"))
	f.Add([]byte("v=0\no=- 1 1 IN IP6 ::1\nc=IN IP6 ::\nm=video 0 RTP/SAVPF 1\na=mid:x\r\ny\nm=audio 1 RTP/AVP 96\na=rtpmap:96 opus/48000/2\na=fmtp:96 \x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Parse(data)
		if err != nil {
			require.ErrorIs(t, err, ErrMalformed)
			return
		}
		l := New("192.0.2.1", 20000, PCMU, PCMA, Opus, DTMF, DTMF48)
		answer, a, err := l.Answer(s)
		if err != nil {
			return
		}
		back, err := Parse(answer)
		require.NoError(t, err, "our own answer must be readable: %q", answer)
		require.Len(t, back.Media, len(s.Media))
		require.False(t, a.Held && a.Direction.Send())
		again, err := Parse(l.Offer())
		require.NoError(t, err)
		require.Len(t, again.Media, len(s.Media))
	})
}
