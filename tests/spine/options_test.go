package spine

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/device"
)

// sh runs a shell command in a module and returns what it prints.
func sh(d *device.Device, name, command string) string {
	return d.Ctr("tasks", "exec", "--exec-id", "x"+strings.ReplaceAll(filepath.Base(d.Root), "_", "")+randomID(), containerOf(d, name), "/bin/sh", "-c", "export PATH=/bin; "+command)
}

func TestCreateOptionsDoWhatDockerSays(t *testing.T) {
	d := device.New(t, device.Options{})
	made := filepath.Join(d.Root, "not", "there", "yet")
	readOnly := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(readOnly, "file"), []byte("from the host"), 0o644))
	spec := device.WithOptions(d.Spec("opts"), func(top, host map[string]any) {
		top["User"] = "probe"
		top["WorkingDir"] = "/tmp"
		top["Labels"] = map[string]string{"maker": "us"}
		host["Binds"] = append(host["Binds"].([]any), made+":/made", readOnly+":/ro:ro")
		host["Mounts"] = []any{
			map[string]any{"Type": "tmpfs", "Target": "/scratch", "TmpfsOptions": map[string]any{"SizeBytes": 1 << 20, "Mode": 0o777}},
			map[string]any{"Type": "bind", "Source": readOnly, "Target": "/again", "ReadOnly": true},
		}
		host["CapAdd"] = []string{"NET_ADMIN"}
		host["CapDrop"] = []string{"CAP_CHOWN"}
		host["ReadonlyRootfs"] = true
		host["Memory"] = 64 << 20
		host["NanoCpus"] = 500_000_000
		host["PidsLimit"] = 100
	})
	d.CreateAndStart(spec)
	d.Probe("opts")
	status := fileInside(d, "opts", "/proc/self/status")
	require.Contains(t, status, "Uid:\t1000\t1000")
	require.Contains(t, status, "Groups:\t1000 1234", "supplementary groups are the image's")
	require.Contains(t, status, "NoNewPrivs:\t0", "Docker's default, not containerd's")
	require.Contains(t, status, "Seccomp:\t2", "Docker's profile is on")
	require.Contains(t, status, "CapBnd:\t00000000a80435fa", "the 14 of Docker, NET_ADMIN more, CHOWN less")
	require.Equal(t, "from the host", fileInside(d, "opts", "/ro/file"))
	require.Equal(t, "from the host", fileInside(d, "opts", "/again/file"))
	require.DirExists(t, made)
	mounts := fileInside(d, "opts", "/proc/self/mounts")
	require.Regexp(t, `(?m)^\S+ / overlay ro,`, mounts)
	require.Regexp(t, `(?m)^tmpfs /scratch tmpfs rw,nosuid,nodev,noexec,\S*size=1024k`, mounts)
	require.Regexp(t, `(?m)^\S+ /run/edged \S+ ro,nosuid,nodev,noexec`, mounts)
	require.NotRegexp(t, `(?m)^\S+ /run tmpfs`, mounts)
	require.Equal(t, "0\n", fileInside(d, "opts", "/proc/self/oom_score_adj"))
	require.Contains(t, fileInside(d, "opts", "/proc/self/limits"), fmt.Sprintf("Max open files            %d", min(1<<20, hardLimit(t))), "Docker's limit, as far as edged's own goes")
	require.Contains(t, fileInside(d, "opts", "/etc/hosts"), "localhost")
	own, memory, cpu, pids := ":memory:/\n", "memory/memory.limit_in_bytes", "cpu/cpu.cfs_quota_us", "pids/pids.max"
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil { // v2
		own, memory, cpu, pids = "0::/\n", "memory.max", "cpu.max", "pids.max"
	}
	require.Contains(t, fileInside(d, "opts", "/proc/self/cgroup"), own, "a cgroup namespace of its own")
	require.Equal(t, "67108864\n", fileInside(d, "opts", "/sys/fs/cgroup/"+memory))
	require.Regexp(t, `^50000( 100000)?\n$`, fileInside(d, "opts", "/sys/fs/cgroup/"+cpu))
	require.Equal(t, "100\n", fileInside(d, "opts", "/sys/fs/cgroup/"+pids))
	require.Contains(t, environ(d, "opts"), "HOSTNAME=opts-"+containerOf(d, "opts")[len("opts-"):len("opts-")+8])
	interfaces := fileInside(d, "opts", "/proc/net/dev")
	require.Contains(t, interfaces, "lo:")
	require.Len(t, strings.Split(strings.TrimSpace(interfaces), "\n"), 3, "no network but lo: "+interfaces)

	m, _ := d.Get("opts")
	require.JSONEq(t, string(spec.Config.Settings.CreateOptions), string(m.Config.Settings.CreateOptions), "createOptions come back as given")
}

