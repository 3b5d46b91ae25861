package device

import (
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/contrib/imagetar/archive"
)

// Image is the probe's; it is on every device, with busybox beside it.
const Image = "edged.local/probe:1"

var probeOnce struct {
	sync.Once
	program []byte
	err     error
}

// probeProgram builds the probe once.
func probeProgram(tb testing.TB) []byte {
	probeOnce.Do(func() {
		var dir string
		if dir, probeOnce.err = os.MkdirTemp("", "probe"); probeOnce.err != nil {
			return
		}
		defer os.RemoveAll(dir)
		out := filepath.Join(dir, "probe")
		if probeOnce.err = Build(out, "./tests/probe", ""); probeOnce.err == nil {
			probeOnce.program, probeOnce.err = os.ReadFile(out)
		}
	})
	require.NoError(tb, probeOnce.err)
	return probeOnce.program
}

// writeImages writes the archive that every device preloads.
func writeImages(tb testing.TB, path string) {
	f, err := os.Create(path)
	require.NoError(tb, err)
	defer f.Close()
	require.NoError(tb, archive.Write(f, ProbeImage(tb, Image)))
}

// ProbeImage is the probe's image under a name.
func ProbeImage(tb testing.TB, ref string) archive.Image {
	busybox, err := os.ReadFile("/bin/busybox")
	require.NoError(tb, err, "busybox-static is installed by make deps")
	return archive.Image{
		Ref:      ref,
		Platform: ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH},
		Config: ocispec.ImageConfig{
			Entrypoint: []string{"/bin/probe"}, Env: []string{"FROM_IMAGE=yes", "OVERRIDDEN=image"}, WorkingDir: "/probe",
		},
		Layers: []archive.Layer{{
			"/bin/probe":   {Body: probeProgram(tb), Mode: 0o755},
			"/bin/busybox": {Body: busybox, Mode: 0o755},
			"/bin/sh":      {Link: "busybox"},
			"/etc/passwd":  {Body: []byte("root:x:0:0:root:/:/bin/sh\nprobe:x:1000:1000::/:/bin/sh\n")},
			"/etc/group":   {Body: []byte("root:x:0:\nprobe:x:1000:\nextra:x:1234:probe\n")},
			"/probe":       {Mode: os.ModeDir | 0o777},
			"/tmp":         {Mode: os.ModeDir | os.ModeSticky | 0o777},
		}},
	}
}
