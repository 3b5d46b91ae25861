// Package device is a whole device for tests: a private containerd, edged on it,
// and modules that are real containers.
package device

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Version is in URLs of the management and workload APIs.
const Version = "api-version=2022-08-03"

// Device is one containerd with one edged. Everything is under Root.
type Device struct {
	tb   testing.TB
	Root string
	Home string
	Run  string
	// Namespace of containerd: its own for each device, because runc's state is shared
	// by all containerds of a machine.
	Namespace  string
	Containerd *Process
	Edged      *Process
	opt        Options
	kept       kept
	// parent owns the processes, which a sub-test may restart.
	parent *Device
}

// Options change how a device is made.
type Options struct {
	// Config is appended to edged's configuration file.
	Config string
	// NoAgent leaves edgeAgent out: its image is not there.
	NoAgent bool
	// Packaged makes edgeAgent of the image that packages bring along, instead of the probe.
	Packaged bool
	// OSGi puts the OSGi host's image on the device. Without Network it has none either.
	OSGi bool
	// AgentEnv are lines of [agent] env.
	AgentEnv string
	// Env is given to edged besides its own.
	Env []string
	// Binary is edged's program, by default bin/edged.
	Binary string
	// Home, when set, is used instead of <Root>/home.
	Home string
	// Network gives the device a network of its own, in which modules have theirs when
	// nothing else is asked for; without it they have none. See network.go.
	Network bool
}

// New makes a device, with the probe as its edgeAgent, and removes it when the test ends.
func New(tb testing.TB, opt Options) *Device {
	tb.Helper()
	require.Zero(tb, os.Getuid(), "system tests run as root: use the Makefile")
	// Socket paths have 108 bytes at most, so the folder is not in the test's own.
	root, err := os.MkdirTemp("", "edt")
	require.NoError(tb, err)
	d := &Device{
		tb: tb, Root: root, Home: filepath.Join(root, "home"), Run: filepath.Join(root, "run"),
		Namespace: "t" + filepath.Base(root), opt: opt,
	}
	if opt.Home != "" {
		d.Home = opt.Home
	}
	tb.Cleanup(d.remove)
	if opt.Network {
		d.makeNetwork()
	}
	loadProfile(tb)
	d.writeFiles()
	d.StartContainerd()
	d.StartEdged()
	if !opt.NoAgent {
		d.WaitFor("edgeAgent", "running")
	}
	return d
}

func (d *Device) writeFiles() {
	images := filepath.Join(d.Home, "images")
	require.NoError(d.tb, os.MkdirAll(images, 0o700))
	writeImages(d.tb, filepath.Join(images, "probe.tar"))
	for _, dir := range []string{d.ProbeDir("edgeAgent"), filepath.Join(d.Root, "containerd")} {
		require.NoError(d.tb, os.MkdirAll(dir, 0o777))
	}
	agentImage := Image
	if d.opt.NoAgent {
		agentImage = "edged.local/none:1"
	}
	if d.opt.Packaged {
		agentImage = "" // edged knows it by its own version
		d.copyImage("edged-agent.tar", "make build makes it")
	}
	if d.opt.OSGi {
		d.copyImage("edged-osgi-host.tar", "make osgi-host makes it")
		if !d.opt.Network {
			d.opt.Config += "\n[bundles]\ncreate_options = '{\"HostConfig\":{\"NetworkMode\":\"none\"}}'\n" + d.configOf("bundles")
		}
	}
	d.write("containerd.toml", fmt.Sprintf(`version = 2
root = %q
state = %q
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", "io.containerd.nri.v1.nri", "io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[grpc]
  address = %q
[debug]
  level = "warn"
`, filepath.Join(d.Root, "containerd", "root"), filepath.Join(d.Root, "containerd", "state"), d.Address()))
	options := fmt.Sprintf(`{"HostConfig":{"Binds":[%q]}}`, d.ProbeDir("edgeAgent")+":/probe")
	if d.opt.Packaged {
		options = "{}"
	}
	d.write("config.toml", fmt.Sprintf(`version = 1
home = %q
run = %q
[listen]
management = %q
workload = %q
[containerd]
address = %q
namespace = %q
%s
[network]
bridge = %q
cni_conf_dir = %q
%s
[agent]
image = %q
create_options = '%s'
env = {%s}
`, d.Home, d.Run, d.Management(), d.Workload(), d.Address(), d.Namespace, d.configOf("containerd"), d.Bridge(), d.ConfDir(), d.configOf("network"), agentImage, options, d.opt.AgentEnv)+d.opt.Config)
}

