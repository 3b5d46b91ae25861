package engine

import (
	"context"
	"fmt"
	"os"
	"sync"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/edged/edged/pkg/image"
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
	if err != nil {
		return fmt.Errorf("cannot bring layers to the disk: %w", err)
	}
	defer f.Close()
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return fmt.Errorf("cannot bring layers to the disk: %w", os.NewSyscallError("syncfs", err))
	}
	return nil
}
