package pack

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/pack/packtest"
)

func TestSignatures(t *testing.T) {
	message := []byte("a package")
	signer, other := packtest.NewSigner(), packtest.NewSigner()
	key, err := ParseKey("a.pub", append(signer.Public, '\n'))
	require.NoError(t, err)
	require.Len(t, key.ID(), 16)
	verify := func(message, signature []byte, keys ...Key) (*Signed, error) {
		return Verify(bytes.NewReader(message), signature, keys)
	}
	for comment, want := range map[string]Signed{
		"timestamp:1700000000\tfile:a.zip\thashed": {Counter: 1700000000, Counted: true},
		"timestamp:1700000000 counter:7":           {Counter: 7, Counted: true},
		"counter:-7 no counter":                    {},
		"":                                         {},
	} {
		got, err := verify(message, signer.Sign(message, comment), key)
		require.NoError(t, err)
		want.KeyID, want.Comment = key.ID(), comment
		require.Equal(t, &want, got)
	}
	sound := signer.Sign(message, "counter:7")
	for name, tc := range map[string]struct {
		message, signature []byte
		keys               []Key
		says               string
	}{
		"another message":      {[]byte("other"), sound, []Key{key}, "wrong"},
		"another comment":      {message, bytes.Replace(sound, []byte("counter:7"), []byte("counter:8"), 1), []Key{key}, "wrong"},
		"a key not trusted":    {message, other.Sign(message, ""), []Key{key}, "not trusted"},
		"no key":               {message, sound, nil, "not trusted"},
		"a signature of none":  {message, []byte("text"), []Key{key}, "none of minisign's"},
		"nothing":              {message, nil, []Key{key}, "none of minisign's"},
		"too large":            {message, bytes.Repeat(sound, 100), []Key{key}, "larger"},
		"the legacy kind":      {message, signer.SignLegacy(message), []Key{key}, "legacy"},
		"another key's for it": {message, bytes.Replace(other.Sign(message, ""), line(other.Sign(message, ""), 1)[:16], line(sound, 1)[:16], 1), []Key{key}, ""},
	} {
		_, err := verify(tc.message, tc.signature, tc.keys...)
		reason, _ := ReasonOf(err)
		require.Equal(t, Untrusted, reason, "%s: %v", name, err)
		require.ErrorContains(t, err, tc.says, name)
	}
	_, err = Verify(io.TeeReader(bytes.NewReader(message), failing{}), sound, []Key{key})
	require.ErrorIs(t, err, io.ErrClosedPipe)
	_, is := ReasonOf(err)
	require.False(t, is)
}

func line(text []byte, n int) []byte { return bytes.Split(text, []byte("\n"))[n] }

func TestTrustIsAFolderThatNobodyElseMayChange(t *testing.T) {
	folder := t.TempDir()
	keys, err := ReadTrust(filepath.Join(folder, "none"))
	require.NoError(t, err)
	require.Empty(t, keys)
	put := func(name string, text []byte, mode os.FileMode) {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), text, 0o600))
		require.NoError(t, os.Chmod(filepath.Join(folder, name), mode))
	}
	put("a.pub", packtest.NewSigner().Public, 0o644)
	put("b.pub", packtest.NewSigner().Public, 0o644)
	put("README", []byte("keys"), 0o644)
	keys, err = ReadTrust(folder)
	require.NoError(t, err)
	require.Len(t, keys, 2)
	for name, tc := range map[string]struct {
		text []byte
		mode os.FileMode
	}{"anybody's": {packtest.NewSigner().Public, 0o666}, "no key": {[]byte("text"), 0o644}, "too large": {[]byte(strings.Repeat("x", 5000)), 0o644}} {
		put("c.pub", tc.text, tc.mode)
		_, err = ReadTrust(folder)
		require.Error(t, err, name)
		require.Contains(t, err.Error(), "c.pub")
	}
}
