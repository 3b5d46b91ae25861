//go:build vm

// Package installed tests the Debian package on a Debian with its own kernel, as the first process of a virtual machine found it: with AppArmor, which no
// container has, and with whatever cgroups the kernel was started with. The machine is the test's to change.
package installed

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/edged/edged/contrib/imagetar/archive"
)

const (
	packages = "../../build/vm/packages"
	profile  = "edged-default"
	image    = "edged.local/busybox:1"
	// soon is for a machine that may be emulated.
	soon = 5 * time.Minute
)

// TestPackageWithAppArmor: each part begins where the one before it ended.
func TestPackageWithAppArmor(t *testing.T) {
	require.Equal(t, "Yes", run(t, "aa-enabled"), "the kernel was started without AppArmor")
	// Overlays of containers cannot lie on the overlay that the root is.
	require.NoError(t, os.MkdirAll("/var/lib/containerd", 0o711))
	require.NoError(t, unix.Mount("tmpfs", "/var/lib/containerd", "tmpfs", 0, "mode=0711"))

	for _, part := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"the package loads the profile, and the agent is under it", packageLoadsTheProfile},
		{"checks find no fault", checksFindNoFault},
		{"a module is held by the profile", moduleIsHeld},
		{"without the profile no module starts, and it says why", nothingStartsWithout},
		{"modules run on through a restart of edged", modulesRunOn},
	} {
		if !t.Run(part.name, part.run) {
			journal, _ := exec.Command("journalctl", "--no-pager", "-u", "edged", "-n", "50").CombinedOutput()
			t.Fatalf("what follows needs this; edged's journal:\n%s", journal)
		}
	}
}

func packageLoadsTheProfile(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(packages, "edged_*_amd64.deb"))
	require.NoError(t, err)
	require.Len(t, files, 1, "make test-vm makes the package")
	_ = exec.Command("apparmor_parser", "--remove", "../../contrib/apparmor/"+profile).Run() // which other tests have loaded
	require.NotContains(t, profiles(t), "\n"+profile+" ")
	t.Log(run(t, "dpkg", "--install", files[0]))
	require.Contains(t, profiles(t), "\n"+profile+" (enforce)")
	await(t, "the agent runs", func() bool { return status("edgeAgent") == "running" })
	require.Equal(t, profile+" (enforce)", label(t, "edgeAgent"))
}

// profiles are those that the kernel has, each between line feeds.
func profiles(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("/sys/kernel/security/apparmor/profiles")
	require.NoError(t, err)
	return "\n" + string(b)
}

func checksFindNoFault(t *testing.T) {
	// Those that judge the machine and not the package are left out: this one has little memory and neither network nor time service.
	out := run(t, "edgectl", "check", "apparmor", "config", "units", "socket-management", "edged", "version", "containerd", "runc", "shim", "kernel", "cni-plugins", "iptables", "agent", "preload")
	t.Log(out)
	require.NotRegexp(t, `(?m)^(warning|error|skipped)\b`, out)
}

// moduleIsHeld: a capability is not all that a mount takes.
func moduleIsHeld(t *testing.T) {
	busybox(t)
	const mount = "mkdir -p /tmp/x; mount -t tmpfs none /tmp/x 2>&1 && echo mounted; "
	const write = "cat /proc/sys/kernel/core_pattern >/tmp/pattern; cat /tmp/pattern >/proc/sys/kernel/core_pattern && echo written; cat /proc/self/attr/current; exec "
	security := func(more ...string) options {
		return options{"HostConfig": options{"CapAdd": []string{"SYS_ADMIN"}, "SecurityOpt": append(more, "systempaths=unconfined")}}
	}
	apply(t, map[string]module{
		"held": {mount + write + "sleep 1000001", security()},
		"free": {mount + write + "sleep 1000002", security("apparmor=unconfined")},
	})
	await(t, "both are through", func() bool {
		return strings.Contains(logs("held"), profile) && strings.Contains(logs("free"), "unconfined")
	})
	require.Contains(t, logs("free"), "mounted", "the same module without the profile can, so that it is the profile that holds")
	require.Contains(t, logs("free"), "written")
	require.NotContains(t, logs("held"), "mounted")
	require.NotContains(t, logs("held"), "written")
	require.Contains(t, strings.ToLower(logs("held")), "permission denied")
	require.Equal(t, profile+" (enforce)", label(t, "held"))
}

