// Package content keeps bytes that came onto the device, <home>/content: containerd's own
// content store, in process, so that it works while containerd does not. Packages and
// bundles share it, and a blob that both have is there once.
package content

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

// Store is the content store. It counts who needs a blob. It is safe for concurrent use.
type Store struct {
	root  string
	store content.Store

	mu       sync.Mutex
	refs     map[digest.Digest]int
	promised int64
}

// ingestFolder is where the store has what is not committed. That a file of it can be
// opened by its path before it is committed is what validation stands on; a test holds the
// layout.
const ingestFolder = "ingest"

// Open opens the store in a folder, and removes what was being received when edged ended.
// What nobody needs is there until Sweep.
func Open(root string) (*Store, error) {
	// Root's alone: what is in it may be secret.
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make folder of content: %w", err)
	}
	// The store lists only what is whole of it.
	ingests := filepath.Join(root, ingestFolder)
	entries, err := os.ReadDir(ingests)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot read folder of content: %w", err)
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(ingests, e.Name())); err != nil {
			return nil, fmt.Errorf("cannot remove what is left of an upload: %w", err)
		}
	}
	store, err := local.NewStore(root)
	if err != nil {
		return nil, fmt.Errorf("cannot open store of content: %w", err)
	}
	return &Store{root: root, store: store, refs: map[digest.Digest]int{}}, nil
}

// Keep counts blobs as needed.
func (b *Store) Keep(all ...digest.Digest) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, d := range all {
		b.refs[d]++
	}
}

// Drop counts them as needed no more, and removes those that nobody needs.
func (b *Store) Drop(ctx context.Context, all ...digest.Digest) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var errs []error
	for _, d := range all {
		if b.refs[d]--; b.refs[d] > 0 {
			continue
		}
		delete(b.refs, d)
		if err := b.store.Delete(ctx, d); err != nil && !errdefs.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("cannot remove bytes: %w", err))
		}
	}
	return errors.Join(errs...)
}

// Has says whether a blob is there.
func (b *Store) Has(ctx context.Context, d digest.Digest) (bool, error) {
	_, err := b.store.Info(ctx, d)
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// Sweep removes all that nobody needs and says how many blobs that were. Whoever needs some
// has counted them before.
func (b *Store) Sweep(ctx context.Context) (int, error) {
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
		return 0, fmt.Errorf("cannot list bytes: %w", err)
	}
	for _, d := range orphans {
		if err := b.store.Delete(ctx, d); err != nil && !errdefs.IsNotFound(err) {
			return 0, fmt.Errorf("cannot remove bytes that nobody needs: %w", err)
		}
	}
	return len(orphans), nil
}

// Open opens a blob, to be read as long as ctx lasts.
func (b *Store) Open(ctx context.Context, d digest.Digest) (*Blob, error) {
	r, err := b.store.ReaderAt(ctx, ocispec.Descriptor{Digest: d})
	if err != nil {
		return nil, fmt.Errorf("cannot open bytes: %w", err)
	}
	return &Blob{ctx: ctx, r: r, Closer: r, Size: r.Size()}, nil
}

// Promise notes that so many bytes more, or fewer, are going to be written.
func (b *Store) Promise(bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.promised += bytes
}

// Room is how many bytes of the disk are free, and how many of them are promised.
func (b *Store) Room() (free, promised int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(b.root, &st); err != nil {
		return 0, 0, fmt.Errorf("cannot measure the disk of content: %w", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return int64(st.Bavail) * int64(st.Bsize), b.promised, nil //nolint:unconvert // 32 bits elsewhere
}

// Full says whether an error is of a disk that has no room.
func Full(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }

// Blob is bytes that can be read, at any place, until the context ends that they were
// opened with: looking at a large one takes longer than a stop may.
type Blob struct {
	ctx context.Context //nolint:containedctx // it lives as long as one reading
	r   io.ReaderAt
	io.Closer
	Size int64
}

// ReadAt reads what is there.
func (b *Blob) ReadAt(p []byte, off int64) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	return b.r.ReadAt(p, off)
}

// Whole reads it from its beginning; content.NewReader would go on where another reader ended.
func (b *Blob) Whole() io.Reader { return io.NewSectionReader(b, 0, b.Size) }

// Size is how many bytes are kept.
func (b *Store) Size(ctx context.Context) (int64, error) {
	var size int64
	err := b.store.Walk(ctx, func(info content.Info) error {
		size += info.Size
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("cannot list bytes: %w", err)
	}
	return size, nil
}
