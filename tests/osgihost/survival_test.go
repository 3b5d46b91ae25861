package osgihost

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/osgi"
)

func TestAKilledHostBringsBackWhatWasStarted(t *testing.T) {
	r := newRig(t)
	h, l := r.start()
	before := l.hello["session"]
	good := l.install("dx:good", active(t, "good", "1.0.0"))
	l.on("start", good.ID)
	stopped := l.install("dx:stopped", plain(t, "stopped", "1.0.0"))
	l.on("start", stopped.ID)
	l.on("stop", stopped.ID)
	gone := l.install("dx:gone", plain(t, "gone", "1.0.0"))
	l.on("uninstall", gone.ID)
	h.kill()

	_, l = r.start()
	require.NotEqual(t, before, l.hello["session"])
	require.NotContains(t, l.hello, "recovered")
	b := l.named("good")
	require.Equal(t, "ACTIVE", b.State)
	require.Equal(t, good.Digest, b.Digest)
	require.NotEqual(t, "ACTIVE", l.named("stopped").State)
	require.Equal(t, stopped.Digest, l.named("stopped").Digest)
	for _, b := range l.list() {
		require.NotEqual(t, "gone", b.SymbolicName)
	}
}

// TestAKillInMidOperationLeavesATrueState: a bundle that is there then is whole, and its digest, if there is one, is that of the bytes it has.
func TestAKillInMidOperationLeavesATrueState(t *testing.T) {
	r := newRig(t)
	bytes := map[string][]byte{}
	for round := range 6 {
		h, l := r.start()
		require.NotContains(t, l.hello, "recovered")
		version := fmt.Sprintf("1.0.%d", round)
		bytes[version] = active(t, "good", version)
		op, m := "install", members{"location": "dx:good"}
		for _, b := range l.list() {
			if b.SymbolicName != "good" {
				continue
			}
			require.Contains(t, []string{"", digestOf(bytes[b.Version])}, b.Digest, b.Version)
			require.Equal(t, "ACTIVE", l.on("start", b.ID).State)
			op, m = "update", members{"bundle": b.ID}
		}
		l.send(op, m, bytes[version])
		time.Sleep(time.Duration(round*5) * time.Millisecond)
		h.kill()
		<-l.closed
	}
}

func TestAStorageThatCannotBeReadIsBegunAnew(t *testing.T) {
	for name, spoil := range map[string]func([]byte) []byte{
		"cut":     func(b []byte) []byte { return b[:len(b)/3] },
		"empty":   func([]byte) []byte { return nil },
		"garbage": func(b []byte) []byte { return []byte(strings.Repeat("garbage\xff", len(b)/8)) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			h, l := r.start()
			l.on("start", l.install("dx:good", active(t, "good", "1.0.0")).ID)
			h.stop()
			require.NoError(t, filepath.WalkDir(filepath.Join(r.folder, "storage", "framework"), func(path string, e fs.DirEntry, err error) error {
				if err != nil || e.IsDir() {
					return err
				}
				b, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				return os.WriteFile(path, spoil(b), 0o644)
			}))

			h, l = r.start()
			require.NotEmpty(t, l.hello["recovered"])
			h.says("begun anew")
			for _, b := range l.list() {
				require.NotEqual(t, "good", b.SymbolicName)
			}
			require.Equal(t, "ACTIVE", l.named("org.apache.felix.scr").State)
			b := l.install("dx:good", active(t, "good", "1.0.0"))
			require.Equal(t, "ACTIVE", l.on("start", b.ID).State)
			require.Equal(t, 0, h.stop())
			_, l = r.start()
			require.NotContains(t, l.hello, "recovered", "once")
			require.Equal(t, "ACTIVE", l.named("good").State)
		})
	}
}

