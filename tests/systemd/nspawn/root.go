package nspawn

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/device"
)

// Root is the folder of the cached root file system, which is made when it is absent. It
// is everybody's: mount something over it before anything in it is run.
func Root(t testing.TB) string {
	t.Helper()
	root := filepath.Join(cache, "bookworm")
	out, err := exec.Command(filepath.Join(device.Repository(), "contrib/setup/nspawn-root.sh"), root).CombinedOutput()
	require.NoErrorf(t, err, "cannot make the root file system: %s", out)
	return root
}
