package modulelog

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/edged/edged/pkg/modulelog/segment"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(writeInto); dir != "" {
		writeLines(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

func newStore(t testing.TB) *Store {
	t.Helper()
	s := NewStore(filepath.Join(t.TempDir(), "logs"))
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func TestDirOfAnyName(t *testing.T) {
	s := NewStore("/r")
	seen := map[string]string{}
	for _, name := range []string{"edgeHub", "edgehub", "a b", "a_b", "a/../../etc", "..", ".", "-", "größe", "日本", "日志", strings.Repeat("x", 255), strings.Repeat("x", 254), "$a", "a\x00"} {
		dir := s.Dir(name)
		require.Equal(t, "/r", filepath.Dir(dir), name)
		base := filepath.Base(dir)
		require.Regexp(t, `^[A-Za-z0-9_-][A-Za-z0-9._-]{0,39}-[0-9a-f]{8}$`, base)
		require.Empty(t, seen[base], "%q and %q", name, seen[base])
		seen[base] = name
	}
	require.Equal(t, s.Dir("edgeHub")+"/12", s.GenerationDir("edgeHub", 12))
}

func TestPruneKeepsWhatItIsTold(t *testing.T) {
	s := newStore(t)
	require.NoError(t, s.Prune("m", 1), "no folder is no error")
	for gen := range int64(4) {
		require.NoError(t, os.MkdirAll(s.GenerationDir("m", gen), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(s.GenerationDir("m", gen), "0.log"), nil, 0o600))
	}
	require.NoError(t, os.MkdirAll(s.GenerationDir("other", 0), 0o700))
	require.NoError(t, s.Prune("m", 3, 1))
	gens, err := s.generations("m")
	require.NoError(t, err)
	require.Equal(t, []int64{1, 3}, gens)
	require.DirExists(t, s.GenerationDir("other", 0))

	require.NoError(t, s.Remove("m"))
	require.NoDirExists(t, s.Dir("m"))
	require.NoError(t, s.Remove("m"))
	require.DirExists(t, s.GenerationDir("other", 0))
}

func TestRemoveDoesNotFollowLinksOut(t *testing.T) {
	s := newStore(t)
	outside := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(outside, "1"), 0o700))
	require.NoError(t, os.MkdirAll(s.root, 0o700))
	require.NoError(t, os.Symlink(outside, s.Dir("m")))
	require.Error(t, s.Prune("m"))
	require.NoError(t, s.Remove("m"))
	require.DirExists(t, filepath.Join(outside, "1"))
}

func TestLoggerAliveSeesTheLock(t *testing.T) {
	s := newStore(t)
	require.False(t, s.LoggerAlive("m", 1))
	w := newWriter(s, "m", 1, segment.Config{})
	require.True(t, w.Locked())
	require.True(t, s.LoggerAlive("m", 1))
	require.True(t, s.LoggerAlive("m", 1), "asking does not take it")
	require.False(t, s.LoggerAlive("m", 2))
	w.Close()
	require.False(t, s.LoggerAlive("m", 1))
	require.FileExists(t, filepath.Join(s.GenerationDir("m", 1), segment.LockName))
}

func TestOpenFollowsNoLink(t *testing.T) {
	for _, tc := range []struct {
		name string
		make func(s *Store, outside string) error
	}{
		{"a module's folder is a link", func(s *Store, outside string) error {
			return os.Symlink(outside, s.Dir("m"))
		}},
		{"a generation is a link", func(s *Store, outside string) error {
			return linkIn(s.Dir("m"), filepath.Join(outside, "1"), "1")
		}},
		{"a segment is a link", func(s *Store, outside string) error {
			return linkIn(s.GenerationDir("m", 1), filepath.Join(outside, "1", "0.log"), "0.log")
		}},
		{"a segment is a pipe", func(s *Store, _ string) error {
			if err := os.MkdirAll(s.GenerationDir("m", 1), 0o700); err != nil {
				return err
			}
			return unix.Mkfifo(filepath.Join(s.GenerationDir("m", 1), "0.log"), 0o600)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newStore(t)
			outside := t.TempDir()
			require.NoError(t, os.MkdirAll(filepath.Join(outside, "1"), 0o700))
			require.NoError(t, os.WriteFile(filepath.Join(outside, "1", "0.log"), []byte("secret\n"), 0o600))
			require.NoError(t, os.MkdirAll(s.root, 0o700))
			require.NoError(t, tc.make(s, outside))
			got, _ := read(t, s, "m", Options{Tail: -1})
			require.Empty(t, got)
		})
	}
}

func linkIn(dir, target, name string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return os.Symlink(target, filepath.Join(dir, name))
}