// TestAFullDiskLosesNothing and costs a bundle that finds no place its install, and no more.
func TestAFullDiskLosesNothing(t *testing.T) {
	r := newRig(t)
	h, l := r.start()
	l.on("start", l.install("dx:good", active(t, "good", "1.0.0")).ID)
	require.Equal(t, 0, h.stop())
	storage := filepath.Join(r.folder, "storage")
	saved := filepath.Join(r.folder, "saved")
	require.NoError(t, exec.Command("cp", "-a", storage, saved).Run())

	require.NoError(t, syscall.Mount("none", storage, "tmpfs", 0, "size=4m,mode=0700,uid=65532,gid=65532"))
	t.Cleanup(func() { _ = syscall.Unmount(storage, syscall.MNT_DETACH) })
	require.NoError(t, exec.Command("cp", "-a", saved+"/.", storage).Run())
	filler := filepath.Join(storage, "filler")
	require.Error(t, exec.Command("dd", "if=/dev/zero", "of="+filler, "bs=4k").Run())

	h, l = r.start()
	require.Equal(t, "ACTIVE", l.named("good").State)
	a := l.wait(l.send("install", members{"location": "dx:more"}, osgi.Read(t, osgi.Debian(t, "gson"))))
	require.NotNil(t, a.Error)
	require.Equal(t, "java.io.IOException", a.Error.Class)
	require.Equal(t, "ACTIVE", l.named("good").State, "the connection goes on behind the bytes that found no place")
	h.kill()

	require.NoError(t, os.Remove(filler))
	h, l = r.start()
	require.NotContains(t, l.hello, "recovered")
	require.Equal(t, "ACTIVE", l.named("good").State)
	require.Equal(t, 0, h.stop())
}

func TestTheFrameworkRunsOnWhileEdgedIsAway(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	h, l := r.start()
	session := l.hello["session"]
	hangs := l.install("dx:hangs", active(t, "hangs", "1.0.0"))
	l.send("start", members{"bundle": hangs.ID}, nil)
	require.Eventually(t, func() bool { return l.get(hangs.ID).State == "STARTING" }, patience, 10*time.Millisecond)

	// In the middle of a line, and of a bundle's bytes.
	_, err := l.conn.Write([]byte(`{"id":99,"op":"install","location":"dx:half","size":1000000}` + "\nPK"))
	require.NoError(t, err)
	l.close()
	require.NoError(t, r.listen.Close())
	time.Sleep(300 * time.Millisecond)
	r.open()

	l = r.accept()
	require.Equal(t, session, l.hello["session"], "the same run of the framework")
	require.Equal(t, "STARTING", l.get(hangs.ID).State)
	good := l.install("dx:good", active(t, "good", "1.0.0"))
	require.Equal(t, "ACTIVE", l.on("start", good.ID).State, "one that hangs holds up nobody")
	spooled, err := os.ReadDir(filepath.Join(r.folder, "storage", "spool"))
	require.NoError(t, err)
	require.Empty(t, spooled)

	begin := time.Now()
	require.Equal(t, 0, h.stop())
	require.Less(t, time.Since(begin), 15*time.Second, "an activator that hangs does not keep the host from its end")
}

// TestABundleThatNeverStartsCanBeGotRidOf although it is started with the framework: Equinox lets nobody stop or uninstall it meanwhile, so it is put above the
// framework's start level first.
func TestABundleThatNeverStartsCanBeGotRidOf(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	h, l := r.start()
	hangs := l.install("dx:hangs", active(t, "hangs", "1.0.0"))
	good := l.install("dx:good", active(t, "good", "1.0.0"))
	l.on("start", good.ID)
	l.send("start", members{"bundle": hangs.ID}, nil)
	require.Eventually(t, func() bool { return l.get(hangs.ID).Persistent }, patience, 10*time.Millisecond)
	h.kill()

	h, l = r.start()
	require.Equal(t, "STARTING", l.get(hangs.ID).State)
	require.Equal(t, "ACTIVE", l.on("start", good.ID).State, "what comes behind it at its start level can be started by hand")
	l.do("setStartLevel", members{"bundle": hangs.ID, "level": 101}, &hangs)
	h.kill()

	_, l = r.start()
	require.Equal(t, "ACTIVE", l.get(good.ID).State)
	require.Equal(t, "UNINSTALLED", l.on("uninstall", hangs.ID).State)
}

