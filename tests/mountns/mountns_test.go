// Package mountns tests what edged mounts from a mount namespace of its own, with two real ones.
package mountns

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/edged/edged/pkg/module"
	"github.com/edged/edged/pkg/mountns"
	"github.com/edged/edged/pkg/secret"
)

// confinedFolder names, in the process that runs a test's second half, the folder that both namespaces share.
const confinedFolder = "EDGED_TEST_CONFINED"

// machine is the mount namespace of the test: what it mounts on is shared, as systemd makes all of a machine.
func machine(t *testing.T) (dir string) {
	t.Helper()
	require.Zero(t, os.Getuid(), "mounts need root")
	dir = t.TempDir()
	require.NoError(t, unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0755"))
	t.Cleanup(func() { require.NoError(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	require.NoError(t, unix.Mount("", dir, "", unix.MS_SHARED, ""))
	return dir
}

// confined runs this test again, in a mount namespace of its own, as a service of systemd gets one. What fails there fails here.
func confined(t *testing.T, dir, propagation string) string {
	t.Helper()
	cmd := exec.Command("unshare", "--mount", "--propagation", propagation, os.Args[0], "-test.count=1", "-test.v", "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), confinedFolder+"="+dir)
	out, err := cmd.CombinedOutput()
	require.NoErrorf(t, err, "%s", out)
	require.Contains(t, string(out), "--- PASS")
	return string(out)
}

// ofParent is the namespace of the test that started this one, which unshare became.
func ofParent(t *testing.T, folders ...string) (*mountns.Namespace, error) {
	t.Helper()
	n, err := mountns.Of(filepath.Join("/proc", strconv.Itoa(os.Getppid()), "ns/mnt"), folders...)
	t.Cleanup(func() { _ = n.Close() })
	return n, err
}

func TestMountsAreTheMachinesAndComeHere(t *testing.T) {
	dir := os.Getenv(confinedFolder)
	if dir == "" {
		dir = machine(t)
		confined(t, dir, "slave")
		requireMounted(t, filepath.Join(dir, "there"), true)
		requireMounted(t, filepath.Join(dir, "here"), false)
		b, err := os.ReadFile(filepath.Join(dir, "there/from-here"))
		require.NoError(t, err)
		require.Equal(t, "text", string(b))
		requireMounted(t, filepath.Join(dir, "secrets"), true)
		b, err = os.ReadFile(filepath.Join(dir, "secrets/temp-1-g1/word"))
		require.NoError(t, err)
		require.Equal(t, "hush", string(b))
		require.NoError(t, unix.Unmount(filepath.Join(dir, "there"), 0))
		require.NoError(t, unix.Unmount(filepath.Join(dir, "secrets"), 0))
		return
	}
	n, err := ofParent(t, dir, filepath.Join(dir, "not", "yet"))
	require.NoError(t, err)
	require.NotNil(t, n)
	// The second time, one that was killed has left its mount.
	left := filepath.Join(dir, ".mounts")
	for range 2 {
		require.NoError(t, n.Try(dir))
		requireMounted(t, left, false)
		require.NoError(t, os.Mkdir(left, 0o700))
		require.NoError(t, n.Run(func() error { return unix.Mount("tmpfs", left, "tmpfs", 0, "") }))
	}
	require.NoError(t, n.Try(dir))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, entries, "the mount that was tried is gone")
	there, here, gone := filepath.Join(dir, "there"), filepath.Join(dir, "here"), filepath.Join(dir, "gone")
	for _, point := range []string{there, here, gone} {
		require.NoError(t, os.Mkdir(point, 0o700))
	}
	for _, point := range []string{there, gone} {
		require.NoError(t, n.Run(func() error { return unix.Mount("tmpfs", point, "tmpfs", 0, "") }))
		requireMounted(t, point, true)
	}
	require.NoError(t, os.WriteFile(filepath.Join(there, "from-here"), []byte("text"), 0o600))
	require.NoError(t, n.Run(func() error { return unix.Unmount(gone, unix.MNT_DETACH) }))
	requireMounted(t, gone, false)
	require.NoError(t, unix.Mount("tmpfs", here, "tmpfs", 0, ""))

	// What the process itself does elsewhere, meanwhile and afterwards, is its own.
	requireMounted(t, here, true)
	seen, err := mountns.In(n, func() (seen [2]bool, err error) {
		beside := make(chan bool)
		go func() { beside <- isMounted(here) }()
		return [2]bool{isMounted(here), <-beside}, nil
	})
	require.NoError(t, err)
	require.Equal(t, [2]bool{false, true}, seen)

	// Programs are where the thread is that starts them.
	own, err := os.Readlink("/proc/self/ns/mnt")
	require.NoError(t, err)
	cmd := exec.CommandContext(context.Background(), "readlink", "/proc/self/ns/mnt")
	var out strings.Builder
	cmd.Stdout = &out
	require.NoError(t, n.Run(cmd.Run))
	require.NotEqual(t, own, strings.TrimSpace(out.String()))
	machines, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(os.Getppid()), "ns/mnt"))
	require.NoError(t, err)
	require.Equal(t, machines, strings.TrimSpace(out.String()))

	// A file that the host has, and this process has not, is the secret.
	file := filepath.Join(dir, "word")
	require.NoError(t, n.Run(func() error { return os.WriteFile(file, []byte("hush"), 0o600) }))
	require.NoError(t, unix.Mount("/dev/null", file, "", unix.MS_BIND, ""))
	store := secret.NewStore(secret.Config{Dir: filepath.Join(dir, "secrets"), MountNS: n})
	require.NoError(t, store.Place("temp-1-g1", "temp", []module.Secret{{Name: "word", File: file, Mode: 0o400}}, 0, 0))
}

func TestMountsThatWouldNotComeHereAreToldAtOnce(t *testing.T) {
	dir := os.Getenv(confinedFolder)
	if dir == "" {
		dir = machine(t)
		confined(t, dir, "private")
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Empty(t, entries)
		return
	}
	n, err := ofParent(t, dir)
	require.NoError(t, err)
	err = n.Try(dir)
	require.ErrorIs(t, err, errdefs.ErrFailedPrecondition)
	require.ErrorContains(t, err, "make-rshared")
}

// Where the service manager hides a folder, an edged with an empty one would end all modules as those of another.
func TestFoldersThatTheServiceManagerHidesOrProtectsAreRefused(t *testing.T) {
	dir := os.Getenv(confinedFolder)
	if dir == "" {
		dir = machine(t)
		for _, folder := range []string{"hidden", "protected", "free"} {
			require.NoError(t, os.Mkdir(filepath.Join(dir, folder), 0o700))
		}
		confined(t, dir, "slave")
		return
	}
	hidden, protected, free := filepath.Join(dir, "hidden"), filepath.Join(dir, "protected"), filepath.Join(dir, "free")
	require.NoError(t, unix.Mount("tmpfs", hidden, "tmpfs", 0, ""))
	require.NoError(t, unix.Mount(protected, protected, "", unix.MS_BIND, ""))
	require.NoError(t, unix.Mount("", protected, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	for folder, cure := range map[string]string{hidden: "PrivateTmp=no", protected: "ReadWritePaths="} {
		for _, folder := range []string{folder, filepath.Join(folder, "not/yet")} {
			n, err := ofParent(t, free, folder)
			require.Nil(t, n)
			require.ErrorIs(t, err, errdefs.ErrFailedPrecondition)
			require.ErrorContains(t, err, folder)
			require.ErrorContains(t, err, cure)
		}
	}
	// One that was mounted there only after, and comes here, is the same.
	n, err := ofParent(t, free)
	require.NoError(t, err)
	require.NoError(t, n.Run(func() error { return unix.Mount("tmpfs", free, "tmpfs", 0, "") }))
	_, err = ofParent(t, free)
	require.NoError(t, err)
}

func TestOneNamespaceTakesNoThread(t *testing.T) {
	n, err := mountns.Of("/proc/self/ns/mnt", t.TempDir())
	require.NoError(t, err)
	require.Nil(t, n)
	n, err = mountns.Open(false, t.TempDir())
	require.NoError(t, err)
	require.Nil(t, n)
	require.NoError(t, n.Try("/nowhere"))
	ran := false
	require.NoError(t, n.Run(func() error { ran = true; return nil }))
	require.True(t, ran)
	require.NoError(t, n.Close())
	_, err = mountns.Of("/proc/self/ns/no", t.TempDir())
	require.ErrorIs(t, err, os.ErrNotExist)
}

func requireMounted(t *testing.T, point string, want bool) {
	t.Helper()
	require.Equal(t, want, isMounted(point), point)
}

func isMounted(point string) bool {
	var own, above unix.Stat_t
	return unix.Stat(point, &own) == nil && unix.Stat(filepath.Dir(point), &above) == nil && own.Dev != above.Dev
}
