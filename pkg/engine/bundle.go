package engine

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"

	"github.com/edged/edged/pkg/lazyregexp"
	"github.com/edged/edged/pkg/mountns"
)

// leftBundle is containerd's complaint of a folder of an earlier run. When a shim ends,
// two of its goroutines remove that folder, each by a rename to the same name; where they
// meet, one fails and the folder stays. Containerd then refuses to run the container
// again, until it is started anew (containerd 1.6 to 2; moby/moby#50040). It is the whole
// of the text: complaints of runc repeat what a module's spec says, and would else let a
// module choose what is removed.
var leftBundle = lazyregexp.New(`\A(?:failed to start shim: )?mkdir (/[^:]+/io\.containerd\.runtime\.v2\.task/([^/:]+)/([^/:]+)): file exists(: unknown)?\z`)

// removeLeftBundle removes the folder that containerd complains of, if it is this
// container's and no task of it is known: then containerd itself would remove it at its
// next start. It says whether another try is worth it.
func (e *Engine) removeLeftBundle(ctx context.Context, id string, complaint error) bool {
	m := leftBundle().FindStringSubmatch(complaint.Error())
	if m == nil || m[2] != e.Namespace || m[3] != id {
		return false
	}
	if _, err := e.client.TaskService().Get(ctx, &tasks.GetRequest{ContainerID: id}); !errdefs.IsNotFound(errgrpc.ToNative(err)) {
		return false
	}
	log := e.Log.WithField("container", id)
	// Behind the dot is the name to which it was to be renamed.
	for _, dir := range []string{m[1], filepath.Join(filepath.Dir(m[1]), "."+id)} {
		if err := e.MountNS.Run(func() error { return removeBundle(dir) }); err != nil {
			log.WithError(err).Warn("cannot remove what containerd left of an earlier run")
			return false
		}
	}
	log.Warn("removed what containerd left of an earlier run, because of which it would not run the container again")
	return true
}

// removeBundle removes a bundle's folder and nothing that is mounted there: that is the
// container's own files.
func removeBundle(dir string) error {
	rootfs := filepath.Join(dir, "rootfs")
	mountns.UnmountAll(rootfs)
	// Not with RemoveAll: were it still mounted, this fails.
	if err := os.Remove(rootfs); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.RemoveAll(dir)
}
