package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/config"
)

func TestInitAsksOnATerminal(t *testing.T) {
	d := &device{path: "/nonexistent/s", in: "gateway-7\n\nhub.example\nregistry.example/agent:1\n", typed: true}
	file := filepath.Join(t.TempDir(), "config.toml")
	got := d.run("init", "-o", file, "--hostname", "gateway-8")
	require.Zero(t, got.code, got.err)
	require.NotContains(t, got.err, "Name of the device")
	c, err := config.Load(file)
	require.NoError(t, err)
	require.Equal(t, "gateway-8", c.Hostname)

	got = d.run("init", "-o", file)
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.err, "--force")
	require.Zero(t, d.run("init", "-o", file, "--force", "--ask").code)
	c, err = config.Load(file)
	require.NoError(t, err)
	require.Equal(t, []string{"gateway-7", "hub.example", "registry.example/agent:1", config.PullOnCreate}, []string{c.Hostname, c.Device.Hub, c.Agent.Image, c.Agent.ImagePullPolicy})
}

// TestInitReplacesWhatSaysNothing: packages bring a file in which each key is a comment.
func TestInitReplacesWhatSaysNothing(t *testing.T) {
	d := &device{path: "/nonexistent/s"}
	file := filepath.Join(t.TempDir(), "config.toml")
	shipped, err := os.ReadFile("../../contrib/config/config.toml")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, shipped, 0o600))
	got := d.run("init", "-o", file, "--hub", "h")
	require.Zero(t, got.code, got.err)
	require.NotContains(t, got.err, "restart", "edged does not read it there")
	for _, text := range []string{"hostname = \"g\"\n", "[peer]\nrequire_pidfd = true\n", "what is this"} {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		require.Equal(t, exitFailed, d.run("init", "-o", file, "--hub", "h").code, text)
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, text, string(b))
	}
}

// TestInitWritesBesideThePackagedFile: dpkg asks about one that is not as it brought it, and an unattended upgrade stops there.
func TestInitWritesBesideThePackagedFile(t *testing.T) {
	main := filepath.Join(t.TempDir(), "config.toml")
	out, err := ownPlace(main, false)
	require.NoError(t, err)
	require.Equal(t, main, out, "where there is no package's")
	shipped, err := os.ReadFile("../../contrib/config/config.toml")
	require.NoError(t, err)
	plugins := strings.Replace(string(shipped), "#cni_bin_dirs = [", "cni_bin_dirs = [\"/usr/libexec/cni\", ", 1)
	beside := filepath.Join(filepath.Dir(main), "config.d", "10-init.toml")
	for _, text := range []string{string(shipped), plugins} {
		require.NoError(t, os.WriteFile(main, []byte(text), 0o600))
		out, err = ownPlace(main, false)
		require.NoError(t, err)
		require.Equal(t, beside, out)
	}
	d := &device{path: "/nonexistent/s"}
	require.Zero(t, d.run("init", "-o", out, "--hub", "h").code)
	c, err := config.Load(main)
	require.NoError(t, err)
	require.Equal(t, "h", c.Device.Hub)
	require.Equal(t, []string{"/usr/libexec/cni", "/usr/lib/cni", "/opt/cni/bin"}, c.Network.CNIBinDirs)

	require.NoError(t, os.WriteFile(main, []byte("hostname = \"g\"\n"), 0o600))
	_, err = ownPlace(main, false)
	require.ErrorContains(t, err, "--force")
	out, err = ownPlace(main, true)
	require.NoError(t, err)
	require.Equal(t, beside, out)
}

func TestInitTakesIoTEdgesConfiguration(t *testing.T) {
	d := &device{path: "/nonexistent/s"}
	from := filepath.Join(t.TempDir(), "aziot.toml")
	require.NoError(t, os.WriteFile(from, []byte("hostname = \"g\"\n[provisioning]\nsource = \"manual\"\ndevice_id = \"d\"\n[moby_runtime]\nuri = \"x\"\n[edge_ca]\ncert = \"file:///nonexistent/ca.pem\"\npk = \"file://"+from+"\"\n"), 0o600))
	got := d.run("init", "--from", from, "-o", "-", "--hub", "h")
	require.Zero(t, got.code, got.err)
	require.Contains(t, got.out, "hostname = 'g'\n\n[device]\nid = 'd'\nhub = 'h'\n")
	require.Contains(t, got.err, "note: moby_runtime: not taken")
	require.Contains(t, got.err, "note: ca_cert: /nonexistent/ca.pem is not there")
	require.NotContains(t, got.err, "ca_key")
	got = d.run("init", "-o", "-", "--keystore", "nowhere")
	require.Equal(t, exitUsage, got.code)
	require.Contains(t, got.err, "keystore.uri")
}
