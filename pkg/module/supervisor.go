package module

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/errdefs"
	"github.com/sirupsen/logrus"

	"github.com/edged/edged/pkg/peer"
)

// Deadlines of what the supervisor asks for. An operation's is long enough for a
// slow stop on a slow device; a pull has one of its own because a large image
// over a bad line takes hours and loses nothing when it is tried again.
const (
	operationTimeout = 5 * time.Minute
	makeTimeout      = 40 * time.Minute // of a container: its volumes may be filled first
	pullTimeout      = 2 * time.Hour
	killTimeout      = 30 * time.Second
	observeTimeout   = 30 * time.Second
	closeGrace       = 10 * time.Second
)

// Config is what a Supervisor needs. All fields but Extra and Images are required.
type Config struct {
	Store      Store
	Engine     Engine
	Recorder   Recorder
	Table      *peer.Table
	Sockets    Sockets
	Logs       Logs
	Identities Identities
	// Images is told which images operations are about to use; nil removes none.
	Images  Images
	Secrets Secrets
	// Identity is the environment, without the names, that every module gets.
	Identity IdentityEnv
	// Extra returns edged's own mounts and groups for a module (the agent's folders).
	Extra func(module string) ([]Mount, []uint32)
	// PowerCut says that the machine started anew since edged last ran: what ran then is
	// to run again, whatever its restart policy.
	PowerCut bool
	// Restored says that the database is of another time than what the engine has, of a
	// backup: every module is made anew from it, and runs if it ran then.
	Restored bool
	Log      logrus.FieldLogger
}

// Supervisor keeps modules as they are wished to be.
type Supervisor struct {
	Config
	ctx  context.Context
	stop context.CancelFunc
	wg   sync.WaitGroup

	mu      sync.Mutex
	workers map[string]*worker

	// wake is closed by the next change; nil while nobody waits for one.
	wake atomic.Pointer[chan struct{}]

	// list is the sorted picture of all modules; a change makes its version old.
	list    atomic.Pointer[picture]
	version atomic.Int64

	// reconciled is closed after the first comparison with the engine.
	reconciled   chan struct{}
	reconcileOne sync.Once
	unsure       atomic.Int64
	restarts     atomic.Uint64 // by restart policies
	born         time.Time
}

// Open reads the store and takes up, from kernel facts alone, the instances that
// still run; it asks the engine nothing. Run does the rest.
func Open(ctx context.Context, cfg Config) (*Supervisor, error) {
	s := &Supervisor{Config: cfg, workers: map[string]*worker{}, reconciled: make(chan struct{}), born: time.Now()}
	s.ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	records, err := s.Store.Modules(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot read modules: %w", err)
	}
	instances, err := s.Store.Instances(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot read instances: %w", err)
	}
	byID := make(map[string]*peer.Instance, len(instances))
	for i := range instances {
		byID[instances[i].ContainerID] = &instances[i]
	}
	for i := range records {
		w := newWorker(s, records[i].Name)
		w.load(&records[i], byID)
		s.workers[w.name] = w
	}
	return s, nil
}

// Run starts the workers and the watch on the engine's events. It returns at
// once; Close ends it.
func (s *Supervisor) Run() {
	s.mu.Lock()
	for _, w := range s.workers {
		s.wg.Go(func() { w.loop(s.ctx) })
	}
	s.mu.Unlock()
	s.wg.Go(func() { s.watch(s.ctx) })
	s.wg.Go(func() { s.cleanUp(s.ctx) })
	s.wg.Go(func() { s.watchLoggers(s.ctx) })
}

// Close stops working and waits for what is under way, at most until ctx ends;
// then it cancels it, and waits for that, but not for ever. Modules go on running.
func (s *Supervisor) Close(ctx context.Context) {
	idle := make(chan struct{})
	go func() {
		s.drain(ctx)
		close(idle)
	}()
	select {
	case <-idle:
	case <-ctx.Done():
	}
	s.mu.Lock() // what is begun under the lock is begun before, and waited for
	s.stop()
	s.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		s.wg.Wait()
		<-idle
		close(ended)
	}()
	// What hangs in the kernel hears of no context. Nothing is lost by ending without it: a
	// start takes up what a crash leaves.
	limit := time.NewTimer(closeGrace)
	defer limit.Stop()
	select {
	case <-ended:
	case <-limit.C:
		s.Log.Error("a module's work does not end; edged stops without it, and the next start takes it up")
	}
}

// goes runs a goroutine that Close waits for; false when Close was called already.
func (s *Supervisor) goes(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return false
	}
	s.wg.Go(f)
	return true
}

