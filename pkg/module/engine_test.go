package module

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/pkg/peer"
)

type fakeTask struct {
	pid    int
	parked bool
	exit   *Exit
}

// fakeEngine is a containerd that obeys at once. Its fields are set before they
// are of use, or under mu.
type fakeEngine struct {
	j      *journal
	events chan Event
	cut    chan struct{} // closed and made anew: the event stream ends

	mu         sync.Mutex
	containers map[string]Container
	tasks      map[string]*fakeTask
	pid        int
	life       map[string]Lifecycle // by image
	fail       map[string]error     // by "verb id", or "verb"
	deaf       map[string]bool      // containers whose process ignores its stop signal
	elsewhere  map[string]bool      // containers that were made for other folders
	stopCode   int
	oom        bool
	fills      time.Duration           // what a create takes for its volumes
	checks     map[string]*HealthCheck // by container
	probe      func(ctx context.Context, timeout time.Duration) (Probed, error)
	pull       func(ctx context.Context, ref string) error
	started    func(id string) // called after a start, outside the lock
}

func newFakeEngine(j *journal) *fakeEngine {
	return &fakeEngine{
		j: j, events: make(chan Event, 1024), cut: make(chan struct{}), containers: map[string]Container{}, tasks: map[string]*fakeTask{},
		pid: 1000, life: map[string]Lifecycle{}, fail: map[string]error{}, deaf: map[string]bool{}, elsewhere: map[string]bool{}, stopCode: 143, checks: map[string]*HealthCheck{},
	}
}

// failing returns the error that a test wants of a call.
func (e *fakeEngine) failing(verb, id string) error {
	if err := e.fail[verb+" "+id]; err != nil {
		return err
	}
	return e.fail[verb]
}

func (e *fakeEngine) set(what string, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.fail[what] = err
}

func (e *fakeEngine) policy(image string, p RestartPolicy) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.life[image] = Lifecycle{Restart: p, StopTimeout: 10 * time.Second}
}

func (e *fakeEngine) Check(spec *Spec) (Lifecycle, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if strings.HasPrefix(spec.Image, "invalid") {
		return Lifecycle{}, fmt.Errorf("invalid image: %w", errdefs.ErrInvalidArgument)
	}
	if life, ok := e.life[spec.Image]; ok {
		return life, nil
	}
	return Lifecycle{Restart: RestartPolicy{Name: "no"}, StopTimeout: 10 * time.Second}, nil
}

func (e *fakeEngine) EnsureImage(ctx context.Context, ref string, _ PullPolicy, _ *Auth) (Image, error) {
	e.mu.Lock()
	pull, err := e.pull, e.failing("pull", ref)
	e.mu.Unlock()
	if err == nil && pull != nil {
		err = pull(ctx, ref)
	}
	return Image{Ref: ref, Digest: "sha256:" + ref}, err
}

func (e *fakeEngine) Create(ctx context.Context, c Container) error {
	e.mu.Lock()
	fills := e.fills
	e.mu.Unlock()
	if fills > 0 && !pause(ctx, fills) {
		return fmt.Errorf("filling it took too long: %w", errdefs.ErrUnavailable)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.failing("create", c.ID); err != nil {
		return err
	}
	e.j.note("create %s", c.ID)
	e.containers[c.ID] = c
	return nil
}

func (e *fakeEngine) Start(_ context.Context, id string, _ Log, admit func(int, string) error) error {
	e.mu.Lock()
	c, ok := e.containers[id]
	if !ok {
		e.mu.Unlock()
		return fmt.Errorf("no container %s: %w", id, errdefs.ErrNotFound)
	}
	if err := e.failing("task", id); err != nil {
		e.mu.Unlock()
		return err
	}
	e.pid++
	task := &fakeTask{pid: e.pid, parked: true}
	e.tasks[id] = task
	e.mu.Unlock()
	err := admit(task.pid, GenerationIDOf(c.Identity))
	e.mu.Lock()
	if err == nil {
		err = e.failing("start", id)
	}
	if err != nil {
		delete(e.tasks, id)
		e.mu.Unlock()
		return err
	}
	task.parked = false
	if err := e.failing("answer", id); err != nil {
		e.mu.Unlock()
		return err
	}
	started := e.started
	e.mu.Unlock()
	e.j.note("start %s", id)
	if started != nil {
		started(id)
	}
	return nil
}

// die ends a running task, as its process would.
func (e *fakeEngine) die(id string, code int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.end(id, code)
}

func (e *fakeEngine) end(id string, code int) {
	task := e.tasks[id]
	task.exit = &Exit{Time: time.Now().UTC(), Code: code}
	e.events <- Event{ContainerID: id, PID: task.pid, Exit: &Exit{Time: task.exit.Time, Code: code}}
}

func (e *fakeEngine) Signal(_ context.Context, id string, kill bool) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.j.note("signal %s kill=%t", id, kill)
	if err := e.failing("signal", id); err != nil {
		return err
	}
	task := e.tasks[id]
	switch {
	case task == nil || task.exit != nil:
		return fmt.Errorf("no process: %w", errdefs.ErrNotFound)
	case kill:
		e.end(id, 137)
	case !e.deaf[id]:
		e.end(id, e.stopCode)
	}
	return nil
}

