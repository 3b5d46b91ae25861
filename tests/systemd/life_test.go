package systemd

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/systemd/nspawn"
)

// storedSockets is what systemd keeps of edgeAgent and the probe: a workload and a management socket each.
const storedSockets = "4"

// restarts are so many because a request that is lost in one of ten is lost all the same.
const restarts = 20

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
	cold := requireListed(t, m)
	require.Equal(t, "active", m.Property("edged.service", "ActiveState"))
	require.Equal(t, "0", m.Property("edged.service", "NRestarts"))
	t.Logf("first answer of a service that never ran: %s, the next one: %s", cold, requireListed(t, m))
}

func agentStartsTheProbe(t *testing.T, m *nspawn.Machine) {
	await(t, "the agent starts the probe", func() bool { return len(m.Processes(probeProcess)) == 1 })
	awaitRequests(t, m, 10)
	require.Equal(t, storedSockets, m.Property("edged.service", "NFileDescriptorStore"))
}

func callWakesStoppedService(t *testing.T, m *nspawn.Machine) {
	probe := requireOneProbe(t, m)
	m.Systemctl("stop", "edged.service")
	require.Equal(t, "inactive", m.Property("edged.service", "ActiveState"))
	require.Equal(t, probe, requireOneProbe(t, m), "a stop of edged leaves modules running")
	require.Equal(t, "active", m.Property("edged.mgmt.socket", "ActiveState"), "the socket waits for a call")
	t.Logf("first answer of a stopped service, two modules running: %s", requireListed(t, m))
	require.Equal(t, "active", m.Property("edged.service", "ActiveState"))
	require.Equal(t, probe, requireOneProbe(t, m))
	awaitRequests(t, m, 10)
}

func killedServiceIsStartedAgain(t *testing.T, m *nspawn.Machine) {
	probe, before := requireOneProbe(t, m), m.Property("edged.service", "MainPID")
	first := len(awaitRequests(t, m, 10))
	begun := time.Now()
	m.Systemctl("kill", "--signal=KILL", "--kill-who=main", "edged.service")
	requireListed(t, m) // waits in the socket until the next process answers
	t.Logf("from kill -9 to an answer: %s", time.Since(begun).Round(time.Millisecond))
	require.NotEqual(t, before, m.Property("edged.service", "MainPID"))
	require.Equal(t, "1", m.Property("edged.service", "NRestarts"))
	made := awaitRequests(t, m, 10)[first:]

	require.Equal(t, probe, requireOneProbe(t, m))
	// What edged was answering when it was killed is lost. What came while nobody was there has waited.
	lost := 0
	for i, r := range made {
		if r.outcome != "200" {
			lost++
			require.NotContains(t, r.outcome, "refused", "request %d", first+i+1)
		}
	}
	require.LessOrEqual(t, lost, 1, "requests that failed")
	t.Logf("%d requests of the module, %d lost, the longest took %s", len(made), lost, longest(made))
}

func modulesGoOnThroughRestarts(t *testing.T, m *nspawn.Machine) {
	probe := requireOneProbe(t, m)
	first := len(awaitRequests(t, m, 10))
	for range restarts {
		before := m.Property("edged.service", "MainPID")
		m.Systemctl("restart", "edged.service")
		require.NotEqual(t, before, m.Property("edged.service", "MainPID"))
		awaitRequests(t, m, 10)
	}
	made := awaitRequests(t, m, 10)[first:]

	require.Equal(t, probe, requireOneProbe(t, m))
	requireAnswered(t, made)
	require.Equal(t, storedSockets, m.Property("edged.service", "NFileDescriptorStore"), "each socket is kept once")
	t.Logf("%d requests of the module over %d restarts, none lost, the longest took %s", len(made), restarts, longest(made))
}

// withoutStoreRequestsAreRefused shows that the part before it can fail: with nothing changed but the store, the same requests do.
func withoutStoreRequestsAreRefused(t *testing.T, m *nspawn.Machine) {
	probe := requireOneProbe(t, m)
	dropIn(t, m, "store", "FileDescriptorStoreMax=0")
	m.Systemctl("stop", "edged.service") // what is stored goes with a stop
	m.Systemctl("start", "edged.service")
	require.Equal(t, "0", m.Property("edged.service", "NFileDescriptorStore"))
	first := len(awaitRequests(t, m, 10))
	m.Systemctl("restart", "edged.service")
	refused := 0
	for _, r := range awaitRequests(t, m, 10)[first:] {
		if strings.Contains(r.outcome, "refused") || strings.Contains(r.outcome, "no such file") {
			refused++
		}
	}
	require.Positive(t, refused, "requests that a restart without the store refuses")
	t.Logf("%d requests refused", refused)

	removeDropIn(t, m, "store")
	m.Systemctl("restart", "edged.service")
	require.Equal(t, storedSockets, m.Property("edged.service", "NFileDescriptorStore"))
	require.Equal(t, probe, requireOneProbe(t, m))
}

