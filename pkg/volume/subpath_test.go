package volume

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
)

func TestASubpathDoesNotLeadOut(t *testing.T) {
	s := storeIn(t)
	s.mustMake(t, Wish{Name: "data"})
	data := s.Path("data")
	require.NoError(t, os.MkdirAll(filepath.Join(data, "a", "b"), 0o755))
	for link, target := range map[string]string{"inside": "a/b", "up": "a/b/../..", "absolute": "/etc", "out": "../../..", "loop": "loop", "a/down": "../file", "magic": "/proc/self/root"} {
		require.NoError(t, os.Symlink(target, filepath.Join(data, link)))
	}
	for _, sub := range []string{"a", "a/b", "inside", "up", "a/down", "file", "a/../a/b", "."} {
		f, err := s.OpenSubpath("data", sub)
		require.NoError(t, err, sub)
		require.NoError(t, f.Close())
	}
	for sub, want := range map[string]string{
		"..": "not a relative path inside", "../data": "not a relative path inside", "/etc": "not a relative path inside", "a/../..": "not a relative path inside", "": "not a relative path inside",
		"absolute": "leads out of volume", "absolute/passwd": "leads out of volume", "out": "leads out of volume", "out/x": "leads out of volume", "loop": "leads out of volume", "magic": "leads out of volume",
		"none": "is not in volume", "file/x": "is not in volume",
	} {
		_, err := s.OpenSubpath("data", sub)
		require.True(t, errdefs.IsInvalidArgument(err), "%s: %v", sub, err)
		require.ErrorContains(t, err, want, sub)
	}
	_, err := s.OpenSubpath("none", "a")
	require.True(t, errdefs.IsInvalidArgument(err), "%v", err)
}