func (e *fakeEngine) Exited(_ context.Context, id string) (*Exit, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.failing("exited", id); err != nil {
		return nil, err
	}
	task := e.tasks[id]
	if task == nil || task.parked {
		return nil, fmt.Errorf("no task: %w", errdefs.ErrNotFound)
	}
	return task.exit, nil
}

func (e *fakeEngine) OOMKilled(context.Context, *peer.Instance, *Exit) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.oom
}

func (e *fakeEngine) Health(_ context.Context, id string) (*HealthCheck, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.checks[id], e.failing("health", id)
}

func (e *fakeEngine) Probe(ctx context.Context, id string, args []string, timeout time.Duration) (Probed, error) {
	e.mu.Lock()
	err, probe := e.failing("probe", id), e.probe
	e.mu.Unlock()
	e.j.note("probe %s %v", id, args)
	if err != nil || probe == nil {
		return Probed{}, err
	}
	return probe(ctx, timeout)
}

func (e *fakeEngine) DeleteTask(_ context.Context, id string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.failing("deletetask", id); err != nil {
		return err
	}
	delete(e.tasks, id)
	return nil
}

func (e *fakeEngine) Delete(_ context.Context, id string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.failing("delete", id); err != nil {
		return err
	}
	e.j.note("delete %s", id)
	delete(e.tasks, id)
	delete(e.containers, id)
	delete(e.elsewhere, id)
	return nil
}

func (e *fakeEngine) Observe(context.Context) ([]Observed, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.failing("observe", ""); err != nil {
		return nil, err
	}
	var all []Observed
	for id, c := range e.containers {
		all = append(all, Observed{ContainerID: id, Module: c.Spec.Name, Elsewhere: e.elsewhere[id]})
	}
	return all, nil
}

func (e *fakeEngine) Events(ctx context.Context, subscribed func(), on func(Event)) error {
	e.mu.Lock()
	err, cut := e.failing("events", ""), e.cut
	e.mu.Unlock()
	if err != nil {
		return err
	}
	subscribed()
	for {
		select {
		case ev := <-e.events:
			on(ev)
		case <-cut:
			return fmt.Errorf("stream cut: %w", errdefs.ErrUnavailable)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// cutStream ends the event stream; events that were not delivered are lost.
func (e *fakeEngine) cutStream() {
	e.mu.Lock()
	defer e.mu.Unlock()
	close(e.cut)
	e.cut = make(chan struct{})
	for len(e.events) > 0 {
		<-e.events
	}
}

func (e *fakeEngine) Forget(_ context.Context, module string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.failing("forget", module); err != nil {
		return err
	}
	e.j.note("forget %s", module)
	return nil
}

func (e *fakeEngine) User(_ context.Context, id string) (uid, gid uint32, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return 1000, 100, e.failing("user", id)
}

func (e *fakeEngine) CleanUp(_ context.Context, modules []string) error {
	slices.Sort(modules)
	e.j.note("cleanup")
	e.j.note("modules %v", modules)
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.failing("cleanup", "")
}

// runs says whether a container has a process that is past its first instruction.
func (e *fakeEngine) runs(id string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	task := e.tasks[id]
	return task != nil && !task.parked && task.exit == nil
}

func (e *fakeEngine) has(id string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, ok := e.containers[id]
	return ok
}

// Record and Alive make the engine the kernel as well: it knows its processes.
func (e *fakeEngine) Record(pid int, id string) (peer.Instance, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.failing("record", id); err != nil {
		return peer.Instance{}, err
	}
	return peer.Instance{PID: pid, Paths: []string{"/edged/" + id}}, nil
}

func (e *fakeEngine) Alive(in peer.Instance) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	task := e.tasks[in.ContainerID]
	return task != nil && task.pid == in.PID && task.exit == nil
}
