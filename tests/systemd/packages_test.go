package systemd

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/pack/packtest"
	"github.com/edged/edged/pkg/store/sqlite"
	"github.com/edged/edged/tests/systemd/nspawn"
)

// packagesFolder has the same source as two versions, old and new: `make packages-for-tests`.
const packagesFolder = "build/packages-test"

// TestPackagesOnDebian12 is one machine on which the package is installed, upgraded, downgraded, removed and purged, with a module running: each
// part begins where the one before it ended.
func TestPackagesOnDebian12(t *testing.T) { testDebianPackages(t, nspawn.Bookworm) }

func testDebianPackages(t *testing.T, kind string) {
	live(t, packaged(t, kind, "deb"), []part{
		{"apt installs it, started and enabled", aptInstalls},
		{"units are without fault", unitsAreWithoutFault},
		{"sockets have their owners and modes", socketsHaveTheirOwnersAndModes},
		{"exposure is what the units promise", exposureIsAsPromised},
		{"configuration is the operator's", configurationIsTheOperators},
		{"first call wakes a stopped service at once", firstCallWakesAtOnce},
		{"agent of the package starts what is asked for", agentOfThePackageStarts},
		{"log lines have priorities and none is a warning", logLinesHavePriorities},
		{"audit is in the fields of the journal", auditIsInFields},
		{"checks find no fault", checksFindNoFault},
		{"upgrade goes unnoticed by modules", aptUpgrades},
		{"edged-osgi brings the framework", aptInstallsFramework},
		{"downgrade of the same schema goes unnoticed", aptDowngrades},
		{"edged of an older schema refuses to start and harms nothing", olderSchemaRefuses},
		{"removal ends modules and keeps the data", aptRemoves},
		{"installed again, all is as before", aptInstallsAgain},
		{"purge leaves nothing", aptPurges},
		{"installed after a purge, it is a new device", aptInstallsAfterPurge},
		{"nothing failed", nothingFailed},
	})
}

// packaged boots a machine with the packages of both versions in /srv/packages, and nothing of edged installed.
func packaged(t *testing.T, kind, suffix string) *nspawn.Machine {
	t.Helper()
	m := nspawn.New(t, kind)
	for _, version := range []string{"old", "new"} {
		files, err := filepath.Glob(filepath.Join(repo, packagesFolder, version, "edged?[0-9]*."+suffix))
		require.NoError(t, err)
		require.Len(t, files, 1, "one package in %s/%s: run make packages-for-tests", packagesFolder, version)
		st, err := os.Stat(files[0])
		require.NoError(t, err)
		t.Logf("%s: %d bytes", filepath.Base(files[0]), st.Size())
		m.Install(files[0], packageFile(version, suffix), 0o644)
	}
	frameworks, err := filepath.Glob(filepath.Join(repo, packagesFolder, "new", "edged-osgi?[0-9]*."+suffix))
	require.NoError(t, err)
	require.Len(t, frameworks, 1, "the OSGi host's package: run make packages-for-tests")
	m.Install(frameworks[0], "/srv/packages/new/edged-osgi."+suffix, 0o644)
	m.Write("/srv/bundle.jar", packtest.Bundle{}.Bytes(), 0o644)
	m.Write("/srv/probe.tar", probeArchive(t), 0o644)
	m.Boot()
	return m
}

func packageFile(version, suffix string) string {
	return "/srv/packages/" + version + "/edged." + suffix
}

// must runs a command in the machine, ends the test when it fails, and returns what it printed.
func must(t *testing.T, m *nspawn.Machine, args ...string) string {
	t.Helper()
	out, err := m.Enter(args...)
	require.NoErrorf(t, err, "%s: %s", strings.Join(args, " "), out)
	return out
}

func apt(t *testing.T, m *nspawn.Machine, args ...string) {
	t.Helper()
	begun := time.Now()
	out := must(t, m, append([]string{"env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-y", "-o", "Dpkg::Use-Pty=0", "--no-install-recommends", "--allow-downgrades"}, args...)...)
	t.Logf("apt-get %s: %s", strings.Join(args, " "), time.Since(begun).Round(time.Millisecond))
	require.NotRegexp(t, `(?i)\b(fail|error|cannot|warning: [^d])`, out, "but for dpkg's own of a downgrade")
}

