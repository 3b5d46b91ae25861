package peer

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/containerd/errdefs"
)

// Table holds the containers edged made, by cgroup path. Reads take no lock and cost the same for one instance and for hundreds: writes, which are rare,
// put a whole new snapshot in place.
type Table struct {
	namespace string
	write     sync.Mutex // one writer at a time
	current   atomic.Pointer[snapshot]
}

// snapshot is never changed once it is in place.
type snapshot struct {
	byPath  map[string]*Instance
	byID    map[string]*Instance
	longest int // bytes of the longest recorded path: a match can be no longer

	// parents are the parents of recorded cgroups that are neither edged's default nor a place of the host's: what is below them was made by edged,
	// also after its instance is gone. They only grow.
	parents       map[string]struct{}
	longestParent int

	changed chan struct{} // closed when the next snapshot is in place
}

// NewTable makes an empty table. namespace is the containerd namespace of edged, which is also the first component of the default cgroup paths.
func NewTable(namespace string) *Table {
	t := &Table{namespace: namespace}
	t.current.Store(&snapshot{changed: make(chan struct{})})
	return t
}

// Add puts an instance into the table. A path that is equal to, above or below a recorded one is refused, naming the module that has it: matches could
// otherwise depend on which is found first. So is a path that a host process could be taken to have (errdefs.ErrFailedPrecondition). A container id twice is
// errdefs.ErrAlreadyExists, an instance without a module, id or usable path errdefs.ErrInvalidArgument.
func (t *Table) Add(in *Instance) error {
	if in == nil || in.Module == "" || len(in.Paths) == 0 {
		return fmt.Errorf("cannot record instance: no module or no cgroup path: %w", errdefs.ErrInvalidArgument)
	}
	if err := validID(in.ContainerID); err != nil {
		return fmt.Errorf("cannot record instance of %q: %w", in.Module, err)
	}
	t.write.Lock()
	defer t.write.Unlock()
	old := t.current.Load()
	if _, found := old.byID[in.ContainerID]; found {
		return fmt.Errorf("cannot record instance of %q: container %q: %w", in.Module, in.ContainerID, errdefs.ErrAlreadyExists)
	}
	next := old.clone()
	for _, path := range in.Paths {
		if err := next.add(path, in, t.namespace); err != nil {
			return fmt.Errorf("cannot record instance of %q: %w", in.Module, err)
		}
	}
	next.byID[in.ContainerID] = in
	t.replace(old, next)
	return nil
}

// Remove takes a container out. Its connections are refused from their next request on. An id that is not there changes nothing.
func (t *Table) Remove(containerID string) {
	t.write.Lock()
	defer t.write.Unlock()
	old := t.current.Load()
	in, found := old.byID[containerID]
	if !found {
		return
	}
	next := old.clone()
	delete(next.byID, containerID)
	for _, path := range in.Paths {
		delete(next.byPath, path)
	}
	next.longest = 0
	for path := range next.byPath {
		next.longest = max(next.longest, len(path))
	}
	t.replace(old, next)
}

// Instances returns all that are in the table, in no order.
func (t *Table) Instances() []*Instance {
	return slices.Collect(maps.Values(t.current.Load().byID))
}

// Match finds the instance that a process is in from its /proc/<pid>/cgroup: on every line the recorded path nearest to the root counts, lines without one
// do not, and all that have one must name the same instance. A process can move itself only deeper, so that nothing it does changes the answer. Whole
// components are compared. The errors are ErrNoInstance, ErrDisagree, ErrDeleted, ErrOutside and ErrMalformed; a file with any bad line is bad.
func (t *Table) Match(cgroup []byte) (*Instance, error) {
	return t.current.Load().match(cgroup)
}

