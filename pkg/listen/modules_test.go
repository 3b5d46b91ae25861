package listen

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// shortDir is a folder whose paths fit into a socket address; t.TempDir has the
// name of the test in it.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "edged")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}

// with names what a module has beside the workload socket.
func with(mgmt bool) []string {
	if mgmt {
		return []string{Management}
	}
	return nil
}

func ensure(t *testing.T, m *ModuleSockets, module string, mgmt bool, act *Activation) []ModuleListener {
	t.Helper()
	ls, err := m.Ensure(module, act, with(mgmt)...)
	require.NoError(t, err)
	for _, l := range ls {
		t.Cleanup(func() { l.Close() })
	}
	return ls
}

func TestModuleFolderHasItsSocketsAndModes(t *testing.T) {
	umask(t, 0o077)
	run := filepath.Join(shortDir(t), "run")
	m := NewModuleSockets(run)
	ls := ensure(t, m, "sensor", true, nil)

	require.Len(t, ls, 2)
	require.Equal(t, Workload, ls[0].Name)
	require.Equal(t, Management, ls[1].Name)
	dir := m.Dir("sensor")
	require.Equal(t, filepath.Join(run, "modules"), filepath.Dir(dir))
	require.Len(t, filepath.Base(dir), 32)
	require.Equal(t, fs.ModeDir|0o755, modeOf(t, run))
	require.Equal(t, fs.ModeDir|0o700, modeOf(t, filepath.Dir(dir)))
	require.Equal(t, fs.ModeDir|0o755, modeOf(t, dir))
	for i, file := range []string{"workload.sock", "mgmt.sock"} {
		require.Equal(t, "sensor", ls[i].Module)
		require.False(t, ls[i].Stored)
		require.Equal(t, filepath.Join(dir, file), ls[i].Addr().String())
		require.Equal(t, fs.ModeSocket|0o666, modeOf(t, filepath.Join(dir, file)))
		answers(t, filepath.Join(dir, file), ls[i].UnixListener)
	}
}

func TestModulesHaveFoldersOfTheirOwn(t *testing.T) {
	m := NewModuleSockets("/run/edged")
	seen := make(map[string]string)
	for _, module := range []string{"a", "A", "a ", "../a", "ü", strings.Repeat("x", 255)} {
		dir := m.Dir(module)
		require.Empty(t, seen[dir], "%q", module)
		seen[dir] = module
		require.True(t, isModuleFDName(FDName(module)))
		require.Equal(t, "edged.m."+filepath.Base(dir), FDName(module))
	}
	// Written down, because running modules have it mounted over upgrades.
	require.Equal(t, "/run/edged/modules/ca978112ca1bbdcafac231b39a23dc4d", m.Dir("a"))
}

func TestModesOfOldFoldersAreMended(t *testing.T) {
	m := NewModuleSockets(shortDir(t))
	require.NoError(t, os.MkdirAll(m.Dir("a"), 0o777))
	require.NoError(t, os.Chmod(m.Dir("a"), 0o777))
	require.NoError(t, os.Chmod(filepath.Dir(m.Dir("a")), 0o777))
	ensure(t, m, "a", false, nil)
	require.Equal(t, fs.ModeDir|0o755, modeOf(t, m.Dir("a")))
	require.Equal(t, fs.ModeDir|0o700, modeOf(t, filepath.Dir(m.Dir("a"))))
}

func TestEnsureAgainGivesTheSameListeners(t *testing.T) {
	m := NewModuleSockets(shortDir(t))
	first := ensure(t, m, "a", true, nil)
	require.Equal(t, first, ensure(t, m, "a", true, nil))

	onlyWorkload := ensure(t, m, "a", false, nil)
	require.Equal(t, first[:1], onlyWorkload)
	require.NoFileExists(t, filepath.Join(m.Dir("a"), "mgmt.sock"))
	_, err := first[1].Accept()
	require.ErrorIs(t, err, net.ErrClosed)

	again := ensure(t, m, "a", true, nil)
	require.Same(t, first[0].UnixListener, again[0].UnixListener)
	answers(t, filepath.Join(m.Dir("a"), "mgmt.sock"), again[1].UnixListener)
}

func TestListenerIsMadeAnewWhenItsFileIsGone(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, m *ModuleSockets, l ModuleListener){
		"file removed": func(t *testing.T, m *ModuleSockets, _ ModuleListener) {
			require.NoError(t, os.Remove(filepath.Join(m.Dir("a"), "workload.sock")))
		},
		"folder removed":  func(t *testing.T, m *ModuleSockets, _ ModuleListener) { require.NoError(t, os.RemoveAll(m.Dir("a"))) },
		"listener closed": func(t *testing.T, _ *ModuleSockets, l ModuleListener) { require.NoError(t, l.Close()) },
		"another's socket": func(t *testing.T, m *ModuleSockets, _ ModuleListener) {
			path := filepath.Join(m.Dir("a"), "workload.sock")
			require.NoError(t, os.Remove(path))
			listenAt(t, path)
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := NewModuleSockets(shortDir(t))
			old := ensure(t, m, "a", false, nil)[0]
			spoil(t, m, old)
			l := ensure(t, m, "a", false, nil)[0]
			require.NotSame(t, old.UnixListener, l.UnixListener)
			answers(t, filepath.Join(m.Dir("a"), "workload.sock"), l.UnixListener)
		})
	}
}

