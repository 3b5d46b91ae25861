package network

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// running is a manager with modules that run, and the folder of their hosts files.
func running(t *testing.T, records ...Record) (*Manager, func(module string) string, *logtest.Hook) {
	t.Helper()
	m, dir := manager(records...), t.TempDir()
	log, hook := logtest.NewNullLogger()
	m.Log, m.hostsFiles = log, newHostsWriter()
	m.present, m.guests = map[string]*state{}, map[string]*Plan{}
	m.HostsFile = func(id string) string { return filepath.Join(dir, id) }
	for _, r := range records {
		m.present[r.Key] = &state{Key: r.Key, Module: r.Module, Up: r.Module + "-g1"}
		require.NoError(t, os.WriteFile(m.HostsFile(r.Module+"-g1"), nil, 0o644))
	}
	return m, func(module string) string {
		text, err := os.ReadFile(m.HostsFile(module + "-g1"))
		require.NoError(t, err)
		return string(text)
	}, hook
}

// TestALeaseOnAHostsFileHoldsNobodyUp: a module is root in its container and may take one on the file that is mounted there.
func TestALeaseOnAHostsFileHoldsNobodyUp(t *testing.T) {
	m, text, log := running(t, member("a", "172.30.0.2"), member("b", "172.30.0.3"))
	m.hostsFiles.retry = time.Millisecond
	leased, err := os.Open(m.HostsFile("a-g1"))
	require.NoError(t, err)
	defer leased.Close()
	_, err = unix.FcntlInt(leased.Fd(), unix.F_SETLEASE, unix.F_RDLCK)
	require.NoError(t, err)
	done := make(chan struct{})
	go func() { m.rewriteHosts(); m.rewriteHosts(); close(done) }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		require.FailNow(t, "whoever starts a module waits for the lease")
	}
	require.Contains(t, text("b"), "172.30.0.2\ta-host a\n", "its neighbours are told at once")
	require.Empty(t, text("a"))
	require.Len(t, log.AllEntries(), 1, "it is said once")
	require.Equal(t, logrus.WarnLevel, log.LastEntry().Level)

	require.NoError(t, leased.Close())
	m.ctx, m.stop = context.WithCancel(t.Context())
	m.wg.Go(m.keepHosts)
	require.Eventually(t, func() bool { return text("a") != "" }, 20*time.Second, time.Millisecond)
	require.Contains(t, text("a"), "172.30.0.3\tb-host b\n")
	m.stop()
	m.wg.Wait()
}

func TestAHostsFileIsWrittenOutsideTheLock(t *testing.T) {
	m, _, _ := running(t, member("a", "172.30.0.2"))
	file := m.HostsFile
	m.HostsFile = func(id string) string {
		require.True(t, m.mu.TryLock(), "a slow disk would hold up every module")
		m.mu.Unlock()
		return file(id)
	}
	m.rewriteHosts()
}

// TestAStartWritesNoOlderHostsFileOverANewerOne: another module comes while this one's files are being written.
func TestAStartWritesNoOlderHostsFileOverANewerOne(t *testing.T) {
	m, text, _ := running(t, member("owner", "172.30.0.2"))
	m.locks, m.failed, m.guestFiles = map[string]*keyLock{}, map[string]failure{}, guests{t.TempDir()}
	plan := Plan{Mode: ModeNone, Hostname: "guest"}
	require.NoError(t, os.WriteFile(m.HostsFile("guest-g1"), nil, 0o644))
	done := make(chan struct{})
	err := m.Start(t.Context(), Instance{Module: "guest", Key: "guest", Container: "guest-g1"}, &plan, func(Files) error {
		// A guest of the owner in effect, from when its files are being written.
		m.mu.Lock()
		m.guests["guest-g1"] = &Plan{Mode: ModeModule, Module: "owner", Hostname: "guest"}
		hub := member("hub", "172.30.0.3")
		m.records["hub"] = &hub
		m.mu.Unlock()
		go func() { m.rewriteHosts(); close(done) }()
		select {
		case <-done:
		case <-time.After(100 * time.Millisecond): // it waits until this is written
		}
		return os.WriteFile(m.HostsFile("guest-g1"), nil, 0o644) // what was known before
	})
	require.NoError(t, err)
	<-done
	require.Contains(t, text("guest"), "172.30.0.3\thub-host hub\n")
}
