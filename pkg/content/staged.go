package content

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/errdefs"
	"github.com/google/uuid"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

// Staged is a blob in the making. Whoever began it ends it with Commit or Abort.
type Staged struct {
	blobs  *Store
	ref    string
	writer content.Writer
	file   *os.File // the same bytes, to be read
	size   int64
}

// Stage begins a blob.
func (b *Store) Stage(ctx context.Context) (*Staged, error) {
	ref := "staged-" + uuid.NewString()
	w, err := b.store.Writer(ctx, content.WithRef(ref))
	if err != nil {
		return nil, fmt.Errorf("cannot keep bytes: %w", err)
	}
	s := &Staged{blobs: b, ref: ref, writer: w}
	if s.file, err = os.Open(filepath.Join(b.root, ingestFolder, digest.FromString(ref).Encoded(), "data")); err != nil {
		s.Abort(ctx)
		return nil, fmt.Errorf("cannot keep bytes: %w", err)
	}
	return s, nil
}

// piece is how many bytes are read and written at once. Of a MiB the kernel makes pieces of
// its cache that it has to find room for: that is several times slower.
const piece = 256 << 10

// behind is after how many bytes the kernel is told to write, so that the wait for the
// disk at the end is short.
const behind = 16 << 20

var pieces = sync.Pool{New: func() any { b := make([]byte, piece); return &b }}

// ReadAll takes all of r, piece by piece. check is asked now and then with the bytes
// that are there. Errors: the disk's, check's, or a *SourceError.
func (s *Staged) ReadAll(r io.Reader, check func(size int64) error) error {
	buffer := pieces.Get().(*[]byte) //nolint:forcetypeassert // there is nothing else in it
	defer pieces.Put(buffer)
	begun := s.size
	for {
		n, err := fill(r, *buffer)
		if n > 0 {
			if _, err := s.writer.Write((*buffer)[:n]); err != nil {
				return fmt.Errorf("cannot keep bytes: %w", err)
			}
			s.size += int64(n)
		}
		switch {
		case errors.Is(err, io.EOF):
			return check(s.size)
		case err != nil:
			return &SourceError{err}
		}
		if s.size-begun >= behind {
			// Only a hint, so that nothing is lost when it cannot be had.
			_ = unix.SyncFileRange(int(s.file.Fd()), begun, s.size-begun, unix.SYNC_FILE_RANGE_WRITE)
			begun = s.size
			if err := check(s.size); err != nil {
				return err
			}
		}
	}
}

// fill reads until the buffer is full. Unlike io.ReadFull it leaves errors as they are: a
// body that was cut off ends with io.ErrUnexpectedEOF.
func fill(r io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = r.Read(p[n:])
		n += m
	}
	return n, err
}

// SourceError is an error of what is read, not of the disk.
type SourceError struct{ error }

// Unwrap returns the source's own error.
func (e *SourceError) Unwrap() error { return e.error }

// Blob reads what is there so far; it is not for closing.
func (s *Staged) Blob(ctx context.Context) *Blob { return &Blob{ctx: ctx, r: s.file, Size: s.size} }

// Size is how many bytes are there so far.
func (s *Staged) Size() int64 { return s.size }

// Digest of all that is there so far.
func (s *Staged) Digest() digest.Digest { return s.writer.Digest() }

// Commit makes it a blob, which the caller keeps already.
func (s *Staged) Commit(ctx context.Context) error {
	err := s.writer.Commit(ctx, s.size, "")
	if errdefs.IsAlreadyExists(err) {
		err = nil // the same bytes, which are there once
	}
	if err != nil {
		return fmt.Errorf("cannot keep bytes: %w", err)
	}
	return s.file.Close()
}

// Abort forgets it; after Commit it does nothing.
func (s *Staged) Abort(ctx context.Context) {
	_ = s.writer.Truncate(0) // or Close waits until it is on the disk
	_ = s.writer.Close()
	if s.file != nil {
		_ = s.file.Close()
	}
	_ = s.blobs.store.Abort(ctx, s.ref) // it is removed with the next start at the latest
}
