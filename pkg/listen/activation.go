package listen

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// Names of the sockets that the service manager passes: the units' own names.
const (
	ManagementSocket = "edged.mgmt.socket"
	WorkloadSocket   = "edged.workload.socket"
)

// Activation holds the sockets that the service manager passed to this process,
// sd_listen_fds(3), until each is handed out once. It is safe for concurrent
// use. A nil Activation holds nothing.
type Activation struct {
	kernel kernel

	mu      sync.Mutex
	sockets map[string]*net.UnixListener
	stored  []storedListener
	taken   map[string]bool // names of which a stored listener was handed out
}

// storedListener is a module's listener from the file descriptor store.
type storedListener struct {
	name     string
	path     string
	file     inode
	fileErr  error
	listener *net.UnixListener
}

// FromEnvironment takes over the sockets that LISTEN_PID, LISTEN_FDS and
// LISTEN_FDNAMES tell of. Whatever it returns, the variables are gone and the
// descriptors are closed on exec, so a second call finds nothing.
//
// Every socket must be named (FileDescriptorName=, or --fdname of
// systemd-socket-activate), listening, of AF_UNIX and SOCK_STREAM; a socket of
// another kind, an unknown name and a name given twice are errors
// (errdefs.ErrInvalidArgument) and leave no descriptor open. Module listeners
// (FDName) and nameless leftovers of the file descriptor store are never an
// error: those that are not taken are closed by CloseStale.
func FromEnvironment() (*Activation, error) {
	return activate(host())
}

func activate(k kernel) (*Activation, error) {
	a := &Activation{kernel: k, sockets: make(map[string]*net.UnixListener), taken: make(map[string]bool)}
	names, err := readEnvironment(k)
	if err != nil {
		return nil, fmt.Errorf("cannot take sockets from the service manager: %w", err)
	}
	var faults []error
	for i, name := range names {
		if err := a.add(firstFD+i, name); err != nil {
			faults = append(faults, err)
		}
	}
	if len(faults) > 0 {
		a.Close()
		return nil, fmt.Errorf("cannot take sockets from the service manager: %w", errors.Join(faults...))
	}
	return a, nil
}

// add takes the descriptor fd over under its name; on an error it is closed.
func (a *Activation) add(fd int, name string) error {
	isModule := isModuleFDName(name)
	switch {
	case name == leftover:
		a.kernel.close(fd)
		return nil
	case name == ManagementSocket, name == WorkloadSocket:
		if a.sockets[name] != nil {
			a.kernel.close(fd)
			return invalid("descriptor %d: the name %s was passed twice: one ListenStream= a unit", fd, name)
		}
	case name == unnamed || name == "":
		a.kernel.close(fd)
		return invalid("descriptor %d has no name: set FileDescriptorName=, or --fdname=%s:%s", fd, ManagementSocket, WorkloadSocket)
	case !isModule:
		a.kernel.close(fd)
		return invalid("descriptor %d: the name %q is unknown, want %s or %s", fd, name, ManagementSocket, WorkloadSocket)
	}
	if err := checkListening(a.kernel, fd); err != nil {
		a.kernel.close(fd)
		if isModule {
			return nil
		}
		return invalid("descriptor %d (%s): %w", fd, name, err)
	}
	s := storedListener{name: name}
	s.path, _ = a.kernel.name(fd)
	s.file, s.fileErr = a.kernel.file(fd)
	l, err := a.kernel.listener(fd, name)
	if err != nil {
		if isModule {
			return nil
		}
		return invalid("descriptor %d (%s): %w", fd, name, err)
	}
	if isModule {
		s.listener = l
		a.stored = append(a.stored, s)
	} else {
		a.sockets[name] = l
	}
	return nil
}

// checkListening tells whether fd is a listening Unix stream socket.
func checkListening(k kernel, fd int) error {
	for _, want := range []struct {
		option, value int
		fault         string
	}{
		{unix.SO_DOMAIN, unix.AF_UNIX, "not a Unix socket"},
		{unix.SO_TYPE, unix.SOCK_STREAM, "not a stream socket (ListenStream=)"},
		{unix.SO_ACCEPTCONN, 1, "not a listening socket (Accept=no)"},
	} {
		got, err := k.option(fd, want.option)
		if errors.Is(err, unix.ENOTSOCK) {
			return errors.New("not a socket")
		}
		if err != nil {
			return fmt.Errorf("cannot read its kind: %w", err)
		}
		if got != want.value {
			return errors.New(want.fault)
		}
	}
	return nil
}

// Take hands out the socket of that name, once. A name that was not passed, or
// is taken already, is errdefs.ErrNotFound.
func (a *Activation) Take(name string) (*net.UnixListener, error) {
	passed := "none"
	if a != nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		if l := a.sockets[name]; l != nil {
			delete(a.sockets, name)
			return l, nil
		}
		if left := a.untaken(); len(left) > 0 {
			passed = strings.Join(left, ", ")
		}
	}
	return nil, errdefs.ErrNotFound.WithMessage(fmt.Sprintf("the service manager passed no socket %s (left to take: %s)", name, passed))
}

// Untaken names, in order, the sockets that systemd passed and nobody took.
// Clients of such a socket would wait for ever: say so, or Close.
func (a *Activation) Untaken() []string {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.untaken()
}

func (a *Activation) untaken() []string {
	names := make([]string, 0, len(a.sockets))
	for name := range a.sockets {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// takeStored hands out the stored listener of that name which is bound to the
// file, or, where the kernel does not tell, was bound to the path and is alive.
func (a *Activation) takeStored(name, path string, file inode) *net.UnixListener {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, s := range a.stored {
		if s.name != name {
			continue
		}
		if s.fileErr == nil && s.file != file {
			continue
		}
		// An orphan keeps its old path although the file there is another
		// socket's or nobody's: only a path that answers is taken.
		if s.fileErr != nil && (s.path != path || dial(path) != nil) {
			continue
		}
		a.stored = slices.Delete(a.stored, i, i+1)
		a.taken[name] = true
		return s.listener
	}
	return nil
}

// CloseStale closes the module listeners that no module took. Once every module
// has its sockets, the rest belongs to nobody. It returns, each once and in
// order, the names of which nothing was taken: Notifier.Forget is for them.
func (a *Activation) CloseStale() []string {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	var names []string
	for _, s := range a.stored {
		s.listener.Close()
		if !a.taken[s.name] {
			names = append(names, s.name)
		}
	}
	a.stored = nil
	slices.Sort(names)
	return slices.Compact(names)
}

// Close closes everything that was not handed out.
func (a *Activation) Close() {
	if a == nil {
		return
	}
	a.CloseStale()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, l := range a.sockets {
		l.Close()
	}
	clear(a.sockets)
}
