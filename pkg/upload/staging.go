package upload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"
)

// blobs is the content store of packages, <home>/content: containerd's own, in process.
// It counts who needs a blob, because packages may share one.
type blobs struct {
	root  string
	store content.Store

	mu   sync.Mutex
	refs map[digest.Digest]int
}

// ingestFolder is where the store has what is not committed. That a file of it can be
// opened by its path before it is committed is what validation stands on; a test holds the
// layout.
const ingestFolder = "ingest"

func openBlobs(root string) (*blobs, error) {
	// Root's alone: packages may be secret.
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make folder of packages: %w", err)
	}
	// What was being received when edged ended. The store lists only what is whole of it.
	ingests := filepath.Join(root, ingestFolder)
	entries, err := os.ReadDir(ingests)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot read folder of packages: %w", err)
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(ingests, e.Name())); err != nil {
			return nil, fmt.Errorf("cannot remove what is left of an upload: %w", err)
		}
	}
	store, err := local.NewStore(root)
	if err != nil {
		return nil, fmt.Errorf("cannot open store of packages: %w", err)
	}
	return &blobs{root: root, store: store, refs: map[digest.Digest]int{}}, nil
}

// keep counts blobs as needed.
func (b *blobs) keep(all ...digest.Digest) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, d := range all {
		b.refs[d]++
	}
}

// drop counts them as needed no more, and removes those that nobody needs.
func (b *blobs) drop(ctx context.Context, all ...digest.Digest) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var errs []error
	for _, d := range all {
		if b.refs[d]--; b.refs[d] > 0 {
			continue
		}
		delete(b.refs, d)
		if err := b.store.Delete(ctx, d); err != nil && !errdefs.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("cannot remove bytes of a package: %w", err))
		}
	}
	return errors.Join(errs...)
}

// has says whether a blob is there.
func (b *blobs) has(ctx context.Context, d digest.Digest) (bool, error) {
	_, err := b.store.Info(ctx, d)
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// sweep removes all that nobody needs.
func (b *blobs) sweep(ctx context.Context) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var orphans []digest.Digest
	err := b.store.Walk(ctx, func(info content.Info) error {
		if b.refs[info.Digest] == 0 {
			orphans = append(orphans, info.Digest)
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("cannot list bytes of packages: %w", err)
	}
	for _, d := range orphans {
		if err := b.store.Delete(ctx, d); err != nil && !errdefs.IsNotFound(err) {
			return 0, fmt.Errorf("cannot remove bytes that are no package's: %w", err)
		}
	}
	return len(orphans), nil
}

// open opens a blob.
func (b *blobs) open(ctx context.Context, d digest.Digest) (content.ReaderAt, error) {
	r, err := b.store.ReaderAt(ctx, ocispec.Descriptor{Digest: d})
	if err != nil {
		return nil, fmt.Errorf("cannot open bytes of a package: %w", err)
	}
	return r, nil
}

// staged is a blob in the making.
type staged struct {
	blobs  *blobs
	ref    string
	writer content.Writer
	file   *os.File // the same bytes, to be read
	size   int64
}

// stage begins a blob under a name that nothing else has.
func (b *blobs) stage(ctx context.Context, ref string) (*staged, error) {
	w, err := b.store.Writer(ctx, content.WithRef(ref))
	if err != nil {
		return nil, fmt.Errorf("cannot keep package: %w", err)
	}
	s := &staged{blobs: b, ref: ref, writer: w}
	if s.file, err = os.Open(filepath.Join(b.root, ingestFolder, digest.FromString(ref).Encoded(), "data")); err != nil {
		s.abort(ctx)
		return nil, fmt.Errorf("cannot keep package: %w", err)
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

// readFrom takes all of r, piece by piece. check is asked now and then with the bytes
// that are there. Errors: the disk's, check's, or a *sourceError.
func (s *staged) readFrom(r io.Reader, check func(size int64) error) error {
	buffer := pieces.Get().(*[]byte) //nolint:forcetypeassert // there is nothing else in it
	defer pieces.Put(buffer)
	begun := s.size
	for {
		n, err := fill(r, *buffer)
		if n > 0 {
			if _, err := s.writer.Write((*buffer)[:n]); err != nil {
				return fmt.Errorf("cannot keep package: %w", err)
			}
			s.size += int64(n)
		}
		switch {
		case errors.Is(err, io.EOF):
			return check(s.size)
		case err != nil:
			return &sourceError{err}
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

// sourceError is an error of what is read, not of the disk.
type sourceError struct{ error }

func (e *sourceError) Unwrap() error { return e.error }

// until reads what is there so far, as long as ctx lasts: looking at a large package takes
// longer than a stop may.
func (s *staged) until(ctx context.Context) readerAt { return readerAt{ctx, s.file, s.size} }

// readerAt is a blob that can be read until ctx ends.
type readerAt struct {
	ctx  context.Context //nolint:containedctx // it lives as long as one reading
	r    io.ReaderAt
	size int64
}

func (r readerAt) ReadAt(p []byte, off int64) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.ReadAt(p, off)
}

// whole reads it from its beginning; content.NewReader would go on where another reader ended.
func (r readerAt) whole() io.Reader { return io.NewSectionReader(r, 0, r.size) }

// digest of all that is there so far.
func (s *staged) digest() digest.Digest { return s.writer.Digest() }

// commit makes it a blob, which the caller keeps already.
func (s *staged) commit(ctx context.Context) error {
	err := s.writer.Commit(ctx, s.size, "")
	if errdefs.IsAlreadyExists(err) {
		err = nil // the same bytes, which are there once
	}
	if err != nil {
		return fmt.Errorf("cannot keep package: %w", err)
	}
	return s.file.Close()
}

// abort forgets it; after commit it does nothing.
func (s *staged) abort(ctx context.Context) {
	_ = s.writer.Truncate(0) // or Close waits until it is on the disk
	_ = s.writer.Close()
	if s.file != nil {
		_ = s.file.Close()
	}
	_ = s.blobs.store.Abort(ctx, s.ref) // it is removed with the next start at the latest
}
