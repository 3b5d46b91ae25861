package bundle

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/pack"
	"github.com/edged/edged/pkg/pack/osgi"
)

// world is a framework's storage with what runs of it: packages are exported, imported and
// wired as OSGi Core has it, as far as edged can tell the difference.
type world struct {
	t  *testing.T
	mu sync.Mutex
	// all are installed; gone are not any more, and are used until a refresh.
	all, gone map[int64]*unit
	next      int64
	level     int // the framework's start level
	runs      int
	java      int
	calls     []string
	// refuse is asked before each call with its operation and the bundle's name.
	refuse func(op, name string) error
	// activators are what bundles do when they start, by their names.
	activators map[string]func(context.Context) error
	sessions   []*fakeSession
}

// unit is a bundle in the world.
type unit struct {
	Actual
	says *osgi.Bundle
	// wires are the bundles whose packages it uses; nil for one that is not resolved.
	wires   map[string]*unit
	pending bool
}

func newWorld(t *testing.T) *world {
	return &world{
		t: t, all: map[int64]*unit{0: {Actual: Actual{Location: "System Bundle", SymbolicName: "framework", Version: "3.18.0", State: Active, Persistent: false}}},
		gone: map[int64]*unit{}, java: 17, level: lastLevel, next: 1, activators: map[string]func(context.Context) error{},
	}
}

func (w *world) sorted() []*unit {
	return slices.SortedFunc(maps.Values(w.all), func(a, b *unit) int { return cmp.Compare(a.ID, b.ID) })
}

func exception(typ int, text string) *Refused {
	return &Refused{Class: "org.osgi.framework.BundleException", Type: typ, Text: text}
}

// resolve wires a bundle and those it needs.
func (w *world) resolve(u *unit, trying map[*unit]bool) error {
	if u.ID == 0 || u.wires != nil || trying[u] {
		return nil
	}
	trying[u] = true
	wires := map[string]*unit{}
	if host := u.says.FragmentHost; host != "" {
		for _, o := range w.sorted() {
			if o.SymbolicName == host && w.resolve(o, trying) == nil {
				wires["host"] = o
			}
		}
		if len(wires) == 0 {
			return exception(4, "no host "+host)
		}
	}
	for _, c := range u.says.Imports {
		for _, name := range c.Paths {
			for _, o := range w.sorted() {
				if wires[name] == nil && o != u && o.exports(name) && w.resolve(o, trying) == nil {
					wires[name] = o
				}
			}
			if wires[name] == nil {
				return exception(4, fmt.Sprintf("Unable to resolve %s: missing requirement Import-Package: %s", u.SymbolicName, name))
			}
		}
	}
	u.wires = wires
	if u.State == Installed {
		u.State = Resolved
	}
	return nil
}

func (u *unit) exports(name string) bool {
	return u.says != nil && slices.ContainsFunc(u.says.Exports, func(c osgi.Clause) bool { return slices.Contains(c.Paths, name) })
}

// users are the bundles that are wired to one.
func (w *world) users(u *unit) (all []*unit) {
	for _, o := range w.sorted() {
		for _, p := range o.wires {
			if p == u && o != u {
				all = append(all, o)
				break
			}
		}
	}
	return all
}

func (w *world) closure(of []*unit) []*unit {
	var all []*unit
	for len(of) > 0 {
		if !slices.Contains(all, of[0]) {
			all = append(all, of[0])
			of = append(of, w.users(of[0])...)
		}
		of = of[1:]
	}
	return all
}

func (w *world) find(id int64) (*unit, error) {
	if u := w.all[id]; u != nil {
		return u, nil
	}
	return nil, &Refused{Class: "java.lang.IllegalArgumentException", Text: fmt.Sprint("no bundle ", id)}
}

func (w *world) begin(ctx context.Context, u *unit) error {
	if u.says.FragmentHost != "" {
		return exception(2, "Fragment bundles can not be started.")
	}
	if u.State == Active || u.StartLevel > w.level {
		return nil
	}
	if err := w.resolve(u, map[*unit]bool{}); err != nil {
		return err
	}
	if activator := w.activators[u.SymbolicName]; activator != nil {
		u.State = Starting
		w.mu.Unlock()
		err := activator(ctx)
		w.mu.Lock()
		if ctx.Err() != nil {
			return ctx.Err() // it goes on
		}
		if err != nil {
			u.State = Resolved
			return err
		}
	}
	u.State = Active
	return nil
}

