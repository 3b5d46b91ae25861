package listen

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

var testPerm = Perm{Mode: 0o660, GID: -1}

func TestOpenMakesASocketWithItsModeAndGroup(t *testing.T) {
	umask(t, 0o077) // as a service's
	path := filepath.Join(t.TempDir(), "a/b/edged.sock")
	l, err := Open("unix://"+path, nil, Perm{Mode: 0o660, GID: 4242})
	require.NoError(t, err)
	defer l.Close()
	answers(t, path, l)
	require.Equal(t, path, l.Addr().String())
	require.Equal(t, fs.ModeSocket|0o660, modeOf(t, path))
	require.Equal(t, fs.ModeDir|0o755, modeOf(t, filepath.Dir(path)))
	require.Equal(t, fs.ModeDir|0o755, modeOf(t, filepath.Dir(filepath.Dir(path))))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.EqualValues(t, 4242, info.Sys().(*syscall.Stat_t).Gid)
}

func TestOpenLeavesTheModeOfAFolderThatIsThere(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	require.NoError(t, os.Mkdir(dir, 0o700))
	l, err := Open(filepath.Join(dir, "s"), nil, testPerm)
	require.NoError(t, err)
	defer l.Close()
	require.Equal(t, fs.ModeDir|0o700, modeOf(t, dir))
}

// TestSocketIsNeverOpenToMore looks at the socket all the time while it is made
// again and again.
func TestSocketIsNeverOpenToMore(t *testing.T) {
	umask(t, 0)
	path := filepath.Join(t.TempDir(), "s")
	stop, seen := make(chan struct{}), make(map[fs.FileMode]int)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if info, err := os.Lstat(path); err == nil {
				seen[info.Mode()]++
			}
		}
	})
	for range 500 {
		l, err := Open(path, nil, Perm{Mode: 0o640, GID: 4242})
		require.NoError(t, err)
		require.NoError(t, l.Close())
	}
	close(stop)
	wg.Wait()
	require.NotZero(t, seen[fs.ModeSocket|0o640])
	for mode := range seen {
		require.Zero(t, mode.Perm()&^0o640, "seen with mode %s", mode)
	}
}

func TestOpenReplacesWhatNobodyNeeds(t *testing.T) {
	for name, put := range map[string]func(t *testing.T, path string){
		"stale socket": func(t *testing.T, path string) { listenAt(t, path).Close() },
		"stale datagram socket": func(t *testing.T, path string) {
			c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
			require.NoError(t, err)
			fd, err := c.File() // keeps net from unlinking the path
			require.NoError(t, err)
			require.NoError(t, os.Rename(path, path+"-"))
			require.NoError(t, c.Close())
			require.NoError(t, fd.Close())
			require.NoError(t, os.Rename(path+"-", path))
		},
		"empty folder": func(t *testing.T, path string) { require.NoError(t, os.Mkdir(path, 0o755)) },
		"nothing":      func(*testing.T, string) {},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s")
			put(t, path)
			l, err := Open(path, nil, testPerm)
			require.NoError(t, err)
			defer l.Close()
			answers(t, path, l)
		})
	}
}

func TestOpenLeavesWhatSomebodyMayNeed(t *testing.T) {
	for name, tc := range map[string]struct {
		put  func(t *testing.T, path string)
		want string
	}{
		"file":   {func(t *testing.T, path string) { require.NoError(t, os.WriteFile(path, []byte("x"), 0o600)) }, "a file that is no socket is in its place"},
		"device": {func(t *testing.T, path string) { require.NoError(t, unix.Mknod(path, unix.S_IFCHR|0o600, 0x103)) }, "a file that is no socket is in its place"},
		"folder with a file": {func(t *testing.T, path string) {
			require.NoError(t, os.Mkdir(path, 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(path, "x"), nil, 0o600))
		}, "a folder that is not empty is in its place"},
		"link to a stale socket": {func(t *testing.T, path string) {
			listenAt(t, path+"-target").Close()
			require.NoError(t, os.Symlink(path+"-target", path))
		}, "a symbolic link is in its place"},
		"dangling link": {func(t *testing.T, path string) { require.NoError(t, os.Symlink("/nowhere", path)) }, "a symbolic link is in its place"},
		"mount": {func(t *testing.T, path string) {
			require.NoError(t, os.Mkdir(path, 0o755))
			require.NoError(t, unix.Mount("none", path, "tmpfs", 0, "size=4k"))
			t.Cleanup(func() { require.NoError(t, unix.Unmount(path, 0)) })
		}, "a mount is in its place"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s")
			tc.put(t, path)
			before := modeOf(t, path)
			_, err := Open(path, nil, testPerm)
			require.ErrorContains(t, err, "cannot open socket "+path+": "+tc.want)
			require.Equal(t, before, modeOf(t, path))
		})
	}
}

