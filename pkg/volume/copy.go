package volume

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/containerd/continuity/sysx"
	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// What a copy leaves free of the file system it writes to: a share of it, or this much,
// whichever is less. The database, logs and what the operator needs to help himself live there.
const (
	freeShare  = 20 // one in twenty
	freeBytes  = 256 << 20
	freeInodes = 4096
)

// copyChunk is what is copied between two looks at the clock and the disk.
const copyChunk = 4 << 20

// namesAtOnce is how many names of a folder are held in memory.
const namesAtOnce = 256

// Copy copies what is in the folder src, and src's own mode and times, to the folder dst,
// with owners, modes, times, extended attributes and links as they are. No link is
// followed. Before each file, and in large ones again and again, it looks whether ctx has
// ended and whether there is room. Errors: errdefs.Unavailable (ctx ended), ENOSPC.
func Copy(ctx context.Context, dst, src string) error {
	info, err := os.Lstat(src)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return &os.PathError{Op: "copy", Path: src, Err: unix.ENOTDIR}
	}
	c := copier{ctx: ctx, root: dst, links: map[inode]string{}}
	return c.folder(dst, src, info)
}

type inode struct{ dev, number uint64 }

type copier struct {
	ctx   context.Context //nolint:containedctx // it lives as long as one call of Copy
	root  string
	links map[inode]string // the first copy of a file that has several names
}

// room says whether n more bytes may be written.
func (c *copier) room(n int64) error {
	if c.ctx.Err() != nil {
		return fmt.Errorf("the copy was cut short: %w: %w", context.Cause(c.ctx), errdefs.ErrUnavailable)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(c.root, &st); err != nil {
		return &os.PathError{Op: "statfs", Path: c.root, Err: err}
	}
	size := uint64(st.Bsize)                                       // #nosec G115 -- never negative
	floor := min(st.Blocks*size/freeShare, freeBytes)              //nolint:unconvert // 32 bits elsewhere
	if free := st.Bavail * size; free < floor+uint64(max(n, 0)) || // #nosec G115
		st.Files > 0 && st.Ffree < min(st.Files/freeShare, freeInodes) {
		return fmt.Errorf("no more than %d bytes of its file system would stay free: %w", floor, unix.ENOSPC)
	}
	return nil
}

func (c *copier) folder(dst, src string, info fs.FileInfo) error {
	f, err := os.Open(src) // #nosec G304
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		entries, err := f.ReadDir(namesAtOnce)
		for _, entry := range entries {
			if err := c.entry(filepath.Join(dst, entry.Name()), filepath.Join(src, entry.Name()), entry); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return attributes(dst, src, info) // after what is in it, which changes its times
		}
		if err != nil {
			return err
		}
	}
}

func (c *copier) entry(dst, src string, entry fs.DirEntry) error {
	info, err := entry.Info()
	if err != nil {
		return err
	}
	if err := c.room(0); err != nil {
		return err
	}
	st := info.Sys().(*syscall.Stat_t) //nolint:forcetypeassert // on Linux it is
	switch mode := info.Mode(); {
	case mode.IsDir():
		if err := os.Mkdir(dst, 0o700); err != nil {
			return err
		}
		return c.folder(dst, src, info)
	case mode.IsRegular():
		first, linked := c.linked(st, dst)
		if linked {
			return os.Link(first, dst)
		}
		err = c.file(dst, src, info.Size())
	case mode&fs.ModeSymlink != 0:
		var target string
		if target, err = os.Readlink(src); err == nil {
			err = os.Symlink(target, dst)
		}
	default: // devices, FIFOs, sockets
		if err = unix.Mknod(dst, st.Mode, int(st.Rdev)); err != nil { //nolint:unconvert // 32 bits elsewhere
			err = &os.PathError{Op: "mknod", Path: dst, Err: err}
		}
	}
	if err != nil {
		return err
	}
	return attributes(dst, src, info)
}

// linked says where a file of several names was copied to already.
func (c *copier) linked(st *syscall.Stat_t, dst string) (first string, linked bool) {
	if st.Nlink < 2 {
		return "", false
	}
	key := inode{uint64(st.Dev), uint64(st.Ino)} //nolint:unconvert // 32 bits elsewhere
	if first, linked = c.links[key]; !linked {
		c.links[key] = dst
	}
	return first, linked
}

// file copies the data of a regular file and leaves its holes holes.
func (c *copier) file(dst, src string, size int64) error {
	in, err := os.OpenFile(src, os.O_RDONLY|unix.O_NOFOLLOW, 0) // #nosec G304
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(dst, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // #nosec G304
	if err != nil {
		return err
	}
	err = out.Truncate(size)
	for at := int64(0); err == nil && at < size; {
		from, end := region(in, at, size)
		for at = from; err == nil && at < end; {
			n := min(end-at, copyChunk)
			err = c.piece(out, in, at, n)
			at += n
		}
	}
	return errors.Join(err, out.Close())
}

// region is the next piece of a file that is not a hole, from the offset at on. Where the
// file system cannot tell, it is all of it.
func region(in *os.File, at, size int64) (from, end int64) {
	from, err := in.Seek(at, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) {
		return size, size
	}
	if err != nil {
		return at, size
	}
	if end, err = in.Seek(from, unix.SEEK_HOLE); err != nil || end <= from {
		end = size
	}
	return from, min(end, size)
}

func (c *copier) piece(out, in *os.File, at, n int64) error {
	if err := c.room(n); err != nil {
		return err
	}
	_, err := in.Seek(at, io.SeekStart)
	if err == nil {
		_, err = out.Seek(at, io.SeekStart)
	}
	if err == nil {
		_, err = io.CopyN(out, in, n)
	}
	return err
}

// attributes gives dst what src has besides its content. The owner comes first: a
// change of it takes set-id bits and capabilities away.
func attributes(dst, src string, info fs.FileInfo) error {
	st := info.Sys().(*syscall.Stat_t) //nolint:forcetypeassert // on Linux it is
	if err := os.Lchown(dst, int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	if info.Mode()&fs.ModeSymlink == 0 {
		if err := os.Chmod(dst, info.Mode()); err != nil {
			return err
		}
	}
	if err := extended(dst, src); err != nil {
		return fmt.Errorf("cannot copy extended attributes of %s: %w", src, err)
	}
	times := []unix.Timespec{unix.NsecToTimespec(syscall.TimespecToNsec(st.Atim)), unix.NsecToTimespec(syscall.TimespecToNsec(st.Mtim))}
	return os.NewSyscallError("utimensat", unix.UtimesNanoAt(unix.AT_FDCWD, dst, times, unix.AT_SYMLINK_NOFOLLOW))
}

// extended lets a file system without extended attributes, or a kernel without that
// security module, hold volumes all the same.
func extended(dst, src string) error {
	names, err := sysx.LListxattr(src)
	if err != nil {
		return bearable(err)
	}
	for _, name := range names {
		value, err := sysx.LGetxattr(src, name)
		if err == nil {
			err = sysx.LSetxattr(dst, name, value, 0)
		}
		if bearable(err) != nil {
			return err
		}
	}
	return nil
}

func bearable(err error) error {
	if errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	return err
}
