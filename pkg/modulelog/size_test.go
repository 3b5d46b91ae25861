package modulelog

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheSizeOfLogsIsOfAllGenerationsAndOfNothingElse(t *testing.T) {
	s := NewStore(t.TempDir())
	defer s.Close()
	size, err := s.Size("pump")
	require.NoError(t, err)
	require.Zero(t, size, "it has none")
	for gen, n := range map[int64]int{1: 8192, 2: 4096} {
		require.NoError(t, os.MkdirAll(s.GenerationDir("pump", gen), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(s.GenerationDir("pump", gen), "1.log"), make([]byte, n), 0o600))
	}
	big := filepath.Join(t.TempDir(), "big")
	require.NoError(t, os.WriteFile(big, make([]byte, 1<<20), 0o600))
	require.NoError(t, os.Symlink(big, filepath.Join(s.GenerationDir("pump", 1), "2.log")))
	size, err = s.Size("pump")
	require.NoError(t, err)
	require.EqualValues(t, 12288, size)
}