func nothingStartsWithout(t *testing.T) {
	run(t, "apparmor_parser", "--remove", "/etc/apparmor.d/"+profile)
	out, err := exec.Command("edgectl", "restart", "held").CombinedOutput()
	require.Error(t, err, "%s", out)
	require.Contains(t, string(out), "apparmor")
	out, err = exec.Command("edgectl", "check", "apparmor").CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "apparmor_parser -r /etc/apparmor.d/"+profile)

	run(t, "apparmor_parser", "-r", "/etc/apparmor.d/"+profile)
	run(t, "edgectl", "start", "held")
	await(t, "it runs again", func() bool { return status("held") == "running" })
	require.Equal(t, profile+" (enforce)", label(t, "held"))
}

func modulesRunOn(t *testing.T) {
	before := pid(t, "held")
	run(t, "systemctl", "restart", "edged.service")
	require.Equal(t, before, pid(t, "held"))
	require.Equal(t, "running", status("held"))
}

type (
	options = map[string]any
	module  struct {
		Args    string
		Options options
	}
)

// apply deploys modules of busybox, each of which runs a line of its shell.
func apply(t *testing.T, modules map[string]module) {
	t.Helper()
	all := options{}
	for name, m := range modules {
		m.Options["Entrypoint"] = []string{"/bin/sh", "-c"}
		m.Options["Cmd"] = []string{m.Args}
		all[name] = options{"status": "running", "restartPolicy": "never", "imagePullPolicy": "never", "settings": options{"image": image, "createOptions": m.Options}}
	}
	b, err := json.Marshal(options{"schemaVersion": "1.1", "modules": all})
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "deployment.json")
	require.NoError(t, os.WriteFile(file, b, 0o600))
	t.Log(run(t, "edgectl", "apply", "--yes", "-f", file))
}

// busybox brings an image of the machine's own.
func busybox(t *testing.T) {
	t.Helper()
	body, err := os.ReadFile("/bin/busybox")
	require.NoError(t, err)
	layer := archive.Layer{"/bin/busybox": {Body: body, Mode: 0o755}}
	for _, name := range []string{"sh", "mkdir", "mount", "cat", "sleep", "echo"} {
		layer["/bin/"+name] = archive.File{Link: "busybox"}
	}
	run(t, "systemctl", "stop", "edged.service") // or it reads an archive that is half there
	require.NoError(t, os.MkdirAll("/var/lib/edged/images", 0o755))
	file, err := os.Create("/var/lib/edged/images/busybox.tar")
	require.NoError(t, err)
	require.NoError(t, archive.Write(file, archive.Image{
		Ref: image, Platform: ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH}, Config: ocispec.ImageConfig{Env: []string{"PATH=/bin"}}, Layers: []archive.Layer{layer},
	}))
	require.NoError(t, file.Close())
	run(t, "systemctl", "start", "edged.service")
}

func run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	require.NoErrorf(t, err, "%s: %s", strings.Join(args, " "), out)
	return strings.TrimSpace(string(out))
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	require.Eventually(t, done, soon, time.Second, what)
}

func status(module string) string {
	out, _ := exec.Command("edgectl", "list", "--format", "{{.Name}} {{.Status}}").Output()
	for line := range strings.Lines(string(out)) {
		if name, is, _ := strings.Cut(strings.TrimSpace(line), " "); name == module {
			return is
		}
	}
	return ""
}

func logs(module string) string {
	out, _ := exec.Command("edgectl", "logs", module).CombinedOutput()
	return string(out)
}

// processes are so by the words of their command lines; a module of busybox ends in a sleep of its own length.
var processes = map[string]string{"edgeAgent": "/edged-agent", "held": "sleep\x001000001", "free": "sleep\x001000002"}

// pid is that of a module's first process.
func pid(t *testing.T, module string) int {
	t.Helper()
	var found []int
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	require.NoError(t, err)
	for _, file := range all {
		if b, err := os.ReadFile(file); err == nil && strings.HasPrefix(string(b), processes[module]) {
			n, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			require.NoError(t, err)
			found = append(found, n)
		}
	}
	require.Len(t, found, 1, "processes of %s", module)
	return found[0]
}

// label is the AppArmor profile of a module's first process.
func label(t *testing.T, module string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid(t, module)), "attr/current"))
	require.NoError(t, err)
	return strings.TrimSpace(string(b))
}
