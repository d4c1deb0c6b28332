package httpapi

import (
	"context"
	"encoding/hex"

	"github.com/danielgtaylor/huma/v2"

	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/tenancy"
)

// music is what callers hear who wait.
var music = resource{kind: directory.Music, path: "/v1/music", plural: "music", prepare: readAudio}

// mostMusicBody bounds a request with a sound: base64 takes 4 bytes for 3.
const mostMusicBody = tenancy.MostAudio/3*4 + maxBody

// Sounds is where sound files are; *db.DB satisfies it.
type Sounds interface {
	// Music reads a tenant's sound file and its sum; nil if the sum is have. fault.NotFound.
	Music(ctx context.Context, t id.Tenant, name, have string) (audio tenancy.Audio, sum string, err error)
}

type musicView struct {
	Name        string `json:"name" example:"waltz"`
	DisplayName string `json:"display_name" doc:"What people read."`
	DurationMS  int64  `json:"duration_ms" doc:"How long it lasts before it begins again."`
	Size        int    `json:"size" doc:"Of the file, in bytes."`
	SHA256      string `json:"sha256" doc:"Of the file, in hexadecimal."`
	Stamp
}

// MusicFields are what can be set of a sound.
type MusicFields struct {
	DisplayName *line `json:"display_name,omitempty" maxLength:"200" doc:"What people read."`
}

type newMusic struct {
	Name  line   `json:"name" key:"true" minLength:"1" maxLength:"64" pattern:"^[A-Za-z0-9][A-Za-z0-9._@+-]*$" patternDescription:"letters, digits and . _ @ + -" doc:"By which queues choose it."`
	Audio string `json:"audio" minLength:"1" maxLength:"2796204" doc:"A WAVE file of 8000 Hz mono with 16 bits, µ-law or A-law, as base64; at most 2 MiB, at least a second." example:"UklGRi…"`
	MusicFields
}

type changedMusic struct {
	Audio *string `json:"audio,omitempty" minLength:"1" maxLength:"2796204" doc:"Another WAVE file of 8000 Hz mono, as base64."`
	MusicFields
}

type listMusic struct{ Listing }

// readAudio turns a file as base64 into what is kept of it.
func readAudio(_ string, set map[string]any) error {
	text, given := set["audio"].(string)
	if !given {
		return nil
	}
	var a tenancy.Audio
	if err := a.UnmarshalText([]byte(text)); err != nil {
		return invalidField("audio", "%v", err)
	}
	long, err := a.Duration()
	if err != nil {
		return invalidField("audio", "%v", err)
	}
	set["audio"], set["duration_ms"], set["sha256"] = `\x`+hex.EncodeToString(a), long.Milliseconds(), a.Sum()
	return nil
}

// downloadMusic gives the sound file back.
func (a *API) downloadMusic(ctx context.Context, in *thingInput) (*fileOutput, error) {
	name := in.ID.clean()
	audio, _, err := a.config.Sounds.Music(ctx, personOf(ctx).Tenant, name, "")
	if fault.KindOf(err) == fault.NotFound {
		return nil, notFound("no_such_music", "There is no music %s.", name)
	}
	if err != nil {
		return nil, unavailable("read music", err)
	}
	return &fileOutput{ContentType: mediaWave, Disposition: `attachment; filename="` + name + `.wav"`, Policy: "sandbox", Body: audio}, nil
}

// mediaWave is what browsers call a WAVE file (RFC 2361 has it as audio/vnd.wave).
const mediaWave = "audio/wav"

func (a *API) registerMusic() {
	administer[musicView, *musicView, newMusic, changedMusic, listMusic](a, music)
	register(a, "get-music-audio", a.downloadMusic)
	item := a.huma.OpenAPI().Paths["/v1/music/{id}/audio"]
	item.Get.Responses["200"].Content = map[string]*huma.MediaType{mediaWave: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}
	for _, op := range []*huma.Operation{a.huma.OpenAPI().Paths["/v1/music"].Post, a.huma.OpenAPI().Paths["/v1/music/{id}"].Patch} {
		op.Responses["413"] = op.Responses["422"]
	}
}
