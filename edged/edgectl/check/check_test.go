package check

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/edged/edged/pkg/client"
	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/deployment"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var now = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// rig is a device without a fault: files of a kernel, programs, an edged that answers.
type rig struct {
	t        *testing.T
	cfg      Config
	root     string
	info     wire.SystemInfo
	modules  []wire.Module
	networks []wire.Network
	ca       wire.DeviceCA
	images   []wire.Image
	deployed wire.Deployment
	uptime   uint64
	broken   string // why the catalog does not answer
	edged    *httptest.Server
	runtime  net.Listener
}

const (
	release = "6.6.0-test"
	image   = "edged.local/agent:1.2.3"
)

func newRig(t *testing.T) *rig {
	t.Helper()
	root, err := os.MkdirTemp("", "chk") // the paths of sockets are short
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	require.NoError(t, os.Chmod(root, 0o755))
	r := &rig{t: t, root: root}
	for _, dir := range []string{"home/keys", "bin", "cni", "var/log/journal", "run/systemd", "sys/module/veth", "sys/fs/cgroup"} {
		require.NoError(t, os.MkdirAll(r.path(dir), 0o755))
	}
	require.NoError(t, os.Chmod(r.path("home"), 0o700))
	require.NoError(t, os.Chmod(r.path("home/keys"), 0o700))
	for name, text := range map[string]string{
		"etc/group": "root:x:0:\nedged:x:0:\n", "etc/resolv.conf": "nameserver 192.0.2.53\n",
		"etc/edged/config.toml": fmt.Sprintf("version = 1\nhome = %q\nrun = %q\n[listen]\nmanagement = %q\nworkload = %q\n[containerd]\naddress = %q\n[network]\ncni_bin_dirs = [%q]\n",
			r.path("home"), r.path("run"), r.path("m.sock"), r.path("w.sock"), r.path("c.sock"), r.path("cni")),
		"proc/sys/kernel/osrelease": release + "\n", "proc/filesystems": "nodev\tproc\nnodev\toverlay\n",
		"proc/sys/kernel/seccomp/actions_avail": "kill", "proc/sys/net/ipv4/ip_forward": "1\n",
		"boot/config-" + release:                  "CONFIG_BRIDGE=y\nCONFIG_NF_CONNTRACK=m\n",
		"lib/modules/" + release + "/modules.dep": "kernel/net/netfilter/nf_nat.ko.xz: kernel/x.ko.xz\n",
		"sys/fs/cgroup/cgroup.controllers":        "cpuset cpu io memory pids\n",
		"etc/systemd/journald.conf":               "[Journal]\nSystemMaxUse=100M\n",
		"home/keys/master":                        strings.Repeat("k", 32),
		"home/images/agent.tar":                   "tar",
		"proc/self/ns/pid":                        "", "proc/self/ns/net": "", "proc/self/ns/cgroup": "", "proc/self/ns/ipc": "",
	} {
		r.write(name, text)
	}
	require.NoError(t, os.Chmod(r.path("home/keys/master"), 0o600))
	r.script("runc", "echo runc version 1.1.12")
	for _, name := range []string{"containerd-shim-runc-v2", "iptables", "iptables-restore", "iptables-save"} {
		r.script(name, "exit 0")
	}
	r.script("systemctl", `for u in edged.service edged.mgmt.socket edged.workload.socket; do printf 'Id=%s\nLoadState=loaded\nActiveState=active\nUnitFileState=enabled\nNRestarts=0\n\n' $u; done`)
	for _, name := range plugins {
		require.NoError(t, os.WriteFile(r.path("cni/"+name), []byte("#!/bin/sh\n"), 0o755))
	}
	t.Setenv("PATH", r.path("bin"))
	r.info = wire.SystemInfo{Version: "1.2.3", ServerVersion: "containerd 1.7.2"}
	r.modules = []wire.Module{aModule("edgeAgent", "running", "running"), aModule("pump", "running", "running")}
	r.images = []wire.Image{{Name: image}}
	r.ca = wire.DeviceCA{Source: wire.SourceDevice, RenewAt: "2027-01-01T00:00:00Z"}
	r.ca.Subject, r.ca.NotBefore, r.ca.NotAfter = "CN=device", "2025-01-01T00:00:00Z", "2028-01-01T00:00:00Z"
	deployedAs(deployment.Applied, "")(r)
	r.uptime = 3600
	r.edged = r.serve()
	r.runtime = listen(t, r.path("c.sock"))
	workload := listen(t, r.path("w.sock"))
	require.NoError(t, os.Chmod(r.path("w.sock"), 0o666))
	c, err := client.New(r.path("m.sock"))
	require.NoError(t, err)
	t.Cleanup(func() {
		c.Close()
		r.edged.Close()
		_ = r.runtime.Close()
		_ = workload.Close()
	})
	r.cfg = Config{
		Client: c, File: r.path("etc/edged/config.toml"), Root: root, Version: "1.2.3", Now: now, Built: now.Add(-time.Hour), UID: 0,
		Synchronised: func() bool { return true },
	}
	return r
}