func TestHostNetworkAndPrivileged(t *testing.T) {
	d := device.New(t, device.Options{})
	d.CreateAndStart(device.WithOptions(d.Spec("wide"), func(_, host map[string]any) {
		host["NetworkMode"] = "host"
		host["Privileged"] = true
	}))
	d.Probe("wide")
	own, err := os.Readlink("/proc/self/ns/net")
	require.NoError(t, err)
	require.Contains(t, sh(d, "wide", "readlink /proc/self/ns/net"), own)
	require.Contains(t, fileInside(d, "wide", "/proc/self/status"), "Seccomp:\t0")
	a := d.Probe("wide").Call(device.Call{Socket: device.WorkloadInside, Method: "GET", Path: "/modules?" + device.Version})
	require.Equal(t, http.StatusOK, a.Status, a.Body)
}

func TestWhatCannotBeHonouredIsRefusedByName(t *testing.T) {
	d := device.New(t, device.Options{})
	agent := d.Agent()
	for _, c := range []struct{ options, message string }{
		{`{"HostConfig":{"PortBindings":{"80/tcp":[{"HostPort":"80x"}]}}}`, "HostConfig.PortBindings"},
		{`{"HostConfig":{"NetworkMode":"plant"}}`, "NetworkMode"},
		{`{"OpenStdin":true}`, "OpenStdin"},
		{`{"HostConfig":{"AutoRemove":true}}`, "HostConfig.AutoRemove"},
		{`{"HostConfig":{"Devices":[{"PathOnHost":"/dev/not-plugged-in"}]}}`, "/dev/not-plugged-in"},
		{`{"HostConfig":{"GroupAdd":["nobody-here"]}}`, "nobody-here"},
		{`{"HostConfig":{"Binds":["/tmp/edged-no-such/a:/a"],"Ulimits":[{"Name":"x"}]}}`, "HostConfig.Ulimits"},
		{`{"Healthcheck":{"Test":["true"]}}`, "Healthcheck.Test"},
		{`{"HostConfig":{"Binds":["no/name:/data"]}}`, "the name of a volume"},
		{`{"HostConfig":{"VolumesFrom":["edgeAgent"]}}`, "VolumesFrom"},
		{`{"User":"nobody-here","HostConfig":{"Binds":["trace:/data"]}}`, "nobody-here"},
		{`{"HostConfig":{"Binds":["/tmp:/run/edged"]}}`, "/run/edged"},
		{`{"HostConfig":{"Binds":["/tmp:/var/run/edged/x"]}}`, "/run/edged"},
		{`{"HostConfig":{"Binds":["` + d.Home + `:/x"]}}`, "not for modules"},
		{`{"HostConfig":{"Binds":["` + d.Run + `/modules:/x"]}}`, "not for modules"},
		{`{"HostConfig":{"Mounts":[{"Type":"bind","Source":"/no/such/folder","Target":"/x"}]}}`, "/no/such/folder"},
		{`{"HostConfig":{"Memory":1000}}`, "Memory"},
		{`{"HostConfig":{"CapAdd":["NOT_A_CAP"]}}`, "NOT_A_CAP"},
		{`{"HostConfig":{"RestartPolicy":{"Name":"sometimes"}}}`, "sometimes"},
		{`{"User":"nobody-here"}`, "nobody-here"},
		{`[]`, "createOptions"},
	} {
		spec := d.CommandSpec("refused", "sleep")
		spec.Config.Settings.CreateOptions = json.RawMessage(c.options)
		a := agent.Manage("POST", "/modules", d.Body(spec))
		require.Equal(t, http.StatusBadRequest, a.Status, "%s: %s", c.options, a.Body)
		require.Contains(t, a.Message(), c.message)
		_, status := d.Get("refused")
		require.Equal(t, http.StatusNotFound, status)
	}
	require.Len(t, d.Containers(""), 1, "a refusal leaves nothing")
	require.NotContains(t, d.Ctr("snapshots", "ls"), "refused")
	require.NoDirExists(t, "/tmp/edged-no-such", "not even a bind's source")
	volumes, err := os.ReadDir(filepath.Join(d.Home, "volumes"))
	require.NoError(t, err)
	require.Empty(t, volumes)
}

