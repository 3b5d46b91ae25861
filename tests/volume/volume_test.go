package volume

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/edged/edged/tests/device"
)

func TestVolumes(t *testing.T) {
	d := device.New(t, device.Options{})
	importFilled(t, d)
	for name, test := range map[string]func(*testing.T, *device.Device){
		"a declared volume is filled from the image as it is": declared,
		"a named volume outlives updates and its module":      named,
		"subpaths lead nowhere else":                          subpaths,
		"what is in use is not removed":                       inUse,
		"the first content follows no link of the image's":    links,
		"what is refused leaves nothing":                      nothingLeft,
		"edgectl shows and removes":                           operator,
		"a reboot and a lost containerd take nothing":         reboot,
	} {
		if !t.Run(name, func(t *testing.T) { test(t, d.For(t)) }) {
			return // its volumes are not what the next one expects
		}
	}
}

func declared(t *testing.T, d *device.Device) {
	d.CreateAndStart(with(d, "decl", nil))
	d.Probe("decl")
	name := anonymous(t, d, "decl")
	require.Equal(t, "2770 1000:1234 /data\n640 1000:1000 /data/file\n4755 0:0 /data/tool\n1777 0:0 /data/deep/er\n/etc/passwd\n",
		sh(d, "decl", "stat -c '%a %u:%g %n' /data /data/file /data/tool /data/deep/er; readlink /data/out"))
	require.Contains(t, sh(d, "decl", "cat /proc/mounts"), " /data ")
	before, err := os.Stat(data(d, name) + "/file")
	require.NoError(t, err)
	require.Equal(t, int64(0), before.ModTime().Unix(), "times are the image's too")

	sh(d, "decl", "echo changed > /data/file; rm /data/tool")
	update(t, d, with(d, "decl", nil))
	d.Probe("decl")
	require.Equal(t, "changed\n", sh(d, "decl", "cat /data/file"), "an anonymous volume is the module's, not a generation's")
	require.NotContains(t, sh(d, "decl", "ls /data"), "tool", "it is filled once")
	require.Equal(t, http.StatusConflict, remove(d, name).Status)
	deleteModule(t, d, "decl")
	require.NoDirExists(t, filepath.Dir(data(d, name)))
	d.CreateAndStart(with(d, "decl", nil))
	d.Probe("decl")
	require.Equal(t, "from the image", sh(d, "decl", "cat /data/file"), "a module of the same name is another one")
	deleteModule(t, d, "decl")
	require.Empty(t, volumes(t, d))
}

func named(t *testing.T, d *device.Device) {
	labelled := map[string]any{"Type": "volume", "Source": "state", "Target": "/data", "VolumeOptions": map[string]any{"Labels": map[string]string{"team": "plant"}}}
	d.CreateAndStart(with(d, "keep", nil, labelled))
	d.Probe("keep")
	sh(d, "keep", "echo one > /data/file")
	update(t, d, with(d, "keep", []string{"state:/data"}))
	d.Probe("keep")
	require.Equal(t, "one\n", sh(d, "keep", "cat /data/file"))
	deleteModule(t, d, "keep")
	require.Equal(t, map[string]string{"team": "plant"}, volumes(t, d)["state"].Labels)
	require.Empty(t, volumes(t, d)["state"].Modules)

	d.CreateAndStart(with(d, "keep", []string{"state:/elsewhere:ro", "fresh:/data:nocopy"}))
	d.Probe("keep")
	require.Equal(t, "one\n", sh(d, "keep", "cat /elsewhere/file"))
	require.Contains(t, sh(d, "keep", "{ echo x > /elsewhere/new; } 2>&1 || true"), "Read-only file system")
	require.Empty(t, sh(d, "keep", "ls /data"), "nocopy")
	require.Len(t, volumes(t, d), 2, "what is mounted at a declared volume takes its place")
	deleteModule(t, d, "keep")
	for _, v := range []string{"state", "fresh"} {
		require.Equal(t, http.StatusNoContent, remove(d, v).Status)
	}
	require.Empty(t, volumes(t, d))
}

