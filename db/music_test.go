package db_test

import (
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/cmd/tenantfile"
	"holdfast/demo"
	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/sound/wav"
	"holdfast/domain/tenancy"
)

// sound is a WAVE file of two seconds that differs by n.
func sound(n int16) tenancy.Audio {
	pcm := make([]int16, 2*wav.SampleRate)
	for i := range pcm {
		pcm[i] = n * int16(i%100)
	}
	return wav.Bytes(pcm, wav.Ulaw)
}

func soundFields(a tenancy.Audio) map[string]any {
	return map[string]any{"audio": `\x` + hex.EncodeToString(a), "duration_ms": 2000, "sha256": a.Sum()}
}

// Music is listed by how long it lasts, in pages.
func TestMusic_IsListedByItsDuration(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, long := range map[string]int{"a": 20_000, "b": 3_000, "c": 100_000} {
		set := soundFields(sound(3))
		set["duration_ms"] = long
		w.make(directory.Music, name, set)
	}
	for sort, want := range map[string][]string{"duration_ms": {"b", "a", "c"}, "-duration_ms": {"c", "a", "b"}} {
		var names []string
		for cursor := ""; len(names) < 3; {
			list, next, err := w.Things(t.Context(), w.ada(), directory.Query{Kind: directory.Music, Sort: sort, Limit: 1, Cursor: cursor})
			require.NoError(t, err)
			require.Len(t, list, 1)
			names, cursor = append(names, list[0].Name), next
		}
		require.Equal(t, want, names, sort)
	}
}

// Queues choose among the tenant's music; what one of them plays stays, and what is deleted
// comes back whole.
func TestMusic_IsChosenByQueues_StaysWhileUsed_AndComesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.configure()
	choose := func(name string) error {
		_, err := w.Update(t.Context(), w.ada(), directory.Change{Kind: directory.Queue, Name: "support", Set: map[string]any{"music": name}})
		return err
	}
	requireRefused(t, choose("waltz"), fault.Invalid, "invalid")
	w.make(directory.Music, "waltz", soundFields(sound(7)))
	require.NoError(t, choose("waltz"))
	var use *directory.InUse
	require.ErrorAs(t, w.Delete(t.Context(), w.ada(), directory.Change{Kind: directory.Music, Name: "waltz"}), &use)
	require.Equal(t, []directory.Ref{{Kind: directory.Queue, Name: "support"}}, use.By)

	audio, sum, err := w.Music(t.Context(), w.tenant, "waltz", "")
	require.NoError(t, err)
	require.Equal(t, sound(7), audio)
	same, _, err := w.Music(t.Context(), w.tenant, "waltz", sum)
	require.NoError(t, err)
	require.Nil(t, same, "it is at hand already")
	_, _, err = w.Music(t.Context(), w.tenant, "tango", "")
	require.Equal(t, fault.NotFound, fault.KindOf(err))

	require.NoError(t, choose(""))
	require.NoError(t, w.Delete(t.Context(), w.ada(), directory.Change{Kind: directory.Music, Name: "waltz"}))
	_, err = w.Restore(t.Context(), w.ada(), directory.Change{Kind: directory.Music, Name: "waltz"})
	require.NoError(t, err)
	audio, _, err = w.Music(t.Context(), w.tenant, "waltz", "")
	require.NoError(t, err)
	require.Equal(t, sound(7), audio)
}

// A document that says nothing of music leaves it alone; one that does brings the files
// along, and its queues choose among them.
func TestApply_Music_StaysOrIsAsTheDocumentSays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.configure()
	w.make(directory.Music, "waltz", soundFields(sound(7)))
	doc, err := w.Export(t.Context(), w.tenant)
	require.NoError(t, err)
	require.Equal(t, []tenancy.Music{{Name: "waltz", Audio: sound(7)}}, doc.Music)
	file, err := tenantfile.Write(doc)
	require.NoError(t, err)
	again, err := tenantfile.Read(file)
	require.NoError(t, err)
	require.Equal(t, doc.Music, again.Music)

	doc.Music, doc.Queues[0].Music = nil, "waltz"
	changes, err := w.Apply(t.Context(), doc, false)
	require.NoError(t, err)
	require.Len(t, changes, 1, "%v", changes)
	doc.Queues[0].Music = "tango"
	_, err = w.Apply(t.Context(), doc, true)
	require.Equal(t, fault.Invalid, fault.KindOf(err))
	require.ErrorContains(t, err, `there is no music "tango"`)

	doc.Music = []tenancy.Music{{Name: "tango", DisplayName: "Tango", Audio: sound(9)}}
	changes, err = w.Apply(t.Context(), doc, false)
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"~ queue " + string(doc.Queues[0].Name) + `: music "waltz" → "tango"`, "+ music tango", "- music waltz"}, lines(changes))
	doc.Music[0].Audio = sound(11)
	changes, err = w.Apply(t.Context(), doc, false)
	require.NoError(t, err)
	require.Equal(t, []string{"~ music tango: audio changes"}, lines(changes), "the sound itself is not printed")
	changes, err = w.Apply(t.Context(), doc, false)
	require.NoError(t, err)
	require.Empty(t, changes)

	doc.Music[0].Audio = []byte("no sound")
	_, err = w.Apply(t.Context(), doc, false)
	require.ErrorContains(t, err, "music[0].audio: is no WAVE file")
	_, err = tenantfile.Read(append(demo.File, "music: [{name: x, audio: '%%%'}]\n"...))
	require.ErrorContains(t, err, "base64")
}

func lines(changes []tenancy.Change) (list []string) {
	for _, c := range changes {
		list = append(list, c.String())
	}
	return list
}