// copyImage puts an archive that was built into the folder that edged imports from.
func (d *Device) copyImage(name, cure string) {
	archive, err := os.ReadFile(filepath.Join(Repository(), "bin", name))
	require.NoError(d.tb, err, cure)
	require.NoError(d.tb, os.WriteFile(filepath.Join(d.Home, "images", name), archive, 0o600))
}

// configOf takes the keys of a table, which the device writes itself, out of Options.Config.
func (d *Device) configOf(table string) string {
	before, rest, ok := strings.Cut("\n"+d.opt.Config, "\n["+table+"]")
	if !ok {
		return ""
	}
	keys, after, more := strings.Cut(rest, "\n[")
	if more {
		after = "\n[" + after
	}
	d.opt.Config = strings.TrimPrefix(before, "\n") + after
	return keys
}

func (d *Device) write(name, text string) {
	require.NoError(d.tb, os.WriteFile(filepath.Join(d.Root, name), []byte(text), 0o600))
}

// Address is containerd's socket.
func (d *Device) Address() string { return filepath.Join(d.Root, "c.sock") }

// Management is edged's shared management socket.
func (d *Device) Management() string { return filepath.Join(d.Run, "mgmt.sock") }

// Workload is edged's shared workload socket.
func (d *Device) Workload() string { return filepath.Join(d.Run, "workload.sock") }

// ProbeDir is the folder that a probe module shares with the test.
func (d *Device) ProbeDir(module string) string {
	return filepath.Join(d.Root, "probe", strings.ReplaceAll(module, "/", "_"))
}

// StartContainerd starts containerd and waits until it answers.
func (d *Device) StartContainerd() {
	p := d.start("containerd.log", nil, nil, "containerd", "--config", filepath.Join(d.Root, "containerd.toml"))
	for o := d; o != nil; o = o.parent {
		o.Containerd = p
	}
	d.Eventually("containerd answers", func() bool {
		return exec.Command("ctr", "-a", d.Address(), "version").Run() == nil
	})
}