// refresh makes bundles anew with all that use them.
func (w *world) refresh(of []*unit) {
	all := w.closure(of)
	running := map[*unit]bool{}
	for _, u := range all {
		running[u] = u.State == Active
		delete(w.gone, u.ID)
		if u.State != Uninstalled {
			u.State = Installed
		}
		u.wires, u.pending = nil, false
	}
	for _, u := range all {
		if running[u] && u.State != Uninstalled {
			_ = w.begin(context.Background(), u)
		}
	}
	for _, u := range all { // fragments come with their hosts
		if u.says != nil && u.says.FragmentHost != "" && u.State != Uninstalled {
			_ = w.resolve(u, map[*unit]bool{})
		}
	}
}

// reboot is another run of the framework, which comes up without edged's bundles.
func (w *world) reboot() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.gone)
	for _, u := range w.sorted()[1:] {
		u.State, u.wires, u.pending = Installed, nil, false
	}
	w.level = 10
	w.runs++
}

// rise starts what is started persistently, up to a level.
func (w *world) rise(ctx context.Context, level int) {
	w.level = level
	for _, u := range w.sorted()[1:] {
		if u.Persistent {
			_ = w.begin(ctx, u)
		}
	}
}

// fakeSession is a connection to the world.
type fakeSession struct {
	w    *world
	run  string
	done chan struct{}
	last *Picture
	// endAt is the call that ends the session, counted from 1, done or not before; 0 for none.
	endAt, count int
	endAfter     bool
}

func (w *world) connect() *fakeSession {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &fakeSession{w: w, run: fmt.Sprint(w.runs), done: make(chan struct{})}
	w.sessions = append(w.sessions, s)
	return s
}

func (s *fakeSession) Run() string { return s.run }

func (s *fakeSession) end() {
	if s.last == nil {
		s.last = s.picture()
		close(s.done)
	}
}

func (s *fakeSession) End() {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.end()
}

var errEnded = fmt.Errorf("the connection ended: %w", errdefs.ErrUnavailable)

// call does something in the world, unless the session ends there or the framework refuses.
func (s *fakeSession) call(ctx context.Context, op string, id int64, name string, f func() error) error {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if s.last != nil {
		return errEnded
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", ctx.Err(), errdefs.ErrUnavailable)
	}
	if u := s.w.all[id]; name == "" && u != nil {
		name = u.SymbolicName + " " + u.Version
	}
	if op != "ping" {
		s.count++
		s.w.calls = append(s.w.calls, op+" "+name)
	}
	ends := s.endAt != 0 && s.count == s.endAt
	if ends && !s.endAfter {
		s.end()
		return errEnded
	}
	if s.w.refuse != nil {
		if err := s.w.refuse(op, name); err != nil {
			return err
		}
	}
	err := f()
	if ends {
		s.end()
		return errEnded
	}
	if ctx.Err() != nil {
		return fmt.Errorf("not in time: %w", errdefs.ErrUnavailable)
	}
	return err
}

func (s *fakeSession) Picture() *Picture {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if s.last != nil {
		return s.last
	}
	return s.picture()
}

func (s *fakeSession) picture() *Picture {
	p := &Picture{ByLocation: map[string]Actual{}}
	for _, u := range s.w.sorted() {
		p.All = append(p.All, u.Actual)
		p.ByLocation[u.Location] = u.Actual
	}
	return p
}

func (s *fakeSession) JavaLevel() int { return s.w.java }

func (s *fakeSession) Done() <-chan struct{} { return s.done }

func (s *fakeSession) Ping(ctx context.Context) error {
	return s.call(ctx, "ping", 0, "framework", func() error { return nil })
}

func (s *fakeSession) take(u *unit, r io.Reader, size int64) {
	b, err := io.ReadAll(r)
	require.NoError(s.w.t, err)
	require.Len(s.w.t, b, int(size))
	u.says, err = osgi.ReadBundle(bytes.NewReader(b), size, pack.Limits{Unpacked: 1 << 30})
	require.NoError(s.w.t, err)
	u.SymbolicName, u.Version, u.Fragment, u.Digest = u.says.SymbolicName, u.says.Version.String(), u.says.FragmentHost != "", digest.FromBytes(b).String()
}