func TestLegacySocketBindsGetOurs(t *testing.T) {
	d := device.New(t, device.Options{})
	d.CreateAndStart(device.WithOptions(d.Spec("old"), func(_, host map[string]any) {
		host["Binds"] = append(host["Binds"].([]any), "/var/run/iotedge/workload.sock:/var/run/iotedge/workload.sock")
	}))
	a := d.Probe("old").Call(device.Call{Socket: "/var/run/iotedge/workload.sock", Method: "GET", Path: "/modules?" + device.Version})
	require.Equal(t, http.StatusOK, a.Status, a.Body+a.Error)
	refused := device.WithOptions(d.Spec("sly"), func(_, host map[string]any) {
		host["Binds"] = append(host["Binds"].([]any), "/var/run/iotedge/mgmt.sock:/var/run/iotedge/mgmt.sock")
	})
	require.Equal(t, http.StatusBadRequest, d.Agent().Manage("POST", "/modules", d.Body(refused)).Status)
}

func TestStartErrorsAreClearAndLeaveNothing(t *testing.T) {
	d := device.New(t, device.Options{})
	d.Create(d.CommandSpec("ghost", "sleep"))
	broken := device.WithOptions(d.CommandSpec("broken", "sleep"), func(top, _ map[string]any) { top["Entrypoint"] = "/no/such/program" })
	d.Create(broken)
	a := d.Host("POST", "/modules/broken/start?"+device.Version, "")
	require.Equal(t, http.StatusBadRequest, a.Status, a.Body)
	require.Contains(t, a.Message(), "/no/such/program")
	m, _ := d.Get("broken")
	require.Equal(t, "stopped", m.Status.RuntimeStatus.Status)
	require.Contains(t, m.Status.RuntimeStatus.Description, "cannot start")
	require.NotContains(t, d.Ctr("tasks", "ls"), "broken")
	never := d.CommandSpec("absent", "sleep")
	never.Config.Settings.Image = "edged.local/absent:1"
	a = d.Agent().Manage("POST", "/modules", d.Body(never))
	require.Equal(t, http.StatusBadRequest, a.Status)
	require.Contains(t, a.Message(), "edged.local/absent:1")
}

func TestABindSourceThatBecameALinkIsNotFollowed(t *testing.T) {
	d := device.New(t, device.Options{})
	source := filepath.Join(d.Root, "data")
	d.Create(device.WithOptions(d.CommandSpec("linked", "sleep"), func(_, host map[string]any) { host["Binds"] = []string{source + ":/data"} }))
	require.NoError(t, os.Remove(source))
	require.NoError(t, os.Symlink(d.Home, source))
	a := d.Host("POST", "/modules/linked/start?"+device.Version, "")
	require.Equal(t, http.StatusBadRequest, a.Status, a.Body)
	require.Contains(t, a.Message(), source)
	require.NoError(t, os.Remove(source))
	require.NoError(t, os.Mkdir(source, 0o755))
	d.Post("linked", "start")
}
