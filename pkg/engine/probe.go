package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/containerd/fifo"
	"github.com/containerd/typeurl/v2"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/edged/edged/pkg/module"
)

const (
	// probeID is the one process beside the first that edged ever runs in a container.
	// With a name that is always the same, what a crash of edged left is found again.
	probeID = "edged-health"
	// probeOutput is how much of what a probe prints is kept, as Docker does.
	probeOutput = 4096
	// probeGrace is what containerd may take besides the probe itself.
	probeGrace = 30 * time.Second
	// probeStart is what the start alone may take: while it lasts, the shim tells no exit.
	probeStart = 10 * time.Second
	// probeDrain is what the end of the output may take to arrive; a child that the probe
	// left behind holds it open for ever.
	probeDrain = 500 * time.Millisecond
)

// Probe runs a command inside a container, as its first process runs: user,
// environment, folder, capabilities. When its time is up it is killed with all that it
// started. Errors: errdefs.Unavailable and NotFound (no task) say nothing of the
// module; InvalidArgument that the command cannot be run.
func (e *Engine) Probe(ctx context.Context, id string, args []string, timeout time.Duration) (module.Probed, error) {
	ctx, done := e.callFor(ctx, timeout+probeGrace)
	defer done()
	process, err := e.processOf(ctx, id, args)
	if err != nil {
		return module.Probed{}, err
	}
	out, err := e.openOutput(ctx, id)
	if err != nil {
		return module.Probed{}, err
	}
	defer out.close()
	request := &tasks.ExecProcessRequest{ContainerID: id, ExecID: probeID, Stdout: out.path, Stderr: out.path, Spec: process}
	if err := e.newProbe(ctx, request); err != nil {
		return module.Probed{}, fmt.Errorf("cannot probe container %s: %w", id, classify(err))
	}
	defer e.endProbe(ctx, id)
	return e.runProbe(ctx, id, timeout, out)
}

// processOf is the container's own process with other arguments.
func (e *Engine) processOf(ctx context.Context, id string, args []string) (*anypb.Any, error) {
	record, err := e.client.ContainerService().Get(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("cannot probe container %s: %w", id, classify(err))
	}
	var spec specs.Spec
	if err := json.Unmarshal(record.Spec.GetValue(), &spec); err != nil || spec.Process == nil {
		return nil, fmt.Errorf("cannot read spec of container %s: %w", id, errors.Join(err, errdefs.ErrInternal))
	}
	spec.Process.Args, spec.Process.Terminal = args, false
	return typeurl.MarshalAnyToProto(spec.Process)
}

// newProbe makes the process; one that an edged before this one left is removed first.
func (e *Engine) newProbe(ctx context.Context, request *tasks.ExecProcessRequest) error {
	exec := func() error {
		_, err := e.client.TaskService().Exec(ctx, request)
		return errgrpc.ToNative(err)
	}
	err := exec()
	if errdefs.IsAlreadyExists(err) {
		e.endProbe(ctx, request.ContainerID)
		err = exec()
	}
	return err
}

func (e *Engine) runProbe(ctx context.Context, id string, timeout time.Duration, out *output) (module.Probed, error) {
	type ended struct {
		code uint32
		err  error
	}
	exit := make(chan ended, 1)
	starting, cancel := context.WithTimeout(ctx, probeStart)
	started, err := e.client.TaskService().Start(starting, &tasks.StartRequest{ContainerID: id, ExecID: probeID})
	cancel()
	if err = errgrpc.ToNative(err); err != nil {
		return module.Probed{}, classifyProbe(id, err)
	}
	probe := pin(int(started.Pid)) // now: once it has ended, its number may be another's
	defer probe.close()
	go func() { // ends with ctx, which this call ends
		r, err := e.client.TaskService().Wait(ctx, &tasks.WaitRequest{ContainerID: id, ExecID: probeID})
		exit <- ended{r.GetExitStatus(), errgrpc.ToNative(err)}
	}()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case r := <-exit:
		if r.err != nil {
			return module.Probed{}, fmt.Errorf("cannot wait for the probe of container %s: %w", id, classify(r.err))
		}
		return module.Probed{Code: int(r.code), Output: out.text()}, nil
	case <-timer.C:
		e.killProbe(ctx, id, probe)
		r := <-exit // ctx bounds it
		if r.err != nil {
			return module.Probed{}, fmt.Errorf("cannot end the probe of container %s: %w", id, classify(r.err))
		}
		return module.Probed{Code: -1, TimedOut: true, Output: out.text()}, nil
	}
}

