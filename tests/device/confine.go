package device

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	hostapparmor "github.com/containerd/containerd/v2/pkg/apparmor"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/contrib/apparmor"
)

// loadProfile does what the package does on a machine with AppArmor: edged, confined as it is, cannot.
func loadProfile(tb testing.TB) {
	tb.Helper()
	if !hostapparmor.HostSupports() {
		return
	}
	cmd := exec.Command("apparmor_parser", "--replace", "--skip-cache")
	cmd.Stdin = bytes.NewReader(apparmor.Profile("/etc/apparmor.d"))
	said, err := cmd.CombinedOutput()
	require.NoError(tb, err, "%s", said)
}

// confined is a command line under which edged has the capabilities that its unit
// leaves it, and no more: what the tests show, it does with these.
func confined(tb testing.TB, args ...string) []string {
	tb.Helper()
	unit, err := os.ReadFile(filepath.Join(Repository(), "contrib/systemd/edged.service"))
	require.NoError(tb, err)
	set := "-all"
	for line := range strings.Lines(string(unit)) {
		if list, found := strings.CutPrefix(line, "CapabilityBoundingSet="); found {
			for _, name := range strings.Fields(list) {
				set += ",+" + strings.ToLower(strings.TrimPrefix(name, "CAP_"))
			}
		}
	}
	require.Contains(tb, set, "+sys_admin", "the unit's capabilities")
	return append([]string{"setpriv", "--no-new-privs", "--bounding-set=" + set}, args...)
}
