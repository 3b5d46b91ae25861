// Package systemd tests the units of contrib/systemd in a real systemd: activation, crashes and restarts of edged with modules running.
package systemd

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/systemd/nspawn"
)

const (
	listPath = "/modules?api-version=2018-06-28"
	logsPath = "/modules/" + probeModule + "/logs?api-version=2018-06-28"

	// soon is how long anything here may take; it is only waited for in full when the test fails.
	soon = 60 * time.Second
	tick = 100 * time.Millisecond
)

// TestUnits is one machine and one life of it: each part begins where the one before it ended.
func TestUnits(t *testing.T) {
	m := boot(t)
	t.Cleanup(func() {
		if t.Failed() {
			edged, _ := m.Enter("journalctl", "--no-pager", "--lines=200", "--unit=edged.service", "--unit=edged.*.socket")
			containerd, _ := m.Enter("journalctl", "--no-pager", "--lines=20", "--unit=containerd.service")
			t.Logf("%s\n\n%s", edged, containerd)
		}
	})
	parts := []struct {
		name string
		run  func(*testing.T, *nspawn.Machine)
	}{
		{"units are without fault", unitsAreWithoutFault},
		{"sockets have their owners and modes", socketsHaveTheirOwnersAndModes},
		{"first call wakes a service that never ran", firstCallWakes},
		{"agent starts what the manifest asks for", agentStartsTheProbe},
		{"call wakes a stopped service", callWakesStoppedService},
		{"killed service is started again", killedServiceIsStartedAgain},
		{"modules go on through restarts and lose no request", modulesGoOnThroughRestarts},
		{"reload keeps the process", reloadKeepsTheProcess},
		{"stuck service is ended by the watchdog", stuckServiceIsEnded},
		{"modules outlive containerd's restart", modulesOutliveContainerd},
		{"nothing failed", nothingFailed},
	}
	for _, part := range parts {
		if !t.Run(part.name, func(t *testing.T) { part.run(t, m) }) {
			t.Fatal("the parts that follow need this one")
		}
	}
}

func unitsAreWithoutFault(t *testing.T, m *nspawn.Machine) {
	out, err := m.Enter("systemd-analyze", "verify", "--man=no", "edged.service", "edged.mgmt.socket", "edged.workload.socket")
	require.NoError(t, err, out)
	require.Empty(t, out, "systemd-analyze warns")
	m.Systemctl("enable", "edged.service")
	for _, unit := range []string{"edged.service", "edged.mgmt.socket", "edged.workload.socket"} {
		require.Equal(t, "enabled", m.Systemctl("is-enabled", unit), unit)
	}
}

func socketsHaveTheirOwnersAndModes(t *testing.T, m *nspawn.Machine) {
	m.Systemctl("start", "edged.mgmt.socket", "edged.workload.socket")
	out, err := m.Run("stat", "-c", "%n %F %a %U:%G", "/run/edged", "/run/edged/modules", "/run/edged/mgmt.sock", "/run/edged/workload.sock", "/etc/edged", "/var/lib/edged")
	require.NoError(t, err)
	require.Equal(t, strings.Join([]string{
		"/run/edged directory 755 root:root",
		"/run/edged/modules directory 700 root:root",
		"/run/edged/mgmt.sock socket 660 root:edged",
		"/run/edged/workload.sock socket 666 root:root",
		"/etc/edged directory 750 root:edged",
		"/var/lib/edged directory 700 root:root",
	}, "\n"), out)
}

func firstCallWakes(t *testing.T, m *nspawn.Machine) {
	require.Equal(t, "inactive", m.Property("edged.service", "ActiveState"))
	requireListed(t, m)
	require.Equal(t, "active", m.Property("edged.service", "ActiveState"))
	require.Equal(t, "0", m.Property("edged.service", "NRestarts"))
}

func agentStartsTheProbe(t *testing.T, m *nspawn.Machine) {
	await(t, "the agent starts the probe", func() bool { return len(m.Processes(probeProcess)) == 1 })
	awaitRequests(t, m, 10)
	stored, err := strconv.Atoi(m.Property("edged.service", "NFileDescriptorStore"))
	require.NoError(t, err)
	require.GreaterOrEqual(t, stored, 2, "systemd keeps the listeners of agent and probe")
}

func callWakesStoppedService(t *testing.T, m *nspawn.Machine) {
	probe := requireOneProbe(t, m)
	m.Systemctl("stop", "edged.service")
	require.Equal(t, "inactive", m.Property("edged.service", "ActiveState"))
	require.Equal(t, probe, requireOneProbe(t, m), "a stop of edged leaves modules running")
	require.Equal(t, "active", m.Property("edged.mgmt.socket", "ActiveState"), "the socket waits for a call")
	requireListed(t, m)
	require.Equal(t, "active", m.Property("edged.service", "ActiveState"))
	require.Equal(t, probe, requireOneProbe(t, m))
}

