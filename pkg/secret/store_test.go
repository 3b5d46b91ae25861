package secret

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/edged/edged/pkg/module"
)

// newStore is one on a file system that ends with the test; it needs root.
func newStore(t *testing.T) *Store {
	t.Helper()
	run := t.TempDir()
	s := NewStore(Config{Box: box(t, 1), Dir: filepath.Join(run, "secrets"), Protected: []string{filepath.Join(run, "keys")}})
	t.Cleanup(func() { _ = unix.Unmount(s.Dir, unix.MNT_DETACH) })
	return s
}

func sealed(t *testing.T, s *Store, name, value string) module.Secret {
	t.Helper()
	text, err := s.Box.Seal([]byte(value), "")
	require.NoError(t, err)
	return module.Secret{Name: name, Sealed: text, Path: "/run/secrets/" + name, Mode: 0o400}
}

func TestFilesAreTheirOwnersInMemory(t *testing.T) {
	s := newStore(t)
	file := filepath.Join(t.TempDir(), "f")
	require.NoError(t, os.WriteFile(file, []byte("from a file"), 0o600))
	uid, gid := uint32(7), uint32(8)
	secrets := []module.Secret{
		sealed(t, s, "a", "value"),
		{Name: "b", File: file, Path: "/etc/b", Mode: 0o440, UID: &uid, GID: &gid},
	}
	require.NoError(t, s.Check("m", secrets))
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	require.NoError(t, s.Place("m-g1", "m", secrets, 1000, 100))
	require.NoError(t, s.Place("m-g1", "m", secrets, 1000, 100), "another run finds its own")

	for name, want := range map[string]struct {
		value    string
		mode     os.FileMode
		uid, gid uint32
	}{"a": {"value", 0o400, 1000, 100}, "b": {"from a file", 0o440, 7, 8}} {
		at := filepath.Join(s.Dir, "m-g1", name)
		require.Contains(t, s.Mounts("m-g1", secrets), module.Mount{Source: at, Destination: map[string]string{"a": "/run/secrets/a", "b": "/etc/b"}[name], ReadOnly: true})
		b, err := os.ReadFile(at)
		require.NoError(t, err)
		require.Equal(t, want.value, string(b))
		info, err := os.Stat(at)
		require.NoError(t, err)
		st := info.Sys().(*syscall.Stat_t)
		require.Equal(t, []any{want.mode, want.uid, want.gid}, []any{info.Mode(), st.Uid, st.Gid})
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	require.NoError(t, err)
	times := 0
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); f[1] == s.Dir {
			times++
			require.Equal(t, "tmpfs", f[2])
			for _, option := range []string{"nosuid", "nodev", "noexec", "mode=700", "size=65536k"} {
				require.Contains(t, strings.Split(f[3], ","), option)
			}
		}
	}
	require.Equal(t, 1, times)
}

func TestNothingStaysOfWhatIsNotNeeded(t *testing.T) {
	s := newStore(t)
	good := []module.Secret{sealed(t, s, "a", "value")}
	bad := append(good[:1:1], module.Secret{Name: "b", File: "/no/such/file"})
	err := s.Place("m-g1", "m", bad, 0, 0)
	require.ErrorIs(t, err, errdefs.ErrInvalidArgument)
	require.ErrorContains(t, err, `settings.secrets["b"]`)
	require.NoDirExists(t, filepath.Join(s.Dir, "m-g1"))

	for _, id := range []string{"runs-g1", "left-g1", "ended-g1"} {
		require.NoError(t, s.Place(id, "m", good, 0, 0))
	}
	require.NoError(t, s.Remove("ended-g1"))
	require.NoError(t, s.Remove("ended-g1"), "it is gone already")
	require.NoError(t, s.Keep(nil))
	require.DirExists(t, filepath.Join(s.Dir, "left-g1"), "what this process placed is its own to remove")

	next := NewStore(s.Config) // edged starts anew
	require.NoError(t, next.Place("new-g1", "m", good, 0, 0))
	require.NoError(t, next.Keep([]string{"runs-g1"}))
	entries, err := os.ReadDir(s.Dir)
	require.NoError(t, err)
	var left []string
	for _, e := range entries {
		left = append(left, e.Name())
	}
	require.Equal(t, []string{"new-g1", "runs-g1"}, left)
	require.NoError(t, NewStore(Config{Dir: "/no/such/folder"}).Keep(nil), "most devices have none")
}

func TestWhatIsNoFileForModulesIsRefused(t *testing.T) {
	s := newStore(t)
	dir := t.TempDir()
	keys := s.Protected[0]
	require.NoError(t, os.Mkdir(keys, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(keys, "master"), []byte("key"), 0o600))
	at := func(name string) string { return filepath.Join(dir, name) }
	require.NoError(t, os.WriteFile(at("good"), []byte("value"), 0o600))
	require.NoError(t, os.WriteFile(at("empty"), nil, 0o600))
	require.NoError(t, os.WriteFile(at("large"), make([]byte, MaxSize+1), 0o600))
	require.NoError(t, os.Symlink(at("good"), at("link")))
	require.NoError(t, os.Symlink(filepath.Join(keys, "master"), at("stolen")))
	require.NoError(t, os.Symlink(keys, at("keys")))
	require.NoError(t, unix.Mkfifo(at("pipe"), 0o600))
	for name, why := range map[string]string{
		"good": "", "link": "",
		"missing": "no such file", "empty": "empty", "large": "larger", "pipe": "regular", ".": "regular",
		"stolen": "not for modules", "keys/master": "not for modules",
	} {
		err := s.Check("m", []module.Secret{{Name: "x", File: filepath.Join(dir, name)}})
		if why == "" {
			require.NoError(t, err, name)
			continue
		}
		require.ErrorIs(t, err, errdefs.ErrInvalidArgument, name)
		require.ErrorContains(t, err, why, name)
	}
}

func TestASecretIsNotPutWhereItCouldStay(t *testing.T) {
	s := newStore(t)
	require.NoError(t, os.WriteFile(s.Dir, nil, 0o600))
	require.ErrorIs(t, s.Place("m-g1", "m", []module.Secret{sealed(t, s, "a", "v")}, 0, 0), errdefs.ErrUnavailable)
	require.NoError(t, os.Remove(s.Dir))
	require.NoError(t, os.Mkdir(s.Dir, 0o700))
	require.NoError(t, unix.Mount("proc", s.Dir, "proc", 0, ""))
	require.ErrorContains(t, s.Place("m-g1", "m", []module.Secret{sealed(t, s, "a", "v")}, 0, 0), "no tmpfs")
}
