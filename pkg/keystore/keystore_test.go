package keystore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/quick"
	"time"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
)

// home is a device with its key files and notes.
type home struct {
	t      *testing.T
	dir    string
	notes  *notes
	warned []string
	uri    string
	creds  string
}

func newHome(t *testing.T) *home {
	h := &home{t: t, dir: filepath.Join(t.TempDir(), "keys"), notes: newNotes()}
	h.uri = "file://" + h.dir
	return h
}

func (h *home) config() Config {
	return Config{
		URI: h.uri, Folder: h.dir, Credentials: h.creds, Notes: h.notes,
		Warn: func(format string, args ...any) { h.warned = append(h.warned, fmt.Sprintf(format, args...)) },
	}
}

func (h *home) try() (*Store, error) { return Open(h.t.Context(), h.config()) }

func (h *home) open() *Store {
	h.t.Helper()
	s, err := h.try()
	require.NoError(h.t, err)
	h.t.Cleanup(func() { _ = s.Close() })
	return s
}

func (h *home) refused(words ...string) {
	h.t.Helper()
	before, _ := os.ReadDir(h.dir)
	_, err := h.try()
	require.ErrorIs(h.t, err, errdefs.ErrFailedPrecondition)
	for _, w := range words {
		require.ErrorContains(h.t, err, w)
	}
	after, _ := os.ReadDir(h.dir)
	require.Equal(h.t, len(before), len(after), "nothing was made")
}

func TestKeysAreTheSameAfterARestart(t *testing.T) {
	h := newHome(t)
	s := h.open()
	one, err := s.Derive(t.Context(), "sign", "m")
	require.NoError(t, err)
	signer, err := s.Signer(t.Context(), "device-ca")
	require.NoError(t, err)
	require.NoError(t, s.Close())

	s = h.open()
	again, err := s.Derive(t.Context(), "sign", "m")
	require.NoError(t, err)
	require.Equal(t, one, again)
	same, err := s.Signer(t.Context(), "device-ca")
	require.NoError(t, err)
	require.Equal(t, signer.Public(), same.Public())
	require.Empty(t, h.warned)
	require.Equal(t, "file", s.Kind())
	for _, name := range []string{"", "master", "device-ca"} {
		st, err := os.Stat(filepath.Join(h.dir, name))
		require.NoError(t, err)
		require.Equal(t, map[bool]os.FileMode{true: 0o700, false: 0o600}[st.IsDir()], st.Mode().Perm(), name)
	}
	_, err = s.Derive(t.Context())
	require.ErrorIs(t, err, errdefs.ErrInvalidArgument)
}

func TestLabelListsNeverShareAKey(t *testing.T) {
	s := newHome(t).open()
	derive := func(labels []string) [KeySize]byte {
		key, err := s.Derive(context.Background(), labels...)
		require.NoError(t, err)
		return key
	}
	seen := map[[KeySize]byte][]string{}
	for _, labels := range [][]string{
		{"ab", "c"}, {"a", "bc"}, {"abc"}, {"a", "b", "c"}, {"", "abc"}, {"abc", ""}, {""}, {"", ""}, {"a\x00\x00\x00\x01b"}, {"a", "b"}, {"\x00"},
	} {
		key := derive(labels)
		require.Nil(t, seen[key], "%q and %q", labels, seen[key])
		seen[key] = labels
	}
	// For any two lists: the encoding is one to one, and a key is the encoding's.
	require.NoError(t, quick.Check(func(a, b []string) bool {
		equal := fmt.Sprintf("%q", a) == fmt.Sprintf("%q", b)
		return equal == (string(encode(a)) == string(encode(b)))
	}, &quick.Config{MaxCount: 5000}))
	require.NoError(t, quick.Check(func(a []string) bool {
		back, ok := decode(encode(a))
		return ok && fmt.Sprintf("%q", a) == fmt.Sprintf("%q", back)
	}, nil), "what can be read back is one to one")
}

// decode is the inverse of encode, which there is because no two lists are encoded alike.
func decode(message []byte) (labels []string, ok bool) {
	message = message[len(scheme):]
	labels = []string{}
	for len(message) > 0 {
		n := binary.BigEndian.Uint32(message)
		labels, message = append(labels, string(message[4:4+n])), message[4+n:]
	}
	return labels, true
}