// TestAFatalEndIsAFailure so that edged's restart policy acts, whatever the status that a bundle asks for.
func TestAFatalEndIsAFailure(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"exits", "eats", "ends"} {
		t.Run(name, func(t *testing.T) {
			h, l := newRig(t).start()
			b := l.install("dx:"+name, active(t, name, "1.0.0"))
			l.send("start", members{"bundle": b.ID}, nil)
			require.NotEqual(t, 0, h.status())
		})
	}
}

func TestSettingsThatCannotBeReadAreFatal(t *testing.T) {
	r := newRig(t)
	r.env = []string{"EDGED_OSGI_PROPERTIES=a=b\nno equals sign"}
	h := r.run()
	require.Equal(t, 1, h.status())
	h.says("no equals sign")
}

func TestCapabilitiesOfTheSystemComeFromTheEnvironment(t *testing.T) {
	r := newRig(t)
	r.env = []string{"EDGED_OSGI_PROPERTIES=\norg.osgi.framework.system.capabilities.extra=test.server;version:Version=8.1\n"}
	_, l := r.start()
	b := l.install("dx:needs", plain(t, "needs", "1.0.0", `Require-Capability: test.server;filter:="(version>=8.1)"`))
	require.Equal(t, "ACTIVE", l.on("start", b.ID).State)
	b = l.install("dx:more", plain(t, "more", "1.0.0", `Require-Capability: test.server;filter:="(version>=9)"`))
	require.Equal(t, resolveError, l.fails("start", members{"bundle": b.ID}).Type)
}

// TestASecondSignalChangesNothing: who stops containers may be impatient.
func TestASecondSignalChangesNothing(t *testing.T) {
	h, _ := newRig(t).start()
	require.NoError(t, h.cmd.Process.Signal(syscall.SIGTERM))
	_ = h.cmd.Process.Signal(syscall.SIGTERM)
	require.Equal(t, 0, h.status())
}

// TestEdgedSaysWhenBundlesStart and knows which of them it was that ended the process.
func TestEdgedSaysWhenBundlesStart(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	h, l := r.start()
	good := l.install("dx:good", active(t, "good", "1.0.0"))
	l.on("start", good.ID)
	exits := l.install("dx:halts", active(t, "halts", "1.0.0"))
	l.send("start", members{"bundle": exits.ID}, nil)
	<-h.exited

	r.env = append(r.env, "EDGED_OSGI_LEVEL=10")
	h, l = r.start()
	require.Equal(t, "RESOLVED", l.get(good.ID).State, "not yet")
	require.True(t, l.get(good.ID).Persistent)
	l.send("setFrameworkLevel", members{"level": 100}, nil)
	<-h.exited
	<-l.closed
	starting := 0
	for _, e := range l.events {
		if e.Type == "STARTING" {
			starting = e.Bundle.ID
		}
	}
	require.Equal(t, exits.ID, starting, "what it said last")

	h, l = r.start()
	l.do("setStartLevel", members{"bundle": exits.ID, "level": 101}, &exits)
	l.do("setFrameworkLevel", members{"level": 100}, &struct{}{})
	require.Equal(t, "ACTIVE", l.get(good.ID).State)
	require.Equal(t, "java.lang.IllegalArgumentException", l.fails("setFrameworkLevel", members{"level": 0}).Class)
	require.Equal(t, 0, h.stop())
}

// TestAStorageThatIsRemovedEndsTheHost at the next install, which could not be kept: the next start has a sound one.
func TestAStorageThatIsRemovedEndsTheHost(t *testing.T) {
	r := newRig(t)
	h, l := r.start()
	l.install("dx:good", active(t, "good", "1.0.0"))
	inside, err := filepath.Glob(filepath.Join(r.folder, "storage", "*"))
	require.NoError(t, err)
	for _, path := range inside {
		require.NoError(t, os.RemoveAll(path))
	}
	l.send("install", members{"location": "dx:other"}, plain(t, "other", "1.0.0"))
	require.Equal(t, 1, h.status())
	h.says("the storage was removed")

	_, l = r.start()
	b := l.install("dx:good", active(t, "good", "1.0.0"))
	require.Equal(t, "ACTIVE", l.on("start", b.ID).State)
}