// StartEdged starts edged and waits until it answers.
func (d *Device) StartEdged() {
	binary := d.opt.Binary
	if binary == "" {
		binary = filepath.Join(Repository(), "bin", "edged")
	}
	command := confined(d.tb, binary, "--config", filepath.Join(d.Root, "config.toml"), "--log-level", "debug")
	command, env := d.activated(command)
	p := d.start("edged.log", append(env, d.opt.Env...), d.kept.files, command[0], command[1:]...)
	for o := d; o != nil; o = o.parent {
		o.Edged = p
	}
	d.Eventually("edged answers", func() bool {
		res, err := d.client().Get("http://localhost/modules?" + Version)
		if err != nil {
			return false
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
}

// SetEnv changes what edged is started with the next time.
func (d *Device) SetEnv(env ...string) { d.opt.Env = env }

// remove ends everything the device started, the modules' shims among it.
func (d *Device) remove() {
	if d.tb.Failed() {
		for _, name := range []string{"edged.log", "containerd.log"} {
			b, _ := os.ReadFile(filepath.Join(d.Root, name))
			if len(b) > 12000 {
				b = b[len(b)-12000:]
			}
			d.tb.Logf("---- %s ----\n%s", name, b)
		}
	}
	if d.Edged != nil {
		d.Edged.Signal(syscall.SIGKILL)
	}
	d.KillShims()
	if d.Containerd != nil {
		d.Containerd.Signal(syscall.SIGKILL)
	}
	d.unmount()
	d.removeNetwork()
	RemoveCgroups(d.tb, d.Namespace)
	_ = os.RemoveAll(filepath.Join("/run/containerd/runc", d.Namespace))
	if err := os.RemoveAll(d.Root); err != nil {
		d.tb.Errorf("cannot remove %s: %v", d.Root, err)
	}
}

// Shims returns the ids of the shims of this device's namespace that have all of these arguments.
func (d *Device) Shims(with ...string) []int {
	return processes(func(args []string) bool {
		return len(args) > 2 && strings.Contains(args[0], "containerd-shim") && contains(args, d.Namespace) &&
			!slices.ContainsFunc(with, func(a string) bool { return !contains(args, a) })
	})
}

// KillShims kills the shims of this device's namespace, and with them its modules.
func (d *Device) KillShims() {
	for _, pid := range d.Shims() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	// A killed shim leaves its container: the cgroup says what is left.
	for _, pid := range pidsInCgroup(d.Namespace) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	deadline := time.Now().Add(10 * time.Second)
	for len(pidsInCgroup(d.Namespace)) > 0 && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
}

func (d *Device) unmount() {
	b, _ := os.ReadFile("/proc/self/mounts")
	lines := strings.Split(string(b), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		if f := strings.Fields(lines[i]); len(f) > 1 && strings.HasPrefix(f[1], d.Root+"/") && !strings.HasSuffix(f[1], hostNetNS) {
			_ = syscall.Unmount(f[1], syscall.MNT_DETACH)
		}
	}
}

// For is the same device for a sub-test, which fails by itself.
func (d *Device) For(tb testing.TB) *Device {
	sub := *d
	sub.tb = tb
	if d.parent == nil {
		sub.parent = d
	}
	return &sub
}

// Wipe removes all that containerd knows, after it was ended.
func (d *Device) Wipe() {
	d.unmount()
	require.NoError(d.tb, os.RemoveAll(filepath.Join(d.Root, "containerd")))
	require.NoError(d.tb, os.RemoveAll(filepath.Join("/run/containerd/runc", d.Namespace)))
}

// Reboot is a power cut: nothing that runs or lies under /run outlives it.
func (d *Device) Reboot() {
	d.Edged.Signal(syscall.SIGKILL)
	d.Containerd.Signal(syscall.SIGKILL)
	d.KillShims()
	d.unmount()
	require.NoError(d.tb, os.RemoveAll(d.Run))
	require.NoError(d.tb, os.RemoveAll(filepath.Join(d.Root, "containerd", "state")))
	require.NoError(d.tb, os.RemoveAll(filepath.Join("/run/containerd/runc", d.Namespace)))
	d.resetNetwork()
	d.StartContainerd()
	d.StartEdged()
}

// Patience is how long anything may take: a minute, or as many as EDGED_TEST_MINUTES says on a machine that is emulated.
func Patience(tb testing.TB) time.Duration {
	tb.Helper()
	minutes, err := strconv.Atoi(cmp.Or(os.Getenv("EDGED_TEST_MINUTES"), "1"))
	require.NoError(tb, err)
	return time.Duration(minutes) * time.Minute
}

// Eventually waits for a condition, for Patience at most.
func (d *Device) Eventually(what string, cond func() bool) {
	d.tb.Helper()
	for deadline := time.Now().Add(Patience(d.tb)); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if cond() {
			return
		}
	}
	require.FailNow(d.tb, "it never came about: "+what)
}

func (d *Device) client() *http.Client { return UnixClient(d.Management()) }

// UnixClient is an HTTP client on a Unix socket, without kept connections.
func UnixClient(socket string) *http.Client {
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
}

// Host makes a request as the host user who runs the tests.
func (d *Device) Host(method, path, body string) Answer {
	d.tb.Helper()
	header := map[string]string{}
	if body != "" {
		header["Content-Type"] = "application/json"
	}
	return d.send(method, path, body, header)
}

// HostWith makes a request without a body and with these headers.
func (d *Device) HostWith(method, path string, header map[string]string) Answer {
	d.tb.Helper()
	return d.send(method, path, "", header)
}

func (d *Device) send(method, path, body string, header map[string]string) Answer {
	d.tb.Helper()
	req, err := http.NewRequest(method, "http://localhost"+path, strings.NewReader(body))
	require.NoError(d.tb, err)
	for k, v := range header {
		req.Header.Set(k, v)
	}
	res, err := d.client().Do(req)
	require.NoError(d.tb, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(d.tb, err)
	return Answer{Status: res.StatusCode, Header: res.Header, Body: string(b)}
}

func mustJSON(tb testing.TB, v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	require.NoError(tb, e.Encode(v))
	return strings.TrimSpace(b.String())
}

// EdgedLog is all that edged has logged.
func (d *Device) EdgedLog() string {
	b, err := os.ReadFile(filepath.Join(d.Root, "edged.log"))
	require.NoError(d.tb, err)
	return string(b)
}

// Ctr runs containerd's own tool in the device's namespace.
func (d *Device) Ctr(args ...string) string {
	d.tb.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command("ctr", append([]string{"-a", d.Address(), "-n", d.Namespace}, args...)...)
	cmd.Stderr = &stderr // containerd 2 warns there
	out, err := cmd.Output()
	require.NoError(d.tb, err, stderr.String())
	return string(out)
}

// TryCtr is Ctr for what may fail.
func (d *Device) TryCtr(args ...string) error {
	return exec.Command("ctr", append([]string{"-a", d.Address(), "-n", d.Namespace}, args...)...).Run()
}

// Containers lists the ids of containers that begin with a prefix.
func (d *Device) Containers(prefix string) []string {
	d.tb.Helper()
	var ids []string
	for _, id := range strings.Fields(d.Ctr("containers", "ls", "-q")) {
		if strings.HasPrefix(id, prefix) {
			ids = append(ids, id)
		}
	}
	return ids
}