func aModule(name, status, description string) (m wire.Module) {
	m.Name = name
	m.Status.RuntimeStatus = wire.RuntimeStatus{Status: status, Description: description}
	return m
}

func listen(t *testing.T, path string) net.Listener {
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	return l
}

func (r *rig) serve() *httptest.Server {
	mux := http.NewServeMux()
	for path, answer := range map[string]func() any{
		"/systeminfo": func() any { return r.info },
		"/modules":    func() any { return wire.ModuleList{Modules: r.modules} },
		"/networks":   func() any { return wire.NetworkList{Networks: r.networks} },
		"/device/ca":  func() any { return r.ca },
		"/images":     func() any { return wire.ImageList{Images: r.images} },
		"/deployment": func() any { return r.deployed },

		"/systeminfo/resources": func() any { return wire.SystemResources{ProcessUptime: r.uptime} },
	} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(answer()) })
	}
	mux.HandleFunc("GET /rest_api/v1/modules/", func(w http.ResponseWriter, _ *http.Request) {
		if r.broken != "" {
			w.WriteHeader(http.StatusServiceUnavailable)
			_ = json.NewEncoder(w).Encode(map[string]string{"detail": r.broken})
			return
		}
		_ = json.NewEncoder(w).Encode(wire.BuildPage{Results: []wire.Build{{UID: "a:1:1:c"}}, Next: "http://localhost/"})
	})
	s := httptest.NewUnstartedServer(mux)
	_ = s.Listener.Close()
	s.Listener = listen(r.t, r.path("m.sock"))
	require.NoError(r.t, os.Chmod(r.path("m.sock"), 0o660))
	s.Start()
	return s
}

func (r *rig) path(p string) string { return filepath.Join(r.root, p) }

func (r *rig) write(name, text string) {
	r.t.Helper()
	require.NoError(r.t, os.MkdirAll(filepath.Dir(r.path(name)), 0o755))
	require.NoError(r.t, os.WriteFile(r.path(name), []byte(text), 0o640))
}

func (r *rig) script(name, text string) {
	require.NoError(r.t, os.WriteFile(r.path("bin/"+name), []byte("#!/bin/sh\n"+text+"\n"), 0o755))
}

func (r *rig) remove(name string) { require.NoError(r.t, os.RemoveAll(r.path(name))) }

func (r *rig) configure(more string) {
	text, err := os.ReadFile(r.cfg.File)
	require.NoError(r.t, err)
	r.write("etc/edged/config.toml", string(text)+more)
}

func (r *rig) run(ids ...string) map[string]Result {
	r.t.Helper()
	list, err := Run(r.t.Context(), r.cfg, ids...)
	require.NoError(r.t, err)
	byID := map[string]Result{}
	for _, one := range list {
		byID[one.ID] = one
	}
	return byID
}

func TestADeviceWithoutAFaultIsOK(t *testing.T) {
	r := newRig(t)
	require.NoError(t, os.MkdirAll(r.path("run/systemd/system"), 0o755))
	for id, got := range r.run() {
		switch id {
		case "disk-home", "disk-containerd", "peer-proof", "log-rotation": // this machine's own
		default:
			require.Equal(t, OK, got.Status, "%s: %s", id, got.Found)
			require.Empty(t, got.Cure)
		}
		require.NotEmpty(t, got.Found, id)
		require.NotEmpty(t, got.About, id)
	}
}

