package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"

	runcoptions "github.com/containerd/containerd/api/types/runc/options"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/containerd/errdefs"
	"github.com/containerd/typeurl/v2"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/edged/edged/pkg/module"
	"github.com/edged/edged/pkg/network"
	"github.com/edged/edged/pkg/volume"
)

const (
	runtimeName = "io.containerd.runc.v2"
	// labelStopSignal is containerd's own name for it, so that its tools agree.
	labelStopSignal = "io.containerd.image.config.stop-signal"
)

// Create makes snapshot and record under a lease that outlives neither success nor
// an hour. What an earlier try left is removed first: names are unique to a
// generation, so it is nobody else's.
func (e *Engine) Create(ctx context.Context, c module.Container) (err error) {
	e.setMaking(c.ID, true)
	defer e.setMaking(c.ID, false)
	o, _, err := parseOptions(c.Spec.CreateOptions)
	if err != nil {
		return err
	}
	whole := ctx
	ctx, done := e.call(ctx)
	defer done()
	named, err := parseReference(c.Spec.Image)
	if err != nil {
		return err
	}
	record, err := e.client.ImageService().Get(ctx, named.String())
	if err != nil {
		return fmt.Errorf("cannot find image %s: %w", named, classify(err))
	}
	image, err := e.unpack(ctx, record)
	if err != nil {
		return err
	}
	if err := e.makeBindSources(&c, o); err != nil {
		return err
	}
	plan, err := e.networkPlan(&c.Spec, o, slices.Collect(maps.Keys(image.config.ExposedPorts)))
	if err != nil {
		return err
	}
	// Interfaces are made beside what follows.
	if err := e.Networks.Prepare(ctx, instanceOf(c.Spec.Name, c.ID), plan); err != nil {
		return err
	}
	ctx, release, err := e.operationLease(ctx, c.ID)
	if err != nil {
		return err
	}
	defer release()
	// gofail: var engineAfterLease struct{}
	if err := e.prepareSnapshot(ctx, c.ID, image.chainID); err != nil {
		return err
	}
	// gofail: var engineAfterSnapshot struct{}
	undo, err := e.makeVolumes(leases.WithLease(whole, opLease+c.ID), &c, o, image)
	defer func() {
		if err != nil {
			undo()
			// What did not come about leaves its snapshot: the retry would find it "already there".
			e.removeSnapshot(whole, c.ID)
		}
	}()
	if err != nil {
		return err
	}
	// Not before: what an earlier try left went with its files.
	files, err := e.networkFiles(c.ID, plan.Hostname)
	if err != nil {
		return err
	}
	// A copy takes as long as it takes; what follows has a deadline of its own.
	ctx, done = e.call(leases.WithLease(whole, opLease+c.ID))
	defer done()
	return e.createRecord(ctx, &c, o, image, record.Name, plan, files)
}

// removeSnapshot removes the file system of a container that did not come about.
func (e *Engine) removeSnapshot(ctx context.Context, id string) {
	ctx, done := e.call(context.WithoutCancel(ctx))
	defer done()
	if err := ignoreNotFound(e.client.SnapshotService(e.Snapshotter).Remove(ctx, id)); err != nil {
		e.Log.WithError(err).WithField("container", id).Debug("cannot remove the file system of a container that did not come about")
	}
}

func (e *Engine) prepareSnapshot(ctx context.Context, id, chainID string) error {
	s := e.client.SnapshotService(e.Snapshotter)
	owned := snapshots.WithLabels(map[string]string{labelOwner: owner})
	_, err := s.Prepare(ctx, id, chainID, owned)
	if errdefs.IsAlreadyExists(err) {
		if err = e.remove(ctx, id); err == nil {
			_, err = s.Prepare(ctx, id, chainID, owned)
		}
	}
	if err != nil {
		return fmt.Errorf("cannot make file system of container %s: %w", id, classify(err))
	}
	return nil
}

