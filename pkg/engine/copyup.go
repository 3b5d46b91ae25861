package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	"github.com/containerd/containerd/v2/core/mount"
	continuity "github.com/containerd/continuity/fs"
	"github.com/containerd/errdefs"
	mounttypes "github.com/moby/moby/api/types/mount"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/edged/edged/pkg/module"
	"github.com/edged/edged/pkg/mountns"
	"github.com/edged/edged/pkg/volume"
)

// fillTimeout bounds the copies for the volumes of one container, which on slow flash
// may be many minutes' work. The lease of the operation outlives it.
const fillTimeout = 30 * time.Minute

// makeVolumes makes the volumes of a container that are not there yet, each with what
// the image has at its mount point. undo removes those that came about here, for a
// container that did not.
func (e *Engine) makeVolumes(ctx context.Context, c *module.Container, o *options, image unpacked) (undo func(), err error) {
	var made []string
	ctx, done := e.callFor(ctx, fillTimeout)
	defer done()
	undo = func() {
		e.Volumes.Release(c.ID)
		for _, name := range made {
			if err := e.Volumes.Remove(name); err != nil {
				e.Log.WithError(err).WithField("module", c.Spec.Name).Debug("a volume that was made for a container stays")
			}
		}
	}
	if err := addImageVolumes(o, image.config.Volumes); err != nil {
		return undo, err
	}
	mounts, err := e.mounts(&c.Spec, o, c.Sockets, nil)
	if err != nil {
		return undo, err
	}
	mounts = slices.DeleteFunc(mounts, func(m specs.Mount) bool { return m.Type != typeVolume })
	var names []string
	for _, m := range mounts {
		names = append(names, m.Source)
	}
	e.Volumes.Hold(c.ID, c.Spec.Name, names)
	copied := map[string]string{}
	for _, m := range mounts {
		wish := volume.Wish{Name: m.Source, Labels: labelsOf(o, m.Destination)}
		if volume.IsAnonymous(m.Source) {
			wish.Module = c.Spec.Name
		}
		var fill func(string) error
		if !slices.Contains(m.Options, optionNoCopy) {
			fill = func(data string) error { return e.copyUp(ctx, c.ID, image.chainID, m.Destination, data, copied) }
		}
		isNew, err := e.Volumes.Make(ctx, wish, fill)
		if err != nil {
			return undo, fmt.Errorf("cannot make container %s: %w", c.ID, err)
		}
		if isNew {
			made = append(made, m.Source)
		}
	}
	return undo, nil
}

// labelsOf are the labels that a volume's mount gives it.
func labelsOf(o *options, destination string) map[string]string {
	for i := range o.HostConfig.Mounts {
		m := &o.HostConfig.Mounts[i]
		if m.Type == mounttypes.TypeVolume && m.VolumeOptions != nil && path.Clean(m.Target) == destination {
			return m.VolumeOptions.Labels
		}
	}
	return nil
}

// copyUp copies what an image has at dst to data, with owners, modes, times, extended
// attributes and links as they are. Only dst itself is followed through links, inside
// the image: nothing of the host is ever read. copied says, by what was copied for this
// container, to which mount point: many links to one folder shall not fill the disk.
func (e *Engine) copyUp(ctx context.Context, id, chainID, dst, data string, copied map[string]string) error {
	return e.withImage(ctx, id, chainID, func(root string) error {
		source, err := continuity.RootPath(root, dst)
		if err != nil {
			return fmt.Errorf("cannot find %s in the image: %w: %w", dst, err, errdefs.ErrInvalidArgument)
		}
		info, err := os.Lstat(source)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // it begins empty
		case err != nil:
			return fmt.Errorf("cannot read %s in the image: %w", dst, err)
		case !info.IsDir():
			return fmt.Errorf("mount point %s is not a folder in the image: %w", dst, errdefs.ErrInvalidArgument)
		}
		if other, twice := copied[source]; twice {
			return fmt.Errorf("mount points %s and %s are one folder of the image: %w", other, dst, errdefs.ErrInvalidArgument)
		}
		copied[source] = dst
		if err := volume.Copy(ctx, data, source); err != nil {
			return fmt.Errorf("cannot copy %s from the image: %w", dst, err)
		}
		return nil
	})
}

// withImage mounts an image read-only while do runs. It is mounted where the pins of
// the container's subpaths are, so what a crash leaves goes with them; the view goes
// with the operation's lease.
func (e *Engine) withImage(ctx context.Context, id, chainID string, do func(root string) error) (err error) {
	view := id + "-image"
	snapshots := e.client.SnapshotService(e.Snapshotter)
	asking, asked := e.call(ctx)
	defer asked()
	mounts, err := snapshots.View(asking, view, chainID)
	if errdefs.IsAlreadyExists(err) {
		mounts, err = snapshots.Mounts(asking, view)
	}
	if err != nil {
		return fmt.Errorf("cannot look into the image: %w", classify(err))
	}
	defer func() {
		ctx, done := e.call(context.WithoutCancel(ctx))
		defer done()
		err = errors.Join(err, ignoreNotFound(snapshots.Remove(ctx, view)))
	}()
	root := filepath.Join(e.pinDir(id), "image")
	if err := os.MkdirAll(root, 0o700); err != nil {
		return fmt.Errorf("cannot make folder for the image: %w", err)
	}
	defer e.unpinSubpaths(id)
	// Nobody else looks at it: it is mounted where edged is, and goes with it. containerd's mount
	// of many layers changes to a thread of its own, which would be no other place than this.
	defer mountns.UnmountAll(root)
	for i := range mounts { // whoever made the image shall not reach a device of the host through it
		mounts[i].Options = append(slices.Clone(mounts[i].Options), "nosuid", "nodev", "noexec")
	}
	if err := mount.All(mounts, root); err != nil {
		return fmt.Errorf("cannot mount the image: %w", err)
	}
	return do(root)
}
