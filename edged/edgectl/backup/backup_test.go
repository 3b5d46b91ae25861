package backup

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
)

func put(t *testing.T, path, text string, mode fs.FileMode) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(text), mode))
	require.NoError(t, os.Chmod(path, mode))
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(b)
}

// device is a home and a configuration with something of everything.
func aDevice(t *testing.T) Source {
	home, config := t.TempDir(), t.TempDir()
	put(t, filepath.Join(home, "keys", "master"), "key", 0o600)
	put(t, filepath.Join(home, "agent", "desired", "deployment.json"), "{}", 0o640)
	put(t, filepath.Join(home, "volumes", "data", "_data", "tool"), "tool", 0o755)
	tool := filepath.Join(home, "volumes", "data", "_data", "tool")
	require.NoError(t, os.Chown(tool, 1000, 1001))
	require.NoError(t, os.Chmod(tool, 0o755|fs.ModeSetuid))
	require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(home, "volumes", "data", "_data", "link")))
	require.NoError(t, syscall.Mkfifo(filepath.Join(home, "volumes", "data", "_data", "pipe"), 0o600))
	put(t, filepath.Join(home, "logs", "pump.log"), "log", 0o600)
	put(t, filepath.Join(config, "config.toml"), "version = 1\n", 0o640)
	copied := filepath.Join(t.TempDir(), "edged.db")
	put(t, copied, "the database", 0o600)
	builds := filepath.Join(t.TempDir(), "catalog.db")
	put(t, builds, "the catalog", 0o600)
	put(t, filepath.Join(config, "net.d", "plant.conflist"), "{}", 0o640)
	put(t, filepath.Join(config, "shadow"), "another's secret", 0o600)
	return Source{Home: home, Config: config, ConfigFiles: []string{"config.toml", "net.d", "none.d"}, Database: copied, Catalog: builds, Info: Info{Format: Format, Version: "1", Schema: 3, CatalogSchema: 1, Keys: true, Volumes: true}}
}