// killProbe kills the probe and what it started: runc makes it the leader of a
// session of its own.
func (e *Engine) killProbe(ctx context.Context, id string, probe pinned) {
	task, err := e.client.TaskService().Get(ctx, &tasks.GetRequest{ContainerID: id})
	if err == nil {
		probe.killGroup(int(task.GetProcess().GetPid()))
	}
	_, _ = e.client.TaskService().Kill(ctx, &tasks.KillRequest{ContainerID: id, ExecID: probeID, Signal: uint32(unix.SIGKILL)})
}

// endProbe removes the process from the shim, killing it if it lives, whatever became of ctx.
func (e *Engine) endProbe(ctx context.Context, id string) {
	ctx, done := e.callFor(context.WithoutCancel(ctx), 10*time.Second)
	defer done()
	for wait := 5 * time.Millisecond; ; wait *= 2 {
		_, err := e.client.TaskService().DeleteProcess(ctx, &tasks.DeleteProcessRequest{ContainerID: id, ExecID: probeID})
		err = errgrpc.ToNative(err)
		if err == nil || errdefs.IsNotFound(err) || !stillRuns(err) || wait > time.Second {
			if ignoreNotFound(err) != nil {
				e.Log.WithError(err).WithField("container", id).Debug("cannot remove a probe; the next one will")
			}
			return
		}
		_, _ = e.client.TaskService().Kill(ctx, &tasks.KillRequest{ContainerID: id, ExecID: probeID, Signal: uint32(unix.SIGKILL)})
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// classifyProbe tells a command that is not there, of which its author has to know,
// from a container or a containerd that is not.
func classifyProbe(id string, err error) error {
	err = classify(err)
	if text := err.Error(); strings.Contains(text, "OCI runtime exec failed") && !errdefs.IsUnavailable(err) {
		cause := text[strings.Index(text, "OCI runtime exec failed: ")+len("OCI runtime exec failed: "):]
		return fmt.Errorf("cannot run the check: %s: %w", strings.TrimSuffix(cause, ": unknown"), errdefs.ErrInvalidArgument)
	}
	return fmt.Errorf("cannot probe container %s: %w", id, err)
}

// output reads what a probe prints, keeps the beginning, and lets it print on.
type output struct {
	path string
	fifo io.ReadCloser
	kept []byte
	done chan struct{}
}

func (e *Engine) openOutput(ctx context.Context, id string) (*output, error) {
	dir := e.probesDir()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make folder of probes: %w", err)
	}
	o := &output{path: filepath.Join(dir, id), done: make(chan struct{})}
	err := ignoreMissing(os.Remove(o.path))
	if err == nil {
		o.fifo, err = fifo.OpenFifo(ctx, o.path, syscall.O_RDONLY|syscall.O_CREAT|syscall.O_NONBLOCK, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read what a probe prints: %w", err)
	}
	go o.read() // close waits for it
	return o, nil
}

func (e *Engine) probesDir() string { return filepath.Join(e.Run, "probes") }

// sweepProbes removes what probes of an edged before this one left. It is for the
// start: later, one may be under way.
//
// A shim that was about to start a probe when edged died waits for a reader, and no exit
// of its container is told as long as it does: each FIFO gets one for a moment.
func (e *Engine) sweepProbes() error {
	left, err := os.ReadDir(e.probesDir())
	if err = ignoreMissing(err); err == nil {
		for _, f := range left {
			if fd, err := unix.Open(filepath.Join(e.probesDir(), f.Name()), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0); err == nil {
				_ = unix.Close(fd)
			}
		}
		err = os.RemoveAll(e.probesDir())
	}
	if err != nil {
		return fmt.Errorf("cannot remove what earlier probes left: %w", err)
	}
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

func (o *output) read() {
	defer close(o.done)
	buf := make([]byte, probeOutput)
	for {
		n, err := o.fifo.Read(buf)
		o.kept = append(o.kept, buf[:min(n, probeOutput-len(o.kept))]...)
		if err != nil {
			return
		}
	}
}

// text is what there is once the process ended.
func (o *output) text() string {
	select {
	case <-o.done:
	case <-time.After(probeDrain):
		_ = o.fifo.Close()
		<-o.done
	}
	return string(o.kept)
}

func (o *output) close() {
	_ = o.fifo.Close()
	<-o.done
	_ = os.Remove(o.path)
}
