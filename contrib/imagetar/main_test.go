package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	importer "github.com/containerd/containerd/v2/core/images/archive"
	"github.com/containerd/containerd/v2/plugins/content/local"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/contrib/imagetar/archive"
)

func TestFlagsBecomeTheImage(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	require.NoError(t, os.WriteFile(program, []byte("binary"), 0o700))
	out := filepath.Join(dir, "image.tar")
	err := run([]string{
		"-o", out, "-ref", "edged.local/p:1", "-platform", "linux/arm/v7", "-entrypoint", "/p", "-entrypoint", "-v", "-cmd", "serve",
		"-env", "A=b=c", "-user", "1:2", "-workdir", "/w", "-label", "l=m", "-stop-signal", "SIGINT", "-volume", "/v", "-port", "1/udp",
		"-file", program + "=/p", "-link", "p=/q",
	}, "86400", io.Discard)
	require.NoError(t, err)

	config := readConfig(t, out)
	require.Equal(t, ocispec.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}, config.Platform)
	require.Equal(t, time.Unix(86_400, 0).UTC(), *config.Created)
	require.Equal(t, ocispec.ImageConfig{
		Entrypoint: []string{"/p", "-v"}, Cmd: []string{"serve"}, Env: []string{"A=b=c"}, User: "1:2", WorkingDir: "/w",
		Labels: map[string]string{"l": "m"}, StopSignal: "SIGINT", Volumes: map[string]struct{}{"/v": {}}, ExposedPorts: map[string]struct{}{"1/udp": {}},
	}, config.Config)
	require.Len(t, config.RootFS.DiffIDs, 1)
}

func TestOwnerAndUmaskOfTheBuilderLeaveNoTrace(t *testing.T) {
	dir := t.TempDir()
	pack := func(mode os.FileMode) []byte {
		program, out := filepath.Join(dir, "program"), filepath.Join(dir, "image.tar")
		require.NoError(t, os.WriteFile(program, []byte("binary"), 0o600))
		require.NoError(t, os.Chmod(program, mode))
		require.NoError(t, run([]string{"-o", out, "-ref", "a", "-file", program + "=/p"}, "", io.Discard))
		b, err := os.ReadFile(out)
		require.NoError(t, err)
		return b
	}
	require.Equal(t, pack(0o700), pack(0o775))
	require.NotEqual(t, pack(0o700), pack(0o600))
}

func TestAFolderIsPackedWithItsLinksAndEmptyFolders(t *testing.T) {
	from := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(from, "a", "empty"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(from, "a", "file"), []byte("text"), 0o600))
	require.NoError(t, os.Symlink("file", filepath.Join(from, "a", "link")))
	layer := archive.Layer{}
	require.NoError(t, addFolder(layer, from+"=/"))
	require.Equal(t, archive.Layer{
		"/a": {Mode: os.ModeDir}, "/a/empty": {Mode: os.ModeDir}, "/a/file": {Body: []byte("text"), Mode: 0o644}, "/a/link": {Link: "file"},
	}, layer)

	layer = archive.Layer{}
	require.NoError(t, addFolder(layer, from+"=/opt"))
	require.Contains(t, layer, "/opt/a/file")
	require.Contains(t, layer, "/opt")

	require.NoError(t, syscall.Mkfifo(filepath.Join(from, "fifo"), 0o600))
	require.ErrorContains(t, addFolder(layer, from+"=/"), "fifo")
	require.Error(t, addFolder(layer, "/does/not/exist=/"))
	require.Error(t, addFolder(layer, from))
}

func TestAFolderCanBeSomebodys(t *testing.T) {
	layer := archive.Layer{}
	require.NoError(t, addOwned(layer, "/data=1:2"))
	require.Equal(t, archive.Layer{"/data": {Mode: os.ModeDir | 0o700, UID: 1, GID: 2}}, layer)
	for _, wrong := range []string{"/data", "/data=1", "/data=a:b", "/data=-1:2"} {
		require.Error(t, addOwned(layer, wrong), wrong)
	}
}

func TestWrongCallsLeaveNoFile(t *testing.T) {
	for name, args := range map[string][]string{
		"no reference":    {"-o", "OUT"},
		"bad reference":   {"-o", "OUT", "-ref", "A B"},
		"stray argument":  {"-o", "OUT", "-ref", "a", "b"},
		"bad platform":    {"-o", "OUT", "-ref", "a", "-platform", "linux"},
		"missing file":    {"-o", "OUT", "-ref", "a", "-file", "/does/not/exist=/p"},
		"file without to": {"-o", "OUT", "-ref", "a", "-file", "/etc/passwd"},
		"relative path":   {"-o", "OUT", "-ref", "a", "-file", "/etc/passwd=p"},
		"label":           {"-o", "OUT", "-ref", "a", "-label", "l"},
		"link":            {"-o", "OUT", "-ref", "a", "-link", "l"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			args[1] = filepath.Join(dir, "image.tar")
			require.Error(t, run(args, "", io.Discard))
			left, err := os.ReadDir(dir)
			require.NoError(t, err)
			require.Empty(t, left)
		})
	}
	require.ErrorContains(t, run([]string{"-o", filepath.Join(t.TempDir(), "x"), "-ref", "a"}, "soon", io.Discard), "SOURCE_DATE_EPOCH")
}

func readConfig(t *testing.T, name string) ocispec.Image {
	t.Helper()
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	store, err := local.NewStore(t.TempDir())
	require.NoError(t, err)
	ctx := context.Background()
	desc, err := importer.ImportIndex(ctx, store, bytes.NewReader(b))
	require.NoError(t, err)
	var index ocispec.Index
	var manifest ocispec.Manifest
	var config ocispec.Image
	for _, step := range []struct {
		desc func() ocispec.Descriptor
		into any
	}{
		{func() ocispec.Descriptor { return desc }, &index},
		{func() ocispec.Descriptor { return index.Manifests[0] }, &manifest},
		{func() ocispec.Descriptor { return manifest.Config }, &config},
	} {
		blob, err := content.ReadBlob(ctx, store, step.desc())
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(blob, step.into))
	}
	return config
}
