package spine

import (
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/device"
)

// TestWhatContainerdLeftOfARunKeepsNoModuleDown: its shims' folders stay now and then, with
// what was mounted there, and it refuses the container from then on.
func TestWhatContainerdLeftOfARunKeepsNoModuleDown(t *testing.T) {
	d := device.New(t, device.Options{})
	d.CreateAndStart(d.CommandSpec("pump", "sleep"))
	d.Post("pump", "stop")
	folder := filepath.Join(d.Root, "containerd", "state", "io.containerd.runtime.v2.task", d.Namespace)
	id := containerOf(d, "pump")
	files := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(files, "data"), nil, 0o600))
	for _, name := range []string{id, "." + id} {
		rootfs := filepath.Join(folder, name, "rootfs")
		require.NoError(t, os.MkdirAll(rootfs, 0o711))
		require.NoError(t, os.WriteFile(filepath.Join(folder, name, "address"), []byte("unix:///run/containerd/s/gone"), 0o600))
		require.NoError(t, syscall.Mount(files, rootfs, "", syscall.MS_BIND, ""))
	}
	d.Post("pump", "start")
	d.WaitFor("pump", "running")
	require.FileExists(t, filepath.Join(files, "data"), "what was mounted there is the container's own")
	require.NoDirExists(t, filepath.Join(folder, "."+id))
	require.Contains(t, d.EdgedLog(), "removed what containerd left of an earlier run")

	// Another container's is none of this one's business, and one that runs has its own.
	other := filepath.Join(folder, "other")
	require.NoError(t, os.Mkdir(other, 0o711))
	d.Post("pump", "restart")
	d.WaitFor("pump", "running")
	require.DirExists(t, other)
}

// TestNoModuleChoosesWhatIsRemovedInContainerdsName: the name of its program, which its image
// or its options say, is in the complaint that there is no such program.
func TestNoModuleChoosesWhatIsRemovedInContainerdsName(t *testing.T) {
	d := device.New(t, device.Options{})
	d.Create(d.CommandSpec("forger", "sleep"))
	id := containerOf(d, "forger")
	d.Delete("forger")
	folder := filepath.Join(t.TempDir(), "io.containerd.runtime.v2.task", d.Namespace, id)
	require.NoError(t, os.MkdirAll(folder, 0o755))
	for _, text := range []string{"mkdir " + folder + ": file exists", "x\nmkdir " + folder + ": file exists\n"} {
		d.Create(device.WithOptions(d.CommandSpec("forger", "sleep"), func(top, _ map[string]any) { top["Entrypoint"] = []string{text} }))
		require.Equal(t, id, containerOf(d, "forger"))
		a := d.Host(http.MethodPost, "/modules/forger/start?"+device.Version, "")
		require.Equal(t, http.StatusBadRequest, a.Status, a.Body)
		require.Contains(t, a.Body, folder, "containerd repeats it")
		require.DirExists(t, folder)
		d.Delete("forger")
	}
}
