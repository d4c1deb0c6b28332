package media_test

import (
	"log"
	"net/netip"

	"holdfast/telephony/media"
	"holdfast/telephony/media/tone"
)

// A queue call: the caller hears music, an agent is rung and answers, the two
// talk, the agent holds and resumes, and both hang up.
func Example() {
	engine, err := media.New(media.Config{
		Bind: netip.MustParseAddr("127.0.0.1"),
		Events: func(ev media.Event) {
			if ev.Kind == media.Timeout {
				log.Print("the peer is silent for ", ev.Duration)
			}
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { must(engine.Close()) }()

	// The caller's INVITE: our answer names caller.Addr() and the codecs.
	caller, err := engine.Open("call-1")
	if err != nil {
		log.Fatal(err) // media.ErrNoPorts: 503
	}
	sdp := media.Params{
		Remote:          netip.MustParseAddrPort("127.0.0.1:40000"),
		Direction:       media.SendRecv,
		Out:             []media.Codec{media.PCMA, media.PCMU, media.TelephoneEvent(101)},
		SignalingSource: netip.MustParseAddr("127.0.0.1"),
	}
	must(caller.Configure(sdp))
	must(caller.Play(media.Music()))

	// The agent's phone rings, with the port of its own stream in the offer; the
	// caller hears that.
	agent, err := engine.Open("call-1")
	if err != nil {
		log.Fatal(err)
	}
	must(caller.Play(media.Ringback(tone.RingbackEurope)))

	// The agent's 200.
	sdp.Remote = netip.MustParseAddrPort("127.0.0.1:40010")
	must(agent.Configure(sdp))
	must(media.Bridge(caller, agent)) // media.ErrNotRelayable: no codec in common
	must(caller.StopPlay())

	// The agent's re-INVITE with a=sendonly, and the one that ends it.
	sdp.Direction = media.RecvOnly
	must(agent.Configure(sdp))
	must(caller.Play(media.Music()))
	sdp.Direction = media.SendRecv
	must(agent.Configure(sdp))
	must(caller.StopPlay())

	stats, err := caller.Stats()
	must(err)
	log.Print("the caller sounded like ", stats.MOS)
	must(caller.Close())
	must(agent.Close())
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