func subpaths(t *testing.T, d *device.Device) {
	d.CreateAndStart(with(d, "owner", []string{"shared:/data"}))
	d.Probe("owner")
	sh(d, "owner", "mkdir /data/sub; echo in > /data/sub/file; ln -s / /data/abs; ln -s ../../.. /data/up")
	spec := with(d, "guest", []string{"other:/data"}, subpath("shared", "/sub", "sub"), subpath("shared", "/one", "sub/file"))
	d.CreateAndStart(spec)
	d.Probe("guest")
	require.Equal(t, "in\nin\n", sh(d, "guest", "cat /sub/file /one"))
	entries, err := os.ReadDir(filepath.Join(d.Run, "subpaths"))
	require.NoError(t, err)
	require.Empty(t, entries, "a pin is there only while its module starts")
	mounts, err := os.ReadFile("/proc/self/mounts")
	require.NoError(t, err)
	require.NotContains(t, string(mounts), d.Run+"/subpaths")

	// Swapped while the guest is stopped, and seen at its next start.
	d.Post("guest", "stop")
	sh(d, "owner", "mv /data/sub /data/was; ln -s / /data/sub")
	a := d.Host("POST", "/modules/guest/start?"+device.Version, "")
	require.Equal(t, http.StatusBadRequest, a.Status, a.Body)
	require.Contains(t, a.Message(), `leads out of volume "shared"`)
	sh(d, "owner", "rm /data/sub; mv /data/was /data/sub")
	d.Post("guest", "start")
	require.Equal(t, "in\n", sh(d, "guest", "cat /sub/file"))
	deleteModule(t, d, "guest")

	for _, sub := range []string{"abs", "abs/etc", "up", "none"} {
		spec := with(d, "bad", []string{"other:/data"}, subpath("shared", "/sub", sub))
		d.Create(spec)
		a := d.Host("POST", "/modules/bad/start?"+device.Version, "")
		require.Equal(t, http.StatusBadRequest, a.Status, a.Body)
		require.Contains(t, a.Message(), `volume "shared"`, sub)
		deleteModule(t, d, "bad")
	}
	for _, sub := range []string{"..", "../other", "/etc", "a/../../b"} {
		require.Contains(t, refused(t, d, with(d, "bad", nil, subpath("shared", "/sub", sub)), http.StatusBadRequest), "VolumeOptions.Subpath")
	}
	deleteModule(t, d, "owner")
	a = d.Host("POST", "/volumes/prune?"+device.Version, "")
	require.JSONEq(t, `{"removed":["other","shared"]}`, a.Body)
}

func inUse(t *testing.T, d *device.Device) {
	d.Create(with(d, "user", []string{"used:/data"}))
	a := remove(d, "used")
	require.Equal(t, http.StatusConflict, a.Status)
	require.Equal(t, `volume "used" is in use by module user`, a.Message(), "a module that never ran uses it too")
	require.JSONEq(t, `{"removed":[]}`, d.Host("POST", "/volumes/prune?"+device.Version, "").Body)
	require.FileExists(t, data(d, "used")+"/file")
	update(t, d, with(d, "user", []string{"second:/data"}))
	d.Eventually("the old generation is gone, and what it used is free", func() bool { return remove(d, "used").Status == http.StatusNoContent })
	require.Equal(t, http.StatusNotFound, remove(d, "used").Status)
	require.Equal(t, http.StatusConflict, d.Agent().Manage("DELETE", "/volumes/second", "").Status, "edgeAgent may ask")
	deleteModule(t, d, "user")
	require.Equal(t, http.StatusNoContent, d.Agent().Manage("DELETE", "/volumes/second", "").Status)
	require.Contains(t, d.EdgedLog(), `"volume":"second"`, "the audit log says which")
}

func links(t *testing.T, d *device.Device) {
	d.CreateAndStart(with(d, "linked", []string{"behind:/link", "far:/escape", "empty:/not/there", "none:/data:nocopy"}))
	d.Probe("linked")
	require.FileExists(t, data(d, "behind")+"/default", "what the path leads to inside the image")
	require.Equal(t, "here", sh(d, "linked", "cat /etc/app/default"))
	host, err := os.ReadFile("/etc/passwd")
	require.NoError(t, err)
	got, err := os.ReadFile(data(d, "far") + "/passwd")
	require.NoError(t, err)
	require.NotEqual(t, string(host), string(got), "/etc is the image's")
	entries, err := os.ReadDir(data(d, "empty"))
	require.NoError(t, err)
	require.Empty(t, entries)
	deleteModule(t, d, "linked")
	d.Host("POST", "/volumes/prune?"+device.Version, "")
}

func nothingLeft(t *testing.T, d *device.Device) {
	for what, spec := range map[string]func() string{
		"a user that the image does not know": func() string {
			return refused(t, d, device.WithOptions(with(d, "bad", []string{"trace:/data"}), func(top, _ map[string]any) { top["User"] = "nobody-here" }), http.StatusBadRequest)
		},
		"a file as mount point": func() string {
			return refused(t, d, with(d, "bad", []string{"early:/a", "trace:/data/file"}), http.StatusBadRequest)
		},
	} {
		require.NotEmpty(t, spec(), what)
		require.Empty(t, volumes(t, d), what)
		entries, err := os.ReadDir(filepath.Join(d.Home, "volumes"))
		require.NoError(t, err)
		require.Empty(t, entries, what)
	}
}