// installedVersion is that of the running daemon: the version of the programs, and not that of the package.
func installedVersion(t *testing.T, m *nspawn.Machine) string {
	t.Helper()
	out, err := m.Run("edgectl", "version", "--format", "{{.Server.Version}}")
	require.NoError(t, err)
	return out
}

func aptInstalls(t *testing.T, m *nspawn.Machine) {
	apt(t, m, "install", packageFile("old", "deb"))
	requireInstalled(t, m)
	require.Empty(t, must(t, m, "dpkg", "--verify", "edged"), "files as they were packaged")
	require.Equal(t, oldVersion, installedVersion(t, m))
	t.Logf("installed size: %s KiB", must(t, m, "dpkg-query", "--show", "--showformat=${Installed-Size}", "edged"))
}

// oldVersion is what the Makefile gives the lower of the two.
const oldVersion = "0.0.1"

func requireInstalled(t *testing.T, m *nspawn.Machine) {
	t.Helper()
	for _, unit := range []string{"edged.service", "edged.mgmt.socket", "edged.workload.socket"} {
		require.Equal(t, "active", m.Property(unit, "ActiveState"), unit)
		require.Equal(t, "enabled", m.Systemctl("is-enabled", unit), unit)
	}
	require.Equal(t, "640 root:edged", must(t, m, "stat", "-c", "%a %U:%G", "/etc/edged/config.toml"))
	require.Equal(t, "configuration is fine", must(t, m, "edged", "--check-config"))
	for _, page := range []string{"man1/edgectl.1.gz", "man8/edged.8.gz"} {
		must(t, m, "gzip", "--test", "/usr/share/man/"+page)
	}
}

// promisedExposure is the most that systemd-analyze may find, from 0 to 10; contrib/systemd/edged.service says what is left out and why.
const promisedExposure = 5.0

func exposureIsAsPromised(t *testing.T, m *nspawn.Machine) {
	out := must(t, m, "systemd-analyze", "security", "--no-pager", "edged.service")
	last := out[strings.LastIndexByte(out, '\n')+1:]
	var exposure float64
	_, figure, found := strings.Cut(last, "edged.service: ")
	require.True(t, found, last)
	_, err := fmt.Sscanf(figure, "%g", &exposure)
	require.NoError(t, err, last)
	t.Log(last)
	require.LessOrEqual(t, exposure, promisedExposure, out)
}

// configurationIsTheOperators: what somebody wrote into the file stays through every upgrade that follows.
func configurationIsTheOperators(t *testing.T, m *nspawn.Machine) {
	must(t, m, "sh", "-c", `echo "# mine" >>/etc/edged/config.toml`)
	requireConfigurationKept(t, m)
}

func requireConfigurationKept(t *testing.T, m *nspawn.Machine) {
	t.Helper()
	require.True(t, strings.HasSuffix(must(t, m, "cat", "/etc/edged/config.toml"), "# mine"))
}

// firstCallWakesAtOnce measures and logs; how long a machine of tests takes is not for a test to judge. That it waits for nothing is: see the bound.
func firstCallWakesAtOnce(t *testing.T, m *nspawn.Machine) {
	var took []time.Duration
	for range 9 {
		m.Systemctl("stop", "edged.service")
		require.Equal(t, "inactive", m.Property("edged.service", "ActiveState"))
		took = append(took, requireListed(t, m))
	}
	slices.Sort(took)
	t.Logf("first answer of a stopped service: median %s, %s to %s", took[len(took)/2], took[0], took[len(took)-1])
	require.Less(t, took[0], soon/10)
}

func agentOfThePackageStarts(t *testing.T, m *nspawn.Machine) {
	m.Systemctl("stop", "edged.service") // or it reads an archive that is half there
	must(t, m, "install", "-D", "-m", "0644", "-t", "/var/lib/edged/images", "/srv/probe.tar")
	m.Systemctl("start", "edged.service")
	m.Write("/srv/deployment.json", manifest(t, modules{probeModule: probeSpec()}), 0o644)
	require.Regexp(t, ` is applied$`, requireEdgectl(t, m, "root", "apply", "--yes", "-f", "/srv/deployment.json"))
	requireOneProbe(t, m)
	awaitRequests(t, m, 10)
}

