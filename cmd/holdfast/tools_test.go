package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/fault"
	"holdfast/domain/sound/wav"
	media "holdfast/telephony/media/tone"
	"holdfast/telephony/softphone"
)

// A phone and a customer without a node between them: what they say they hear is
// what the other one speaks.
func TestCall_ToAPhone_BothHearTheOthersTone(t *testing.T) {
	t.Parallel()
	p, err := softphone.New(t.Context(), softphone.Config{User: "1001", Domain: "demo.localhost"})
	require.NoError(t, err)
	defer p.Close()
	dir := t.TempDir()
	var phone, customer bytes.Buffer
	tell := &narrator{out: &phone}
	ctx, cancel := context.WithCancel(t.Context())
	taken := make(chan error, 1)
	go func() {
		d := &desk{tell: tell, options: phoneOptions{calls: 1, answer: 200e6, sounds: sounds{tone: 440, record: filepath.Join(dir, "agent.wav")}}}
		taken <- d.takeCalls(ctx, p)
	}()
	defer cancel()
	o := callOptions{
		line: lineOptions{server: p.Addr(), domain: "demo.localhost", transport: "udp"}, from: "4930123456", last: 4e9,
		headers: []string{"X-CC-Account=42"}, sounds: sounds{tone: 1000, record: filepath.Join(dir, "customer.wav")},
	}
	require.NoError(t, placeCall(t.Context(), &narrator{out: &customer}, "1001", o))
	require.NoError(t, <-taken)
	require.Contains(t, customer.String(), "it rings")
	require.Contains(t, customer.String(), "hears 440 Hz")
	require.Contains(t, customer.String(), "hangs up")
	require.Contains(t, phone.String(), "rings: call from 4930123456 to 1001 (X-CC-Account=42)")
	require.Contains(t, phone.String(), "hears 1000 Hz")
	require.Contains(t, phone.String(), "the other side ended the call")
	pcm, err := wav.ReadFile(filepath.Join(dir, "customer.wav"))
	require.NoError(t, err)
	require.Greater(t, len(pcm), 8000/2)
	require.FileExists(t, filepath.Join(dir, "agent.wav"))
}

func TestCall_NobodyAnswers_EndsWithCode1(t *testing.T) {
	t.Parallel()
	p, err := softphone.New(t.Context(), softphone.Config{User: "1001", Domain: "demo.localhost"})
	require.NoError(t, err)
	defer p.Close()
	d := &desk{tell: &narrator{out: &bytes.Buffer{}}, options: phoneOptions{calls: 1, reject: 486}}
	go func() { _ = d.takeCalls(t.Context(), p) }()
	o := callOptions{line: lineOptions{server: p.Addr(), domain: "demo.localhost", transport: "udp"}, from: "49", last: 10e9}
	var out bytes.Buffer
	err = placeCall(t.Context(), &narrator{out: &out}, "1001", o)
	require.Error(t, err)
	require.Equal(t, exitFailed, exitCode(err))
	require.Contains(t, out.String(), "not answered: 486")
}

func TestCall_RefusedAtOnce_SaysOnlyThat(t *testing.T) {
	t.Parallel()
	p, err := softphone.New(t.Context(), softphone.Config{User: "1001", Domain: "demo.localhost"})
	require.NoError(t, err)
	defer p.Close()
	refused := make(chan error, 1)
	go func() { refused <- (<-p.Incoming()).Reject(404) }()
	o := callOptions{line: lineOptions{server: p.Addr(), domain: "demo.localhost", transport: "udp"}, from: "49", last: 10e9}
	var out bytes.Buffer
	require.Equal(t, exitFailed, exitCode(placeCall(t.Context(), &narrator{out: &out}, "8001", o)))
	require.NoError(t, <-refused)
	require.Contains(t, out.String(), "not answered: 404")
	require.NotContains(t, out.String(), "nothing comes back")
}

func TestEar_NamesWhatLasts(t *testing.T) {
	t.Parallel()
	for want, looks := range map[string][]look{
		silence: {{440, -60, true}, {300, -70, true}, {0, -96, true}},
		tone:    {{440, -12, true}, {441, -12, true}, {438, -13, true}},
		mixture: {{440, -12, true}, {660, -12, true}, {438, -13, true}},
	} {
		kind, _ := agree(looks)
		require.Equal(t, want, kind)
	}
	e := &ear{}
	heard := func(looks ...look) (s string) {
		for _, l := range looks {
			e.looks = append(e.looks, l)
			e.looks = e.looks[max(0, len(e.looks)-earSame):]
			s = e.settle()
			e.now = s
		}
		return s
	}
	require.Equal(t, "440 Hz", heard(look{440, -12, true}, look{440, -12, true}, look{443, -12, true}, look{441, -12, true}))
	require.Equal(t, "440 Hz", heard(look{700, -12, true}, look{440, -60, true}), "a change is under way")
	require.Equal(t, silence, heard(look{0, -96, true}, look{0, -96, true}, look{0, -96, true}))
	for i := range earMixed + earSame {
		heard(look{float64(300 + 100*(i%3)), -20, true})
	}
	require.Equal(t, mixture, e.now)
	require.Equal(t, mixture, heard(look{500, -20, true}, look{500, -20, true}, look{500, -20, true}), "a long note")
	chord, single := make([]int16, 800), make([]int16, 800)
	media.New(523, 659, 784).PCM(chord)
	media.New(440).PCM(single)
	require.False(t, lookAt(chord).pure)
	require.True(t, lookAt(single).pure)
	require.Equal(t, "a.wav", numbered("a.wav", 1))
	require.Equal(t, "dir/a-2.wav", numbered("dir/a.wav", 2))
}