// drain waits until each worker has done what was queued before now.
func (s *Supervisor) drain(ctx context.Context) {
	s.mu.Lock()
	names := make([]string, 0, len(s.workers))
	for name := range s.workers {
		names = append(names, name)
	}
	s.mu.Unlock()
	var wg sync.WaitGroup
	for _, name := range names {
		wg.Go(func() {
			done, err := s.submit(name, false, func(context.Context, *worker, func(error)) error { return nil })
			if err != nil {
				return
			}
			select {
			case err := <-done:
				if err != nil {
					s.Log.WithError(err).WithField("module", name).Debug("a module's work ended unfinished")
				}
			case <-ctx.Done():
			}
		})
	}
	wg.Wait()
}

// do queues fn at the module's worker and waits for its answer, or for ctx: the
// work itself has a context of its own and goes on without the client.
func (s *Supervisor) do(ctx context.Context, name string, create bool, fn func(ctx context.Context, w *worker, answer func(error)) error) error {
	done, err := s.enqueue(name, create, maxQueue, fn)
	if err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("the client left, the work goes on: %w", context.Cause(ctx))
	}
}

// submit queues what edged itself has to do, which no crowd of clients may keep out.
func (s *Supervisor) submit(name string, create bool, fn func(context.Context, *worker, func(error)) error) (<-chan error, error) {
	return s.enqueue(name, create, math.MaxInt, fn)
}

func (s *Supervisor) enqueue(name string, create bool, limit int, fn func(context.Context, *worker, func(error)) error) (<-chan error, error) {
	j := &job{run: fn, done: make(chan error, 1), came: time.Now()}
	j.ctx, j.cancel = context.WithTimeout(s.ctx, operationTimeout)
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.workers[name]
	err := s.ctx.Err()
	switch {
	case err != nil:
		err = fmt.Errorf("edged is stopping: %w", errdefs.ErrUnavailable)
	case w == nil && !create:
		err = notFound(name)
	default:
		if w == nil {
			w = newWorker(s, name)
			s.workers[name] = w
			s.wg.Go(func() { w.loop(s.ctx) })
		}
		err = w.submit(j, limit)
	}
	if err != nil {
		j.cancel()
		return nil, err
	}
	return j.done, nil
}

// retire forgets a worker that has no module and no jobs.
func (s *Supervisor) retire(w *worker) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) > 0 {
		return false
	}
	if s.workers[w.name] == w {
		delete(s.workers, w.name)
	}
	return true
}

func notFound(name string) error {
	return fmt.Errorf("module %q not found: %w", name, errdefs.ErrNotFound)
}

// picture is all modules as they were at a version.
type picture struct {
	version       int64
	all, ordinary []*State
}

func (s *Supervisor) changed() {
	s.version.Add(1)
	if c := s.wake.Swap(nil); c != nil {
		close(*c)
	}
}

// Changed returns a channel that is closed at the next change of any module. Who takes
// it before it asks for the List misses no change; several may have become one.
func (s *Supervisor) Changed() <-chan struct{} {
	for {
		if c := s.wake.Load(); c != nil {
			return *c
		}
		c := make(chan struct{})
		if s.wake.CompareAndSwap(nil, &c) {
			return c
		}
	}
}

// List returns all modules but edged's own, by name. The slice is shared: do not write to it.
func (s *Supervisor) List(ctx context.Context) []*State { return s.look(ctx).ordinary }

// All returns all modules, edged's own among them, as List does.
func (s *Supervisor) All(ctx context.Context) []*State { return s.look(ctx).all }

func (s *Supervisor) look(ctx context.Context) *picture {
	s.awaitSure(ctx)
	if p := s.list.Load(); p != nil && p.version == s.version.Load() {
		return p
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	version := s.version.Load()
	states := make([]*State, 0, len(s.workers))
	for _, w := range s.workers {
		if st := w.state.Load(); st != nil {
			states = append(states, st)
		}
	}
	slices.SortFunc(states, func(a, b *State) int { return strings.Compare(a.Spec.Name, b.Spec.Name) })
	p := &picture{version: version, all: states, ordinary: states}
	if own := func(st *State) bool { return System(st.Spec.Name) }; slices.ContainsFunc(states, own) {
		p.ordinary = slices.DeleteFunc(slices.Clone(states), own)
	}
	s.list.Store(p)
	return p
}

// Get returns one module by its canonical name; errdefs.NotFound.
func (s *Supervisor) Get(ctx context.Context, name string) (*State, error) {
	s.awaitSure(ctx)
	s.mu.Lock()
	w := s.workers[name]
	s.mu.Unlock()
	if w != nil {
		if st := w.state.Load(); st != nil {
			return st, nil
		}
	}
	return nil, notFound(name)
}

// awaitSure holds a question back, for five seconds after the start at most,
// while the state of some module is not known for certain: the database said that
// it ran and its process is gone, so only the engine knows how it ended.
func (s *Supervisor) awaitSure(ctx context.Context) {
	if s.unsure.Load() == 0 {
		return
	}
	wait := time.Until(s.born.Add(5 * time.Second))
	if wait <= 0 {
		return
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-s.reconciled:
	case <-t.C:
	case <-ctx.Done():
	}
}
