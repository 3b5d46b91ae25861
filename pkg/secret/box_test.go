package secret

import (
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/keystore"
)

func box(t testing.TB, key byte) *Box {
	t.Helper()
	sealer, err := keystore.NewSealer([keystore.KeySize]byte{key})
	require.NoError(t, err)
	return NewBox(sealer)
}

func TestSealedTextOpensWhereItWasMeantTo(t *testing.T) {
	b := box(t, 1)
	anyone, err := b.Seal([]byte("value"), "")
	require.NoError(t, err)
	again, err := b.Seal([]byte("value"), "")
	require.NoError(t, err)
	require.NotEqual(t, anyone, again, "equal secrets do not look equal")
	bound, err := b.Seal([]byte("value"), "foo")
	require.NoError(t, err)
	require.Regexp(t, `^[A-Za-z0-9_-]+$`, bound, "it needs quoting nowhere")
	for _, c := range []struct {
		what, text, module string
		box                *Box
		opens              bool
	}{
		{"any module", anyone, "bar", b, true},
		{"its module", bound, "foo", b, true},
		{"another module", bound, "bar", b, false},
		{"no module", bound, "", b, false},
		{"another device", anyone, "foo", box(t, 2), false},
		{"bound, made free", strings.Replace(bound, moduleForm, deviceForm, 1), "foo", b, false},
		{"free, made bound", strings.Replace(anyone, deviceForm, moduleForm, 1), "foo", b, false},
		{"cut", bound[:len(bound)-4], "foo", b, false},
		{"empty", deviceForm, "foo", b, false},
		{"a line break", bound + "\n", "foo", b, false},
		{"nothing", "", "foo", b, false},
		{"plain text", "value", "foo", b, false},
	} {
		plain, err := c.box.Open(c.text, c.module)
		if c.opens {
			require.NoError(t, err, c.what)
			require.Equal(t, "value", string(plain), c.what)
			continue
		}
		require.ErrorIs(t, err, errdefs.ErrInvalidArgument, c.what)
		require.Empty(t, plain, c.what)
	}
}

func TestThereIsSomethingToSealAndNotTooMuch(t *testing.T) {
	b := box(t, 1)
	for size, good := range map[int]bool{0: false, 1: true, MaxSize: true, MaxSize + 1: false} {
		_, err := b.Seal(make([]byte, size), "")
		if good {
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, errdefs.ErrInvalidArgument)
		}
	}
}

// FuzzOpen: nothing that was not sealed opens, and nothing ends edged.
func FuzzOpen(f *testing.F) {
	b := box(f, 1)
	for _, module := range []string{"", "foo"} {
		text, err := b.Seal([]byte("value"), module)
		require.NoError(f, err)
		f.Add(text, "foo")
	}
	f.Add(deviceForm+"AgAAAAA", "foo")
	other := box(f, 2)
	f.Fuzz(func(t *testing.T, text, module string) {
		_, err := other.Open(text, module)
		require.ErrorIs(t, err, errdefs.ErrInvalidArgument)
	})
}