func TestOpenNamesWhoUsesTheSocketAlready(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	t.Run("stream", func(t *testing.T) {
		l := listenAt(t, path)
		_, err := Open(path, nil, testPerm)
		require.True(t, errdefs.IsAlreadyExists(err))
		require.ErrorContains(t, err, "already in use by process "+itoa(os.Getpid())+` ("listen.test")`)
		require.NoError(t, l.Close())
		os.Remove(path)
	})
	t.Run("stream with a full backlog", func(t *testing.T) {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		require.NoError(t, err)
		defer unix.Close(fd)
		require.NoError(t, unix.Bind(fd, &unix.SockaddrUnix{Name: path}))
		require.NoError(t, unix.Listen(fd, 0))
		waiting, err := net.Dial("unix", path)
		require.NoError(t, err)
		defer waiting.Close()
		_, err = Open(path, nil, testPerm)
		require.True(t, errdefs.IsAlreadyExists(err), "%v", err)
		os.Remove(path)
	})
	t.Run("datagram", func(t *testing.T) {
		c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
		require.NoError(t, err)
		defer c.Close()
		_, err = Open(path, nil, testPerm)
		require.True(t, errdefs.IsAlreadyExists(err), "%v", err)
	})
}

// TestModeOfALinksTargetIsNotTouched is the moment after bind in a folder that
// others may write to.
func TestModeOfALinksTargetIsNotTouched(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "t")
	listenAt(t, target)
	require.NoError(t, os.Chmod(target, 0o600))
	require.NoError(t, os.Symlink("t", filepath.Join(dir, "s")))
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	require.ErrorContains(t, setPerm(fd, "s", Perm{Mode: 0o666, GID: -1}), "something else took its place")
	require.Equal(t, fs.ModeSocket|0o600, modeOf(t, target))
}

func TestOpenBelowADanglingLinkIsAnError(t *testing.T) {
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink("/nowhere/at/all", link))
	_, err := Open(filepath.Join(link, "a/s"), nil, testPerm)
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestOpenTakesPassedSockets(t *testing.T) {
	_, err := Open("fd://"+ManagementSocket, nil, testPerm)
	require.True(t, errdefs.IsNotFound(err))
	require.ErrorContains(t, err, "cannot open fd://edged.mgmt.socket: the service manager passed no socket edged.mgmt.socket")
}

func TestParseAddress(t *testing.T) {
	for uri, want := range map[string]Address{
		"fd://edged.mgmt.socket":            {FD: "edged.mgmt.socket"},
		"unix:///run/x.sock":                {Path: "/run/x.sock"},
		"/run/x.sock":                       {Path: "/run/x.sock"},
		"/run//y/../x.sock":                 {Path: "/run/x.sock"},
		"unix:///run/a%20b":                 {Path: "/run/a%20b"},
		"/" + strings.Repeat("a", 106):      {Path: "/" + strings.Repeat("a", 106)},
		"unix:///" + strings.Repeat("a", 9): {Path: "/" + strings.Repeat("a", 9)},
	} {
		got, err := ParseAddress(uri)
		require.NoError(t, err, uri)
		require.Equal(t, want, got, uri)
		again, err := ParseAddress(got.String())
		require.NoError(t, err, uri)
		require.Equal(t, want, again, uri)
	}
	for uri, want := range map[string]string{
		"":                                 "want fd://name, unix:///path or an absolute path",
		"run/x.sock":                       "want fd://name",
		"tcp://127.0.0.1:1":                "want fd://name",
		"unix:/run/x.sock":                 "want fd://name",
		"unix://run/x.sock":                "three slashes",
		"unix://":                          "three slashes",
		"/run/":                            "names a folder",
		"/run/\x00":                        "NUL",
		"fd://":                            "has no name",
		"fd://a:b":                         "has the byte 0x3a",
		"fd://a b":                         "has the byte 0x20",
		"fd://" + strings.Repeat("a", 256): "it may have 255",
		"/" + strings.Repeat("a", 107):     "has 108 bytes, a socket's may have 107",
	} {
		_, err := ParseAddress(uri)
		require.ErrorContains(t, err, want, uri)
	}
}
