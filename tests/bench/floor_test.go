package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	runcoptions "github.com/containerd/containerd/api/types/runc/options"
	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/device"
)

// floor does straight with containerd's client what a module's life takes: the same
// image, the same spec as edged gives a module, the same logger.
type floor struct {
	b      *testing.B
	d      *device.Device
	client *client.Client
	ctx    context.Context
	image  client.Image
	spec   *oci.Spec
	made   int
}

// newFloor takes the spec of the module "model" as its own.
func newFloor(b *testing.B, d *device.Device) *floor {
	b.Helper()
	d.CreateAndStart(d.CommandSpec("model", "sleep")) // its folder of sockets is there once it runs
	c, err := client.New(d.Address(), client.WithDefaultNamespace(d.Namespace))
	require.NoError(b, err)
	b.Cleanup(func() { _ = c.Close() })
	f := &floor{b: b, d: d, client: c, ctx: namespaces.WithNamespace(context.Background(), d.Namespace)}
	models, err := c.Containers(f.ctx, `labels."io.edged.module"==model`)
	require.NoError(b, err)
	require.Len(b, models, 1)
	f.spec, err = models[0].Spec(f.ctx)
	require.NoError(b, err)
	f.image, err = c.GetImage(f.ctx, device.Image)
	require.NoError(b, err)
	return f
}

// cycles makes, starts, stops and deletes n containers, as many at once as workers. The
// result has the same steps as a module's life.
func (f *floor) cycles(n, workers int) loopResult {
	result := loopResult{Cycles: make([][]int64, n)}
	errs := make([]error, n)
	next := make(chan int, n)
	for i := range n {
		next <- i
	}
	close(next)
	began := time.Now()
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := range next {
				result.Cycles[i], errs[i] = f.cycle(fmt.Sprintf("floor-%d", f.made+i))
			}
		})
	}
	wg.Wait()
	result.Took = time.Since(began).Nanoseconds()
	f.made += n
	for _, err := range errs {
		require.NoError(f.b, err)
	}
	return result
}

// cycle is one life, in the steps of a module's.
func (f *floor) cycle(id string) (took []int64, err error) {
	var container client.Container
	var task client.Task
	var exited <-chan client.ExitStatus
	log := filepath.Join(f.d.Root, "floor", id)
	for _, step := range []func() error{
		func() (err error) {
			container, err = f.create(id)
			return err
		},
		func() (err error) {
			if task, err = container.NewTask(f.ctx, f.logTo(log)); err != nil {
				return err
			}
			if exited, err = task.Wait(f.ctx); err != nil {
				return err
			}
			return task.Start(f.ctx)
		},
		func() error {
			if err := task.Kill(f.ctx, syscall.SIGKILL); err != nil {
				return err
			}
			<-exited
			return nil
		},
		func() error {
			if _, err := task.Delete(f.ctx); err != nil {
				return err
			}
			if err := container.Delete(f.ctx, client.WithSnapshotCleanup); err != nil {
				return err
			}
			return os.RemoveAll(log)
		},
	} {
		began := time.Now()
		if err := step(); err != nil {
			return nil, fmt.Errorf("container %s: %w", id, err)
		}
		took = append(took, time.Since(began).Nanoseconds())
	}
	return took, nil
}

// create makes the spec as clients do, from the image's configuration and its users, and
// gives it the content of edged's.
func (f *floor) create(id string) (client.Container, error) {
	spec, linux := *f.spec, *f.spec.Linux
	linux.CgroupsPath = filepath.Join("/", f.d.Namespace, id)
	spec.Linux = &linux
	return f.client.NewContainer(f.ctx, id, client.WithNewSnapshot(id, f.image), client.WithNewSpec(
		oci.WithImageConfig(f.image), func(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
			*s = spec
			return nil
		}),
		client.WithRuntime("io.containerd.runc.v2", &runcoptions.Options{}))
}

func (f *floor) logTo(folder string) cio.Creator {
	uri, err := cio.LogURIGenerator("binary", program("edged-logger"), map[string]string{"--dir": folder, "--max-size": "10000000", "--max-file": "3"})
	require.NoError(f.b, err)
	return cio.LogURI(uri)
}

// awaitClean waits until containerd has nothing but what a device always has: edgeAgent
// and the model. What edged does after its answer is part of the work.
func (f *floor) awaitClean() {
	f.d.Eventually("containerd has nothing left", func() bool {
		left, err := f.client.ContainerService().List(f.ctx)
		return err == nil && len(left) == 2
	})
	active := 0
	err := f.client.SnapshotService("").Walk(f.ctx, func(context.Context, snapshots.Info) error { active++; return nil }, "kind==active")
	require.NoError(f.b, err)
	require.Equal(f.b, 2, active, "no snapshot is left")
}
