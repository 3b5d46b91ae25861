package main

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/access"
	"github.com/edged/edged/pkg/config"
	"github.com/edged/edged/pkg/module"
)

// quiet is a daemon of which nothing is made yet, and what it logs.
func quiet(cfg *config.Config) (*daemon, *bytes.Buffer) {
	said := new(bytes.Buffer)
	log := logrus.New()
	log.SetOutput(said)
	return &daemon{cfg: cfg, log: log}, said
}

func TestGrantsNameUsersAndGroupsByNameOrNumber(t *testing.T) {
	d, said := quiet(nil)
	got := d.grants(&config.Config{Grants: []config.Grant{
		{Permissions: []string{"adminTemplates", "catalog_write"}, Modules: []string{"temp"}, Users: []string{"root", "1234"}, Groups: []string{"root", "4242"}},
		{Permissions: []string{"update_cluster"}, Users: []string{"nobody-has-this-name", "-1", "4294967296", "0x10"}, Groups: []string{"no-such-group", ""}},
	}})
	require.Equal(t, []access.Grant{
		{Permissions: []access.Permission{access.AdminTemplates, access.CatalogWrite}, Modules: []string{"temp"}, UIDs: []uint32{0, 1234}, GIDs: []uint32{0, 4242}, Operators: true},
		{Permissions: []access.Permission{access.UpdateCluster}},
	}, got, "the first grant is the built-in one, of operators")
	require.Contains(t, said.String(), `grant names user \"nobody-has-this-name\"`)
	require.Contains(t, said.String(), `grant names group \"no-such-group\"`)
}

func TestTheLoggerIsLookedForBesideEdged(t *testing.T) {
	exe, err := os.Executable()
	require.NoError(t, err)
	beside := filepath.Join(filepath.Dir(exe), "edged-logger")
	require.NoError(t, os.Mkdir(beside, 0o700))
	got, err := findLogger()
	if err == nil {
		require.Equal(t, "/usr/libexec/edged/edged-logger", got, "a folder is no program")
	} else {
		require.ErrorContains(t, err, "cannot find edged-logger, looked at "+beside+" and /usr/libexec/edged/edged-logger")
	}
	require.NoError(t, os.Remove(beside))
	require.NoError(t, os.WriteFile(beside, nil, 0o700))
	t.Cleanup(func() { _ = os.Remove(beside) })
	got, err = findLogger()
	require.NoError(t, err)
	require.Equal(t, beside, got)
}

func TestNamesOfTheDevice(t *testing.T) {
	own, err := os.Hostname()
	require.NoError(t, err)
	for _, tc := range []struct{ hostname, id, wantHost, wantID string }{
		{"", "", own, own}, {"h", "", "h", "h"}, {"h", "d", "h", "d"}, {"", "d", own, "d"},
	} {
		cfg := &config.Config{Hostname: tc.hostname, Device: config.Device{ID: tc.id}}
		require.Equal(t, tc.wantHost, hostname(cfg))
		require.Equal(t, tc.wantID, deviceID(cfg))
	}
}

func TestFoldersHaveTheirModeWhateverTheUmask(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	dir := filepath.Join(t.TempDir(), "d")
	for range 2 {
		require.NoError(t, makeFolder(dir, 0o770, 4242))
		info, err := os.Stat(dir)
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o770), info.Mode().Perm())
		require.EqualValues(t, 4242, info.Sys().(*syscall.Stat_t).Gid)
		require.NoError(t, os.Chmod(dir, 0o700)) // the second round mends it
	}
	require.NoError(t, makeFolder(filepath.Join(filepath.Dir(dir), "e"), 0o700, -1), "without a group")
	require.Error(t, makeFolder("/no/such/parent/d", 0o700, -1))
}

func TestAgentIsMadeAsTheConfigurationSays(t *testing.T) {
	cfg := &config.Config{Home: "/home/e", Agent: config.Agent{Image: "i", ImagePullPolicy: "never", CreateOptions: `{"A":1}`, Env: map[string]string{"B": "2", "A": "1"}}}
	d, _ := quiet(cfg)
	spec := d.agentSpec()
	require.NoError(t, spec.Validate())
	require.Equal(t, module.Spec{
		Name: "edgeAgent", Type: "docker", Image: "i", CreateOptions: json.RawMessage(`{"A":1}`), PullPolicy: module.PullNever,
		Env: []module.EnvVar{{Key: "A", Value: "1"}, {Key: "B", Value: "2"}},
	}, spec)
	require.Equal(t, spec.Digest(), func() string { s := d.agentSpec(); return s.Digest() }(), "the order of a map is not the agent's")
	mounts, _ := d.agentFolders("edgeAgent")
	require.Equal(t, []module.Mount{
		{Source: "/home/e/agent/desired", Destination: "/var/lib/edged-agent/desired", ReadOnly: true},
		{Source: "/home/e/agent/status", Destination: "/var/lib/edged-agent/status"},
	}, mounts)
	for _, name := range []string{"temp", "edgeagent", ""} {
		mounts, groups := d.agentFolders(name)
		require.Empty(t, mounts)
		require.Empty(t, groups)
	}
}
