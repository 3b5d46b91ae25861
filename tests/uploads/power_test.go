package uploads

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/edged/edged/tests/device"
)

// TestAPowerCutAfterTheAnswerLeavesTheImageWhole looks at what is on the disk, and not only in
// the kernel's memory, when the answer has come: a copy of the disk is that of a device whose
// power went in this moment.
func TestAPowerCutAfterTheAnswerLeavesTheImageWhole(t *testing.T) {
	folder := t.TempDir()
	disk, after := filepath.Join(folder, "disk"), filepath.Join(folder, "after")
	require.NoError(t, os.WriteFile(disk, nil, 0o600))
	require.NoError(t, os.Truncate(disk, 512<<20))
	run := func(name string, args ...string) {
		t.Helper()
		out, err := exec.Command(name, args...).CombinedOutput()
		require.NoError(t, err, "%s %v: %s", name, args, out)
	}
	run("mkfs.ext4", "-q", disk)
	mount := func(image string) string {
		at := t.TempDir()
		run("mount", "-o", "loop", image, at)
		t.Cleanup(func() { _ = unix.Unmount(at, unix.MNT_DETACH) })
		return at
	}
	t.Setenv("TMPDIR", mount(disk)) // all of the device is there
	d := device.New(t, device.Options{Config: config})
	unix.Sync()
	p := pushed(t, d, busybox(t, "registry.example/app:1"))
	run("cp", "--sparse=always", disk, after)
	program, err := os.Stat("/bin/busybox")
	require.NoError(t, err)
	var sizes []int64
	require.NoError(t, filepath.WalkDir(mount(after), func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Name() == "busybox" && e.Type().IsRegular() {
			info, err := e.Info()
			require.NoError(t, err)
			sizes = append(sizes, info.Size())
		}
		return err
	}))
	require.Equal(t, []int64{program.Size(), program.Size()}, sizes, "that of the agent's image, and its own")
	removed(t, d, p.UID)
}
