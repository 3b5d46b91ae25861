package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/image-spec/identity"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/edged/edged/pkg/image"
	"github.com/edged/edged/pkg/upload"
)

// diskRoot is the folder in which the snapshotter keeps file systems; it is asked for once.
type diskRoot struct {
	mu   sync.Mutex
	path string
}

// ImageDisk measures the file system of the snapshotter's folder, of which containerd's
// introspection service tells the path. Errors: Unavailable, NotFound (a snapshotter
// that names no folder).
func (e *Engine) ImageDisk(ctx context.Context) (image.Disk, error) {
	root, err := e.snapshotRoot(ctx)
	if err != nil {
		return image.Disk{}, err
	}
	var st unix.Statfs_t
	if err := unix.Statfs(root, &st); err != nil {
		return image.Disk{}, fmt.Errorf("cannot measure the disk of %s: %w", root, err)
	}
	size := uint64(st.Bsize)
	return image.Disk{Used: (st.Blocks - st.Bfree) * size, Free: st.Bavail * size}, nil
}

func (e *Engine) snapshotRoot(ctx context.Context) (string, error) {
	e.disk.mu.Lock()
	defer e.disk.mu.Unlock()
	if e.disk.path != "" {
		return e.disk.path, nil
	}
	ctx, done := e.call(ctx)
	defer done()
	// A snapshotter behind a socket of its own names no folder; contents are then the next best.
	plugins, err := e.client.IntrospectionService().Plugins(ctx,
		fmt.Sprintf("type==io.containerd.snapshotter.v1,id==%s", e.Snapshotter), "type==io.containerd.content.v1")
	if err != nil {
		return "", fmt.Errorf("cannot find the folder of snapshotter %s: %w", e.Snapshotter, classify(err))
	}
	for _, kind := range []string{"io.containerd.snapshotter.v1", "io.containerd.content.v1"} {
		for _, p := range plugins.Plugins {
			if root := p.Exports["root"]; p.Type == kind && root != "" {
				e.disk.path = root
				return root, nil
			}
		}
	}
	return "", fmt.Errorf("containerd names no folder of snapshotter %s: %w", e.Snapshotter, errdefs.ErrNotFound)
}

// settleLayers brings layers that were just unpacked to the disk. containerd leaves that to
// the kernel, which takes its time, and brings its database there at once: after a power cut
// the layers were whole by its word, and their files empty.
func (e *Engine) settleLayers(ctx context.Context) error {
	root, err := e.snapshotRoot(ctx)
	if errdefs.IsNotFound(err) {
		return nil // a snapshotter that keeps them somewhere else
	}
	if err != nil {
		return err
	}
	f, err := os.Open(root) // #nosec G304 -- containerd's
	if errors.Is(err, fs.ErrNotExist) {
		return nil // containerd has other file systems than edged
	}
	if err != nil {
		return fmt.Errorf("cannot bring layers to the disk: %w", err)
	}
	defer f.Close()
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return fmt.Errorf("cannot bring layers to the disk: %w", os.NewSyscallError("syncfs", err))
	}
	return nil
}

// room says whether the disk has what an archive's layers take, packed and then unpacked,
// besides what has to stay free. Those that are here already take nothing more. Errors:
// ResourceExhausted, Unavailable.
func (e *Engine) room(ctx context.Context, a *upload.Archive) error {
	disk, err := e.ImageDisk(ctx)
	if errdefs.IsUnavailable(err) {
		return err
	}
	if err != nil {
		e.Log.WithError(err).Debug("cannot say whether there is room for an image")
		return nil // it goes on until the disk is full
	}
	var config ocispec.Image
	if err := json.Unmarshal(a.ConfigText, &config); err != nil {
		return fmt.Errorf("cannot read image configuration: %w: %w", err, errdefs.ErrInvalidArgument)
	}
	snapshots, need := e.client.SnapshotService(e.Snapshotter), a.FreeFloor
	for i, chain := range identity.ChainIDs(config.RootFS.DiffIDs) {
		need += a.Layers[i].Size
		if _, err := snapshots.Stat(ctx, chain.String()); errdefs.IsNotFound(err) {
			need += a.Unpacked[i]
		}
	}
	if disk.Free < uint64(need) { // #nosec G115 -- sizes that were counted
		return fmt.Errorf("the disk of images has %d bytes free, and %d are needed, with what has to stay free ([uploads] free_floor): %w", disk.Free, need, errdefs.ErrResourceExhausted)
	}
	return nil
}
