package framework

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
)

// Server takes the agent's connections. The newest is the one that counts.
type Server struct {
	// Admit says whether a connection is the OSGi host's, from what the kernel says of it.
	Admit func(ctx context.Context, conn net.Conn) error
	// Connected is given each session, and returns at once.
	Connected func(s *Session)
	Log       logrus.FieldLogger

	once   sync.Once
	ctx    context.Context //nolint:containedctx // it ends connections that Close has to end
	stop   context.CancelFunc
	wg     sync.WaitGroup
	mu     sync.Mutex
	newest *Session
	lines  quota // of the log, about connections
}

// logs says whether there is to be a line about another connection: a bundle can make them without end.
func (s *Server) logs() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ctx.Err() == nil && s.lines.allow(time.Now())
}

// connectionsAtOnce bounds connections that were not found out about yet: each is a
// goroutine, and any bundle can connect.
const connectionsAtOnce = 4

func (s *Server) init() {
	s.once.Do(func() { s.ctx, s.stop = context.WithCancel(context.Background()) })
}

// Serve takes connections until the listener is closed.
func (s *Server) Serve(l net.Listener) error {
	s.init()
	slots := make(chan struct{}, connectionsAtOnce)
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		select {
		case slots <- struct{}{}:
		default:
			_ = conn.Close()
			continue
		}
		s.wg.Go(func() {
			session := s.greet(conn)
			<-slots
			if session != nil {
				s.hold(session)
			}
		})
	}
}

// greet makes a session of a connection, and closes it when it is none.
func (s *Server) greet(conn net.Conn) *Session {
	ctx, cancel := context.WithTimeout(s.ctx, 2*helloTimeout)
	defer cancel()
	end := context.AfterFunc(s.ctx, func() { _ = conn.Close() })
	defer end()
	err := s.Admit(ctx, conn)
	var session *Session
	if err == nil {
		session, err = start(ctx, conn, s.Log)
	}
	if err != nil {
		_ = conn.Close()
		if s.logs() {
			s.Log.WithError(err).Warn("a connection to the socket of the OSGi host is of no use")
		}
		return nil
	}
	return session
}

// hold gives a session to who uses it, and keeps it until it ends.
func (s *Server) hold(session *Session) {
	told := s.logs()
	if told {
		s.Log.Infof("the OSGi framework runs: %s, %d bundles", session.Describe(), len(session.Picture().All))
	}
	if told && session.hello.Recovered != "" {
		s.Log.Warnf("the OSGi framework could not read what it had, and began anew: %s", cut(session.hello.Recovered))
	}
	s.mu.Lock()
	if s.newest != nil {
		s.newest.close(errors.New("the OSGi host has connected anew"))
	}
	s.newest = session
	s.Connected(session) // in the same order, or one that was closed here would be the last there
	s.mu.Unlock()
	select {
	case <-session.Done():
		if told && s.ctx.Err() == nil {
			s.Log.Warn("the OSGi framework is gone")
		}
	case <-s.ctx.Done():
		session.close(errors.New("edged is stopping"))
		<-session.Done()
	}
}

// Close ends all connections and waits for it, within reason. The listener is the caller's to close, before.
func (s *Server) Close() {
	s.init()
	s.stop()
	ended := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(closeTimeout):
	}
}

// closeTimeout bounds the wait for connections to end.
const closeTimeout = 5 * time.Second
