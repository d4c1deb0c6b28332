package media

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/stretchr/testify/require"
)

// often makes reports come each 10 ms to 30 ms.
func often(c *Config) { c.RTCPInterval = 20 * time.Millisecond }

// compound reads the next RTCP compound that comes to a socket.
func (p *phone) compound(c *net.UDPConn) []rtcp.Packet {
	p.t.Helper()
	require.NoError(p.t, c.SetReadDeadline(time.Now().Add(patience)))
	n, err := c.Read(p.buf[:])
	require.NoError(p.t, err)
	list, err := rtcp.Unmarshal(p.buf[:n])
	require.NoError(p.t, err)
	return list
}

// reportUntil reads compounds until one has a sender report that satisfies ok.
func (p *phone) reportUntil(ok func(*rtcp.SenderReport) bool) *rtcp.SenderReport {
	p.t.Helper()
	for range 200 {
		if sr, is := p.compound(p.rtcp)[0].(*rtcp.SenderReport); is && ok(sr) {
			return sr
		}
	}
	require.FailNow(p.t, "no such report came")
	return nil
}

func (p *phone) report(to *Stream, list ...rtcp.Packet) {
	p.t.Helper()
	b, err := rtcp.Marshal(list)
	require.NoError(p.t, err)
	_, err = p.rtcp.WriteToUDPAddrPort(b, netip.AddrPortFrom(to.Addr().Addr(), to.Addr().Port()+1))
	require.NoError(p.t, err)
}

func TestRTCP_SenderReport_TellsWhatWasSentAndHeard(t *testing.T) {
	t.Parallel()
	r := newRig(t, often)
	a, b := newPhone(t, PCMU, 440), newPhone(t, PCMU, 1000)
	sa, sb := r.pair(a, b)
	_, toA := talk(b, sb, a, 5)
	talk(a, sa, b, 2)
	a.head.SequenceNumber++ // one is lost
	a.head.Timestamp += 160
	talk(a, sa, b, 2)

	// Reports go on; one that was made after the fifth packet follows after each
	// further one.
	b.say(sb)
	last := a.hear()
	sr := a.reportUntil(func(sr *rtcp.SenderReport) bool { return sr.PacketCount == 6 })
	require.Equal(t, sa.SSRC(), sr.SSRC)
	require.EqualValues(t, 6*160, sr.OctetCount)
	require.InDelta(t, 0, int32(sr.RTPTime-last.Timestamp), 8000, "the clock of the audio")
	require.GreaterOrEqual(t, int32(sr.RTPTime-toA[4].Timestamp), int32(160))
	ntp := time.Unix(int64(sr.NTPTime>>32)-ntpEpoch, 0)
	require.WithinDuration(t, time.Now(), ntp, 10*time.Second)

	require.Len(t, sr.Reports, 1)
	block := sr.Reports[0]
	require.Equal(t, a.head.SSRC, block.SSRC)
	require.EqualValues(t, 1, block.TotalLost)
	require.EqualValues(t, a.head.SequenceNumber-1, block.LastSequenceNumber)
	require.Zero(t, block.LastSenderReport)
	require.Less(t, block.Jitter, uint32(8000))
}

func TestRTCP_WithoutAudioOut_IsAReceiverReportWithName(t *testing.T) {
	t.Parallel()
	r := newRig(t, often)
	a := newPhone(t, PCMU, 440)
	s := r.joined("call", a)
	a.say(s)
	r.await(s, FirstIn, 1)
	var rr *rtcp.ReceiverReport
	for rr == nil || len(rr.Reports) == 0 {
		list := a.compound(a.rtcp)
		require.Len(t, list, 2)
		rr = list[0].(*rtcp.ReceiverReport)
		sdes := list[1].(*rtcp.SourceDescription)
		require.Equal(t, s.SSRC(), sdes.Chunks[0].Source)
		require.Equal(t, rtcp.SDESCNAME, sdes.Chunks[0].Items[0].Type)
		require.Equal(t, string(r.cname[:]), sdes.Chunks[0].Items[0].Text)
	}
	require.Equal(t, s.SSRC(), rr.SSRC)
	require.Equal(t, a.head.SSRC, rr.Reports[0].SSRC)
	require.Zero(t, rr.Reports[0].TotalLost)
}

func TestRTCP_FractionLost_IsOfTheTimeSinceTheLastReport(t *testing.T) {
	t.Parallel()
	r := newRig(t, often)
	a := newPhone(t, PCMU, 440)
	s := r.joined("call", a)
	talkTo(r, a, s)
	block := a.blockUntil(func(b rtcp.ReceptionReport) bool { return true })
	require.Zero(t, block.FractionLost)
	a.head.SequenceNumber++ // of two packets one is lost
	talkTo(r, a, s)
	block = a.blockUntil(func(b rtcp.ReceptionReport) bool { return b.FractionLost != 0 })
	require.EqualValues(t, 128, block.FractionLost)
	require.EqualValues(t, 1, block.TotalLost)
	block = a.blockUntil(func(b rtcp.ReceptionReport) bool { return b.FractionLost == 0 })
	require.EqualValues(t, 1, block.TotalLost)
}