func killedServiceIsStartedAgain(t *testing.T, m *nspawn.Machine) {
	probe := requireOneProbe(t, m)
	before := m.Property("edged.service", "MainPID")
	first := awaitRequests(t, m, 10)
	m.Systemctl("kill", "--signal=KILL", "--kill-who=main", "edged.service")
	requireListed(t, m) // waits in the socket until the next process answers
	require.NotEqual(t, before, m.Property("edged.service", "MainPID"))
	require.Equal(t, "1", m.Property("edged.service", "NRestarts"))
	last := awaitRequests(t, m, 10)

	require.Equal(t, probe, requireOneProbe(t, m))
	// What edged was answering when it was killed is lost. What came while nobody was there has waited.
	outcomes, lost := requests(t, m), 0
	for number := first; number <= last; number++ {
		if outcomes[number] != "200" {
			lost++
			require.NotContains(t, outcomes[number], "refused", "request %d", number)
		}
	}
	require.LessOrEqual(t, lost, 1, "requests that failed")
}

func modulesGoOnThroughRestarts(t *testing.T, m *nspawn.Machine) {
	probe := requireOneProbe(t, m)
	// The stop of the part before refused connections, and was meant to: what counts is what comes from here on.
	first := awaitRequests(t, m, 10)
	for range 3 {
		before := m.Property("edged.service", "MainPID")
		m.Systemctl("restart", "edged.service")
		require.NotEqual(t, before, m.Property("edged.service", "MainPID"))
		awaitRequests(t, m, 10)
	}
	last := awaitRequests(t, m, 10)

	require.Equal(t, probe, requireOneProbe(t, m))
	outcomes := requests(t, m)
	for number := first; number <= last; number++ {
		require.Equalf(t, "200", outcomes[number], "request %d of %d to %d", number, first, last)
	}
	require.Len(t, outcomes, last, "every line of the module is in its log")
}

func reloadKeepsTheProcess(t *testing.T, m *nspawn.Machine) {
	before := m.Property("edged.service", "MainPID")
	m.Systemctl("reload", "edged.service")
	requireListed(t, m)
	require.Equal(t, before, m.Property("edged.service", "MainPID"))
}

func stuckServiceIsEnded(t *testing.T, m *nspawn.Machine) {
	m.Write("/run/systemd/system/edged.service.d/watchdog.conf", []byte("[Service]\nWatchdogSec=2s\n"), 0o644)
	m.Systemctl("daemon-reload")
	m.Systemctl("restart", "edged.service")
	probe, before := requireOneProbe(t, m), m.Property("edged.service", "MainPID")
	m.Systemctl("kill", "--signal=STOP", "--kill-who=main", "edged.service")
	requireListed(t, m)
	require.NotEqual(t, before, m.Property("edged.service", "MainPID"))
	require.Equal(t, probe, requireOneProbe(t, m))
}

func modulesOutliveContainerd(t *testing.T, m *nspawn.Machine) {
	probe, before := requireOneProbe(t, m), m.Property("edged.service", "MainPID")
	m.Systemctl("restart", "containerd.service")
	requireListed(t, m)
	require.Equal(t, probe, requireOneProbe(t, m))
	require.Equal(t, before, m.Property("edged.service", "MainPID"), "edged does not end with containerd")
}

func nothingFailed(t *testing.T, m *nspawn.Machine) {
	require.Empty(t, m.Systemctl("list-units", "--failed", "--no-legend", "--plain"))
}

// requireListed asks for the list of modules as the host's root.
func requireListed(t *testing.T, m *nspawn.Machine) {
	t.Helper()
	status, body, err := curl(m, listPath)
	require.NoError(t, err)
	require.Equal(t, "200", status, body)
}

func requireOneProbe(t *testing.T, m *nspawn.Machine) int {
	t.Helper()
	pids := m.Processes(probeProcess)
	require.Len(t, pids, 1, "the probe runs once")
	return pids[0]
}

var requestLine = regexp.MustCompile(`^request (\d+) (.*)$`)

// requests are the outcomes in the probe's log, by number.
func requests(t *testing.T, m *nspawn.Machine) map[int]string {
	t.Helper()
	status, body, err := curl(m, logsPath)
	require.NoError(t, err)
	require.Equal(t, "200", status, body)
	outcomes := map[int]string{}
	for line := range strings.Lines(body) {
		match := requestLine.FindStringSubmatch(strings.TrimSpace(line))
		require.NotNilf(t, match, "the probe says %q", line)
		number, err := strconv.Atoi(match[1])
		require.NoError(t, err)
		outcomes[number] = match[2]
	}
	return outcomes
}

// awaitRequests waits until the probe has made some more requests than when it was called, and returns the number of the last.
func awaitRequests(t *testing.T, m *nspawn.Machine, more int) int {
	t.Helper()
	start, last := len(requests(t, m)), 0
	await(t, fmt.Sprintf("the probe makes %d requests more", more), func() bool {
		last = len(requests(t, m))
		return last >= start+more
	})
	return last
}

// await asks until the answer is yes, in the test's own goroutine, so that done may end the test.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(soon); !done(); time.Sleep(tick) {
		if time.Now().After(end) {
			t.Fatalf("waited %s in vain: %s", soon, what)
		}
	}
}

// cutLast is strings.Cut at the last sep.
func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
