package apparmor

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestProfileIsInTheFormOfTheParser: edged's own way and the packages' are one.
func TestProfileIsInTheFormOfTheParser(t *testing.T) {
	for name, tc := range map[string]struct {
		files []string
		abi   bool
	}{
		"AppArmor 3 and later": {[]string{"abi/3.0", "abi/4.0"}, true},
		"2.13 of Ubuntu 20.04": {[]string{"abi/2.13"}, false},
		"2.13 of Debian 11":    {[]string{"tunables/global"}, true},
		"no AppArmor yet":      {nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			folder := filepath.Join(root, "etc/apparmor.d")
			for _, file := range tc.files {
				require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(folder, file)), 0o755))
				require.NoError(t, os.WriteFile(filepath.Join(folder, file), nil, 0o600))
			}
			text := string(Profile(folder))
			require.Equal(t, tc.abi, strings.Contains(text, "\nabi "))
			require.Contains(t, text, "profile "+Name+" ")

			cmd := exec.Command("./load.sh", "edged-default")
			cmd.Env = append(os.Environ(), "DPKG_ROOT="+root)
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
			written, err := os.ReadFile(filepath.Join(folder, Name))
			require.NoError(t, err)
			require.Equal(t, text, string(written))
		})
	}
}
