package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/config"
)

func TestABackupHasTheConfigurationAndWhatBelongsToIt(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "config.toml")
	require.NoError(t, os.Mkdir(filepath.Join(folder, "config.d"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "config.d", "10-a.toml"), nil, 0o600))
	cfg := config.Default()
	cfg.Device.CACert, cfg.Device.CAKey = filepath.Join(folder, "ca.pem"), filepath.Join(folder, "ca-key.pem")
	cfg.Device.TrustBundle = "/etc/ssl/elsewhere.pem"
	cfg.Network.CNIConfDir, cfg.Uploads.TrustDir = filepath.Join(folder, "net.d"), filepath.Join(folder, "trust.d")
	want := []string{"config.toml", "config.d/10-a.toml", "net.d", "ca.pem", "trust.d"}
	require.Equal(t, want, configFiles(cfg, file, false))
	require.Equal(t, append(want, "ca-key.pem"), configFiles(cfg, file, true))
}

func TestABackupSaysWhatKeysItCannotHave(t *testing.T) {
	cfg := config.Default()
	cfg.Home = "/var/lib/edged"
	for uri, where := range map[string]string{
		"file:///var/lib/edged/keys": "",
		"file:///srv/keys":           "/srv/keys",
		"tpm2:":                      "TPM ",
		"pkcs11:token=edged?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/etc/edged/pin": `token "edged"`,
	} {
		cfg.Keystore.URI = uri
		if where == "" {
			require.Empty(t, keysElsewhere(cfg))
		}
		require.Contains(t, keysElsewhere(cfg), where)
	}
}
