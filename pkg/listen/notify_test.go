package listen

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// manager is a service manager's notify socket.
type manager struct {
	t    *testing.T
	conn *net.UnixConn
}

// newManager listens at name and sets the environment as for a service.
func newManager(t *testing.T, name string) *manager {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(30*time.Second)))
	t.Setenv("NOTIFY_SOCKET", name)
	return &manager{t, conn}
}

// read gives the next message and the descriptors that came with it.
func (m *manager) read() (string, []int) {
	m.t.Helper()
	text, oob := make([]byte, 4096), make([]byte, 256)
	n, oobn, _, _, err := m.conn.ReadMsgUnix(text, oob)
	require.NoError(m.t, err)
	var fds []int
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	require.NoError(m.t, err)
	for i := range messages {
		got, err := unix.ParseUnixRights(&messages[i])
		require.NoError(m.t, err)
		fds = append(fds, got...)
	}
	return string(text[:n]), fds
}

func notifier(t *testing.T) *Notifier {
	t.Helper()
	n, err := NewNotifier()
	require.NoError(t, err)
	return n
}

func TestNotifications(t *testing.T) {
	for name, socket := range map[string]string{
		"in the file system": filepath.Join(t.TempDir(), "notify"),
		"abstract":           "@edged-test-" + itoa(os.Getpid()),
	} {
		t.Run(name, func(t *testing.T) {
			m := newManager(t, socket)
			n := notifier(t)
			require.True(t, n.Enabled())
			for want, say := range map[string]func() error{
				"READY=1":                            n.Ready,
				"STOPPING=1":                         n.Stopping,
				"STATUS=7 modules run":               func() error { return n.Status("7 modules run") },
				"STATUS=no READY=1":                  func() error { return n.Status("no\nREADY=1") },
				"FDSTOREREMOVE=1\nFDNAME=" + moduleA: func() error { return n.Forget(moduleA) },
			} {
				require.NoError(t, say())
				got, fds := m.read()
				require.Equal(t, want, got)
				require.Empty(t, fds)
			}
		})
	}
}

func TestReloadingTellsTheMonotonicTime(t *testing.T) {
	m := newManager(t, filepath.Join(t.TempDir(), "notify"))
	n := notifier(t)
	usec := func() int64 {
		var now unix.Timespec
		require.NoError(t, unix.ClockGettime(unix.CLOCK_MONOTONIC, &now))
		return now.Nano() / 1000
	}
	before := usec()
	require.NoError(t, n.Reloading())
	after := usec()
	text, _ := m.read()
	stamp, ok := strings.CutPrefix(text, "RELOADING=1\nMONOTONIC_USEC=")
	require.True(t, ok, text)
	got, err := strconv.ParseInt(stamp, 10, 64)
	require.NoError(t, err)
	require.GreaterOrEqual(t, got, before)
	require.LessOrEqual(t, got, after)
}

func TestStoredListenerIsTheSameSocket(t *testing.T) {
	m := newManager(t, filepath.Join(t.TempDir(), "notify"))
	n := notifier(t)
	path := filepath.Join(t.TempDir(), "s")
	l := listenAt(t, path)
	require.NoError(t, n.Store(moduleA, l))
	text, fds := m.read()
	require.Equal(t, "FDSTORE=1\nFDNAME="+moduleA+"\nFDPOLL=0", text)
	require.Len(t, fds, 1)
	require.NoError(t, l.Close())
	stored, err := takeListener(fds[0], "stored")
	require.NoError(t, err)
	defer stored.Close()
	answers(t, path, stored)

	require.ErrorContains(t, n.Store(moduleA, l), "cannot store listener "+moduleA)
	require.ErrorContains(t, n.Store("a:b", stored), "has the byte")
	require.ErrorContains(t, n.Forget("a\nREADY=1"), "has the byte")
}

