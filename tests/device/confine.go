package device

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

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
