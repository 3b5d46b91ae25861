package backup

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
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

// look is all that a folder holds: paths, what is in files, where links lead.
func look(t *testing.T, folder string) map[string]string {
	t.Helper()
	all := map[string]string{}
	require.NoError(t, filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		rel, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		if entry.Type() == fs.ModeSymlink {
			all[rel], err = os.Readlink(path)
			return err
		}
		b, err := os.ReadFile(path)
		all[rel] = string(b)
		return err
	}))
	return all
}

// before is a home that a restore finds.
func before(t *testing.T) string {
	home := t.TempDir()
	for _, name := range []string{"edged.db", "edged.db-wal", "edged.db-shm", "catalog.db", "catalog.db-wal", "keys/master", "agent/status/status.json", "logs/pump.log"} {
		put(t, filepath.Join(home, name), "old", 0o600)
	}
	return home
}

// TestARestoreThatIsCutIsFinishedOrTakenBack cuts it before the first of its renames, behind the
// last, and between any two: edged never starts with the database of one and the keys of another.
func TestARestoreThatIsCutIsFinishedOrTakenBack(t *testing.T) {
	var archive bytes.Buffer
	require.NoError(t, Write(&archive, aDevice(t)))
	restored := before(t)
	done, err := Restore(bytes.NewReader(archive.Bytes()), Target{restored, "", Schemas{3, 3}, -1, "1"})
	require.NoError(t, err)
	require.Equal(t, "old", read(t, filepath.Join(done.Aside, "edged.db-wal")))
	whole := look(t, restored)

	// begun is a home in which all is ready and nothing was renamed.
	begun := func() (string, plan) {
		home := before(t)
		staged, err := os.MkdirTemp(home, restorePrefix+"*")
		require.NoError(t, err)
		a, err := open(bytes.NewReader(archive.Bytes()))
		require.NoError(t, err)
		require.NoError(t, unpack(a.tar, staged, -1))
		require.NoError(t, os.RemoveAll(filepath.Join(staged, "config")))
		p := plan{Aside: "before-restore-1"}
		require.NoError(t, p.begin(staged, home))
		return home, p
	}
	home, p := begun()
	moves := len(p.moves(home))
	require.Equal(t, 3+2+2+5, moves, "what is there goes aside, write-ahead logs too, and what was unpacked comes")
	for n := range moves + 1 {
		home, p := begun()
		for _, m := range p.moves(home)[:n] {
			require.NoError(t, os.Rename(m.from, m.to))
		}
		require.NoError(t, Settle(home))
		got := look(t, home)
		delete(got, "edged.lock")
		require.Equal(t, whole, got, "cut after %d renames", n)

		// The same with one that cannot be carried out, and again with its undoing.
		home, p = begun()
		for _, m := range p.moves(home)[:n] {
			require.NoError(t, os.Rename(m.from, m.to))
		}
		p.Back = true
		for back := range len(p.moves(home)) + 1 {
			again := t.TempDir()
			require.NoError(t, os.CopyFS(again, os.DirFS(home)))
			for _, m := range p.moves(again)[:back] {
				require.NoError(t, os.Rename(m.from, m.to))
			}
			require.NoError(t, p.write(filepath.Join(again, restoring)))
			require.NoError(t, Settle(again))
			got := look(t, again)
			delete(got, "edged.lock")
			require.Equal(t, look(t, before(t)), got, "cut after %d renames, and after %d of those back", n, back)
			require.NoDirExists(t, filepath.Join(again, "before-restore-1"))
		}
	}
}

