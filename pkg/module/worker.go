package module

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/pkg/peer"
)

// maxQueue bounds what waits for one module; a client that asks for more than
// this at once is told to come back.
const maxQueue = 64

// job is one thing a worker does. The context is the job's own: work that an
// accepted request began goes on when its client leaves.
type job struct {
	ctx    context.Context
	cancel context.CancelFunc
	run    func(ctx context.Context, w *worker, answer func(error)) error
	done   chan error
	came   time.Time
}

// worker owns one module. Its fields below the line are touched by its
// goroutine alone, so nothing here is locked over a call to the engine.
type worker struct {
	s    *Supervisor
	name string
	base string // what the ids of its containers begin with

	mu    sync.Mutex
	queue []*job
	wake  chan struct{}

	// exits carries the end of the container that an operation waits for.
	exits chan Event
	// state is what everybody may read; nil while there is no module.
	state atomic.Pointer[State]
	// held says that a host user stopped what edged keeps running.
	held atomic.Bool

	// ---- the goroutine's own ----
	rec      *Record        // nil: no such module
	life     Lifecycle      // of the current generation
	instance *peer.Instance // the running one; nil: nothing runs
	unsure   bool           // the database says it ran, the kernel does not: see reconcile
	oom      bool           // an out-of-memory event came for the running instance
	killed   bool           // edged itself killed the running instance
	left     string         // a container whose start failed and whose task may be there all the same
	note     string         // why the module is not running, for its description
	broken   bool           // its container cannot be made again: dead
	fetching fetching
	stale    bool          // what the engine has of it is of another time than its record
	run      chan struct{} // closed when a run has ended for good
	backoff  backoff
	restart  *time.Timer
	again    bool               // what restart waits for is another reconcile
	health   *health            // of the running instance; nil without checks
	unwatch  context.CancelFunc // ends its checks
}

func newWorker(s *Supervisor, name string) *worker {
	w := &worker{s: s, name: name, base: baseID(name), wake: make(chan struct{}, 1), exits: make(chan Event, 8)}
	w.run = make(chan struct{})
	close(w.run)
	return w
}

// submit queues a job. It is called with s.mu held, which is what keeps a job
// from being queued at a worker that retires at that moment.
func (w *worker) submit(j *job, limit int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) >= limit {
		return fmt.Errorf("too many operations wait for module %q: %w", w.name, errdefs.ErrUnavailable)
	}
	w.queue = append(w.queue, j)
	select {
	case w.wake <- struct{}{}:
	default:
	}
	return nil
}

func (w *worker) take() *job {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) == 0 {
		return nil
	}
	j := w.queue[0]
	w.queue = w.queue[1:]
	return j
}

// loop runs jobs until the module is gone and nothing waits, or the supervisor stops.
func (w *worker) loop(ctx context.Context) {
	for {
		for j := w.take(); j != nil; j = w.take() {
			w.do(j)
		}
		if w.rec == nil && w.s.retire(w) {
			return
		}
		select {
		case <-ctx.Done():
			w.cancelRestart()
			for j := w.take(); j != nil; j = w.take() {
				j.cancel()
				j.done <- fmt.Errorf("edged is stopping: %w", errdefs.ErrUnavailable)
			}
			return
		case <-w.wake:
		}
	}
}

func (w *worker) do(j *job) {
	defer j.cancel()
	answered := false
	answer := func(err error) {
		if !answered {
			answered = true
			j.done <- err
		}
	}
	if err := j.ctx.Err(); err != nil {
		answer(fmt.Errorf("module %q was busy for too long: %w", w.name, errdefs.ErrUnavailable))
		return
	}
	answer(j.run(j.ctx, w, answer))
}

// publish makes what the worker knows visible to readers.
func (w *worker) publish() {
	defer w.s.changed()
	if w.rec == nil || w.rec.Phase == PhaseCreating || w.rec.Phase == PhaseDeleting {
		w.state.Store(nil)
		return
	}
	g := &w.rec.Current
	w.state.Store(&State{
		Spec: g.Spec, Generation: g.Number, ContainerID: ContainerID(w.name, g.Number),
		ImageDigest: g.ImageDigest, Created: g.Created, Wanted: w.rec.Wanted,
		Status: w.status(), Run: w.run,
	})
}

func (w *worker) status() Status {
	st := Status{StartTime: w.rec.Start, Exit: w.rec.Exit, Restarts: w.rec.Restarts, Description: w.note}
	switch {
	case w.unsure:
		st.Runtime = Unknown
	case w.instance != nil:
		st.Runtime, st.Description = Running, "running"+w.health.words()
		st.Health = w.health.picture()
	case w.broken:
		st.Runtime = Dead
	case w.rec.Start.IsZero():
		st.Runtime = Stopped
		if st.Description == "" {
			st.Description = "created"
		}
	case w.rec.Exit != nil && (w.rec.Exit.Code != 0 || w.rec.Exit.Lost):
		st.Runtime = Failed
	default:
		st.Runtime = Stopped
	}
	return st
}

// setRun closes or opens the channel that ends followed logs.
func (w *worker) setRun(open bool) {
	select {
	case <-w.run:
		if open {
			w.run = make(chan struct{})
		}
	default:
		if !open {
			close(w.run)
		}
	}
}

func (w *worker) cancelRestart() {
	if w.restart != nil {
		w.restart.Stop()
		w.restart, w.again = nil, false
	}
}
