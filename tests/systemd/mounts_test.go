package systemd

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/systemd/nspawn"
)

// modulesMountsAreTheMachines: edged has a mount namespace of its own, in which temporary files are others and homes are read-only. A module gets
// what the machine has all the same, and when it is gone nothing of it is mounted on either side.
func modulesMountsAreTheMachines(t *testing.T, m *nspawn.Machine) {
	require.NotEqual(t, must(t, m, "readlink", "/proc/1/ns/mnt"), must(t, m, "readlink", "/proc/"+m.Property("edged.service", "MainPID")+"/ns/mnt"))
	require.Equal(t, "no", inside(t, m, "sh", "-c", "test -w /root || test -w /usr || test -w /proc/sys/net || test -w /sys/fs/cgroup && echo yes || echo no"))
	machine, own := mountPoints(t, m), ownMountPoints(t, m)
	m.Write("/tmp/word", []byte("hush"), 0o600)
	must(t, m, "mknod", "/tmp/zero", "c", "1", "5")
	options, err := json.Marshal(object{
		"ExposedPorts": object{"80/tcp": object{}},
		"HostConfig": object{
			"PortBindings": object{"80/tcp": []object{{"HostPort": "8099"}}},
			"Binds":        []string{"/home/made/for/module:/made"},
			"Devices":      []object{{"PathOnHost": "/tmp/zero", "PathInContainer": "/dev/of-tmp"}},
			"Mounts": []object{
				{"Type": "volume", "Source": "full", "Target": "/data"},
				{"Type": "volume", "Source": "full", "Target": "/sub", "VolumeOptions": object{"Subpath": "sub"}},
			},
		},
	})
	require.NoError(t, err)
	spec := probeSpec()
	spec["settings"] = object{
		"image": probeImage, "createOptions": string(options), "management": true,
		"secrets": object{"word": object{"file": "/tmp/word", "path": "/secret/word", "mode": "0444"}},
	}
	m.Write("/srv/full.json", manifest(t, modules{probeModule: probeSpec(), "full": spec}), 0o644)
	requireEdgectl(t, m, "root", "apply", "--yes", "-f", "/srv/full.json")
	probe := processOf(t, m, probeModule)
	full := processOf(t, m, "full")
	requireGiven(t, m, full)

	m.Systemctl("restart", "edged.service")
	requireListed(t, m)
	require.Equal(t, full, processOf(t, m, "full"))
	require.Subset(t, ownMountPoints(t, m), ofEdged(mountPoints(t, m)), "what an earlier edged mounted")
	requireEdgectl(t, m, "root", "restart", "full")
	require.NotEqual(t, full, processOf(t, m, "full"))
	requireGiven(t, m, processOf(t, m, "full"))
	requireEdgectl(t, m, "root", "stop", "full")
	requireEdgectl(t, m, "root", "start", "full")
	requireGiven(t, m, processOf(t, m, "full"))

	m.Write("/srv/probe.json", manifest(t, modules{probeModule: probeSpec()}), 0o644)
	requireEdgectl(t, m, "root", "apply", "--yes", "-f", "/srv/probe.json")
	// The file system of secrets is made once, and stays.
	machine, own = append(machine, "/run/edged/secrets"), append(own, "/run/edged/secrets")
	await(t, "nothing of the module is mounted", func() bool { return len(beyond(mountPoints(t, m), machine)) == 0 })
	require.Empty(t, beyond(ownMountPoints(t, m), own), "in edged's own namespace")
	require.Equal(t, probe, requireOneProbe(t, m))
}

// processOf is the process of a module that runs the probe.
func processOf(t *testing.T, m *nspawn.Machine, module string) int {
	t.Helper()
	var found []int
	for _, pid := range m.Processes(probeProcess) {
		env, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
		require.NoError(t, err)
		if slices.Contains(strings.Split(string(env), "\x00"), "EDGED_MODULEID="+module) {
			found = append(found, pid)
		}
	}
	require.Len(t, found, 1, "module %s runs once", module)
	return found[0]
}

// requireGiven looks at a module from outside, at what it was given.
func requireGiven(t *testing.T, m *nspawn.Machine, pid int) {
	t.Helper()
	root := filepath.Join("/proc", strconv.Itoa(pid), "root")
	for name, want := range map[string]string{"secret/word": "hush", "data/sub/file": "of the image", "sub/file": "of the image"} {
		b, err := os.ReadFile(filepath.Join(root, name))
		require.NoError(t, err)
		require.Equal(t, want, string(b), name)
	}
	const word = "seen on both sides"
	require.NoError(t, os.WriteFile(filepath.Join(root, "made/file"), []byte(word), 0o600))
	require.Equal(t, word, must(t, m, "cat", "/home/made/for/module/file"))
	st, err := os.Stat(filepath.Join(root, "dev/of-tmp"))
	require.NoError(t, err)
	require.Equal(t, os.ModeDevice|os.ModeCharDevice, st.Mode().Type())
	devices, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "net/dev"))
	require.NoError(t, err)
	require.Contains(t, string(devices), "eth0:")
	require.Contains(t, must(t, m, "iptables-save", "-t", "nat"), "--dport 8099 ")
	require.Equal(t, "hush", inside(t, m, "sh", "-c", "cat /run/edged/secrets/full-*/word"), "edged sees what it mounted")
}

// inside runs a command in edged's mount namespace.
func inside(t *testing.T, m *nspawn.Machine, args ...string) string {
	t.Helper()
	return must(t, m, append([]string{"nsenter", "--mount", "--target", m.Property("edged.service", "MainPID"), "--"}, args...)...)
}

func mountPoints(t *testing.T, m *nspawn.Machine) []string {
	t.Helper()
	return strings.Fields(must(t, m, "cut", "-d", " ", "-f", "5", "/proc/1/mountinfo"))
}

func ownMountPoints(t *testing.T, m *nspawn.Machine) []string {
	t.Helper()
	return strings.Fields(must(t, m, "cut", "-d", " ", "-f", "5", "/proc/"+m.Property("edged.service", "MainPID")+"/mountinfo"))
}

func ofEdged(points []string) []string {
	return slices.DeleteFunc(points, func(p string) bool { return !strings.HasPrefix(p, "/run/edged/") })
}

// beyond is what is mounted now and was not before.
func beyond(now, before []string) []string {
	return slices.DeleteFunc(now, func(p string) bool { return slices.Contains(before, p) })
}