func TestARestoreThatCannotBeCarriedOutLeavesAllAsItWas(t *testing.T) {
	var archive bytes.Buffer
	require.NoError(t, Write(&archive, aDevice(t)))
	home := before(t)
	want := look(t, home)
	// A disk of its own: what is mounted cannot be renamed.
	require.NoError(t, os.Mkdir(filepath.Join(home, "volumes"), 0o700))
	require.NoError(t, syscall.Mount("tmpfs", filepath.Join(home, "volumes"), "tmpfs", 0, ""), "the tests run as root")
	t.Cleanup(func() { _ = syscall.Unmount(filepath.Join(home, "volumes"), syscall.MNT_DETACH) })
	_, err := Restore(bytes.NewReader(archive.Bytes()), Target{home, "", Schemas{3, 3}, -1, "1"})
	require.ErrorIs(t, err, syscall.EBUSY)
	require.Equal(t, want, look(t, home))
	entries, err := os.ReadDir(home)
	require.NoError(t, err)
	require.Len(t, entries, 9)
}

func TestWhatWasUnpackedInPartGoes(t *testing.T) {
	home := before(t)
	put(t, filepath.Join(home, ".restore-1", "home", "keys", "master"), "another's key", 0o600)
	put(t, filepath.Join(home, restoring, "home", "keys", "master"), "done but for its removal", 0o600)
	require.NoError(t, Settle(home))
	require.NoDirExists(t, filepath.Join(home, ".restore-1"))
	require.NoDirExists(t, filepath.Join(home, restoring))
	require.Equal(t, "old", read(t, filepath.Join(home, "keys", "master")))
	require.NoError(t, Settle(filepath.Join(home, "none")))
	release, err := Lock(home)
	require.NoError(t, err)
	defer release()
	require.True(t, errdefs.IsFailedPrecondition(Settle(home)), "another is at it")
}

func TestTheCopyOfAKilledBackupGoesAndThatOfALivingOneStays(t *testing.T) {
	home := before(t)
	put(t, filepath.Join(home, ".backup-1", "edged.db"), "environments", 0o600)
	living, remove, err := Scratch(home)
	require.NoError(t, err)
	require.NoDirExists(t, filepath.Join(home, ".backup-1"))
	put(t, filepath.Join(home, ".backup-2", "edged.db"), "environments", 0o600)
	require.NoError(t, Settle(home))
	require.NoDirExists(t, filepath.Join(home, ".backup-2"))
	require.DirExists(t, living)
	remove()
	require.NoDirExists(t, living)
}

// TestNoLinkOfAModuleLeadsABackupElsewhere is a module that puts a link in the place of a folder
// of its volume, just when the backup has seen that it is a folder.
func TestNoLinkOfAModuleLeadsABackupElsewhere(t *testing.T) {
	outside, volume := t.TempDir(), t.TempDir()
	put(t, filepath.Join(outside, "shadow"), "the host's", 0o600)
	put(t, filepath.Join(volume, "folder", "shadow"), "its own", 0o600)
	above, err := os.Open(volume)
	require.NoError(t, err)
	defer above.Close()
	handle, err := openAt(above, "folder", "folder", unix.O_PATH)
	require.NoError(t, err)
	defer handle.Close()
	st, err := handle.Stat()
	require.NoError(t, err)
	require.NoError(t, os.Rename(filepath.Join(volume, "folder"), filepath.Join(volume, "other")))
	require.NoError(t, os.Symlink(outside, filepath.Join(volume, "folder")))

	var b bytes.Buffer
	w := tar.NewWriter(&b)
	require.NoError(t, addFolder(w, handle, st, "folder"))
	require.NoError(t, add(w, volume, "volume"))
	require.NoError(t, w.Close())
	require.NotContains(t, b.String(), "the host's")
	require.Contains(t, b.String(), "its own")
}

// TestKeysOnAnotherDiskAreInTheBackup: the operator may have put a link in the home.
func TestKeysOnAnotherDiskAreInTheBackup(t *testing.T) {
	s := aDevice(t)
	elsewhere := filepath.Join(t.TempDir(), "keys")
	require.NoError(t, os.Rename(filepath.Join(s.Home, "keys"), elsewhere))
	require.NoError(t, os.Symlink(elsewhere, filepath.Join(s.Home, "keys")))
	require.NoError(t, os.Rename(filepath.Join(s.Config, "config.toml"), filepath.Join(s.Config, "real.toml")))
	require.NoError(t, os.Symlink("real.toml", filepath.Join(s.Config, "config.toml")))
	var archive bytes.Buffer
	require.NoError(t, Write(&archive, s))
	home, config := t.TempDir(), t.TempDir()
	_, err := Restore(&archive, Target{home, config, Schemas{3, 3}, -1, "1"})
	require.NoError(t, err)
	require.Equal(t, "key", read(t, filepath.Join(home, "keys", "master")))
	require.Equal(t, "version = 1\n", read(t, filepath.Join(config, "config.toml")))
}

