package segment

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFolderThatCannotBeMadeDropsAndTells(t *testing.T) {
	base := t.TempDir()
	blocker := filepath.Join(base, "file")
	require.NoError(t, os.WriteFile(blocker, nil, 0o600))
	dir := filepath.Join(blocker, "1")
	c := clock(day0)
	w := start(t, dir, &c)
	w.Feed(Stdout, []byte("lost\nlost too\n"))
	require.NoError(t, os.Remove(blocker))
	w.Feed(Stdout, []byte("kept\n"))
	w.Close()
	require.Equal(t, map[string]string{"0.log": "" +
		stamp(day0) + " stderr F edged: the log lost 14 bytes in 2 lines: not a directory\n" +
		stamp(day0) + " stdout F kept\n"}, stored(t, dir))
}

func TestFolderThatIsNotAbsoluteIsNoFolder(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, dir := range []string{"", "rel", "../x"} {
		c := clock(day0)
		w := start(t, dir, &c)
		w.Feed(Stdout, []byte("lost\n"))
		w.Close()
	}
	names, err := os.ReadDir(".")
	require.NoError(t, err)
	require.Empty(t, names)
}

func TestRemovedFolderStaysRemoved(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "1")
	c := clock(day0)
	w := start(t, dir, &c, func(cfg *Config) { cfg.MaxSize = 200 })
	w.Feed(Stdout, []byte("x\n"))
	require.NoError(t, os.RemoveAll(dir))
	for range 100 {
		w.Feed(Stdout, []byte("y\n"))
	}
	w.Close()
	require.NoDirExists(t, dir)
}

func TestLinksAreNotFollowed(t *testing.T) {
	dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(outside, nil, 0o600))
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, "0.log")))
	c := clock(day0)
	w := start(t, dir, &c)
	w.Feed(Stdout, []byte("x\n"))
	w.Close()
	b, err := os.ReadFile(outside)
	require.NoError(t, err)
	require.Empty(t, b)
	require.Contains(t, stored(t, dir)["1.log"], " x\n")
}

// smallDisk is a file system of a few pages.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k,mode=0700"), "the tests run as root")
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	return dir
}

func TestFullDiskDropsAndTellsOnce(t *testing.T) {
	disk := smallDisk(t)
	ballast := filepath.Join(disk, "ballast")
	require.NoError(t, os.WriteFile(ballast, make([]byte, 40<<10), 0o600))
	dir := filepath.Join(disk, "1")
	c := clock(day0)
	w := start(t, dir, &c)
	line := strings.Repeat("x", 99) + "\n"
	const fed = 500
	for range fed {
		w.Feed(Stdout, []byte(line))
	}
	full := stored(t, dir)["0.log"]
	require.NotContains(t, full, "lost")
	require.NoError(t, os.Remove(ballast))
	w.Feed(Stdout, []byte("after\n"))
	w.Feed(Stdout, []byte("and on\n"))
	w.Close()
	got := stored(t, dir)["0.log"]
	require.True(t, strings.HasPrefix(got, full), "segments only grow")
	kept := strings.Count(got, " stdout F "+line)
	require.Positive(t, kept)
	require.Less(t, kept, fed)
	require.Equal(t, 1, strings.Count(got, "edged: the log lost"))
	require.Contains(t, got, fmt.Sprintf("\n%s stderr F edged: the log lost %d bytes in %d lines: no space left on device\n", stamp(day0), (fed-kept)*100, fed-kept))
	require.True(t, strings.HasSuffix(got, " stdout F after\n"+stamp(day0)+" stdout F and on\n"), got[len(got)-200:])
}

func TestFullDiskRotatesByRemovingTheOldest(t *testing.T) {
	disk := smallDisk(t)
	dir := filepath.Join(disk, "1")
	c := clock(day0)
	w := start(t, dir, &c, func(cfg *Config) { cfg.MaxSize, cfg.MaxFile = 8<<10, 4 })
	for i := range 5000 {
		w.Feed(Stdout, fmt.Appendf(nil, "%099d\n", i))
	}
	w.Close()
	all := ""
	for _, text := range stored(t, dir) {
		all += text
	}
	require.Contains(t, all, fmt.Sprintf("%099d\n", 4999))
	require.NotContains(t, all, "lost")
}

func TestCloseTellsWhatIsLost(t *testing.T) {
	disk := smallDisk(t)
	ballast := filepath.Join(disk, "ballast")
	require.NoError(t, os.WriteFile(ballast, make([]byte, 60<<10), 0o600))
	dir := filepath.Join(disk, "1")
	c := clock(day0)
	w := start(t, dir, &c)
	for range 100 {
		w.Feed(Stdout, []byte(strings.Repeat("x", 99)+"\n"))
	}
	require.NoError(t, os.Remove(ballast))
	w.Close()
	require.Contains(t, stored(t, dir)["0.log"], "edged: the log lost ")
}
