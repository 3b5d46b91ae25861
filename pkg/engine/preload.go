package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/archive/compression"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/errdefs"
)

// preloadTimeout bounds the import of one archive.
const preloadTimeout = 30 * time.Minute

// Notes remembers small facts over restarts.
type Notes interface {
	Note(ctx context.Context, key string) (string, error)
	SetNote(ctx context.Context, key, value string) error
}

// imported is what is remembered of an archive: while it has not changed and its
// images are there, it is not read again.
type imported struct {
	Size int64
	// Changed is the inode's (st_ctim, inode(7)): packages give files times of their own,
	// which may be the same for every build.
	Changed int64
	Images  []string
}

func newImported(info fs.FileInfo) imported {
	return imported{Size: info.Size(), Changed: syscall.TimespecToNsec(info.Sys().(*syscall.Stat_t).Ctim)}
}

// Preload imports the image archives (tar, gzip, zstd) in folders, in the order of
// their names, and says how many it read. One that cannot be imported does not keep
// the others back.
func (e *Engine) Preload(ctx context.Context, folders []string, notes Notes) (int, error) {
	var errs []error
	count := 0
	for _, dir := range folders {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("cannot read image folder: %w", err))
		}
		for _, entry := range entries {
			if entry.Type().IsRegular() && isArchive(entry.Name()) {
				done, err := e.preloadOne(ctx, filepath.Join(dir, entry.Name()), notes)
				if err != nil {
					errs = append(errs, err)
				} else if done {
					count++
				}
			}
		}
	}
	return count, errors.Join(errs...)
}

func isArchive(name string) bool {
	for _, ext := range []string{".tar", ".tar.gz", ".tgz", ".tar.zst"} {
		if strings.HasSuffix(name, ext) {
			return true
		}
	}
	return false
}

func (e *Engine) preloadOne(ctx context.Context, file string, notes Notes) (bool, error) {
	ctx, cancel := context.WithTimeout(namespaces.WithNamespace(ctx, e.Namespace), preloadTimeout)
	defer cancel()
	info, err := os.Stat(file)
	if err != nil {
		return false, fmt.Errorf("cannot read image archive: %w", err)
	}
	key := "preload:" + file
	var known imported
	if note, err := notes.Note(ctx, key); err != nil {
		return false, err
	} else if note != "" {
		_ = json.Unmarshal([]byte(note), &known) // a note that does not parse is as none
	}
	now := newImported(info)
	same := known.Size == now.Size && known.Changed == now.Changed
	if same {
		// Before containerd is asked, which may be away: nobody shall remove them meanwhile.
		e.preloaded.add(known.Images)
	}
	if same && e.haveAll(ctx, known.Images) {
		return false, nil
	}
	if now.Images, err = e.importArchive(ctx, file); err != nil {
		return false, fmt.Errorf("cannot import image archive %s: %w", file, classify(err))
	}
	e.preloaded.add(now.Images)
	e.Log.WithField("archive", file).Infof("imported %s", strings.Join(now.Images, ", "))
	note, err := json.Marshal(now)
	if err != nil {
		return false, err
	}
	return true, notes.SetNote(ctx, key, string(note))
}

// haveAll says whether the images are there and unpacked: their layers are not kept
// besides, so where the snapshots are gone the archive has to be read again.
func (e *Engine) haveAll(ctx context.Context, names []string) bool {
	for _, name := range names {
		record, err := e.client.ImageService().Get(ctx, name)
		if err != nil {
			return false
		}
		if _, err := e.unpack(ctx, record); err != nil {
			return false
		}
	}
	return len(names) > 0
}

func (e *Engine) importArchive(ctx context.Context, file string) ([]string, error) {
	f, err := os.Open(file) // #nosec G304 -- the operator's folder
	if err != nil {
		return nil, err
	}
	defer f.Close()
	plain, err := compression.DecompressStream(f)
	if err != nil {
		return nil, err
	}
	defer plain.Close()
	// The layers are on the disk in the archive and, unpacked, as snapshots: that is
	// enough. Until they are unpacked the lease keeps them.
	ctx, release, err := e.ownLease(ctx, "preload")
	if err != nil {
		return nil, err
	}
	defer release()
	found, err := e.client.Import(ctx, plain, client.WithImageLabels(map[string]string{labelOwner: owner}), client.WithDiscardUnpackedLayers())
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("it names no image: %w", errdefs.ErrInvalidArgument)
	}
	var names []string
	for _, image := range found {
		if _, err := e.unpackAnew(ctx, image); err != nil {
			return nil, err
		}
		names = append(names, image.Name)
	}
	return names, nil
}