// A number that nobody answers, at a place where nobody is, is no success.
func TestCall_NobodyIsThere_SaysSoAndEndsWithCode1(t *testing.T) {
	t.Parallel()
	l, err := net.ListenPacket("udp4", "127.0.0.1:0") // it takes everything and answers nothing
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	server := l.LocalAddr().String()
	var out bytes.Buffer
	o := callOptions{line: lineOptions{server: server, domain: "demo.localhost", transport: "udp"}, from: "49", last: silentAfter + 2*time.Second}
	err = placeCall(t.Context(), &narrator{out: &out}, "8000", o)
	require.Equal(t, exitFailed, exitCode(err))
	var told *toldError
	require.ErrorAs(t, err, &told)
	require.Contains(t, out.String(), "nothing comes back from "+server+" yet; is Holdfast running there?")
	require.Contains(t, out.String(), "hangs up before anybody answered")

	err = runPhone(t.Context(), &narrator{out: &out}, phoneOptions{line: o.line, as: "1001@demo.localhost"})
	require.Equal(t, exitUsage, exitCode(err))
	require.Equal(t, "nothing comes back from "+server+"; is Holdfast running there? Else choose by --server", sentence(err))
}

func TestCommands_WithoutADatabase_SayHowToNameTheOneOfDev(t *testing.T) {
	t.Chdir(t.TempDir())
	_, err := openDatabase(environment{}, nil)
	require.Contains(t, sentence(err), "postgres://user:password@host:5432/holdfast")
	require.NoError(t, os.Mkdir(".holdfast", 0o700))
	require.NoError(t, os.WriteFile(".holdfast/env", nil, 0o600))
	_, err = openDatabase(environment{}, nil)
	require.Equal(t, "HOLDFAST_DATABASE_URL is not set; for the one of holdfast dev: set -a; . .holdfast/env; set +a", sentence(err))
}

// A second dev on the same folder is refused clearly; what a dead one left does not matter.
func TestFolder_HasOneOwnerAndKeepsItsKey(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "site")
	f, err := openFolder(dir)
	require.NoError(t, err)
	key, err := f.tokenKey()
	require.NoError(t, err)
	_, err = openFolder(dir)
	require.Error(t, err)
	require.Equal(t, exitUsage, exitCode(err))
	require.Contains(t, sentence(err), dir)
	require.Contains(t, sentence(err), "--data")
	f.close()

	f, err = openFolder(dir)
	require.NoError(t, err)
	defer f.close()
	again, err := f.tokenKey()
	require.NoError(t, err)
	require.Equal(t, key, again, "who is signed in stays so")
	info, err := os.Stat(f.in("token.key"))
	require.NoError(t, err)
	require.EqualValues(t, 0o600, info.Mode().Perm())
	for range 2 {
		_, err := f.log("holdfast.log")
		require.NoError(t, err)
	}
	require.FileExists(t, filepath.Join(dir, "log", "holdfast.log.1"))
}

func TestListen_ATakenPortIsNamedWithItsVariable(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	_, err = listen("HOLDFAST_HTTP_ADDR", listenAddr(l.Addr().String()))
	require.Equal(t, exitUsage, exitCode(err))
	require.Contains(t, sentence(err), "HOLDFAST_HTTP_ADDR")
	require.Contains(t, sentence(err), listenAddr(l.Addr().String()).port())
	_, err = listen("HOLDFAST_HTTP_ADDR", "192.0.2.1:1")
	require.Contains(t, sentence(err), "no address 192.0.2.1")
	s := &site{env: environment{HTTPAddr: listenAddr(l.Addr().String()), SIPAddr: "127.0.0.1:0"}}
	require.Contains(t, sentence(s.checkPorts(t.Context())), "HOLDFAST_HTTP_ADDR")
}

func TestExitCode_TellsTheUsersFaultsFromOurs(t *testing.T) {
	t.Parallel()
	require.Equal(t, exitUsage, exitCode(&fault.Error{Kind: fault.Unavailable, Code: "devstack_missing", Sentence: "build it"}))
	require.Equal(t, exitUsage, exitCode(fault.E(fault.Invalid, "x", os.ErrInvalid)))
	require.Equal(t, exitFailed, exitCode(fault.E(fault.Unavailable, "x", os.ErrClosed)))
	require.Equal(t, exitFailed, exitCode(os.ErrClosed))
}

