package volume

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/continuity/sysx"
	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestACopyIsAsItWas(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	old := time.Unix(1000, 5)
	require.NoError(t, os.MkdirAll(src+"/deep/er", 0o755))
	require.NoError(t, os.WriteFile(src+"/deep/file", []byte("text"), 0o600))
	require.NoError(t, os.Link(src+"/deep/file", src+"/second"))
	require.NoError(t, os.Symlink("/etc/passwd", src+"/out"))
	require.NoError(t, unix.Mkfifo(src+"/pipe", 0o640))
	require.NoError(t, unix.Mknod(src+"/null", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
	require.NoError(t, sysx.LSetxattr(src+"/deep/file", "trusted.kind", []byte("x"), 0))
	f, err := os.Create(src + "/sparse")
	require.NoError(t, err)
	_, err = f.WriteAt([]byte("middle"), 20<<20)
	require.NoError(t, err)
	require.NoError(t, f.Truncate(64<<20))
	require.NoError(t, f.Close())
	require.NoError(t, os.Lchown(src+"/out", 7, 8))
	require.NoError(t, os.Chown(src+"/deep/file", 1000, 1234))
	require.NoError(t, os.Chmod(src+"/deep/file", os.ModeSetuid|0o751))
	require.NoError(t, os.Chmod(src+"/deep/er", os.ModeSticky|0o777))
	require.NoError(t, os.Chmod(src, os.ModeSetgid|0o770))
	for _, p := range []string{"/deep/file", "/deep/er", "/deep", ""} {
		require.NoError(t, os.Chtimes(src+p, old, old))
	}
	require.NoError(t, Copy(t.Context(), dst, src))
	for _, p := range []string{"", "/deep", "/deep/er", "/deep/file", "/out", "/pipe", "/null", "/sparse"} {
		want, err := os.Lstat(src + p)
		require.NoError(t, err)
		got, err := os.Lstat(dst + p)
		require.NoError(t, err)
		w, g := want.Sys().(*syscall.Stat_t), got.Sys().(*syscall.Stat_t)
		require.Equal(t, []any{w.Mode, w.Uid, w.Gid, w.Rdev, w.Mtim, w.Nlink}, []any{g.Mode, g.Uid, g.Gid, g.Rdev, g.Mtim, g.Nlink}, p)
		if !want.IsDir() {
			require.Equal(t, want.Size(), got.Size(), p)
		}
	}
	value, err := sysx.LGetxattr(dst+"/second", "trusted.kind")
	require.NoError(t, err)
	require.Equal(t, "x", string(value))
	b, err := os.ReadFile(dst + "/sparse")
	require.NoError(t, err)
	require.Equal(t, "middle", string(b[20<<20:20<<20+6]))
	var st unix.Stat_t
	require.NoError(t, unix.Stat(dst+"/sparse", &st))
	require.Less(t, st.Blocks*512, int64(8<<20), "holes stay holes")
}

func TestACopyEndsWithItsContext(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	require.NoError(t, os.WriteFile(src+"/file", []byte("text"), 0o600))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := Copy(ctx, dst, src)
	require.True(t, errdefs.IsUnavailable(err), "%v", err)
	require.NoFileExists(t, dst+"/file")
}

func TestACopyLeavesRoomOnTheDisk(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	require.NoError(t, syscall.Mount("tmpfs", dst, "tmpfs", 0, "size=40m,nr_inodes=1000"))
	t.Cleanup(func() { _ = syscall.Unmount(dst, syscall.MNT_DETACH) })
	require.NoError(t, os.WriteFile(src+"/a", make([]byte, 39<<20), 0o600))
	require.ErrorIs(t, Copy(t.Context(), dst, src), unix.ENOSPC)
	var st unix.Statfs_t
	require.NoError(t, unix.Statfs(dst, &st))
	require.GreaterOrEqual(t, st.Bavail*uint64(st.Bsize), uint64(2<<20), "one in twenty stays free")

	many, few := t.TempDir(), filepath.Join(dst, "few")
	require.NoError(t, os.Mkdir(few, 0o700))
	require.NoError(t, os.Remove(dst+"/a"))
	for i := range 990 {
		require.NoError(t, os.WriteFile(filepath.Join(many, time.Duration(i).String()), nil, 0o600))
	}
	require.ErrorIs(t, Copy(t.Context(), few, many), unix.ENOSPC)
	require.NoError(t, unix.Statfs(dst, &st))
	require.GreaterOrEqual(t, st.Ffree, uint64(49), "files too")
}

func TestOnlyAFolderIsCopied(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Symlink("/etc", dir+"/link"))
	require.ErrorIs(t, Copy(t.Context(), t.TempDir(), dir+"/link"), unix.ENOTDIR)
	require.ErrorIs(t, Copy(t.Context(), t.TempDir(), dir+"/none"), os.ErrNotExist)
}
