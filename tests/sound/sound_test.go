package sound

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/domain/sound/g711"
	"holdfast/telephony/media"
	"holdfast/telephony/media/tone"
	"holdfast/telephony/softphone"
	"holdfast/tests/stage"
)

// The tones of the two sides.
const (
	customerTone = 1000.0
	agentTone    = 440.0
)

// agentAccount is the accounts line of an agent's baresip.
func agentAccount(ten *stage.Tenant, number string) string {
	return fmt.Sprintf(`<sip:%s@%s>;auth_user=%s;auth_pass=%s;outbound="sip:%s";regint=60;answermode=auto;audio_codecs=PCMU/8000/1,PCMA/8000/1`,
		number, ten.Domain, number, stage.Password, hall.SIP())
}

// customerAccount is that of a customer's: no registration.
func customerAccount(ip fmt.Stringer, codec string) string {
	return fmt.Sprintf(`<sip:4930123456@%s>;outbound="sip:%s";regint=0;answermode=manual;audio_codecs=%s/8000/1`, ip, hall.SIP(), codec)
}

// Two baresip phones, customer and agent, over the queue: each hears the other's tone,
// whatever law the customer speaks.
func TestTwoBaresipPhones_HearEachOthersTones(t *testing.T) {
	for _, codec := range []string{"PCMU", "PCMA"} {
		t.Run(codec, func(t *testing.T) {
			ten := hall.Tenant(t, stage.Plan{Trunk: network.Guest[1:2]})
			agentPhone := start(t, phone{ip: network.Guest[0], account: agentAccount(ten, "1001"), tone: agentTone})
			agentPhone.wait("200 OK")
			api := ten.Signed("1001")
			api.Ready()
			customer := start(t, phone{
				ip: network.Guest[1], account: customerAccount(network.Guest[1], codec), tone: customerTone,
				dial: "sip:8000@" + ten.Domain,
			})
			customer.wait("Call established")
			api.Wait("Busy")
			customer.hears(agentTone, 2.5)
			agentPhone.hears(customerTone, 2.5)
			customer.quit()
			api.Wait("Ready")
			heardByCustomer, heardByAgent := customer.heard(), agentPhone.heard()
			require.Greater(t, seconds(heardByCustomer, agentTone), 2.0, "the customer hears the agent")
			require.Greater(t, seconds(heardByAgent, customerTone), 2.0, "the agent hears the customer")
			require.Less(t, seconds(heardByCustomer, customerTone), 0.3, "nobody hears an echo")
		})
	}
}

// A baresip customer hears the music while waiting, then the agent.
func TestBaresipCustomer_HearsMusicWhileWaiting_ThenTheAgent(t *testing.T) {
	ten := hall.Tenant(t, stage.Plan{Trunk: network.Guest[1:2]})
	customer := start(t, phone{
		ip: network.Guest[1], account: customerAccount(network.Guest[1], "PCMU"), tone: customerTone,
		dial: "sip:8000@" + ten.Domain,
	})
	customer.wait("Call established")
	customer.hears(media.MusicLow, 1.5) // it waits
	a := ten.ReadyAgent(1)
	rung := a.Answered()
	require.NoError(t, rung.Audio.WaitTone(ten.Context(), customerTone))
	customer.hears(agentTone, 2.0)
	require.NoError(t, rung.HangUp())
	a.Wait("Ready")
	heard := customer.heard()
	require.Greater(t, seconds(heard, media.MusicLow), 1.0, "music while waiting")
	require.Greater(t, seconds(heard, agentTone), 1.0, "then the agent")
	last := heard[len(heard)-8000:] // a second of the conversation's two and more, however long it waited
	require.Less(t, seconds(last, media.MusicLow), 0.3, "and no music into the conversation")
}

// sipp plays the customer: its tone arrives at a baresip agent's ear.
func TestSippCustomer_IsHeardByABaresipAgent(t *testing.T) {
	ten := hall.Tenant(t, stage.Plan{Trunk: network.Guest[2:3]})
	agentPhone := start(t, phone{ip: network.Guest[0], account: agentAccount(ten, "1001"), tone: agentTone})
	agentPhone.wait("200 OK")
	api := ten.Signed("1001")
	api.Ready()

	dir := t.TempDir()
	speech := make([]int16, 8000*10)
	tone.New(customerTone).PCM(speech)
	coded := make([]byte, len(speech))
	g711.EncodeUlaw(coded, speech)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "tone.ul"), coded, 0o644))
	scenario, err := os.ReadFile(filepath.Join("testdata", "customer.xml"))
	require.NoError(t, err)
	file := filepath.Join(dir, "customer.xml")
	require.NoError(t, os.WriteFile(file, []byte(strings.NewReplacer("TONE", filepath.Join(dir, "tone.ul"), "DOMAIN", ten.Domain).Replace(string(scenario))), 0o644))
	ip := network.Guest[2].String()
	cmd := network.Command("sipp", "-sf", file, hall.SIP(), "-s", "8000", "-i", ip, "-mi", ip, "-m", "1", "-l", "1", "-nostdin", "-timeout", "30")
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	api.Wait("Ready")
	require.Greater(t, seconds(agentPhone.heard(), customerTone), 2.0)
}

// A phone's hold is answered correctly: the other side hears music, and the talk goes on after it.
func TestPhoneHolds_TheOtherHearsMusic_AndTheTalkGoesOn(t *testing.T) {
	ten := hall.Tenant(t, stage.Plan{Trunk: network.Guest[1:2]})
	a := ten.ReadyAgent(1)
	customer := start(t, phone{
		ip: network.Guest[1], account: customerAccount(network.Guest[1], "PCMA"), tone: customerTone,
		dial: "sip:8000@" + ten.Domain,
	})
	rung := a.Answered()
	customer.wait("Call established")
	require.NoError(t, rung.Audio.WaitTone(ten.Context(), customerTone))
	require.NoError(t, rung.Hold(ten.Context(), true))
	ten.WaitCall("show the hold", func(c stage.CallView) bool {
		return len(c.Legs) == 2 && (c.Legs[0].Held || c.Legs[1].Held)
	})
	customer.hears(media.MusicLow, 1.5)
	require.NoError(t, rung.Hold(ten.Context(), false))
	require.NoError(t, rung.Audio.WaitTone(ten.Context(), customerTone))
	require.NoError(t, rung.HangUp())
	require.Equal(t, softphone.Ended, rung.Status().State)
	a.Wait("Ready")
	heard := customer.heard()
	require.Greater(t, seconds(heard, media.MusicLow), 1.0)
}
