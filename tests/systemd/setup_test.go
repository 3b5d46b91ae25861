package systemd

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/contrib/imagetar/archive"
	"github.com/edged/edged/tests/systemd/nspawn"
)

// repo is the top of the source tree, seen from this package, where go test runs.
const repo = "../.."

const (
	probeModule = "probe"
	probeImage  = "edged.local/probe:1"
	// probeProcess is the name that the kernel shows for the module's process.
	probeProcess = "edged-probe"
)

// boot starts a machine with edged installed as the packages do it, and nothing of it enabled or started. Its manifest asks for one module, the probe.
func boot(t *testing.T) *nspawn.Machine {
	t.Helper()
	m := nspawn.New(t, filepath.Join(repo, "contrib/setup/nspawn-root.sh"))

	for from, to := range map[string]string{"edged": "/usr/bin/edged", "edgectl": "/usr/bin/edgectl", "edged-logger": "/usr/libexec/edged/edged-logger"} {
		m.Install(filepath.Join(repo, "bin", from), to, 0o755)
	}
	m.Install(filepath.Join(repo, "bin/edged-agent.tar"), "/usr/share/edged/images/edged-agent.tar", 0o644)
	for _, unit := range []string{"edged.service", "edged.mgmt.socket", "edged.workload.socket"} {
		m.Install(filepath.Join(repo, "contrib/systemd", unit), "/usr/lib/systemd/system/"+unit, 0o644)
	}
	for _, kind := range []string{"sysusers.d", "tmpfiles.d"} {
		m.Install(filepath.Join(repo, "contrib/systemd", kind, "edged.conf"), "/usr/lib/"+kind+"/edged.conf", 0o644)
	}
	m.Boot()
	for _, args := range [][]string{{"systemd-sysusers"}, {"systemd-tmpfiles", "--create", "edged.conf"}} {
		out, err := m.Enter(args...)
		require.NoErrorf(t, err, "%s: %s", args[0], out)
	}
	m.Install(filepath.Join(repo, "contrib/config/config.toml"), "/etc/edged/config.toml", 0o640)
	m.Write("/var/lib/edged/images/probe.tar", probeArchive(t), 0o644)
	m.Write("/var/lib/edged/agent/desired/deployment.json", manifest(t), 0o640)
	out, err := m.Enter("sh", "-c", "chgrp -R edged /var/lib/edged/agent/desired && chmod 750 /var/lib/edged/agent/desired")
	require.NoError(t, err, out)
	m.Systemctl("daemon-reload")
	return m
}

// probeArchive is an image that holds the probe alone.
func probeArchive(t *testing.T) []byte {
	t.Helper()
	program := filepath.Join(t.TempDir(), probeProcess)
	build := exec.Command("go", "build", "-buildvcs=false", "-trimpath", "-o", program, "./probe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoErrorf(t, err, "cannot build the probe: %s", out)
	body, err := os.ReadFile(program)
	require.NoError(t, err)

	file, err := os.Create(filepath.Join(t.TempDir(), "probe.tar"))
	require.NoError(t, err)
	require.NoError(t, archive.Write(file, archive.Image{
		Ref:      probeImage,
		Platform: ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH},
		Config:   ocispec.ImageConfig{Entrypoint: []string{"/" + probeProcess}, User: "65532:65532"},
		Layers:   []archive.Layer{{"/" + probeProcess: {Body: body, Mode: 0o755}}},
	}))
	require.NoError(t, file.Close())
	b, err := os.ReadFile(file.Name())
	require.NoError(t, err)
	return b
}

// manifest is the deployment that the agent applies: the probe, which may use the management socket.
func manifest(t *testing.T) []byte {
	t.Helper()
	type object = map[string]any
	b, err := json.Marshal(object{"modulesContent": object{"$edgeAgent": object{"properties.desired": object{
		"schemaVersion": "1.1",
		"runtime":       object{"type": "docker", "settings": object{}},
		"systemModules": object{},
		"modules": object{probeModule: object{
			"version": "1.0", "type": "docker", "status": "running", "restartPolicy": "always", "imagePullPolicy": "never",
			"settings": object{"image": probeImage, "createOptions": "{}", "management": true},
		}},
	}}}})
	require.NoError(t, err)
	return b
}

// curl asks the management socket of the machine, as a service of its root, and returns status and body.
func curl(m *nspawn.Machine, path string) (status, body string, err error) {
	const mark = "\nstatus:"
	out, err := m.Run("curl", "--silent", "--show-error", "--max-time", "60", "--unix-socket", "/run/edged/mgmt.sock",
		"--write-out", mark+"%{http_code}", fmt.Sprintf("http://localhost%s", path))
	if err != nil {
		return "", "", err
	}
	body, status, _ = cutLast(out, mark)
	return status, body, nil
}
