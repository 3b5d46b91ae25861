package nspawn

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/device"
)

// Bookworm is Debian 12, and the kind of machine that most tests want.
const Bookworm = "bookworm"

// Root is the folder of a cached root file system, which is made when it is absent. It
// is everybody's: mount something over it before anything in it is run.
func Root(t testing.TB, kind string) string {
	t.Helper()
	root := filepath.Join(cache, kind)
	out, err := exec.Command(filepath.Join(device.Repository(), "contrib/setup/nspawn-root.sh"), root, kind).CombinedOutput()
	require.NoErrorf(t, err, "cannot make the root file system: %s", out)
	return root
}
