package engine

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/api/types"
	tasktypes "github.com/containerd/containerd/api/types/task"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/moby/sys/signal"
	"golang.org/x/sys/unix"

	"github.com/edged/edged/pkg/module"
)

// Start makes the task, whose first process runc parks, and lets it run when
// admit agrees. A task that is left over from an earlier run is removed first.
func (e *Engine) Start(ctx context.Context, id string, log module.Log, admit func(pid int, generationID string) error) error {
	ctx, done := e.call(ctx)
	defer done()
	e.setMaking(id, true)
	defer e.setMaking(id, false)
	defer e.unpinSubpaths(id)
	defer e.setStarting(id)()
	e.setPID(id, -1) // from here on no event of an earlier run concerns it
	if e.appArmor() {
		// A boot forgets what nobody loads again. Whether the container needs it, runc knows, and says.
		if err := loadProfile(ctx); err != nil {
			e.Log.WithError(err).Debug("a confined module will not start")
		}
	}
	process, err := e.beforeStart(ctx, id)
	if err != nil {
		e.Networks.Ended(id)
		return fmt.Errorf("cannot start container %s: %w", id, classify(err))
	}
	pid, err := e.newTask(ctx, id, log, process.Terminal)
	if errdefs.IsAlreadyExists(err) {
		if err = e.deleteTask(ctx, id); err == nil {
			pid, err = e.newTask(ctx, id, log, process.Terminal)
		}
	}
	if err != nil && e.removeLeftBundle(ctx, id, err) {
		pid, err = e.newTask(ctx, id, log, process.Terminal)
	}
	if err != nil {
		e.Networks.Ended(id)
		return fmt.Errorf("cannot start container %s: %w", id, classifyStart(err))
	}
	e.setPID(id, pid)
	if err = admit(pid, module.GenerationIDOf(process.Env)); err == nil {
		_, err = e.client.TaskService().Start(ctx, &tasks.StartRequest{ContainerID: id})
		err = classifyStart(errgrpc.ToNative(err))
	}
	if err != nil {
		// It has not run an instruction and must not: remove it, whatever became of ctx.
		clean, done := e.call(context.WithoutCancel(ctx))
		defer done()
		return errors.Join(fmt.Errorf("cannot start container %s: %w", id, err), e.DeleteTask(clean, id))
	}
	return nil
}

// setStarting marks a start as under way until the returned function is called.
func (e *Engine) setStarting(id string) func() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.starting[id] = true
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.starting, id)
	}
}

func (e *Engine) newTask(ctx context.Context, id string, log module.Log, terminal bool) (int, error) {
	mounts, err := e.client.SnapshotService(e.Snapshotter).Mounts(ctx, id)
	if err != nil {
		return 0, err
	}
	arguments := map[string]string{"--dir": log.Dir, "--max-size": strconv.FormatInt(log.MaxSize, 10), "--max-file": strconv.Itoa(log.MaxFiles)}
	if terminal {
		// A terminal is one stream. The shim forgets the pipe that would be the other's, and never closes it.
		arguments["--streams"] = "1"
	}
	uri, err := cio.LogURIGenerator("binary", e.Logger, arguments)
	if err != nil {
		return 0, err
	}
	request := &tasks.CreateTaskRequest{ContainerID: id, Stdout: uri.String(), Terminal: terminal}
	if !terminal {
		request.Stderr = request.Stdout
	}
	for _, m := range mounts {
		request.Rootfs = append(request.Rootfs, &types.Mount{Type: m.Type, Source: m.Source, Target: m.Target, Options: m.Options})
	}
	response, err := e.client.TaskService().Create(ctx, request)
	if err != nil {
		return 0, errgrpc.ToNative(err)
	}
	return int(response.Pid), nil
}

// Signal sends the container's stop signal to its first process, or SIGKILL to all.
func (e *Engine) Signal(ctx context.Context, id string, kill bool) error {
	ctx, done := e.call(ctx)
	defer done()
	sig := unix.SIGKILL
	if !kill {
		c, err := e.client.ContainerService().Get(ctx, id)
		if err != nil {
			return fmt.Errorf("cannot stop container %s: %w", id, classify(err))
		}
		if sig, err = signal.ParseSignal(c.Labels[labelStopSignal]); err != nil {
			sig = unix.SIGTERM
		}
	}
	return e.kill(ctx, id, sig, kill)
}

func (e *Engine) kill(ctx context.Context, id string, sig unix.Signal, all bool) error {
	_, err := e.client.TaskService().Kill(ctx, &tasks.KillRequest{ContainerID: id, Signal: uint32(sig), All: all})
	if err != nil {
		return fmt.Errorf("cannot signal container %s: %w", id, classify(errgrpc.ToNative(err)))
	}
	return nil
}

// Exited asks for the state of the first process.
func (e *Engine) Exited(ctx context.Context, id string) (*module.Exit, error) {
	ctx, done := e.call(ctx)
	defer done()
	r, err := e.client.TaskService().Get(ctx, &tasks.GetRequest{ContainerID: id})
	if err != nil {
		return nil, fmt.Errorf("cannot ask for container %s: %w", id, classify(errgrpc.ToNative(err)))
	}
	switch r.Process.Status {
	case tasktypes.Status_STOPPED:
		return exitOf(r.Process), nil
	case tasktypes.Status_CREATED:
		return nil, fmt.Errorf("container %s was never started: %w", id, errdefs.ErrNotFound)
	}
	return nil, nil
}

func exitOf(p *tasktypes.Process) *module.Exit {
	exit := &module.Exit{Code: int(p.ExitStatus), Time: time.Now().UTC()}
	if p.ExitedAt.IsValid() && !p.ExitedAt.AsTime().IsZero() {
		exit.Time = p.ExitedAt.AsTime()
	}
	return exit
}

// DeleteTask removes the task and, when it still lives, kills it first. The module's
// ports are free then.
func (e *Engine) DeleteTask(ctx context.Context, id string) error {
	if err := e.deleteTask(ctx, id); err != nil {
		return err
	}
	e.setPID(id, 0)
	e.Networks.Ended(id)
	return nil
}

func (e *Engine) setPID(id string, pid int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.pids[id] = pid; pid == 0 {
		delete(e.pids, id)
	}
}

func (e *Engine) deleteTask(ctx context.Context, id string) error {
	ctx, done := e.call(ctx)
	defer done()
	remove := func() error {
		_, err := e.client.TaskService().Delete(ctx, &tasks.DeleteTaskRequest{ContainerID: id})
		return errgrpc.ToNative(err)
	}
	err := remove()
	for wait := 5 * time.Millisecond; stillRuns(err) && wait < 10*time.Second; wait *= 2 {
		// It is alive, or the shim has not noticed its end yet.
		if err := e.kill(ctx, id, unix.SIGKILL, true); err != nil && !errdefs.IsNotFound(err) {
			e.Log.WithError(err).WithField("container", id).Debug("cannot kill what is being removed")
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("cannot remove task of container %s: %w", id, classify(ctx.Err()))
		case <-time.After(wait):
		}
		err = remove()
	}
	if err := ignoreNotFound(err); err != nil {
		return fmt.Errorf("cannot remove task of container %s: %w", id, classify(err))
	}
	return nil
}

// stillRuns knows a shim's refusal to delete what runs; before containerd 2 it is
// text without a class.
func stillRuns(err error) bool {
	return err != nil && (errdefs.IsFailedPrecondition(err) || strings.Contains(err.Error(), "cannot delete a running process"))
}