// TestEachFaultIsFoundByItsID plants one fault at a time on a device that has none.
func TestEachFaultIsFoundByItsID(t *testing.T) {
	for name, c := range map[string]struct {
		plant func(*rig)
		id    string
		want  Status
		found string
	}{
		"an unknown key":          {func(r *rig) { r.configure("subnett = \"x\"\n") }, "config", Error, "network.subnett: unknown key"},
		"a value of another type": {func(r *rig) { r.configure("[peer]\nrequire_pidfd = 3\n") }, "config", Error, "config.toml:"},
		"a bundle that is gone":   {func(r *rig) { r.configure("[device]\ntrust_bundle = \"/nonexistent/more.pem\"\n") }, "config", Warning, "trust_bundle"},
		"numbers for nowhere":     {func(r *rig) { r.configure("[metrics]\ntextfile = \"/nonexistent/edged.prom\"\n") }, "config", Warning, "textfile cannot be written"},
		"a file all can write":    {func(r *rig) { require.NoError(r.t, os.Chmod(r.cfg.File, 0o666)) }, "config-mode", Error, "others than root can change it"},
		"a file of somebody":      {func(r *rig) { require.NoError(r.t, os.Chown(r.cfg.File, 1000, 0)) }, "config-mode", Error, "user 1000"},
		"no group":                {func(r *rig) { r.write("etc/group", "root:x:0:\n") }, "group", Warning, "no group edged"},
		"an open home":            {func(r *rig) { require.NoError(r.t, os.Chmod(r.path("home"), 0o777)) }, "home", Error, "0777"},
		"no management socket":    {func(r *rig) { r.edged.Close() }, "socket-management", Error, "there is no socket"},
		"a closed socket":         {func(r *rig) { require.NoError(r.t, os.Chmod(r.path("m.sock"), 0o600)) }, "socket-management", Warning, "0600"},
		"a socket of another":     {func(r *rig) { r.write("etc/group", "edged:x:994:\n") }, "socket-management", Warning, "group 0"},
		"no workload socket":      {func(r *rig) { r.remove("w.sock") }, "socket-workload", Error, "there is no socket"},
		"edged is down":           {func(r *rig) { r.edged.Close() }, "edged", Error, "cannot reach edged"},
		"another version":         {func(r *rig) { r.info.Version = "1.0.0" }, "version", Warning, "edged is 1.0.0, edgectl is 1.2.3"},
		"containerd is down":      {func(r *rig) { _ = r.runtime.Close() }, "containerd", Error, "nobody answers"},
		"containerd hangs":        {func(r *rig) { r.info.ServerVersion = ""; r.script("ctr", "echo context deadline exceeded >&2; exit 1") }, "containerd", Error, "context deadline exceeded"},
		"an old containerd":       {func(r *rig) { r.info.ServerVersion = "containerd v1.4.13~ds1" }, "containerd", Warning, "older than 1.6"},
		"runc is broken":          {func(r *rig) { r.script("runc", "echo 'cannot execute binary file' >&2; exit 126") }, "runc", Error, "cannot execute"},
		"no shim":                 {func(r *rig) { r.remove("bin/containerd-shim-runc-v2") }, "shim", Error, "cannot find containerd-shim-runc-v2"},
		"no plugin":               {func(r *rig) { r.remove("cni/bridge") }, "cni-plugins", Error, "no bridge in"},
		"a filter that fails":     {func(r *rig) { r.script("iptables", "echo \"can't initialize iptables table nat\" >&2; exit 3") }, "iptables", Error, "can't initialize"},
		"a kernel without veth":   {func(r *rig) { r.remove("sys/module/veth") }, "kernel", Error, "CONFIG_VETH"},
		"no overlay":              {func(r *rig) { r.write("proc/filesystems", "nodev\tproc\n") }, "kernel", Error, "CONFIG_OVERLAY_FS"},
		"a silent kernel":         {func(r *rig) { r.remove("boot"); r.remove("lib"); r.remove("sys/module") }, "kernel", Warning, "does not tell"},
		"no memory controller":    {func(r *rig) { r.write("sys/fs/cgroup/cgroup.controllers", "cpuset cpu io pids\n") }, "cgroups", Warning, "without memory"},
		"no cgroups":              {func(r *rig) { r.remove("sys/fs/cgroup") }, "cgroups", Error, "no cgroups are mounted"},
		"no profile":              {func(r *rig) { withAppArmor(r); r.write(profiles, "edged-defaults (enforce)\n") }, "apparmor", Error, "edged-default is not loaded"},
		"a lax profile":           {func(r *rig) { withAppArmor(r); r.write(profiles, "man (enforce)\nedged-default (complain)\n") }, "apparmor", Warning, "not enforced"},
		"no parser of profiles":   {func(r *rig) { withAppArmor(r); r.remove("sbin") }, "apparmor", Warning, "modules run without"},
		"no forwarding":           {noForwarding, "ip-forward", Error, "reach nothing beyond"},
		"servers on the loopback": {func(r *rig) { r.write("etc/resolv.conf", "nameserver 127.0.0.1\n") }, "dns", Warning, "loopback"},
		"no name servers":         {func(r *rig) { r.remove("etc/resolv.conf") }, "dns", Warning, "names no server"},
		"a clock of 1970":         {func(r *rig) { r.cfg.Now = time.Unix(0, 0) }, "clock", Error, "before this edgectl was made"},
		"no time service":         {func(r *rig) { r.cfg.Synchronised = func() bool { return false } }, "clock", Warning, "no time service"},
		"a broken catalog":        {func(r *rig) { r.broken = "The catalog cannot be opened" }, "catalog", Error, "The catalog cannot be opened"},
		"a journal in memory":     {func(r *rig) { withSystemd(r); r.remove("var/log/journal") }, "journal", Warning, "in memory"},
		"no journal":              {func(r *rig) { withSystemd(r); r.write("etc/systemd/journald.conf.d/x.conf", "Storage=none\n") }, "journal", Error, "Storage=none"},
		"a unit that failed": {func(r *rig) {
			withSystemd(r)
			r.script("systemctl", `printf 'Id=edged.service\nLoadState=loaded\nActiveState=failed\n'`)
		}, "units", Error, "edged.service has failed"},
		"a unit that is disabled": {func(r *rig) {
			withSystemd(r)
			r.script("systemctl", `printf 'Id=edged.service\nLoadState=loaded\nActiveState=active\nUnitFileState=disabled\n'`)
		}, "units", Warning, "not enabled"},
		"units that are down": {func(r *rig) {
			withSystemd(r)
			r.script("systemctl", `printf 'Id=a.service\nLoadState=loaded\nActiveState=inactive\n\nId=b.socket\nLoadState=loaded\nActiveState=inactive\n'`)
		}, "units", Error, "a.service b.socket does not run"},
		"a unit that is gone": {func(r *rig) {
			withSystemd(r)
			r.script("systemctl", `printf 'Id=edged.service\nLoadState=not-found\nActiveState=inactive\n'`)
		}, "units", Error, "cannot be loaded"},
		"a unit that ends and ends": {func(r *rig) {
			withSystemd(r)
			r.script("systemctl", `printf 'Id=edged.service\nLoadState=loaded\nActiveState=active\nUnitFileState=enabled\nNRestarts=29\n'`)
		}, "units", Warning, "started again 29 times"},
		"logs larger than a disk":  {func(r *rig) { r.modules[1].Config.Settings.CreateOptions = logOptions("1000000g", "1000") }, "log-rotation", Warning, "logs of 2 modules"},
		"a key that all can read":  {func(r *rig) { require.NoError(r.t, os.Chmod(r.path("home/keys/master"), 0o644)) }, "keystore", Error, "master has mode 0644"},
		"keys that are gone":       {func(r *rig) { r.remove("home/keys") }, "keystore", Error, "is gone"},
		"a TPM that is not there":  {func(r *rig) { r.configure("[keystore]\nuri = \"tpm2:/nonexistent/tpm\"\n") }, "keystore", Error, "the TPM cannot be used"},
		"a CA that expired":        {func(r *rig) { r.ca.NotAfter = "2025-12-01T00:00:00Z" }, "ca", Error, "expired"},
		"a CA of the future":       {func(r *rig) { r.ca.NotBefore = "2026-02-01T00:00:00Z" }, "ca", Error, "valid only from"},
		"a CA nobody renews":       {func(r *rig) { r.ca.RenewAt = "2025-12-01T00:00:00Z" }, "ca", Warning, "should have been renewed"},
		"an operator's CA":         {func(r *rig) { r.ca.Source, r.ca.NotAfter = wire.SourceOperator, "2026-01-20T00:00:00Z" }, "ca", Warning, "valid until"},
		"an empty archive":         {func(r *rig) { r.write("home/images/agent.tar", "") }, "preload", Error, "agent.tar"},
		"no image of the agent":    {func(r *rig) { r.images = nil }, "preload", Error, image + " is not here"},
		"an image to come":         {func(r *rig) { r.images, r.uptime = nil, 2 }, "preload", Warning, "is not here yet: edged was started 2s ago"},
		"no agent":                 {func(r *rig) { r.modules = r.modules[1:] }, "agent", Error, "there is no module edgeAgent"},
		"an agent to come":         {func(r *rig) { r.modules, r.uptime = r.modules[1:], 2 }, "agent", Warning, "started 2s ago"},
		"an agent that fails":      {func(r *rig) { r.modules[0] = aModule("edgeAgent", "failed", "exited, exit code 1") }, "agent", Error, "exit code 1"},
		"a module that failed":     {func(r *rig) { r.modules[1] = aModule("pump", "failed", "exited, exit code 2") }, "modules", Warning, "pump (exited"},
		"a deployment that failed": {deployedAs(deployment.Failed, "module a: no such image"), "deployment", Error, "0123456789ab was not applied: module a"},
		"one that was taken back":  {deployedAs(deployment.RolledBack, "module a: not healthy"), "deployment", Error, "was not applied: module a: not healthy"},
		"an invalid deployment":    {deployedAs(deployment.Invalid, "modules.a"), "deployment", Error, "is invalid: modules.a"},
		"an apply that goes on":    {deployedAs(deployment.Applying, ""), "deployment", Warning, "is applying"},
		"an apply that waits":      {deployedAs(deployment.Applying, "cannot pull image a"), "deployment", Warning, "is applying: cannot pull image a"},
		"an agent that is deaf":    {func(r *rig) { r.deployed.Revision = "fedcba9876543210" }, "deployment", Warning, "fedcba987654 is to be applied"},
		"an agent without a word":  {func(r *rig) { r.deployed.Status = nil }, "deployment", Warning, "has not taken it up"},
		"a status led elsewhere":   {func(r *rig) { r.deployed.Problem = "status.json: too many levels" }, "deployment", Warning, "too many levels"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			c.plant(r)
			got := r.run(c.id)[c.id]
			require.Equal(t, c.want, got.Status, "%+v", got)
			require.Contains(t, got.Found, c.found)
			require.NotEmpty(t, got.Cure)
		})
	}
}

