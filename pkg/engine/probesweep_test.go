package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestAShimThatWaitsForADeadEdgedGoesOn(t *testing.T) {
	e := &Engine{Config: Config{Run: t.TempDir()}}
	require.NoError(t, e.sweepProbes(), "nothing was ever left")
	require.NoError(t, os.MkdirAll(e.probesDir(), 0o700))
	path := filepath.Join(e.probesDir(), "a-g1")
	require.NoError(t, unix.Mkfifo(path, 0o600))
	thread, opened := make(chan int, 1), make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		thread <- unix.Gettid()
		fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0) // as the shim does
		if err == nil {
			err = unix.Close(fd)
		}
		opened <- err
	}()
	waits := fmt.Sprintf("/proc/self/task/%d/syscall", <-thread)
	require.Eventually(t, func() bool {
		b, err := os.ReadFile(waits)
		return err == nil && strings.HasPrefix(string(b), fmt.Sprint(unix.SYS_OPENAT, " "))
	}, 10*time.Second, time.Millisecond)
	require.NoError(t, e.sweepProbes())
	require.NoError(t, <-opened)
	require.NoDirExists(t, e.probesDir())
}
