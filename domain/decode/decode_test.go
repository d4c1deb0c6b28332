package decode_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/domain/decode"
	"holdfast/domain/fault"
)

type kind string

type event interface{ Kind() kind }

type rang struct {
	Bell string `json:"bell"`
	N    int    `json:"n"`
}

type ended struct{}

func (rang) Kind() kind  { return "rang" }
func (ended) Kind() kind { return "ended" }

func TestDecode_ReadsTheEventOfAKind_AndNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	events := decode.Of[kind, event]("bell event", rang{}, ended{})
	require.Equal(t, []kind{"ended", "rang"}, events.Kinds())
	e, err := events.Decode("rang", []byte(`{"bell":"door","n":2}`))
	require.NoError(t, err)
	require.Equal(t, rang{Bell: "door", N: 2}, e)
	e, err = events.Decode("rang", nil)
	require.NoError(t, err)
	require.Equal(t, rang{}, e)

	e, err = events.Decode("sang", nil)
	require.Equal(t, fault.Invalid, fault.KindOf(err))
	require.ErrorContains(t, err, `no event is called "sang"`)
	require.Nil(t, e)
	e, err = events.Decode("rang", []byte(`{"n":"two"}`))
	require.Equal(t, fault.Invalid, fault.KindOf(err))
	require.ErrorContains(t, err, "decode bell event rang")
	require.Nil(t, e)
	require.PanicsWithValue(t, `decode: two kinds of bell event are called "rang"`, func() { decode.Of[kind, event]("bell event", rang{}, rang{}) })
}
