package systemd

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
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

	// desiredManifest is where the agent looks for its deployment.
	desiredManifest = "/var/lib/edged/agent/desired/deployment.json"
)

// boot starts a machine with edged installed as the documentation says, and nothing of it enabled or started. Its manifest asks for one module, the probe.
func boot(t *testing.T) *nspawn.Machine {
	t.Helper()
	m := nspawn.New(t, nspawn.Bookworm)
	for _, pattern := range []string{"bin/edged*", "bin/edgectl", "contrib/systemd/*", "contrib/systemd/*/*", "contrib/apparmor/edged-default", "contrib/apparmor/load.sh"} {
		files, err := filepath.Glob(filepath.Join(repo, pattern))
		require.NoError(t, err)
		for _, file := range files {
			st, err := os.Stat(file)
			require.NoError(t, err)
			if rel, err := filepath.Rel(repo, file); err == nil && st.Mode().IsRegular() {
				m.Install(file, filepath.Join("/srv/edged", rel), st.Mode().Perm())
			}
		}
	}
	m.Boot()
	out, err := m.Enter("sh", "-euc", "cd /srv/edged\n"+installCommands(t))
	require.NoError(t, err, out)
	m.Install(filepath.Join(repo, "contrib/config/config.toml"), "/etc/edged/config.toml", 0o640)
	m.Write("/var/lib/edged/images/probe.tar", probeArchive(t), 0o644)
	m.Write(desiredManifest, manifest(t, modules{probeModule: probeSpec()}), 0o640)
	chgrpDesired(t, m)
	return m
}

// installCommands are those of the quick start, which a stranger types; the machine's root needs no sudo.
func installCommands(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(repo, "docs/quick-start.md"))
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(page), "<!-- tested: install -->\n```sh\n")
	require.True(t, found, "the quick start has no commands to install")
	commands, _, found := strings.Cut(rest, "```")
	require.True(t, found)
	return strings.ReplaceAll(commands, "sudo ", "")
}

// probeArchive is an image that holds the probe, and a folder for a volume.
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
		Layers:   []archive.Layer{{"/" + probeProcess: {Body: body, Mode: 0o755}, "/data/sub/file": {Body: []byte("of the image")}}},
	}))
	require.NoError(t, file.Close())
	b, err := os.ReadFile(file.Name())
	require.NoError(t, err)
	return b
}

// chgrpDesired lets the agent read the manifest.
func chgrpDesired(t *testing.T, m *nspawn.Machine) {
	t.Helper()
	out, err := m.Enter("sh", "-c", `chgrp -R edged "$1" && chmod 750 "$1"`, "sh", filepath.Dir(desiredManifest))
	require.NoError(t, err, out)
}

type (
	object  = map[string]any
	modules map[string]object
)

// manifest is the deployment that the agent applies.
func manifest(t *testing.T, modules modules) []byte {
	t.Helper()
	b, err := json.Marshal(object{"modulesContent": object{"$edgeAgent": object{"properties.desired": object{
		"schemaVersion": "1.1",
		"runtime":       object{"type": "docker", "settings": object{}},
		"systemModules": object{},
		"modules":       modules,
	}}}})
	require.NoError(t, err)
	return b
}

// probeSpec is the probe, which may use the management socket.
func probeSpec() object {
	return object{
		"version": "1.0", "type": "docker", "status": "running", "restartPolicy": "always", "imagePullPolicy": "never",
		"settings": object{"image": probeImage, "createOptions": "{}", "management": true},
	}
}