// TestWhatWasStoppedHasNotFailed: a module may end with any code when it is asked to.
func TestWhatWasStoppedHasNotFailed(t *testing.T) {
	r := newRig(t)
	r.modules[1] = aModule("pump", "failed", "stopped by request, exit code 143")
	got := r.run("modules")["modules"]
	require.Equal(t, OK, got.Status, "%+v", got)
}

func TestFewProcessIDsAreAWeakerProofStill(t *testing.T) {
	for text, few := range map[string]bool{"32768\n": true, "4096": true, "32769\n": false, "4194304\n": false, "": false, "x": false} {
		r := newRig(t)
		r.write("proc/sys/kernel/pid_max", text)
		got := newDevice(t.Context(), r.cfg).byProcessID()
		require.Equal(t, Warning, got.status)
		require.Contains(t, got.found, "no SO_PEERPIDFD")
		require.Contains(t, got.cure, "Linux 6.5")
		require.Equal(t, few, strings.Contains(got.found, "kernel.pid_max is "+strings.TrimSpace(text)), text)
		require.Equal(t, few, strings.Contains(got.cure, "sysctl -w kernel.pid_max=4194304"), text)
	}
	r := newRig(t)
	r.configure("[peer]\nrequire_pidfd = true\n")
	require.Equal(t, Error, newDevice(t.Context(), r.cfg).byProcessID().status)
}

