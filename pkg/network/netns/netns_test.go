package netns

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestSocketsStayWhereTheyWereMade(t *testing.T) {
	before, err := os.Readlink("/proc/self/ns/net")
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "ns")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	require.NoError(t, Thread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		return unix.Mount("/proc/thread-self/ns/net", path, "none", unix.MS_BIND, "")
	}), "the tests run as root")
	t.Cleanup(func() { _ = unix.Unmount(path, unix.MNT_DETACH) })

	// Its loopback is down, which this one's is not.
	var l net.Listener
	require.NoError(t, Inside(path, func() (err error) {
		l, err = net.Listen("tcp", "0.0.0.0:0")
		return err
	}))
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	_, err = net.Dial("tcp", "127.0.0.1:"+port)
	require.Error(t, err, "it listens elsewhere")
	require.ErrorIs(t, Inside(path, func() error {
		_, err := net.Dial("tcp", "127.0.0.1:"+port)
		return err
	}), unix.ENETUNREACH)

	after, err := os.Readlink("/proc/self/ns/net")
	require.NoError(t, err)
	require.Equal(t, before, after)
	require.ErrorIs(t, Inside(path+"x", func() error { return nil }), fs.ErrNotExist)
	require.ErrorIs(t, Inside("/dev/null", func() error { return nil }), unix.EINVAL)
}