func TestWhatIsBackedUpComesBackAsItWas(t *testing.T) {
	var archive bytes.Buffer
	require.NoError(t, Write(&archive, aDevice(t)))
	home, config := t.TempDir(), t.TempDir()
	for name, text := range map[string]string{"edged.db": "old", "edged.db-wal": "old", "catalog.db": "old", "catalog.db-wal": "old", "keys/master": "old", "keys/extra": "old"} {
		put(t, filepath.Join(home, name), text, 0o600)
	}
	_, err := Restore(bytes.NewReader(archive.Bytes()), Target{home, config, Schemas{2, 1}, 4242, "1"})
	require.True(t, errdefs.IsFailedPrecondition(err), "a newer schema")
	require.Equal(t, "old", read(t, filepath.Join(home, "edged.db")))
	_, err = Restore(bytes.NewReader(archive.Bytes()), Target{home, config, Schemas{3, 0}, 4242, "1"})
	require.True(t, errdefs.IsFailedPrecondition(err), "a newer schema of the catalog")

	done, err := Restore(bytes.NewReader(archive.Bytes()), Target{home, config, Schemas{3, 1}, 4242, "1"})
	require.NoError(t, err)
	require.Equal(t, "1", done.Info.Version)
	require.Equal(t, "the database", read(t, filepath.Join(home, "edged.db")))
	require.NoFileExists(t, filepath.Join(home, "edged.db-wal"), "it belongs to the old one")
	require.Equal(t, "the catalog", read(t, filepath.Join(home, "catalog.db")))
	require.NoFileExists(t, filepath.Join(home, "catalog.db-wal"))
	require.Equal(t, "key", read(t, filepath.Join(home, "keys", "master")))
	require.NoFileExists(t, filepath.Join(home, "keys", "extra"))
	require.Equal(t, "old", read(t, filepath.Join(done.Aside, "keys", "extra")))
	require.Equal(t, "version = 1\n", read(t, filepath.Join(config, "config.toml")))
	require.Equal(t, "{}", read(t, filepath.Join(config, "net.d", "plant.conflist")))
	require.NoFileExists(t, filepath.Join(config, "shadow"))
	require.NoDirExists(t, filepath.Join(home, "logs"))
	// The group edged has another number here, and the agent is to read its manifest.
	manifest, err := os.Stat(filepath.Join(home, "agent", "desired", "deployment.json"))
	require.NoError(t, err)
	require.EqualValues(t, 4242, manifest.Sys().(*syscall.Stat_t).Gid)
	require.Equal(t, fs.FileMode(0o640), manifest.Mode())
	data := filepath.Join(home, "volumes", "data", "_data")
	st, err := os.Stat(filepath.Join(data, "tool"))
	require.NoError(t, err)
	require.Equal(t, 0o755|fs.ModeSetuid, st.Mode())
	require.EqualValues(t, 1000, st.Sys().(*syscall.Stat_t).Uid)
	require.EqualValues(t, 1001, st.Sys().(*syscall.Stat_t).Gid)
	to, err := os.Readlink(filepath.Join(data, "link"))
	require.NoError(t, err)
	require.Equal(t, "/etc/passwd", to)
	left, err := filepath.Glob(filepath.Join(home, ".restore-*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

// TestABackupWithoutACatalogLeavesTheOneThatIsThere with all that belongs to it.
func TestABackupWithoutACatalogLeavesTheOneThatIsThere(t *testing.T) {
	s := aDevice(t)
	s.Catalog, s.Info.CatalogSchema = "", 0
	var archive bytes.Buffer
	require.NoError(t, Write(&archive, s))
	home := t.TempDir()
	for _, name := range []string{"catalog.db", "catalog.db-wal"} {
		put(t, filepath.Join(home, name), "old", 0o600)
	}
	_, err := Restore(bytes.NewReader(archive.Bytes()), Target{home, "", Schemas{3, 1}, -1, "1"})
	require.NoError(t, err)
	require.Equal(t, "old", read(t, filepath.Join(home, "catalog.db")))
	require.Equal(t, "old", read(t, filepath.Join(home, "catalog.db-wal")))
}

// made is an archive with these members behind its info.
func made(t testing.TB, members ...*tar.Header) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	info, err := json.Marshal(Info{Format: Format})
	require.NoError(t, err)
	require.NoError(t, w.WriteHeader(&tar.Header{Name: infoFile, Size: int64(len(info)), Mode: 0o600}))
	_, err = w.Write(info)
	require.NoError(t, err)
	for _, h := range members {
		require.NoError(t, w.WriteHeader(h))
		_, err := w.Write(make([]byte, h.Size))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	require.NoError(t, z.Close())
	return b.Bytes()
}

// TestAHostileArchiveWritesNothingElsewhere is one that somebody changed on its way.
func TestAHostileArchiveWritesNothingElsewhere(t *testing.T) {
	outside := t.TempDir()
	for name, members := range map[string][]*tar.Header{
		"above":        {{Name: "home/../../x", Size: 1, Mode: 0o600}},
		"absolute":     {{Name: "/etc/x", Size: 1, Mode: 0o600}},
		"another file": {{Name: "home/edged.lock", Size: 1, Mode: 0o600}},
		"through a link": {
			{Name: "home/keys/out", Typeflag: tar.TypeSymlink, Linkname: outside},
			{Name: "home/keys/out/x", Size: 1, Mode: 0o600},
		},
		"a device":    {{Name: "home/keys/null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}},
		"a hard link": {{Name: "home/keys/passwd", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"}},
		"no database": {{Name: "home/keys/master", Size: 1, Mode: 0o600}},
	} {
		home := t.TempDir()
		put(t, filepath.Join(home, "edged.db"), "old", 0o600)
		_, err := Restore(bytes.NewReader(made(t, members...)), Target{home, "", Schemas{9, 9}, -1, "1"})
		require.Error(t, err, name)
		entries, err := os.ReadDir(home)
		require.NoError(t, err)
		require.Len(t, entries, 1, name)
	}
	entries, err := os.ReadDir(outside)
	require.NoError(t, err)
	require.Empty(t, entries)
	_, err = ReadInfo(bytes.NewReader([]byte("no archive")))
	require.Error(t, err)
}

func TestResetKeepsWhatIsToBeKept(t *testing.T) {
	s := aDevice(t)
	release, err := Lock(s.Home)
	require.NoError(t, err)
	_, err = Lock(s.Home)
	require.True(t, errdefs.IsFailedPrecondition(err))
	release()
	put(t, filepath.Join(s.Home, "images", "agent.tar"), "x", 0o600)
	require.NoError(t, Reset(s.Home, "keys"))
	entries, err := os.ReadDir(s.Home)
	require.NoError(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	require.Equal(t, []string{"edged.lock", "images", "keys"}, names)
}

func FuzzRestore(f *testing.F) {
	f.Add(made(f, &tar.Header{Name: "home/edged.db", Size: 1, Mode: 0o600}))
	f.Fuzz(func(t *testing.T, archive []byte) {
		home := t.TempDir()
		if done, err := Restore(bytes.NewReader(archive), Target{home, "", Schemas{9, 9}, -1, "1"}); err == nil {
			require.DirExists(t, done.Aside)
		}
	})
}
