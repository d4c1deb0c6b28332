package mainjob

import (
	"encoding/base64"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/domain/sound/wav"
	"holdfast/telephony/media/tone"
	"holdfast/tests/stage"
)

// tune is a sound file of one tone, as base64.
func tune(freq float64) string {
	pcm := make([]int16, 2*wav.SampleRate)
	tone.New(freq).PCM(pcm)
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
	hears := func(freq float64) {
		t.Helper()
		customer := ten.Call("4930123", "8000")
		ten.WaitUp(customer)
		require.NoError(t, customer.Audio.WaitTone(ten.Context(), freq))
		require.NoError(t, customer.HangUp())
	}
	hears(700)
	file, err := admin.Do(t.Context(), http.MethodGet, "/v1/music/waltz/audio", nil)
	require.NoError(t, err)
	require.Equal(t, tune(700), base64.StdEncoding.EncodeToString(file.Body))

	asked(t, admin, http.StatusOK, http.MethodPatch, "/v1/music/waltz", map[string]any{"audio": tune(1700)})
	hears(1700)
	asked(t, admin, http.StatusConflict, http.MethodDelete, "/v1/music/waltz", nil)
	asked(t, admin, http.StatusOK, http.MethodPatch, "/v1/queues/support", map[string]any{"music": ""})
	customer := ten.Call("4930123", "8000")
	ten.WaitUp(customer)
	require.NoError(t, stage.WaitMusic(ten.Context(), customer))
	require.NoError(t, customer.HangUp())
}