func TestAHomeThatTheUnitProtectsHasACure(t *testing.T) {
	for home, want := range map[string]string{
		"/home/edged": "ReadWritePaths=/home/edged", "/etc/edged/home": "ReadWritePaths=/etc/edged/home", "/var/tmp/edged": "PrivateTmp=no",
		"/tmp/edged": "PrivateTmp=no", "/var/lib/edged": "", "/homes/edged": "", "/data": "",
	} {
		require.Equal(t, want, protected(home), home)
	}
}

func withSystemd(r *rig) { require.NoError(r.t, os.MkdirAll(r.path("run/systemd/system"), 0o755)) }

const profiles = "sys/kernel/security/apparmor/profiles"

func withAppArmor(r *rig) {
	r.write("sys/module/apparmor/parameters/enabled", "Y\n")
	r.write("sbin/apparmor_parser", "")
	r.write(profiles, "edged-default (enforce)\n")
	require.Equal(r.t, OK, r.run("apparmor")["apparmor"].Status)
}

func noForwarding(r *rig) {
	r.write("proc/sys/net/ipv4/ip_forward", "0\n")
	require.Equal(r.t, OK, r.run("ip-forward")["ip-forward"].Status, "no module needs it")
	r.networks = []wire.Network{{Name: "edged", Modules: []wire.NetworkModule{{Name: "pump"}}}}
}