func TestNodeConfig_SaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	base := environment{SIPAddr: "0.0.0.0:5060", RTPPorts: portRange{20000, 20999}, Node: "n", SIPTLSAddr: "0.0.0.0:5061"}
	_, err := nodeConfig(&ground{env: base})
	require.Contains(t, sentence(err), "HOLDFAST_SIP_ADVERTISE")
	good := devEnvironment(base)
	conf, err := nodeConfig(&ground{env: good})
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:5060", conf.Listen[0].SentBy)
	require.Equal(t, "127.0.0.1", conf.Media.Advertise.String())
	require.Equal(t, "127.0.0.1", conf.Media.Bind.String(), "audio comes in at the address that peers are told, if we have it")
	mapped := good
	mapped.SIPAdvertise = "192.0.2.1" // TEST-NET-1 (RFC 5737): nobody has it
	conf, err = nodeConfig(&ground{env: mapped})
	require.NoError(t, err)
	require.Equal(t, "192.0.2.1", conf.Media.Advertise.String())
	require.Equal(t, "0.0.0.0", conf.Media.Bind.String(), "behind NAT it comes in wherever it does")
	require.NotEmpty(t, conf.Boot)
	bad := good
	bad.Node = "a b"
	_, err = nodeConfig(&ground{env: bad})
	require.Contains(t, sentence(err), "HOLDFAST_NODE")
	bad = good
	bad.SIPTLSCert = "cert.pem"
	_, err = nodeConfig(&ground{env: bad})
	require.Contains(t, sentence(err), "belong together")
}

// The calls that the welcome text proposes come from a loopback address, by which the demo
// trunk knows them.
func TestWelcome_ProposesCommandsThatTheDemoTrunkTakes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ listen, told, phone, call string }{
		"as it comes":       {"0.0.0.0:5060", "127.0.0.1:5060", "", ""},
		"told to the LAN":   {"0.0.0.0:5060", "192.168.1.10:5060", "", ""},
		"another port":      {"0.0.0.0:5070", "192.168.1.10:5070", " --server 127.0.0.1:5070", " --server 127.0.0.1:5070"},
		"a port of choice":  {"0.0.0.0:0", "127.0.0.1:40000", " --server 127.0.0.1:40000", " --server 127.0.0.1:40000"},
		"mapped port":       {"0.0.0.0:5060", "203.0.113.5:6060", "", ""},
		"another loopback":  {"127.0.0.2:5060", "127.0.0.2:5060", " --server 127.0.0.2:5060", " --server 127.0.0.2:5060"},
		"on one of the LAN": {"192.168.1.10:5060", "192.168.1.10:5060", " --server 192.168.1.10:5060", " --server 192.168.1.10:5060 --ip 127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			phone, call := proposedFlags(listenAddr(c.listen), c.told)
			require.Equal(t, c.phone, phone)
			require.Equal(t, c.call, call)
		})
	}
}

func TestProgress_ShowsEachStepWithItsTime(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := newProgress(&out)
	require.NoError(t, p.step("Postgres", func() error { return nil }))
	require.Error(t, p.step("Temporal", func() error { return os.ErrClosed }))
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Regexp(t, `^✓ Postgres +\d+\.\d s$`, lines[0])
	require.Regexp(t, `^✗ Temporal +\d+\.\d s$`, lines[1])
}

// phone --dial: the device calls, speaks, and hangs up so long after the answer.
func TestPhone_Dials_AndHangsUpAfterTheTalk(t *testing.T) {
	t.Parallel()
	colleague, err := softphone.New(t.Context(), softphone.Config{User: "1002", Domain: "demo.localhost"})
	require.NoError(t, err)
	defer colleague.Close()
	p, err := softphone.New(t.Context(), softphone.Config{User: "1001", Domain: "demo.localhost", Server: colleague.Addr()})
	require.NoError(t, err)
	defer p.Close()
	var there, here bytes.Buffer
	taken := make(chan error, 1)
	go func() {
		taken <- (&desk{tell: &narrator{out: &there}, options: phoneOptions{calls: 1, sounds: sounds{tone: 440}}}).takeCalls(t.Context(), colleague)
	}()
	d := &desk{tell: &narrator{out: &here}, options: phoneOptions{dial: "1002", talk: 4e9, sounds: sounds{tone: 1000}}}
	require.NoError(t, d.placeCall(t.Context(), p))
	require.NoError(t, <-taken)
	require.Regexp(t, `(?s)dials 1002.*answered after.*hears 440 Hz.*hangs up`, here.String())
	require.Contains(t, there.String(), "rings: call from 1001 to 1002")
	require.Contains(t, there.String(), "hears 1000 Hz")
}