func TestPathsLongerThanASocketAddressWork(t *testing.T) {
	run := filepath.Join(shortDir(t), strings.Repeat("long/", 30))
	m := NewModuleSockets(run)
	ls := ensure(t, m, "a", true, nil)
	path := filepath.Join(m.Dir("a"), "workload.sock")
	require.Greater(t, len(path), maxSunPath)
	answers(t, path, ls[0].UnixListener)

	act := restart(t, nil, ls...)
	again := ensure(t, NewModuleSockets(run), "a", true, act)
	require.True(t, again[0].Stored)
	require.True(t, again[1].Stored)
	answers(t, path, again[0].UnixListener)
}

// TestModuleCannotLeadEdgedElsewhere: a module that can write to its folder
// after all puts links where edged works.
func TestModuleCannotLeadEdgedElsewhere(t *testing.T) {
	victim := filepath.Join(shortDir(t), "victim")
	require.NoError(t, os.WriteFile(victim, []byte("x"), 0o600))
	t.Run("link in place of the socket", func(t *testing.T) {
		m := NewModuleSockets(shortDir(t))
		ensure(t, m, "a", false, nil)
		path := filepath.Join(m.Dir("a"), "workload.sock")
		require.NoError(t, os.Remove(path))
		require.NoError(t, os.Symlink(victim, path))
		l := ensure(t, m, "a", false, nil)[0]
		answers(t, path, l.UnixListener)
	})
	t.Run("link to the stored socket", func(t *testing.T) {
		m := NewModuleSockets(shortDir(t))
		l := ensure(t, m, "a", false, nil)[0]
		path := filepath.Join(m.Dir("a"), "workload.sock")
		require.NoError(t, os.Rename(path, path+"2"))
		require.NoError(t, os.Symlink("workload.sock2", path))
		act := restart(t, nil, l)
		require.False(t, ensure(t, NewModuleSockets(filepath.Dir(filepath.Dir(m.Dir("a")))), "a", false, act)[0].Stored)
		require.Equal(t, fs.ModeSocket|0o666, modeOf(t, path))
	})
	t.Run("folder in place of the socket", func(t *testing.T) {
		m := NewModuleSockets(shortDir(t))
		require.NoError(t, os.MkdirAll(filepath.Join(m.Dir("a"), "workload.sock"), 0o755))
		require.NoError(t, os.MkdirAll(filepath.Join(m.Dir("b"), "workload.sock/full"), 0o755))
		ensure(t, m, "a", false, nil)
		_, err := m.Ensure("b", nil)
		require.ErrorContains(t, err, `cannot make workload socket of module "b": a folder that is not empty is in its place`)
	})
	t.Run("link in place of the folder", func(t *testing.T) {
		m := NewModuleSockets(shortDir(t))
		require.NoError(t, os.Mkdir(filepath.Dir(m.Dir("a")), 0o700))
		require.NoError(t, os.Symlink(filepath.Dir(victim), m.Dir("a")))
		_, err := m.Ensure("a", nil)
		require.ErrorContains(t, err, `cannot make socket folder of module "a": cannot open the folder`)
		require.NoError(t, m.Remove("a"))
		require.NoFileExists(t, m.Dir("a"))
	})
	t.Run("link in place of all folders", func(t *testing.T) {
		run := shortDir(t)
		require.NoError(t, os.Symlink(filepath.Dir(victim), filepath.Join(run, "modules")))
		_, err := NewModuleSockets(run).Ensure("a", nil)
		require.ErrorContains(t, err, "cannot open the folder")
	})
	t.Run("folder of another user", func(t *testing.T) {
		m := NewModuleSockets(shortDir(t))
		require.NoError(t, os.MkdirAll(m.Dir("a"), 0o755))
		require.NoError(t, os.Chown(m.Dir("a"), 4242, 4242))
		_, err := m.Ensure("a", nil)
		require.ErrorContains(t, err, "the folder belongs to user 4242")
	})
	t.Run("links in a folder that is removed", func(t *testing.T) {
		m := NewModuleSockets(shortDir(t))
		ensure(t, m, "a", false, nil)
		require.NoError(t, os.Symlink(filepath.Dir(victim), filepath.Join(m.Dir("a"), "dir")))
		require.NoError(t, os.Symlink(victim, filepath.Join(m.Dir("a"), "file")))
		require.NoError(t, m.Remove("a"))
		require.NoDirExists(t, m.Dir("a"))
	})
	text, err := os.ReadFile(victim)
	require.NoError(t, err)
	require.Equal(t, "x", string(text))
	require.Equal(t, fs.FileMode(0o600), modeOf(t, victim))
}

func TestRemoveClosesAndRemoves(t *testing.T) {
	m := NewModuleSockets(shortDir(t))
	require.NoError(t, m.Remove("a"), "nothing is there yet")
	l := ensure(t, m, "a", false, nil)[0]
	other := ensure(t, m, "b", false, nil)[0]
	require.NoError(t, m.Remove("a"))
	require.NoDirExists(t, m.Dir("a"))
	_, err := l.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
	answers(t, filepath.Join(m.Dir("b"), "workload.sock"), other.UnixListener)
	require.NoError(t, m.Remove("a"))
}

func TestManyModulesAtOnceLeakNoDescriptor(t *testing.T) {
	m := NewModuleSockets(shortDir(t))
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		return len(entries)
	}
	ensure(t, m, "warm", true, nil)
	before := count()
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			module := "m" + itoa(i)
			if _, err := m.Ensure(module, nil, with(i%2 == 0)...); err != nil {
				t.Error(err)
			}
			if _, err := m.Ensure(module, nil, with(i%3 == 0)...); err != nil {
				t.Error(err)
			}
			if err := m.Remove(module); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.Equal(t, before, count())
}