func logOptions(size, files string) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"HostConfig":{"LogConfig":{"Config":{"max-size":%q,"max-file":%q}}}}`, size, files))
}

func deployedAs(phase deployment.Phase, why string) func(*rig) {
	return func(r *rig) {
		const revision = "0123456789abcdef"
		r.deployed = wire.Deployment{Revision: revision, Status: &deployment.Status{Revision: revision, Phase: phase, Error: why}}
	}
}

func TestDisks(t *testing.T) {
	const gib = 1 << 30
	for name, c := range map[string]struct {
		space space
		want  Status
	}{
		"half free":        {space{free: 50 * gib, total: 100 * gib}, OK},
		"nearly full":      {space{free: 5 * gib, total: 100 * gib}, Warning},
		"full":             {space{free: gib, total: 100 * gib}, Error},
		"a small disk":     {space{free: 100 << 20, total: 256 << 20}, OK},
		"a small full one": {space{free: 10 << 20, total: 256 << 20}, Error},
		"no inodes":        {space{free: 50 * gib, total: 100 * gib, files: 10, allFiles: 1e6}, Error},
		"no inodes needed": {space{free: 50 * gib, total: 100 * gib}, OK},
	} {
		c.space.path = "/x"
		require.Equal(t, c.want, judgeDisk(c.space).status, name)
	}
}

func TestWhatEdgedAloneKnowsIsSkippedWhileItIsDown(t *testing.T) {
	r := newRig(t)
	r.edged.Close()
	got := r.run()
	for _, id := range []string{"version", "ca", "agent", "deployment", "modules", "preload", "log-rotation", "catalog"} {
		require.Equal(t, Skipped, got[id].Status, id)
	}
	require.Equal(t, Error, got["edged"].Status)
	require.Equal(t, OK, got["kernel"].Status)
	// What keeps it from starting is there to see, though.
	r.configure("[device]\nca_cert = \"/nonexistent/ca.pem\"\nca_key = \"/nonexistent/ca.key\"\n")
	got = r.run("ca")
	require.Equal(t, Error, got["ca"].Status)
	require.Contains(t, got["ca"].Found, "/nonexistent/ca.pem, which [device] names, is not there")
}

func TestAnUnknownCheckIsRefusedAndTheKnownAreListed(t *testing.T) {
	_, err := Run(t.Context(), newRig(t).cfg, "clock", "klock")
	require.True(t, errdefs.IsInvalidArgument(err))
	require.Contains(t, err.Error(), `"klock"`)
	require.Contains(t, err.Error(), "peer-proof")
}

// TestIDsStay is for scripts and the documentation, which name them.
func TestIDsStay(t *testing.T) {
	require.Equal(t, strings.Fields(`config config-mode group home units socket-management socket-workload edged version peer-proof containerd runc shim kernel
		apparmor cgroups cni-plugins iptables ip-forward dns clock disk-home disk-containerd journal log-rotation keystore ca preload agent deployment modules catalog`), IDs())
}