// blockUntil reads receiver reports until one has a block that satisfies ok.
func (p *phone) blockUntil(ok func(rtcp.ReceptionReport) bool) rtcp.ReceptionReport {
	p.t.Helper()
	for range 200 {
		rr, is := p.compound(p.rtcp)[0].(*rtcp.ReceiverReport)
		if is && len(rr.Reports) == 1 && ok(rr.Reports[0]) {
			return rr.Reports[0]
		}
	}
	require.FailNow(p.t, "no such block came")
	return rtcp.ReceptionReport{}
}

func TestRTCP_ReportsOfPeer_GiveRoundTripAndItsLoss(t *testing.T) {
	t.Parallel()
	r := newRig(t, often)
	a, b := newPhone(t, PCMU, 440), newPhone(t, PCMU, 1000)
	sa, sb := r.pair(a, b)
	talk(b, sb, a, 1)
	sr := a.reportUntil(func(*rtcp.SenderReport) bool { return true })

	a.report(sa,
		&rtcp.SenderReport{SSRC: a.head.SSRC, NTPTime: 0x1122334455667788, Reports: []rtcp.ReceptionReport{
			{SSRC: 12345, TotalLost: 99},
			{SSRC: sa.SSRC(), TotalLost: 7, FractionLost: 3, Jitter: 80, LastSenderReport: uint32(sr.NTPTime >> 16), Delay: 0},
		}},
		&rtcp.SourceDescription{Chunks: []rtcp.SourceDescriptionChunk{{Source: a.head.SSRC,
			Items: []rtcp.SourceDescriptionItem{{Type: rtcp.SDESCNAME, Text: "a"}}}}})
	r.await(sa, Report, 1)
	st := r.stats(sa)
	require.True(t, st.Out.Reported)
	require.EqualValues(t, 7, st.Out.Lost)
	require.Equal(t, 10*time.Millisecond, st.Out.Jitter)
	require.Positive(t, st.RTT)
	require.Less(t, st.RTT, patience)

	// What we heard of its report comes back in ours.
	talk(a, sa, b, 1)
	block := a.blockUntil(func(b rtcp.ReceptionReport) bool { return b.LastSenderReport != 0 })
	require.EqualValues(t, 0x33445566, block.LastSenderReport)
	require.Less(t, time.Duration(block.Delay)*time.Second>>16, patience)
}

func TestRTCP_OfStrangersOrRubbish_IsNotBelieved(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	a := newPhone(t, PCMU, 440)
	s := r.joined("call", a)
	good := &rtcp.ReceiverReport{SSRC: 1, Reports: []rtcp.ReceptionReport{{SSRC: s.SSRC(), TotalLost: 5}}}
	own := a.rtcp
	a.rtcp = listen(t, "127.7.7.7")
	a.report(s, good)
	r.awaitStats(s, func(st Stats) bool { return st.Rejected.Stranger == 1 })
	a.rtcp = own
	to := netip.AddrPortFrom(s.Addr().Addr(), s.Addr().Port()+1)
	whole, err := good.Marshal()
	require.NoError(t, err)
	for _, b := range [][]byte{{}, []byte("nonsense"), whole[:20], {0x81, 200, 0, 1, 0, 0, 0, 1}, {0x80, 210, 0, 0}} {
		_, err := own.WriteToUDPAddrPort(b, to)
		require.NoError(t, err)
	}
	r.awaitStats(s, func(st Stats) bool { return st.Rejected.Invalid == 5 })
	require.False(t, r.stats(s).Out.Reported)
	a.report(s, good)
	require.True(t, r.awaitStats(s, func(st Stats) bool { return st.Out.Reported }).Out.Lost == 5)
}

func TestRTCP_Mux_SharesThePort(t *testing.T) {
	t.Parallel()
	r := newRig(t, often)
	a := newPhone(t, PCMU, 440)
	s := r.open("call")
	p := a.params()
	p.RTCPMux, p.RemoteRTCP = true, netip.AddrPort{}
	require.NoError(t, s.Configure(p))
	a.say(s)
	require.Equal(t, s.SSRC(), a.compound(a.rtp)[0].(*rtcp.ReceiverReport).SSRC)
	b, err := (&rtcp.ReceiverReport{SSRC: 1, Reports: []rtcp.ReceptionReport{{SSRC: s.SSRC(), TotalLost: 5}}}).Marshal()
	require.NoError(t, err)
	_, err = a.rtp.WriteToUDPAddrPort(b, s.Addr())
	require.NoError(t, err)
	r.await(s, Report, 1)
}