func checksFindNoFault(t *testing.T, m *nspawn.Machine) {
	for _, id := range []string{"config", "config-mode", "units", "socket-management", "socket-workload", "home", "edged", "version", "agent", "deployment", "runc", "shim", "cni-plugins"} {
		got := check(t, m, id)
		require.Equal(t, "ok", got.Status, "%+v", got)
	}
}

func aptUpgrades(t *testing.T, m *nspawn.Machine) {
	requireUnnoticed(t, m, func() { apt(t, m, "install", packageFile("new", "deb")) })
	require.NotEqual(t, oldVersion, installedVersion(t, m))
	requireInstalled(t, m)
	requireConfigurationKept(t, m)
	requireAgentOfTheVersion(t, m)
}

// requireAgentOfTheVersion: the agent's image has the version of edged in its name.
func requireAgentOfTheVersion(t *testing.T, m *nspawn.Machine) {
	t.Helper()
	await(t, "the agent is that of the new package", func() bool {
		out, err := m.Run("edgectl", "list", "--format", "{{.Name}} {{.Status}} {{.Image}}")
		return err == nil && strings.Contains(out, "edgeAgent running edged.local/agent:"+installedVersion(t, m))
	})
}

// aptInstallsFramework: bundles are kept before, and started once the package is there; edged need not be told.
func aptInstallsFramework(t *testing.T, m *nspawn.Machine) {
	key := requireEdgectl(t, m, "root", "bundle", "install", "/srv/bundle.jar")
	_, err := m.Run("edgectl", "bundle", "start", key)
	require.ErrorContains(t, err, "edged-osgi", "it says what is missing")
	apt(t, m, "install", "/srv/packages/new/edged-osgi.deb")
	requireEdgectl(t, m, "root", "bundle", "start", key)
	require.Equal(t, key+" ACTIVE", requireEdgectl(t, m, "root", "bundle", "list", "--format", "{{.Key}} {{.State}}"))
	requireEdgectl(t, m, "root", "bundle", "uninstall", key)
	await(t, "without bundles it rests", func() bool { return len(m.Processes("java")) == 0 })
	apt(t, m, "remove", "edged-osgi")
}

func aptDowngrades(t *testing.T, m *nspawn.Machine) {
	requireUnnoticed(t, m, func() { apt(t, m, "install", packageFile("old", "deb")) })
	require.Equal(t, oldVersion, installedVersion(t, m))
	requireConfigurationKept(t, m)
	apt(t, m, "install", packageFile("new", "deb"))
}

// requireUnnoticed does something to edged meanwhile: the probe goes on, every request of it is answered, and each line is in its log once.
func requireUnnoticed(t *testing.T, m *nspawn.Machine, meanwhile func()) {
	t.Helper()
	probe, before := requireOneProbe(t, m), m.Property("edged.service", "MainPID")
	first := len(awaitRequests(t, m, 10))
	meanwhile()
	require.NotEqual(t, before, m.Property("edged.service", "MainPID"), "another edged runs")
	made := awaitRequests(t, m, 10)[first:]
	require.Equal(t, probe, requireOneProbe(t, m), "the module was not restarted")
	requireAnswered(t, made)
	t.Logf("%d requests of the module, none lost, the longest took %s", len(made), longest(made))
}

// olderSchemaRefuses: the schema of a later edged is that of this one with a higher number.
func olderSchemaRefuses(t *testing.T, m *nspawn.Machine) {
	probe := requireOneProbe(t, m)
	m.Systemctl("stop", "edged.service", "edged.mgmt.socket", "edged.workload.socket")
	setSchema(t, m, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, 1)")
	out, err := m.Enter("systemctl", "start", "edged.service")
	require.Error(t, err, out)
	said := journal(t, m, "--priority=err", "--grep=has schema 999", "_SYSTEMD_UNIT=edged.service")
	require.NotEmpty(t, said)
	require.Contains(t, said[0]["MESSAGE"], "install the newer edged again")
	require.Equal(t, probe, requireOneProbe(t, m), "modules run on")

	m.Systemctl("stop", "edged.service", "edged.mgmt.socket", "edged.workload.socket")
	setSchema(t, m, "DELETE FROM goose_db_version WHERE version_id = 999") // what the newer edged finds, installed again
	m.Systemctl("start", "edged.service")
	requireListed(t, m)
	require.Equal(t, probe, requireOneProbe(t, m))
}