func brokenConfigurationIsWaitedFor(t *testing.T, m *nspawn.Machine) {
	const broken = "/etc/edged/config.d/broken.toml"
	probe, first := requireOneProbe(t, m), len(awaitRequests(t, m, 10))
	m.Write(broken, []byte("nonsense = 1\n"), 0o640)
	out, err := m.Enter("systemctl", "restart", "edged.service")
	require.Error(t, err, "systemctl says that edged does not start: %s", out)
	// A person fixes it, some time, and need not know that systemd could give up.
	await(t, "systemd tries again and again", func() bool {
		tried, err := strconv.Atoi(m.Property("edged.service", "NRestarts"))
		return err == nil && tried >= 2
	})
	errs := journal(t, m, "--priority=err", "_SYSTEMD_UNIT=edged.service")
	require.NotEmpty(t, errs, "the fault is logged as an error")
	require.Contains(t, errs[len(errs)-1]["MESSAGE"], broken+":1")

	removeFile(t, m, broken)
	requireListed(t, m)
	made := awaitRequests(t, m, 10)[first:]
	require.Equal(t, probe, requireOneProbe(t, m))
	requireAnswered(t, made)
	t.Logf("the longest request of the module took %s", longest(made))
}

func reloadKeepsTheProcess(t *testing.T, m *nspawn.Machine) {
	before, said := m.Property("edged.service", "MainPID"), len(reloads(t, m))
	m.Systemctl("reload", "edged.service")
	await(t, "edged reloads", func() bool { return len(reloads(t, m)) == said+1 })
	requireListed(t, m)
	require.Equal(t, before, m.Property("edged.service", "MainPID"))
	await(t, "systemd knows the reload to be over", func() bool { return m.Property("edged.service", "ActiveState") == "active" })
}

func stuckServiceIsEnded(t *testing.T, m *nspawn.Machine) {
	dropIn(t, m, "watchdog", "WatchdogSec=2s")
	m.Systemctl("restart", "edged.service")
	probe, before := requireOneProbe(t, m), m.Property("edged.service", "MainPID")
	m.Systemctl("kill", "--signal=STOP", "--kill-who=main", "edged.service")
	// Until it is, it may take a connection and not answer on it.
	await(t, "it is stopped", func() bool {
		out, err := m.Enter("cat", "/proc/"+before+"/stat")
		return err != nil || strings.Contains(out, ") T ") || strings.Contains(out, ") t ")
	})
	requireListed(t, m)
	require.NotEqual(t, before, m.Property("edged.service", "MainPID"))
	require.Equal(t, probe, requireOneProbe(t, m))
	require.Len(t, journal(t, m, "UNIT=edged.service", "UNIT_RESULT=watchdog"), 1, "it was the watchdog that ended it")
	said := journal(t, m, "--priority=err", "--grep=^SIGABRT: ", "_SYSTEMD_UNIT=edged.service")
	require.Len(t, said, 1, "where it was stuck is found among the errors")
	removeDropIn(t, m, "watchdog")
}

func modulesOutliveContainerd(t *testing.T, m *nspawn.Machine) {
	probe, before := requireOneProbe(t, m), m.Property("edged.service", "MainPID")
	m.Systemctl("stop", "containerd.service")
	requireListed(t, m) // nothing of it asks containerd
	m.Systemctl("start", "containerd.service")
	requireListed(t, m)
	require.Equal(t, probe, requireOneProbe(t, m))
	require.Equal(t, before, m.Property("edged.service", "MainPID"), "edged does not end with containerd")

	out, err := m.Run("edgectl", "restart", probeModule)
	require.NoError(t, err, out)
	require.NotEqual(t, probe, requireOneProbe(t, m), "edged speaks to the new containerd")
}

func removedModuleLeavesTheStore(t *testing.T, m *nspawn.Machine) {
	m.Write("/srv/empty.json", manifest(t, modules{}), 0o644)
	requireEdgectl(t, m, "member", "apply", "--yes", "-f", "/srv/empty.json")
	await(t, "the agent removes the probe", func() bool { return len(m.Processes(probeProcess)) == 0 })
	await(t, "systemd keeps the agent's sockets alone", func() bool { return m.Property("edged.service", "NFileDescriptorStore") == "2" })
}

func stoppedSocketsLeaveNoFile(t *testing.T, m *nspawn.Machine) {
	agent := m.Processes("edged-agent")
	require.Len(t, agent, 1)
	m.Systemctl("stop", "edged.mgmt.socket", "edged.workload.socket")
	require.Equal(t, "inactive", m.Property("edged.service", "ActiveState"), "edged is of no use without its sockets")
	out, err := m.Run("ls", "/run/edged")
	require.NoError(t, err)
	require.NotContains(t, out, ".sock")
	require.Contains(t, out, "modules", "what running modules have mounted stays")
	require.Equal(t, agent, m.Processes("edged-agent"))
	m.Systemctl("start", "edged.service")
	requireListed(t, m)
	require.Equal(t, agent, m.Processes("edged-agent"))
}

func nothingFailed(t *testing.T, m *nspawn.Machine) {
	require.Empty(t, m.Systemctl("list-units", "--failed", "--no-legend", "--plain"))
}

// dropIn changes edged.service until removeDropIn; it holds from the next start on.
func dropIn(t *testing.T, m *nspawn.Machine, name, setting string) {
	t.Helper()
	m.Write(dropInFile(name), []byte("[Service]\n"+setting+"\n"), 0o644)
	m.Systemctl("daemon-reload")
}

func removeDropIn(t *testing.T, m *nspawn.Machine, name string) {
	t.Helper()
	removeFile(t, m, dropInFile(name))
	m.Systemctl("daemon-reload")
}

func dropInFile(name string) string { return "/run/systemd/system/edged.service.d/" + name + ".conf" }
