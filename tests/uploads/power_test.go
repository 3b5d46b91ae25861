package uploads

import (
	"crypto/rand"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/edged/edged/contrib/imagetar/archive"
	"github.com/edged/edged/tests/device"
)

// TestOnADiskOfItsOwn has all of a device on a small disk that can be looked at from outside.
func TestOnADiskOfItsOwn(t *testing.T) {
	disk := filepath.Join(t.TempDir(), "disk")
	require.NoError(t, os.WriteFile(disk, nil, 0o600))
	require.NoError(t, os.Truncate(disk, 512<<20))
	command(t, "mkfs.ext4", "-q", disk)
	t.Setenv("TMPDIR", mount(t, disk)) // all of the device is there
	d := device.New(t, device.Options{Config: strings.Replace(config, "1MiB", "64MiB", 1)})
	t.Run("the power goes after the answer", func(t *testing.T) { powerCut(t, d.For(t), disk) })
	t.Run("an image would not leave what has to stay free", func(t *testing.T) { noRoom(t, d.For(t)) })
}

func command(t *testing.T, name string, args ...string) {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	require.NoError(t, err, "%s %v: %s", name, args, out)
}

func mount(t *testing.T, disk string) string {
	t.Helper()
	at := t.TempDir()
	command(t, "mount", "-o", "loop", disk, at)
	t.Cleanup(func() { _ = unix.Unmount(at, unix.MNT_DETACH) })
	return at
}

// powerCut looks at what is on the disk, and not only in the kernel's memory, when the answer
// has come: a copy of the disk is that of a device whose power went in this moment.
func powerCut(t *testing.T, d *device.Device, disk string) {
	unix.Sync()
	p := pushed(t, d, busybox(t, "registry.example/app:1"))
	after := filepath.Join(t.TempDir(), "after")
	command(t, "cp", "--sparse=always", disk, after)
	program, err := os.Stat("/bin/busybox")
	require.NoError(t, err)
	var sizes []int64
	require.NoError(t, filepath.WalkDir(mount(t, after), func(path string, e fs.DirEntry, err error) error {
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

// noRoom: there is room for the archive, and for the image only if nothing else stays.
func noRoom(t *testing.T, d *device.Device) {
	clean := tracesOf(t, d)
	data := make([]byte, 40<<20)
	_, _ = rand.Read(data)
	large := imageArchive(t, archive.Image{
		Ref: "registry.example/large:1", Platform: ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH}, Layers: []archive.Layer{{"/data": {Body: data, Mode: 0o644}}},
	})
	ballast := filepath.Join(d.Root, "ballast")
	var st unix.Statfs_t
	require.NoError(t, unix.Statfs(d.Root, &st))
	free := int64(st.Bavail) * int64(st.Bsize) //nolint:unconvert // 32 bits wide on arm
	command(t, "fallocate", "-l", fmt.Sprint(free-(150<<20)), ballast)
	a := push(t, d, "v1", "module", large)
	require.Equal(t, http.StatusInsufficientStorage, a.Status, a.Body)
	require.Contains(t, a.Error.Message, "free_floor")
	require.Equal(t, clean, tracesOf(t, d))
	require.NoError(t, os.Remove(ballast))
	removed(t, d, pushed(t, d, large).UID)
	require.Equal(t, clean, tracesOf(t, d))
}