func (s *snapshot) match(cgroup []byte) (*Instance, error) {
	var found *Instance
	disagree := false
	lines := cgroupLines{rest: cgroup}
	for {
		line, ok := lines.next()
		if !ok {
			break
		}
		in := s.shallowest(line.path)
		switch {
		case in == nil:
		case found == nil:
			found = in
		case found != in:
			disagree = true
		}
	}
	switch {
	case lines.err != nil:
		return nil, lines.err
	case disagree:
		return nil, ErrDisagree
	case found == nil:
		return nil, ErrNoInstance
	}
	return found, nil
}

// Current says whether the instance is still the one in the table: the same object, not one like it.
func (t *Table) Current(in *Instance) bool {
	return in != nil && t.current.Load().byID[in.ContainerID] == in
}

// Len returns the number of instances.
func (t *Table) Len() int { return len(t.current.Load().byID) }

// changed returns a channel that is closed at the next change after the call.
func (t *Table) changed() <-chan struct{} { return t.current.Load().changed }

func (t *Table) replace(old, next *snapshot) {
	t.current.Store(next)
	close(old.changed)
}

func (s *snapshot) clone() *snapshot {
	next := &snapshot{
		byPath:        make(map[string]*Instance, len(s.byPath)+1),
		byID:          make(map[string]*Instance, len(s.byID)+1),
		longest:       s.longest,
		parents:       s.parents,
		longestParent: s.longestParent,
		changed:       make(chan struct{}),
	}
	for path, in := range s.byPath {
		next.byPath[path] = in
	}
	for id, in := range s.byID {
		next.byID[id] = in
	}
	return next
}

// add records one path in a snapshot that is not in place yet.
func (s *snapshot) add(path string, in *Instance, namespace string) error {
	b := []byte(path)
	if err := checkPath(b); err != nil || path == "/" || strings.HasSuffix(path, "/") || strings.Contains(path, "//") {
		return fmt.Errorf("cgroup path %q: %w", path, errdefs.ErrInvalidArgument)
	}
	if hostPlace(b) && !foreign(b, namespace) {
		return fmt.Errorf("cgroup path %q is where the host's own processes are: %w", path, errdefs.ErrFailedPrecondition)
	}
	for known, other := range s.byPath {
		if within(b, known) || within([]byte(known), path) {
			return fmt.Errorf("cgroup path %q meets that of module %q: %w", path, other.Module, errdefs.ErrFailedPrecondition)
		}
	}
	s.byPath[path] = in
	s.longest = max(s.longest, len(path))
	s.addParent(path, in.ContainerID, namespace)
	return nil
}

// addParent remembers a CgroupParent. A scope is known by its name, and what is below the default parent by that parent's. The host's own slices cannot be
// remembered, for every host process is below them, and need not be: add lets no path in that a host process could have.
func (s *snapshot) addParent(path, id, namespace string) {
	parent, last := path[:strings.LastIndexByte(path, '/')], path[strings.LastIndexByte(path, '/')+1:]
	if last != id || parent == "" || within([]byte(parent), "/system.slice") || foreign([]byte(path), namespace) {
		return
	}
	if _, found := s.parents[parent]; found {
		return
	}
	next := make(map[string]struct{}, len(s.parents)+1)
	for known := range s.parents {
		next[known] = struct{}{}
	}
	next[parent] = struct{}{}
	s.parents, s.longestParent = next, max(s.longestParent, len(parent))
}

// shallowest returns the instance at the recorded path nearest to the root, or nil.
func (s *snapshot) shallowest(path []byte) *Instance {
	for end := boundary(path, 0); end > 0 && end <= s.longest; end = boundary(path, end) {
		if in := s.byPath[string(path[:end])]; in != nil {
			return in
		}
	}
	return nil
}

// belowParent says whether a path is in or under a remembered CgroupParent.
func (s *snapshot) belowParent(path []byte) bool {
	for end := boundary(path, 0); end > 0 && end <= s.longestParent; end = boundary(path, end) {
		if _, found := s.parents[string(path[:end])]; found {
			return true
		}
	}
	return false
}