func TestNotifierLeavesNothingToChildren(t *testing.T) {
	for name, env := range map[string]map[string]string{
		"in use":       {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1", "WATCHDOG_PID": itoa(os.Getpid())},
		"bad socket":   {"NOTIFY_SOCKET": "x", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"},
		"bad watchdog": {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "-1", "WATCHDOG_PID": "1"},
		"no socket":    {"WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"},
	} {
		t.Run(name, func(t *testing.T) {
			for key, value := range env {
				t.Setenv(key, value)
			}
			_, err := NewNotifier()
			if strings.HasPrefix(name, "bad") {
				require.True(t, errdefs.IsInvalidArgument(err), "%v", err)
			} else {
				require.NoError(t, err)
			}
			for _, key := range notifyEnv {
				_, ok := os.LookupEnv(key)
				require.False(t, ok, key)
			}
		})
	}
}

func TestWithoutServiceManagerNothingHappens(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "1000000")
	n := notifier(t)
	require.False(t, n.Enabled())
	require.Zero(t, n.WatchdogInterval())
	require.NoError(t, n.Ready())
	require.NoError(t, n.Stopping())
	require.NoError(t, n.Reloading())
	require.NoError(t, n.Status("x"))
	require.NoError(t, n.Store(moduleA, nil))
	require.NoError(t, n.Forget(moduleA))
	n.Watchdog(t.Context(), func(context.Context) error { t.Error("probed"); return nil })
	n.Starting(t.Context(), time.Hour)
}

func TestGoneServiceManagerIsAnError(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "gone"))
	require.ErrorContains(t, notifier(t).Ready(), "cannot notify the service manager of READY=1")
}

func TestALongStartAsksForTimeUntilItEnds(t *testing.T) {
	m := newManager(t, filepath.Join(t.TempDir(), "notify"))
	n := notifier(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.Starting(ctx, time.Millisecond)
	}()
	for range 3 {
		text, _ := m.read()
		require.Equal(t, "EXTEND_TIMEOUT_USEC=3000", text)
	}
	cancel()
	<-done
}

// watched gives a notifier with a watchdog of twice the interval.
func watched(t *testing.T, interval time.Duration) (*manager, *Notifier) {
	t.Helper()
	m := newManager(t, filepath.Join(t.TempDir(), "notify"))
	t.Setenv("WATCHDOG_USEC", strconv.FormatInt(2*interval.Microseconds(), 10))
	t.Setenv("WATCHDOG_PID", itoa(os.Getpid()))
	n := notifier(t)
	require.Equal(t, interval, n.WatchdogInterval())
	return m, n
}

func TestWatchdogOfAnotherProcessIsNotOurs(t *testing.T) {
	newManager(t, filepath.Join(t.TempDir(), "notify"))
	t.Setenv("WATCHDOG_USEC", "1000000")
	t.Setenv("WATCHDOG_PID", "1")
	require.Zero(t, notifier(t).WatchdogInterval())
}

func TestWatchdogSpeaksOnlyOnProvenProgress(t *testing.T) {
	m, n := watched(t, 200*time.Millisecond)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	probes := 0
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.Watchdog(ctx, func(probing context.Context) error {
			probes++
			switch probes {
			case 2:
				return errors.New("stuck")
			case 3:
				<-probing.Done() // late, but content
				return nil
			case 4:
				cancel() // what comes after it is not sent
				return nil
			}
			return nil
		})
	}()
	<-done
	require.Equal(t, 4, probes)
	require.NoError(t, n.Ready()) // after all that was sent
	text, _ := m.read()
	require.Equal(t, "WATCHDOG=1", text)
	text, _ = m.read()
	require.Equal(t, "READY=1", text, "only the first probe proved progress")
}

func TestWatchdogGoesOn(t *testing.T) {
	m, n := watched(t, time.Millisecond)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.Watchdog(ctx, func(context.Context) error { return nil })
	}()
	for range 5 {
		text, _ := m.read()
		require.Equal(t, "WATCHDOG=1", text)
	}
	cancel()
	<-done
}

func TestHangingProbeSilencesTheWatchdog(t *testing.T) {
	m, n := watched(t, time.Millisecond)
	ctx, cancel := context.WithCancel(t.Context())
	hang, done, hanging := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		n.Watchdog(ctx, func(context.Context) error { close(hanging); <-hang; return nil })
	}()
	<-hanging
	require.NoError(t, m.conn.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
	_, err := m.conn.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	cancel()
	close(hang)
	<-done
}