// TestNothingThatAModuleMakesOfItsVolumeSpoilsABackup: names, times, owners, links, and paths
// longer than any that a program may name.
func TestNothingThatAModuleMakesOfItsVolumeSpoilsABackup(t *testing.T) {
	s := aDevice(t)
	volume := filepath.Join("volumes", "data", "_data")
	long := strings.Repeat("n", 255)
	for _, name := range []string{"caf\xe9\n\x01", long, "old"} {
		put(t, filepath.Join(s.Home, volume, name), "x", 0o600)
	}
	old := time.Unix(-1_000_000_000, 0)
	require.NoError(t, os.Chtimes(filepath.Join(s.Home, volume, "old"), old, old))
	require.NoError(t, os.Chown(filepath.Join(s.Home, volume, "old"), 1<<31-2, 1<<31-2))
	require.NoError(t, os.Symlink(strings.Repeat("/x", 2000), filepath.Join(s.Home, volume, "link-of-4000")))
	fd, err := unix.Open(filepath.Join(s.Home, volume), unix.O_DIRECTORY, 0)
	require.NoError(t, err)
	for range 30 {
		require.NoError(t, unix.Mkdirat(fd, long[1:], 0o755))
		below, err := unix.Openat(fd, long[1:], unix.O_DIRECTORY, 0)
		require.NoError(t, err)
		require.NoError(t, unix.Close(fd))
		fd = below
	}
	require.NoError(t, unix.Close(fd))

	var archive bytes.Buffer
	require.NoError(t, Write(&archive, s))
	home := t.TempDir()
	_, err = Restore(&archive, Target{home, "", Schemas{3, 3}, -1, "1"})
	require.NoError(t, err)
	for _, name := range []string{"caf\xe9\n\x01", long, "old"} {
		require.Equal(t, "x", read(t, filepath.Join(home, volume, name)))
	}
	st, err := os.Stat(filepath.Join(home, volume, "old"))
	require.NoError(t, err)
	require.True(t, st.ModTime().Equal(old), st.ModTime())
	require.EqualValues(t, 1<<31-2, st.Sys().(*syscall.Stat_t).Uid)
}

// TestABackupThatIsLargerThanTheDiskFillsNothing while modules run on.
func TestABackupThatIsLargerThanTheDiskFillsNothing(t *testing.T) {
	home := t.TempDir()
	require.NoError(t, syscall.Mount("tmpfs", home, "tmpfs", 0, "size=4m"), "the tests run as root")
	t.Cleanup(func() { _ = syscall.Unmount(home, syscall.MNT_DETACH) })
	put(t, filepath.Join(home, "edged.db"), "old", 0o600)
	archive := made(t, &tar.Header{Name: "home/edged.db", Size: 1, Mode: 0o600}, &tar.Header{Name: "home/volumes/v/_data/bomb", Size: 3900 << 10, Mode: 0o600})
	_, err := Restore(bytes.NewReader(archive), Target{home, "", Schemas{9, 9}, -1, "1"})
	require.True(t, errdefs.IsResourceExhausted(err), "%v", err)
	require.Equal(t, map[string]string{"edged.db": "old"}, look(t, home))
	// A little less is fine.
	archive = made(t, &tar.Header{Name: "home/edged.db", Size: 1, Mode: 0o600}, &tar.Header{Name: "home/volumes/v/_data/file", Size: 3 << 20, Mode: 0o600})
	_, err = Restore(bytes.NewReader(archive), Target{home, "", Schemas{9, 9}, -1, "1"})
	require.NoError(t, err)
}