func (e *Engine) createRecord(ctx context.Context, c *module.Container, o *options, image unpacked, imageName string, plan *network.Plan, files []specs.Mount) error {
	opts, err := e.specOptions(c, o, image, plan, files)
	if err != nil {
		return err
	}
	stop := o.StopSignal
	if stop == "" {
		stop = image.config.StopSignal
	}
	if stop == "" {
		stop = "SIGTERM"
	}
	runtimeOptions, err := typeurl.MarshalAny(&runcoptions.Options{SystemdCgroup: e.SystemdCgroup})
	if err != nil {
		return err
	}
	encoded, err := encodePlan(plan)
	if err != nil {
		return err
	}
	record := containers.Container{
		ID: c.ID, Image: imageName, Snapshotter: e.Snapshotter, SnapshotKey: c.ID,
		Labels: map[string]string{
			labelOwner: owner, labelModule: c.Spec.Name, labelSpec: c.SpecDigest,
			labelGeneration: strconv.FormatInt(c.Generation, 10), labelStopSignal: stop, labelHome: e.Home, labelRun: e.Run,
		},
		Runtime:    containers.RuntimeInfo{Name: runtimeName, Options: runtimeOptions},
		Extensions: map[string]typeurl.Any{extensionNetwork: encoded},
	}
	spec, err := oci.GenerateSpec(ctx, e.client, &record, opts...)
	if err != nil {
		if errdefs.IsNotFound(err) || os.IsNotExist(err) || errdefs.IsInvalidArgument(err) {
			return fmt.Errorf("cannot make container %s: %w: %w", c.ID, err, errdefs.ErrInvalidArgument)
		}
		return fmt.Errorf("cannot make container %s: %w", c.ID, classify(err))
	}
	if len(spec.Process.Args) == 0 {
		return fmt.Errorf("no command: neither the image nor createOptions has Entrypoint or Cmd: %w", errdefs.ErrInvalidArgument)
	}
	if record.Spec, err = marshalSpec(spec); err != nil {
		return err
	}
	if _, err := e.client.ContainerService().Create(ctx, record); err != nil {
		return fmt.Errorf("cannot make container %s: %w", c.ID, classify(err))
	}
	return nil
}

func marshalSpec(spec *oci.Spec) (typeurl.Any, error) {
	if _, err := json.Marshal(spec); err != nil {
		return nil, fmt.Errorf("cannot write spec: %w", err)
	}
	return typeurl.MarshalAny(spec)
}

// Delete removes task, snapshot, record and files of a container; each may be gone already.
func (e *Engine) Delete(ctx context.Context, id string) error {
	if err := e.remove(ctx, id); err != nil {
		return err
	}
	err := e.Networks.Settle(ctx, keyOf(id), func(name string) ([]network.Plan, error) { return e.plansOf(ctx, name) })
	if err != nil {
		e.Log.WithError(err).WithField("container", id).Warn("cannot give back addresses and ports of a generation that is gone; the next update will")
	}
	return nil
}

// remove is Delete, but keeps addresses and ports: those of a container that is being made.
func (e *Engine) remove(ctx context.Context, id string) error {
	if err := e.DeleteTask(ctx, id); err != nil {
		return err
	}
	ctx, done := e.call(ctx)
	defer done()
	if err := ignoreNotFound(e.client.ContainerService().Delete(ctx, id)); err != nil {
		return fmt.Errorf("cannot delete container %s: %w", id, classify(err))
	}
	// gofail: var engineAfterRecord struct{}
	if err := ignoreNotFound(e.client.SnapshotService(e.Snapshotter).Remove(ctx, id)); err != nil {
		return fmt.Errorf("cannot delete file system of container %s: %w", id, classify(err))
	}
	if err := volume.RemoveAll(e.filesDir(id)); err != nil {
		return fmt.Errorf("cannot delete files of container %s: %w", id, err)
	}
	e.unpinSubpaths(id)
	e.Volumes.Release(id)
	e.health.Delete(id)
	return nil
}

// Forget removes what belongs to a module and not to one of its containers.
func (e *Engine) Forget(_ context.Context, name string) error {
	e.Networks.Forget(name, keyOf(ownID(name)))
	return e.Volumes.Forget(name)
}

func (e *Engine) setMaking(id string, on bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if on {
		e.making[id] = true
	} else {
		delete(e.making, id)
	}
}