func (s *fakeSession) Install(ctx context.Context, location string, r io.Reader, size int64) (a Actual, err error) {
	err = s.call(ctx, "install", -1, location, func() error {
		for _, u := range s.w.all {
			if u.Location == location {
				a = u.Actual
				return nil
			}
		}
		u := &unit{Actual: Actual{ID: s.w.next, Location: location, State: Installed, StartLevel: 80}}
		s.take(u, r, size)
		for _, o := range s.w.all {
			if o.SymbolicName == u.SymbolicName && o.Version == u.Version {
				return exception(9, "not unique")
			}
		}
		s.w.all[u.ID], a = u, u.Actual
		s.w.next++
		return nil
	})
	return a, err
}

func (s *fakeSession) Update(ctx context.Context, id int64, r io.Reader, size int64) (a Actual, err error) {
	err = s.call(ctx, "update", id, "", func() error {
		u, err := s.w.find(id)
		if err != nil {
			return err
		}
		ran := u.State == Active
		s.take(u, r, size)
		u.pending = len(s.w.users(u)) > 0
		u.State, u.wires = Installed, nil
		if ran {
			_ = s.w.begin(ctx, u) // Equinox does not throw
		}
		a = u.Actual
		return nil
	})
	return a, err
}

func (s *fakeSession) Uninstall(ctx context.Context, id int64) error {
	return s.call(ctx, "uninstall", id, "", func() error {
		u, err := s.w.find(id)
		if err != nil {
			return err
		}
		delete(s.w.all, id)
		u.State = Uninstalled
		if len(s.w.users(u)) > 0 {
			s.w.gone[id], u.pending = u, true
		}
		return nil
	})
}

func (s *fakeSession) Start(ctx context.Context, id int64) error {
	return s.call(ctx, "start", id, "", func() error {
		u, err := s.w.find(id)
		if err != nil {
			return err
		}
		u.Persistent = !u.Fragment
		return s.w.begin(ctx, u)
	})
}

func (s *fakeSession) Stop(ctx context.Context, id int64, transient bool) error {
	return s.call(ctx, "stop", id, "", func() error {
		u, err := s.w.find(id)
		switch {
		case err != nil:
			return err
		case u.Fragment:
			return exception(2, "Fragment bundles can not be stopped.")
		}
		u.Persistent = u.Persistent && transient
		if u.State == Active || u.State == Starting {
			u.State = Resolved
		}
		return nil
	})
}

func (s *fakeSession) SetStartLevel(ctx context.Context, id int64, level int) error {
	return s.call(ctx, "setStartLevel", id, "", func() error {
		u, err := s.w.find(id)
		if err != nil {
			return err
		}
		u.StartLevel = level
		if u.Persistent {
			return s.w.begin(ctx, u)
		}
		return nil
	})
}

func (s *fakeSession) SetLevel(ctx context.Context, level int) error {
	return s.call(ctx, "setFrameworkLevel", 0, "framework", func() error {
		s.w.rise(ctx, level)
		return ctx.Err()
	})
}

func (s *fakeSession) Refresh(ctx context.Context, ids ...int64) error {
	name := "all"
	if len(ids) > 0 {
		name = ""
	}
	var of int64
	if len(ids) > 0 {
		of = ids[0]
	}
	return s.call(ctx, "refresh", of, name, func() error {
		var some []*unit
		for _, id := range ids {
			if u := s.w.all[id]; u != nil {
				some = append(some, u)
			}
		}
		if len(ids) == 0 {
			for _, u := range slices.Concat(s.w.sorted(), slices.Collect(maps.Values(s.w.gone))) {
				if u.pending {
					some = append(some, u)
				}
			}
		}
		s.w.refresh(some)
		return nil
	})
}

func (s *fakeSession) Closure(ctx context.Context, ids ...int64) (all []int64, err error) {
	err = s.call(ctx, "closure", ids[0], "", func() error {
		var of []*unit
		for _, id := range ids {
			of = append(of, s.w.all[id])
		}
		for _, u := range s.w.closure(of) {
			all = append(all, u.ID)
		}
		return nil
	})
	return all, err
}

func (s *fakeSession) Users(ctx context.Context, id int64) (all []int64, err error) {
	err = s.call(ctx, "wires", id, "", func() error {
		for _, u := range s.w.users(s.w.all[id]) {
			all = append(all, u.ID)
		}
		return nil
	})
	return all, err
}
