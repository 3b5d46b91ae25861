package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"

	"github.com/edged/edged/pkg/httpapi"
	"github.com/edged/edged/pkg/listen"
	"github.com/edged/edged/pkg/module"
	"github.com/edged/edged/pkg/peer"
)

// sockets serves every listener, the shared ones and the modules', by its name. It
// is the supervisor's module.Sockets.
type sockets struct {
	d       *daemon
	modules *listen.ModuleSockets

	mu      sync.Mutex
	servers map[string]*http.Server
	raw     map[string]func(net.Listener) error // what speaks no HTTP
	started bool
	closing bool
	waiting []listen.ModuleListener
	serving map[*net.UnixListener]net.Listener // by what edged listens on, what Accept is called on; nil before start
	wg      sync.WaitGroup

	connections connections
}

func newSockets(d *daemon) *sockets {
	return &sockets{
		d: d, modules: listen.NewModuleSockets(d.cfg.Run),
		servers: map[string]*http.Server{}, raw: map[string]func(net.Listener) error{}, serving: map[*net.UnixListener]net.Listener{},
	}
}

// handle sets the server of a listener name; before start.
func (s *sockets) handle(name string, server *http.Server) {
	server.ConnState = s.connections.change
	s.servers[name] = server
}

// handleRaw sets what serves a listener name without HTTP; before start.
func (s *sockets) handleRaw(name string, serve func(net.Listener) error) { s.raw[name] = serve }

// Dir is the directory of a module's sockets.
func (s *sockets) Dir(module string) string { return s.modules.Dir(module) }

// Ensure makes a module's sockets and serves them; the OSGi host has one more. The service manager keeps a copy
// of each, so that they go on taking connections while edged restarts.
func (s *sockets) Ensure(name string, management bool) error {
	var further []string
	if management {
		further = append(further, listen.Management)
	}
	if name == module.OSGiHost {
		further = append(further, listen.Framework)
	}
	listeners, err := s.modules.Ensure(name, s.d.activation, further...)
	if err != nil {
		return err
	}
	for _, l := range listeners {
		if s.serve(l) {
			if err := s.d.notifier.Store(listen.FDName(name), l.UnixListener); err != nil {
				s.d.log.WithError(err).WithField("module", name).Warn("cannot store a socket with the service manager")
			}
		}
	}
	return nil
}

// Remove closes and removes a module's sockets.
func (s *sockets) Remove(module string) error {
	if err := s.d.notifier.Forget(listen.FDName(module)); err != nil {
		s.d.log.WithError(err).WithField("module", module).Warn("cannot make the service manager forget a socket")
	}
	return s.modules.Remove(module)
}

// serve takes a listener in, once; it says whether it is new. Before start it only waits:
// nobody is answered before all that is known of modules is in the table. After close
// connections wait for the next edged.
func (s *sockets) serve(l listen.ModuleListener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.serving[l.UnixListener]; known {
		return false
	}
	s.serving[l.UnixListener] = nil
	switch {
	case s.closing:
	case s.started:
		s.accept(l)
	default:
		s.waiting = append(s.waiting, l)
	}
	return true
}

// start answers on all listeners, those that waited and those that come.
func (s *sockets) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.waiting {
		if l.Module != "" && s.d.peers.Proof() != peer.ProofPIDFD {
			if _, err := s.d.peers.DrainBacklog(l.UnixListener); err != nil {
				return err
			}
		}
		s.accept(l)
	}
	s.started, s.waiting = true, nil
	return nil
}

// accept runs the accept loop of one listener until it is closed.
func (s *sockets) accept(l listen.ModuleListener) {
	captured := s.d.peers.Listen(l.UnixListener, peer.Scope{Name: l.Name, Module: l.Module})
	serve := s.raw[l.Name]
	if serve == nil {
		captured = httpapi.RepairHosts(captured)
		serve = s.servers[l.Name].Serve
	}
	s.serving[l.UnixListener] = captured
	s.wg.Go(func() {
		err := serve(captured)
		s.mu.Lock()
		delete(s.serving, l.UnixListener)
		closing := s.closing
		s.mu.Unlock()
		if l.Module == "" && !closing && !errors.Is(err, http.ErrServerClosed) {
			// Without a shared socket edged is of no use; the service manager starts it again.
			select {
			case s.d.failed <- err:
			default:
			}
		}
	})
}

// close lets requests under way end, until ctx does, and then cuts them off. What nobody has accepted yet waits for the next edged; what was accepted is
// answered, also when its request was not read yet: http.Server drops such ones once Shutdown has begun, and so does not begin with it.
func (s *sockets) close(ctx context.Context) {
	s.mu.Lock()
	s.closing = true
	for _, l := range s.serving {
		if l != nil {
			_ = l.Close()
		}
	}
	s.mu.Unlock()
	s.wg.Wait()
	for _, server := range s.servers {
		server.SetKeepAlivesEnabled(false) // each connection ends with its answer, idle ones now
	}
	settling, cancel := context.WithTimeout(ctx, settle)
	defer cancel()
	s.connections.wait(settling)
	var wg sync.WaitGroup
	for _, server := range s.servers {
		wg.Go(func() {
			if server.Shutdown(ctx) != nil {
				_ = server.Close()
			}
		})
	}
	wg.Wait()
}