func operator(t *testing.T, d *device.Device) {
	edgectl := func(args ...string) (string, string, int) {
		cmd := exec.Command(filepath.Join(device.Repository(), "bin", "edgectl"), append([]string{"--host", d.Management(), "volume"}, args...)...)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, _ := cmd.Output()
		return string(out), stderr.String(), cmd.ProcessState.ExitCode()
	}
	d.CreateAndStart(with(d, "shown", []string{"held:/data"}))
	deleteModule(t, d, "shown")
	d.CreateAndStart(with(d, "shown", []string{"kept:/data"}))
	out, _, code := edgectl("ls")
	require.Zero(t, code)
	require.Regexp(t, `(?m)^held +named +- +.*ago$`, out)
	require.Regexp(t, `(?m)^kept +named +shown +.*ago$`, out)
	_, errs, code := edgectl("rm", "kept")
	require.Equal(t, 1, code)
	require.Contains(t, errs, `in use by module shown`)
	_, _, code = edgectl("rm", "none")
	require.Equal(t, 3, code)
	out, errs, code = edgectl("prune")
	require.Equal(t, 2, code)
	require.Empty(t, out)
	require.Contains(t, errs, "would remove held")
	out, _, code = edgectl("prune", "--force")
	require.Zero(t, code)
	require.Equal(t, "held\n", out)
	deleteModule(t, d, "shown")
	out, _, code = edgectl("rm", "kept")
	require.Zero(t, code)
	require.Equal(t, "kept\n", out)
}

func reboot(t *testing.T, d *device.Device) {
	d.CreateAndStart(with(d, "stays", []string{"long:/long"}))
	d.Probe("stays")
	sh(d, "stays", "echo a > /data/file; echo b > /long/file")
	// What a crash in the middle leaves is gone after the next start.
	require.NoError(t, os.MkdirAll(filepath.Join(d.Home, "volumes", ".new-1", "_data"), 0o700))
	pin := filepath.Join(d.Run, "subpaths", "stays-g0", "pin")
	require.NoError(t, os.MkdirAll(pin, 0o700))
	require.NoError(t, unix.Mount(data(d, "long"), pin, "", unix.MS_BIND, ""))
	d.Edged.Signal(syscall.SIGKILL)
	d.StartEdged()
	d.Eventually("the pin is gone", func() bool { _, err := os.Stat(filepath.Dir(pin)); return os.IsNotExist(err) })
	require.FileExists(t, data(d, "long")+"/file")
	d.Eventually("the stage is gone", func() bool {
		_, err := os.Stat(filepath.Join(d.Home, "volumes", ".new-1"))
		return os.IsNotExist(err)
	})
	d.Reboot()
	d.WaitFor("stays", "running")
	d.Probe("stays")
	require.Equal(t, "a\nb\n", sh(d, "stays", "cat /data/file /long/file"))
	deleteModule(t, d, "stays")
	require.Contains(t, volumes(t, d), "long")
	require.Len(t, volumes(t, d), 1)
	require.Equal(t, http.StatusNoContent, remove(d, "long").Status)
}

func TestAFullDiskLeavesNoHalfVolume(t *testing.T) {
	home := t.TempDir()
	require.NoError(t, syscall.Mount("tmpfs", home, "tmpfs", 0, "size=64m")) // of which a twentieth stays free
	t.Cleanup(func() { _ = syscall.Unmount(home, syscall.MNT_DETACH) })
	d := device.New(t, device.Options{Home: home})
	importFilled(t, d)
	f, err := os.Create(filepath.Join(home, "filler"))
	require.NoError(t, err)
	var st unix.Statfs_t
	require.NoError(t, unix.Statfs(home, &st))
	require.NoError(t, unix.Fallocate(int(f.Fd()), 0, 0, int64(st.Bavail)*int64(st.Bsize)-(1<<20))) //nolint:unconvert // 32 bits elsewhere
	require.NoError(t, f.Close())
	spec := with(d, "big", []string{"big:/bin"}) // several MiB
	require.Contains(t, refused(t, d, spec, http.StatusServiceUnavailable), "the disk is full")
	require.Empty(t, volumes(t, d))
	entries, err := os.ReadDir(filepath.Join(home, "volumes"))
	require.NoError(t, err)
	require.Empty(t, entries)
	require.NoError(t, os.Remove(filepath.Join(home, "filler")))
	d.Create(spec)
	require.FileExists(t, data(d, "big")+"/busybox")
}