func TestRTCP_FromAnotherPort_IsAnsweredThere(t *testing.T) {
	t.Parallel()
	r := newRig(t, often)
	a := newPhone(t, PCMU, 440)
	s := r.joined("call", a)
	a.rtcp = listen(t, "127.0.0.1")
	a.report(s, &rtcp.ReceiverReport{SSRC: 1})
	a.compound(a.rtcp)
}

func TestRTCP_Close_SaysBye(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	a, b := newPhone(t, PCMU, 440), newPhone(t, PCMU, 1000)
	sa, sb := r.pair(a, b)
	talk(a, sa, b, 1)
	require.NoError(t, sb.Close())
	list := b.compound(b.rtcp)
	require.Len(t, list, 3)
	require.Equal(t, []uint32{sb.SSRC()}, list[2].(*rtcp.Goodbye).Sources)
	a.say(sa) // and its partner lives on alone
	r.awaitStats(sa, func(st Stats) bool { return st.In.Packets == 2 })
	b.deaf()
}

func TestTimeout_SilentPeer_IsReportedAgainAndAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.Timeout, c.HeldTimeout = 60*time.Millisecond, time.Hour })
	a, b := newPhone(t, PCMU, 440), newPhone(t, PCMU, 1000)
	sa, sb := r.joined("call", a), r.open("call")
	held := b.params()
	held.Direction = SendOnly
	require.NoError(t, sb.Configure(held))
	a.say(sa)
	r.await(sa, FirstIn, 1)
	n := len(r.events(sa, Timeout)) // those of before, on a busy machine
	require.GreaterOrEqual(t, r.await(sa, Timeout, n+1).Duration, 60*time.Millisecond)
	require.GreaterOrEqual(t, r.await(sa, Timeout, n+2).Duration, 120*time.Millisecond)
	require.Empty(t, r.events(sb, Timeout), "a held peer may be silent")

	held.Direction = SendRecv
	require.NoError(t, sb.Configure(held))
	r.await(sb, Timeout, 1)
}

func TestTimeout_RTCP_CountsAsLife(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.Timeout = 50 * time.Millisecond })
	a := newPhone(t, PCMU, 440)
	s := r.joined("call", a)
	configured := r.await(s, Timeout, 1).At
	a.report(s, &rtcp.ReceiverReport{SSRC: 1})
	alive := r.await(s, Report, 1).At
	require.True(t, alive.After(configured))
	n := len(r.events(s, Timeout))
	next := r.await(s, Timeout, n+1)
	require.WithinDuration(t, alive, next.At.Add(-next.Duration), 0, "silence begins with the report")
}

func TestReception_JitterAndLoss_AreThoseOfRFC3550(t *testing.T) {
	t.Parallel()
	var in reception
	p := &packet{seq: 65530, ts: 1 << 31, ssrc: 9, codec: codecPCMU}
	now := int64(time.Hour)
	var want float64
	last := int64(0)
	for i := range 200 {
		late := int64(i%7) * int64(time.Millisecond)
		require.True(t, in.take(p, 172, now+late))
		if i > 0 {
			d := float64(late-last) / 1e9 * 8000
			want += (max(d, -d) - want) / 16
		}
		last = late
		p.seq++
		p.ts += 160
		now += int64(20 * time.Millisecond)
	}
	require.InDelta(t, want, float64(in.jitter)/16, 1)
	require.Zero(t, in.lost(), "65535 is followed by 0")
	require.EqualValues(t, 200, in.expected())
	p.seq += 10
	require.True(t, in.take(p, 172, now))
	require.EqualValues(t, 10, in.lost())
}

func TestMOS_FallsWithLossAndDelay(t *testing.T) {
	t.Parallel()
	// ITU-T G.107 gives R = 93.2 and G.109 the classes of quality.
	require.InDelta(t, 4.4, mos(0, 20*time.Millisecond), 0.05)
	require.InDelta(t, 3.1, mos(0.10, 50*time.Millisecond), 0.4)
	require.Less(t, mos(0, 500*time.Millisecond), 3.6)
	require.InDelta(t, 1, mos(1, 5*time.Second), 0.01)
	for loss := 0.0; loss < 1; loss += 0.01 {
		require.GreaterOrEqual(t, mos(loss, 0), mos(loss+0.01, 0))
	}
}

func TestParse_AnyBytes_NeverPanics(t *testing.T) {
	t.Parallel()
	pkt, err := (&rtp.Packet{Header: rtp.Header{Version: 2}, Payload: []byte("x")}).Marshal()
	require.NoError(t, err)
	for first := range 256 {
		for n := range len(pkt) + 8 {
			b := make([]byte, n)
			copy(b, pkt)
			if n > 0 {
				b[0] = byte(first)
				b[n-1] = byte(first)
			}
			var p packet
			if p.parse(b) {
				require.GreaterOrEqual(t, len(p.b), headerSize)
				require.EqualValues(t, 0x80, p.b[0])
			}
		}
	}
}
