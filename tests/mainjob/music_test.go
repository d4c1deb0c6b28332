package mainjob

import (
	"context"
	"encoding/base64"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/sound/wav"
	media "holdfast/telephony/media/tone"
	"holdfast/telephony/softphone"
	"holdfast/tests/stage"
)

// tune is a sound file of one tone, as base64.
func tune(freq float64) string {
	pcm := make([]int16, 2*wav.SampleRate)
	media.New(freq).PCM(pcm)
	return base64.StdEncoding.EncodeToString(wav.Bytes(pcm, wav.Ulaw))
}

// A queue's callers hear the music that it chose while they wait, from the next call on
// another one if that was changed, and the music of Holdfast if it chose none.
func TestMusic_CallersHearWhatTheirQueueChose(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	admin := ten.Login("admin")
	unknown := asked(t, admin, http.StatusUnprocessableEntity, http.MethodPatch, "/v1/queues/support", map[string]any{"music": "waltz"})
	require.Contains(t, unknown["errors"].([]any)[0].(map[string]any)["name"], "music")
	broken := asked(t, admin, http.StatusUnprocessableEntity, http.MethodPost, "/v1/music", map[string]any{"name": "waltz", "audio": "SUQz"})
	require.Contains(t, broken["errors"].([]any)[0].(map[string]any)["detail"], "ffmpeg")
	made := asked(t, admin, http.StatusCreated, http.MethodPost, "/v1/music", map[string]any{"name": "waltz", "audio": tune(700)})
	require.EqualValues(t, 2000, made["duration_ms"])
	asked(t, admin, http.StatusOK, http.MethodPatch, "/v1/queues/support", map[string]any{"music": "waltz"})
	// Nodes hear of a change a moment after the administrator does.
	hears := func(what func(context.Context, *softphone.Call) error) {
		t.Helper()
		all := ten.Context()
		for {
			customer := ten.Call("4930123", "8000")
			ten.WaitUp(customer)
			soon, cancel := context.WithTimeout(all, 2*time.Second)
			err := what(soon, customer)
			cancel()
			require.NoError(t, customer.HangUp())
			if err == nil {
				return
			}
			require.NoError(t, all.Err(), "%v", err)
		}
	}
	tone := func(freq float64) func(context.Context, *softphone.Call) error {
		return func(ctx context.Context, c *softphone.Call) error { return c.Audio.WaitTone(ctx, freq) }
	}
	hears(tone(700))
	file, err := admin.Do(t.Context(), http.MethodGet, "/v1/music/waltz/audio", nil)
	require.NoError(t, err)
	require.Equal(t, tune(700), base64.StdEncoding.EncodeToString(file.Body))

	asked(t, admin, http.StatusOK, http.MethodPatch, "/v1/music/waltz", map[string]any{"audio": tune(1700)})
	hears(tone(1700))
	asked(t, admin, http.StatusConflict, http.MethodDelete, "/v1/music/waltz", nil)
	asked(t, admin, http.StatusOK, http.MethodPatch, "/v1/queues/support", map[string]any{"music": ""})
	hears(stage.WaitMusic)
}
