//go:build packages

package systemd

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/systemd/nspawn"
)

// What `make test-packages` runs beside TestPackagesOnDebian12: in the tests of every change it would take too long.

func TestPackagesOnDebian13(t *testing.T) { testDebianPackages(t, "trixie") }

// TestPackagesByDNF lets dnf install the rpm on a Debian with rpm's own tools, where packages of containerd and the like are there by name alone. Not
// shown by it: file triggers, systemd-update-helper and SELinux of a distribution that is made of rpms.
func TestPackagesByDNF(t *testing.T) {
	m := packaged(t, "rpm", "rpm")
	m.Install(repo+"/"+packagesFolder+"/stub.rpm", "/srv/packages/stub.rpm", 0o644)
	live(t, m, []part{
		{"dnf installs it, started and enabled", dnfInstalls},
		{"units are without fault", unitsAreWithoutFault},
		{"sockets have their owners and modes", socketsHaveTheirOwnersAndModes},
		{"configuration is the operator's", configurationIsTheOperators},
		{"first call wakes a stopped service at once", firstCallWakesAtOnce},
		{"agent of the package starts what is asked for", agentOfThePackageStarts},
		{"upgrade goes unnoticed by modules", dnfUpgrades},
		{"downgrade of the same schema goes unnoticed", dnfDowngrades},
		{"removal ends modules and keeps the data", dnfRemoves},
		{"installed again, all is as before", dnfInstallsAgain},
		{"nothing failed", nothingFailed},
	})
}

func dnf(t *testing.T, m *nspawn.Machine, args ...string) {
	t.Helper()
	begun := time.Now()
	must(t, m, "createrepo_c", "--quiet", "/srv/packages")
	must(t, m, append([]string{"dnf", "-y", "--quiet", "--repofrompath=edged,/srv/packages", "--repo=edged", "--nogpgcheck", "--releasever=1", "--setopt=install_weak_deps=False"}, args...)...)
	t.Logf("dnf %s: %s", strings.Join(args, " "), time.Since(begun).Round(time.Millisecond))
}

func dnfInstalls(t *testing.T, m *nspawn.Machine) {
	dnf(t, m, "install", "edged-"+oldVersion)
	requireInstalled(t, m)
	// The configuration has the mode and group that tmpfiles.d gives it.
	require.Empty(t, must(t, m, "rpm", "--verify", "--nomode", "--nogroup", "edged"))
	require.Equal(t, oldVersion, installedVersion(t, m))
	require.Contains(t, must(t, m, "cat", "/etc/edged/config.toml"), "\ncni_bin_dirs = [\"/usr/libexec/cni\", ")
	t.Logf("installed size: %s bytes", must(t, m, "rpm", "--query", "--queryformat", "%{SIZE}", "edged"))
}

func dnfUpgrades(t *testing.T, m *nspawn.Machine) {
	requireUnnoticed(t, m, func() { dnf(t, m, "upgrade", "edged") })
	require.NotEqual(t, oldVersion, installedVersion(t, m))
	requireInstalled(t, m)
	requireConfigurationKept(t, m)
	requireAgentOfTheVersion(t, m)
}

func dnfDowngrades(t *testing.T, m *nspawn.Machine) {
	requireUnnoticed(t, m, func() { dnf(t, m, "downgrade", "edged") })
	require.Equal(t, oldVersion, installedVersion(t, m))
	requireConfigurationKept(t, m)
}

func dnfRemoves(t *testing.T, m *nspawn.Machine) {
	dnf(t, m, "remove", "edged")
	requireRemoved(t, m)
	must(t, m, "test", "-s", "/var/lib/edged/edged.db")
	require.True(t, strings.HasSuffix(must(t, m, "cat", "/etc/edged/config.toml.rpmsave"), "# mine"))
}

func dnfInstallsAgain(t *testing.T, m *nspawn.Machine) {
	dnf(t, m, "install", "edged")
	requireInstalled(t, m)
	await(t, "the module that ran runs again", func() bool { return len(m.Processes(probeProcess)) == 1 })
}