func TestLostKeysAreNotMadeAnew(t *testing.T) {
	h := newHome(t)
	s := h.open()
	_, err := s.Signer(t.Context(), "device-ca")
	require.NoError(t, err)
	require.NoError(t, s.Close())
	master := filepath.Join(h.dir, "master")
	good, err := os.ReadFile(master)
	require.NoError(t, err)
	restore := func() { require.NoError(t, os.WriteFile(master, good, 0o600)) }

	require.NoError(t, os.Remove(master))
	h.refused(master, "is not there", "restore it from a backup", "edged --new-keys")
	require.NoError(t, os.WriteFile(master, good[:5], 0o600))
	h.refused(master, "has 5 bytes")
	changed := append([]byte{}, good...)
	changed[7] ^= 1
	require.NoError(t, os.WriteFile(master, changed, 0o600))
	h.refused(master, "is not the one that this device had")
	restore()

	ca := filepath.Join(h.dir, "device-ca")
	goodCA, err := os.ReadFile(ca)
	require.NoError(t, err)
	for name, tc := range map[string]struct {
		content []byte
		want    string
	}{
		"gone": {nil, "is not there"}, "empty": {[]byte{}, "not a key file"}, "changed": {append(goodCA[:len(goodCA)-1:len(goodCA)-1], goodCA[len(goodCA)-1]^1), "does not open"},
	} {
		require.NoError(t, os.Remove(ca))
		if tc.content != nil {
			require.NoError(t, os.WriteFile(ca, tc.content, 0o600))
		}
		_, err := h.open().Signer(t.Context(), "device-ca")
		require.ErrorIs(t, err, errdefs.ErrFailedPrecondition, name)
		require.ErrorContains(t, err, tc.want, name)
		require.ErrorContains(t, err, ca, name)
		require.NoError(t, os.WriteFile(ca, goodCA, 0o600))
	}
	_, err = h.open().Signer(t.Context(), "device-ca")
	require.NoError(t, err)

	require.NoError(t, os.RemoveAll(h.dir))
	_, err = h.try()
	require.ErrorIs(t, err, errdefs.ErrFailedPrecondition)
	require.ErrorContains(t, err, h.dir)
	require.NoDirExists(t, h.dir)
}

func TestAnotherSignerUnderTheNameIsRefused(t *testing.T) {
	h, other := newHome(t), newHome(t)
	require.NoError(t, h.open().Close())
	s := h.open()
	_, err := s.Signer(t.Context(), "device-ca")
	require.NoError(t, err)
	// Made with the same root key, as by somebody who could call edged's own code.
	other.dir, other.uri = h.dir, h.uri
	require.NoError(t, os.Remove(filepath.Join(h.dir, "device-ca")))
	_, err = other.open().Signer(t.Context(), "device-ca")
	require.NoError(t, err)
	_, err = h.open().Signer(t.Context(), "device-ca")
	require.ErrorIs(t, err, errdefs.ErrFailedPrecondition)
	require.ErrorContains(t, err, "is not the one that this device had")
}

func TestAnotherKindOfKeystoreIsRefused(t *testing.T) {
	h := newHome(t)
	require.NoError(t, h.open().Close())
	h.uri = "tpm2:" + filepath.Join(t.TempDir(), "none")
	h.refused(`made in a keystore of kind "file"`, `one of kind "tpm2"`)
}

// TestACrashBeforeTheNoteIsNoLoss: what was made and not remembered is used.
func TestACrashBeforeTheNoteIsNoLoss(t *testing.T) {
	h := newHome(t)
	h.notes.fail = errors.New("power cut")
	_, err := h.try()
	require.ErrorContains(t, err, "power cut")
	master, err := os.ReadFile(filepath.Join(h.dir, "master"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(h.dir, ".new-master"), []byte("half"), 0o600))
	h.notes.fail = nil
	s := h.open()
	again, err := os.ReadFile(filepath.Join(h.dir, "master"))
	require.NoError(t, err)
	require.Equal(t, master, again)
	require.NoFileExists(t, filepath.Join(h.dir, ".new-master"))

	h.notes.fail = errors.New("power cut")
	_, err = s.Signer(t.Context(), "device-ca")
	require.ErrorContains(t, err, "power cut")
	h.notes.fail = nil
	one, err := s.Signer(t.Context(), "device-ca")
	require.NoError(t, err)
	two, err := h.open().Signer(t.Context(), "device-ca")
	require.NoError(t, err)
	require.Equal(t, one.Public(), two.Public())
}

func TestGivingUpMakesTheNextStartTheFirst(t *testing.T) {
	h := newHome(t)
	s := h.open()
	one, err := s.Derive(t.Context(), "x")
	require.NoError(t, err)
	require.NoError(t, s.Close())
	require.NoError(t, os.WriteFile(filepath.Join(h.dir, "master"), []byte("broken"), 0o600))
	h.refused("has 6 bytes")
	aside, err := GiveUp(t.Context(), h.config(), time.Unix(0, 0))
	require.NoError(t, err)
	require.Equal(t, h.dir+".given-up-19700101-000000", aside)
	require.FileExists(t, filepath.Join(aside, "master"))
	s = h.open()
	two, err := s.Derive(t.Context(), "x")
	require.NoError(t, err)
	require.NotEqual(t, one, two)
	require.NoError(t, s.Close())
	again, err := GiveUp(t.Context(), h.config(), time.Unix(0, 0))
	require.NoError(t, err, "twice in a second")
	require.Equal(t, aside+"-2", again)

	require.NoError(t, os.RemoveAll(h.dir))
	aside, err = GiveUp(t.Context(), h.config(), time.Unix(0, 0))
	require.NoError(t, err)
	require.Empty(t, aside)
}

func BenchmarkDerive(b *testing.B) {
	dir := b.TempDir()
	s, err := Open(b.Context(), Config{URI: "file://" + dir, Notes: newNotes(), Warn: b.Logf})
	require.NoError(b, err)
	defer s.Close()
	for b.Loop() {
		if _, err := s.Derive(b.Context(), "sign", "module", "generation"); err != nil {
			b.Fatal(err)
		}
	}
}
