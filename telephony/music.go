package telephony

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"time"

	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/sound/wav"
	"holdfast/domain/tenancy"
	"holdfast/telephony/media"
)

const (
	// musicFresh is how long a sound is played without asking whether it changed.
	musicFresh = 15 * time.Second
	// musicPatience is how long a caller waits in silence for a sound that is not at hand; after it the built-in
	// music plays.
	musicPatience = 500 * time.Millisecond
	// musicMemory bounds the sounds at hand, in bytes of the files; each takes twice as much, or four times.
	musicMemory = 64 << 20
)

// Sounds is where the tenants' music is; *db.DB satisfies it.
type Sounds interface {
	// Music reads a tenant's sound file and its sum; nil if the sum is have. fault.NotFound: there is none of that name.
	Music(ctx context.Context, t id.Tenant, name, have string) (audio tenancy.Audio, sum string, err error)
}

// jukebox has the music at hand that callers heard lately.
type jukebox struct {
	sounds Sounds // nil: only the built-in music
	now    func() time.Time
	start  func(func()) bool // a goroutine of the node
	life   context.Context
	log    *slog.Logger

	mu    sync.Mutex
	known map[musicKey]*record
	size  int // of all files
}

type musicKey struct {
	tenant id.Tenant
	name   string
}

// record is one sound; without a clip there is none of that name.
type record struct {
	clip    *media.Clip
	sum     string
	size    int
	read    time.Time
	played  time.Time
	doubted bool // the directory changed since
	reading bool // somebody asks whether it changed
}

func newJukebox(n *Node) *jukebox {
	return &jukebox{sounds: n.conf.Sounds, now: n.now, start: n.start, life: n.life, log: n.log, known: map[musicKey]*record{}}
}

// of is the music of that name, or the built-in one: a caller always hears something. What is at hand plays at once,
// and is asked for anew behind its back.
func (j *jukebox) of(ctx context.Context, t id.Tenant, name string) *media.Clip {
	if name == "" || j.sounds == nil {
		return media.Music()
	}
	k := musicKey{t, name}
	clip, found := j.atHand(k)
	if !found {
		ctx, cancel := context.WithTimeout(ctx, musicPatience)
		defer cancel()
		clip = j.fetch(ctx, k)
	}
	if clip == nil {
		return media.Music()
	}
	return clip
}

// doubt has a tenant's music read anew when it is next played, all tenants' if t is empty.
func (j *jukebox) doubt(t id.Tenant) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for k, r := range j.known {
		r.doubted = r.doubted || t == "" || k.tenant == t
	}
}

// atHand finds a sound without waiting; false if it has to be asked for.
func (j *jukebox) atHand(k musicKey) (*media.Clip, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	r := j.known[k]
	if r == nil || r.doubted {
		return nil, false
	}
	r.played = j.now()
	if r.played.Sub(r.read) >= musicFresh && !r.reading {
		r.reading = j.start(func() {
			ctx, cancel := context.WithTimeout(j.life, musicFresh)
			defer cancel()
			j.fetch(ctx, k)
		})
	}
	return r.clip, true
}

// fetch reads a sound if it changed, and returns what plays now; nil: none of that name, or it can't be read.
func (j *jukebox) fetch(ctx context.Context, k musicKey) *media.Clip {
	j.mu.Lock()
	have := ""
	if old := j.known[k]; old != nil {
		have = old.sum
	}
	j.mu.Unlock()
	audio, sum, err := j.sounds.Music(ctx, k.tenant, k.name, have)
	read := &record{sum: sum, size: len(audio), read: j.now(), played: j.now()}
	if err == nil && audio != nil {
		var pcm []int16
		if pcm, err = wav.Read(bytes.NewReader(audio)); err == nil {
			read.clip = media.Broadcast(pcm)
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	old := j.known[k]
	switch {
	case err == nil && audio == nil && old != nil: // as it was
		old.read, old.reading, old.doubted = read.read, false, false
		return old.clip
	case err == nil || fault.KindOf(err) == fault.NotFound:
		j.keep(k, read)
		return read.clip
	}
	j.log.Warn("music can't be read; callers hear what is at hand", "tenant", string(k.tenant), "music", k.name, "err", err)
	if old == nil {
		return nil
	}
	old.read, old.reading = read.read, false
	return old.clip
}

// keep takes a sound in, and forgets those that were not played for longest if there are too many. Who hears one of
// them goes on hearing it.
func (j *jukebox) keep(k musicKey, r *record) {
	if old := j.known[k]; old != nil {
		j.size -= old.size
	}
	j.known[k] = r
	j.size += r.size
	for j.size > musicMemory && len(j.known) > 1 {
		var last musicKey
		for other, o := range j.known {
			if other != k && (last == musicKey{} || o.played.Before(j.known[last].played)) {
				last = other
			}
		}
		j.size -= j.known[last].size
		delete(j.known, last)
	}
}
