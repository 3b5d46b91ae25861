package content

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/opencontainers/go-digest"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	logrus.SetLevel(logrus.ErrorLevel) // of the store below, which says what file system there is
	os.Exit(m.Run())
}

func open(t *testing.T, root string) *Store {
	t.Helper()
	s, err := Open(root)
	require.NoError(t, err)
	return s
}

func never(int64) error { return nil }

// staged is text on its way.
func (b *Store) staged(t *testing.T, text string) *Staged {
	t.Helper()
	s, err := b.Stage(t.Context())
	require.NoError(t, err)
	require.NoError(t, s.ReadAll(strings.NewReader(text), never))
	return s
}

func (b *Store) put(t *testing.T, text string) digest.Digest {
	t.Helper()
	s := b.staged(t, text)
	require.NoError(t, s.Commit(t.Context()))
	return s.Digest()
}

func (b *Store) has(t *testing.T, d digest.Digest) bool {
	t.Helper()
	has, err := b.Has(t.Context(), d)
	require.NoError(t, err)
	return has
}

func ingests(t *testing.T, root string) int {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(root, ingestFolder))
	if err != nil {
		require.ErrorIs(t, err, fs.ErrNotExist)
	}
	return len(entries)
}

func TestABlobIsThereAsLongAsSomebodyNeedsIt(t *testing.T) {
	b := open(t, t.TempDir())
	d := digest.FromString("x")
	b.Keep(d, d)
	b.Keep(d)
	require.Equal(t, d, b.put(t, "x"))
	for range 2 {
		require.NoError(t, b.Drop(t.Context(), d))
		require.True(t, b.has(t, d))
	}
	require.NoError(t, b.Drop(t.Context(), d))
	require.False(t, b.has(t, d))
	require.NoError(t, b.Drop(t.Context(), d), "what is gone is gone")
	b.Keep(d)
	b.put(t, "x")
	require.True(t, b.has(t, d), "and is counted from nothing again")
}

func TestSweepRemovesWhatNobodyNeeds(t *testing.T) {
	root := t.TempDir()
	b := open(t, root)
	n, err := b.Sweep(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)
	kept, orphan := b.put(t, "kept"), b.put(t, "orphan")
	half := b.staged(t, "half")
	b = open(t, root)
	require.Zero(t, ingests(t, root), "what was on its way is gone with the start")
	b.Keep(kept)
	n, err = b.Sweep(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.True(t, b.has(t, kept))
	require.False(t, b.has(t, orphan))
	half.Abort(t.Context())
}

func TestStagedBytesCanBeReadBeforeTheyAreCommitted(t *testing.T) {
	root := t.TempDir()
	b := open(t, root)
	s := b.staged(t, "some")
	require.NoError(t, s.ReadAll(strings.NewReader(" text"), never))
	require.EqualValues(t, 9, s.Size())
	d := digest.FromString("some text")
	require.Equal(t, d, s.Digest())
	text, err := io.ReadAll(s.Blob(t.Context()).Whole())
	require.NoError(t, err)
	require.Equal(t, "some text", string(text))
	require.False(t, b.has(t, d))
	require.NoError(t, s.Commit(t.Context()))
	require.Zero(t, ingests(t, root))
	s.Abort(t.Context())
	require.True(t, b.has(t, d), "after a commit an abort does nothing")
	blob, err := b.Open(t.Context(), d)
	require.NoError(t, err)
	defer blob.Close()
	for range 2 {
		text, err = io.ReadAll(blob.Whole())
		require.NoError(t, err)
		require.Equal(t, "some text", string(text), "from its beginning each time")
	}
	_, err = b.Open(t.Context(), digest.FromString("none"))
	require.Error(t, err)
}

func TestTheSameBytesAreThereOnce(t *testing.T) {
	root := t.TempDir()
	b := open(t, root)
	one, two := b.staged(t, "x"), b.staged(t, "x")
	require.NoError(t, one.Commit(t.Context()))
	require.NoError(t, two.Commit(t.Context()))
	two.Abort(t.Context())
	require.True(t, b.has(t, one.Digest()))
	require.Zero(t, ingests(t, root))
}

func TestAnAbortLeavesNothing(t *testing.T) {
	root := t.TempDir()
	b := open(t, root)
	for range 2 {
		s := b.staged(t, "x")
		require.Equal(t, 1, ingests(t, root))
		s.Abort(t.Context())
		s.Abort(t.Context())
		require.Zero(t, ingests(t, root))
		require.Error(t, s.Commit(t.Context()))
	}
}

func TestErrorsOfTheSourceAreToldFromTheDisks(t *testing.T) {
	b := open(t, t.TempDir())
	s, err := b.Stage(t.Context())
	require.NoError(t, err)
	defer s.Abort(t.Context())
	broken := errors.New("the client left")
	var source *SourceError
	require.ErrorAs(t, s.ReadAll(io.MultiReader(strings.NewReader("x"), iotest.ErrReader(broken)), never), &source)
	require.ErrorIs(t, source, broken)
	require.ErrorAs(t, s.ReadAll(iotest.ErrReader(io.ErrUnexpectedEOF), never), &source)
	require.EqualValues(t, 1, s.Size())
	tooMuch := errors.New("too much")
	err = s.ReadAll(strings.NewReader("y"), func(size int64) error {
		require.EqualValues(t, 2, size)
		return tooMuch
	})
	require.ErrorIs(t, err, tooMuch)
	require.NotErrorAs(t, err, &source)
}

func TestChecksComeWhileThereIsMore(t *testing.T) {
	b := open(t, t.TempDir())
	s, err := b.Stage(t.Context())
	require.NoError(t, err)
	defer s.Abort(t.Context())
	var sizes []int64
	require.NoError(t, s.ReadAll(io.LimitReader(zeros{}, 2*behind+1), func(size int64) error {
		sizes = append(sizes, size)
		return nil
	}))
	require.Equal(t, []int64{behind, 2 * behind, 2*behind + 1}, sizes)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestABlobIsReadAsLongAsItsContextLasts(t *testing.T) {
	b := open(t, t.TempDir())
	s := b.staged(t, "x")
	defer s.Abort(t.Context())
	ctx, cancel := context.WithCancel(t.Context())
	blob := s.Blob(ctx)
	cancel()
	_, err := blob.ReadAt(make([]byte, 1), 0)
	require.ErrorIs(t, err, context.Canceled)
}

func TestRoomIsWhatTheDiskHasAndWhatIsPromised(t *testing.T) {
	b := open(t, t.TempDir())
	b.Promise(100)
	b.Promise(-30)
	free, promised, err := b.Room()
	require.NoError(t, err)
	require.Positive(t, free)
	require.EqualValues(t, 70, promised)
	require.True(t, Full(fmt.Errorf("cannot keep bytes: %w", unix.ENOSPC)))
	require.True(t, Full(unix.EDQUOT))
	require.False(t, Full(unix.EIO))
	require.False(t, Full(nil))
}

func TestTheFolderIsRootsAlone(t *testing.T) {
	root := filepath.Join(t.TempDir(), "content")
	open(t, root)
	info, err := os.Stat(root)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o700), info.Mode().Perm())
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err = Open(file)
	require.Error(t, err)
}