// setSchema changes the database of a stopped edged: in a copy, because SQLite finds no database through /proc.
func setSchema(t *testing.T, m *nspawn.Machine, statement string) {
	t.Helper()
	const file = "/var/lib/edged/edged.db"
	must(t, m, "sh", "-c", "! test -s "+file+"-wal") // all is in the one file
	body, err := os.ReadFile(m.Path(file))
	require.NoError(t, err)
	own := filepath.Join(t.TempDir(), "edged.db")
	require.NoError(t, os.WriteFile(own, body, 0o600))
	db, err := sqlite.Connect(own, sqlite.Pool{Conns: 1})
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), statement)
	require.NoError(t, err)
	require.NoError(t, db.Close())
	body, err = os.ReadFile(own)
	require.NoError(t, err)
	must(t, m, "rm", "-f", file+"-wal", file+"-shm")
	m.Write(file, body, 0o600)
}

func aptRemoves(t *testing.T, m *nspawn.Machine) {
	apt(t, m, "remove", "edged")
	requireRemoved(t, m)
	must(t, m, "test", "-s", "/var/lib/edged/edged.db")
	requireConfigurationKept(t, m)
}

// requireRemoved: of edged and its modules nothing runs, and nothing of it is asked for.
func requireRemoved(t *testing.T, m *nspawn.Machine) {
	t.Helper()
	for _, comm := range []string{"edged", "edged-agent", probeProcess, "edged-logger"} {
		await(t, comm+" ends", func() bool { return len(m.Processes(comm)) == 0 })
	}
	await(t, "the shims end", func() bool { return len(m.Processes("containerd-shim")) == 0 })
	out, err := m.Enter("sh", "-c", "ls /run/edged/*.sock /usr/bin/edge* /usr/libexec/edged /usr/lib/systemd/system/edged*")
	require.Error(t, err)
	require.NotRegexp(t, `(?m)^/`, out)
	require.NotContains(t, must(t, m, "cat", "/proc/mounts"), " /run/edged")
	require.NotContains(t, must(t, m, "ip", "link"), "edged0")
	require.NotRegexp(t, `CNI|EDGED`, must(t, m, "sh", "-c", "iptables-save | grep -v -e EDGED-USER || true"), "what operators put into a chain of their own stays")
	nothingFailed(t, m)
}

func aptInstallsAgain(t *testing.T, m *nspawn.Machine) {
	apt(t, m, "install", packageFile("new", "deb"))
	requireInstalled(t, m)
	requireConfigurationKept(t, m)
	await(t, "the module that ran runs again", func() bool { return len(m.Processes(probeProcess)) == 1 })
}

func aptPurges(t *testing.T, m *nspawn.Machine) {
	// What is mounted somewhere in the home is not edged's.
	must(t, m, "sh", "-c", "mkdir /var/lib/edged/other && mount -t tmpfs other /var/lib/edged/other && touch /var/lib/edged/other/kept")
	apt(t, m, "purge", "edged")
	requireRemoved(t, m)
	require.Equal(t, "/var/lib/edged\n/var/lib/edged/other\n/var/lib/edged/other/kept", strings.TrimSpace(must(t, m, "find", "/var/lib/edged")))
	must(t, m, "sh", "-c", "umount /var/lib/edged/other && rmdir /var/lib/edged/other /var/lib/edged")
	out, err := m.Enter("ls", "-d", "/var/lib/edged", "/etc/edged", "/run/edged")
	require.Error(t, err)
	require.NotRegexp(t, `(?m)^/`, out)
	require.Empty(t, must(t, m, "sh", "-c", "ls /etc/systemd/system/*.wants | grep edged || true"))
	require.Empty(t, must(t, m, "sh", "-c", "dpkg-query --show edged 2>/dev/null || true"))
}

func aptInstallsAfterPurge(t *testing.T, m *nspawn.Machine) {
	apt(t, m, "install", packageFile("new", "deb"))
	requireInstalled(t, m)
	await(t, "its agent runs", func() bool {
		out, err := m.Run("edgectl", "list", "--format", "{{.Name}} {{.Status}}")
		return err == nil && out == "edgeAgent running"
	})
	require.Empty(t, m.Processes(probeProcess))
}
