package sound

import (
	"bufio"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/sound/wav"
	"holdfast/telephony/media/tone"
	"holdfast/tests/stage"
)

// baresip is a real phone of another house, in the namespace.
type baresip struct {
	t    *testing.T
	dir  string
	cmd  *exec.Cmd
	done chan struct{}

	mu      sync.Mutex
	output  []string
	changed chan struct{}
}

// phone says what a baresip is and does.
type phone struct {
	ip      netip.Addr
	account string  // the accounts line
	tone    float64 // Hz, what it speaks
	dial    string  // a URI dialled at once, or empty
}

// start runs a baresip that speaks its tone and keeps what it hears in a file.
func start(t *testing.T, p phone) *baresip {
	t.Helper()
	dir := t.TempDir()
	speech := make([]int16, 8000*120)
	tone.New(p.tone).PCM(speech)
	require.NoError(t, wav.WriteFile(filepath.Join(dir, "speech.wav"), speech, wav.PCM16))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "accounts"), []byte(p.account+"\n"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "contacts"), nil, 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config"), []byte(config(dir, p.ip)), 0o644))
	args := []string{"-f", dir}
	if p.dial != "" {
		args = append(args, "-e", "/dial "+p.dial)
	}
	b := &baresip{t: t, dir: dir, cmd: network.Command("baresip", args...), done: make(chan struct{}), changed: make(chan struct{})}
	out, err := b.cmd.StdoutPipe()
	require.NoError(t, err)
	b.cmd.Stderr = b.cmd.Stdout
	require.NoError(t, b.cmd.Start())
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			b.mu.Lock()
			b.output = append(b.output, lines.Text())
			close(b.changed)
			b.changed = make(chan struct{})
			b.mu.Unlock()
		}
		_ = b.cmd.Wait() // how it ended is of no interest: what it heard is
		close(b.done)
	}()
	t.Cleanup(b.quit)
	return b
}

// config is the smallest that speaks and listens without a sound card.
func config(dir string, ip netip.Addr) string {
	lines := []string{
		"poll_method epoll", "sip_listen " + ip.String() + ":0", "call_local_timeout 120", "call_max_calls 8",
		"audio_path /usr/share/baresip", "audio_player aufile,/dev/null", "audio_source aufile," + dir + "/speech.wav",
		"audio_alert aufile,/dev/null", "ausrc_srate 8000", "auplay_srate 8000", "ausrc_channels 1", "auplay_channels 1",
		"audio_txmode poll", "audio_buffer 20-160", "rtp_stats yes", "rtp_timeout 0", "module_path /usr/lib/baresip/modules",
		"module stdio.so", "module g711.so", "module aufile.so", "module sndfile.so", "module_tmp uuid.so", "module_tmp account.so",
		"module_app menu.so", "snd_path " + dir,
	}
	return strings.Join(lines, "\n") + "\n"
}

// wait returns when the phone has printed a line with these words.
func (b *baresip) wait(words string) {
	b.t.Helper()
	deadline := time.NewTimer(stage.Patience)
	defer deadline.Stop()
	for {
		b.mu.Lock()
		changed, all := b.changed, strings.Join(b.output, "\n")
		b.mu.Unlock()
		if strings.Contains(all, words) {
			return
		}
		select {
		case <-changed:
		case <-b.done:
			require.FailNow(b.t, fmt.Sprintf("baresip ended without %q", words), all)
		case <-deadline.C:
			require.FailNow(b.t, fmt.Sprintf("baresip did not say %q", words), all)
		}
	}
}

// quit ends the phone in order, so that its files are complete. It may be called twice.
func (b *baresip) quit() {
	select {
	case <-b.done:
		return
	default:
	}
	_ = b.cmd.Process.Signal(os.Interrupt)
	select {
	case <-b.done:
	case <-time.After(stage.Patience):
		_ = b.cmd.Process.Kill()
		<-b.done
	}
}

// hears waits until freq has stood out for so many seconds, all in all, in what the
// phone has heard so far.
func (b *baresip) hears(freq, forSeconds float64) {
	b.t.Helper()
	require.Eventually(b.t, func() bool {
		pcm, err := b.dump()
		return err == nil && seconds(pcm, freq) >= forSeconds
	}, stage.Patience, 50*time.Millisecond, "%.0f Hz for %.1f s", freq, forSeconds)
}

// dump is what the phone has written of what it heard, of all its calls in order.
func (b *baresip) dump() ([]int16, error) {
	files, err := filepath.Glob(filepath.Join(b.dir, "dump-*-dec.wav"))
	if err != nil {
		return nil, err
	}
	var pcm []int16
	for _, f := range files {
		part, err := wav.ReadFile(f)
		if err != nil {
			return nil, err
		}
		pcm = append(pcm, part...)
	}
	return pcm, nil
}

// heard is everything that the phone heard, of all its calls in order.
func (b *baresip) heard() []int16 {
	b.t.Helper()
	b.quit()
	pcm, err := b.dump()
	require.NoError(b.t, err)
	require.NotEmpty(b.t, pcm, "the phone kept no sound: %s", strings.Join(b.output, "\n"))
	return pcm
}

// seconds is for how long freq stands out in pcm, in windows of 100 ms.
func seconds(pcm []int16, freq float64) float64 {
	const window = 800
	n := 0
	for i := 0; i+window <= len(pcm); i += window {
		if tone.Heard(pcm[i:i+window], freq) {
			n++
		}
	}
	return float64(n) / 10
}
