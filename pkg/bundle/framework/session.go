package framework

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/containerd/errdefs"
	"github.com/sirupsen/logrus"

	"github.com/edged/edged/pkg/bundle"
)

const (
	// maxLine is the longest line that is read, in bytes.
	maxLine = 16 << 20
	// maxBundles bounds what is kept of a framework.
	maxBundles = 10_000
	// helloTimeout is how long a connection may take to say what it is, and stallTimeout how
	// long a piece of a bundle may take to be read there.
	helloTimeout = 10 * time.Second
	stallTimeout = 30 * time.Second
	// requestsAtOnce is below what the agent takes.
	requestsAtOnce = 32
	piece          = 256 << 10
)

// Session is one connection of the agent. It is safe for concurrent use.
type Session struct {
	conn  net.Conn
	hello hello
	log   logrus.FieldLogger
	slots chan struct{}

	writing chan struct{} // had by whoever sends a request

	mu      sync.Mutex
	next    uint64
	waiting map[uint64]chan line
	cause   error

	trouble quota // the reader's own

	picture atomic.Pointer[bundle.Picture]
	done    chan struct{}
}

var _ bundle.Framework = (*Session)(nil)

// start takes the agent's hello and asks what bundles there are. The session then reads until
// run's caller closes it or the connection ends.
func start(ctx context.Context, conn net.Conn, log logrus.FieldLogger) (*Session, error) {
	s := &Session{conn: conn, log: log, slots: make(chan struct{}, requestsAtOnce), writing: make(chan struct{}, 1), waiting: map[uint64]chan line{}, done: make(chan struct{})}
	s.picture.Store(&bundle.Picture{})
	in := bufio.NewReaderSize(conn, 64<<10)
	if err := conn.SetReadDeadline(time.Now().Add(helloTimeout)); err != nil {
		return nil, err
	}
	text, err := readLine(in)
	if err == nil {
		err = json.Unmarshal(text, &s.hello)
	}
	if err != nil || s.hello.Hello != 1 {
		return nil, fmt.Errorf("the OSGi host does not say which protocol it speaks: %w", errors.Join(err, errdefs.ErrUnavailable))
	}
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		return nil, err
	}
	go s.read(in)
	ctx, cancel := context.WithTimeout(ctx, helloTimeout)
	defer cancel()
	var all some[bundle.Actual]
	if err := s.ask(ctx, request{Op: "list"}, nil, &all); err != nil {
		s.close(err)
		<-s.done
		return nil, err
	}
	return s, nil
}

// close ends the session; the first cause is what requests under way end with.
func (s *Session) close(cause error) {
	s.mu.Lock()
	if s.cause == nil {
		s.cause = fmt.Errorf("the connection to the OSGi framework ended: %w: %w", cause, errdefs.ErrUnavailable)
	}
	s.mu.Unlock()
	_ = s.conn.Close()
}

// Done is closed when the connection has ended.
func (s *Session) Done() <-chan struct{} { return s.done }

// Picture is what the framework has.
func (s *Session) Picture() *bundle.Picture { return s.picture.Load() }

// Run is what the agent calls its run.
func (s *Session) Run() string { return s.hello.Session }

// JavaLevel is that of the framework's Java.
func (s *Session) JavaLevel() int { return s.hello.JavaLevel }

// Describe names the framework for the log.
func (s *Session) Describe() string {
	return fmt.Sprintf("%s %s on Java %s", cut(s.hello.Framework), cut(s.hello.Version), cut(s.hello.Java))
}

// read takes lines in until the connection ends.
func (s *Session) read(in *bufio.Reader) {
	defer close(s.done)
	for {
		text, err := readLine(in)
		if err == nil {
			err = s.take(text)
		}
		if err != nil {
			s.close(err)
			s.mu.Lock()
			defer s.mu.Unlock()
			for id, c := range s.waiting {
				close(c)
				delete(s.waiting, id)
			}
			return
		}
	}
}

// readLine reads one line, without its end.
func readLine(in *bufio.Reader) ([]byte, error) {
	var text []byte
	for {
		part, err := in.ReadSlice('\n')
		if len(text)+len(part) > maxLine {
			return nil, fmt.Errorf("the OSGi host sends a line of more than %d bytes", maxLine)
		}
		text = append(text, part...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(text) > 0:
			return nil, io.ErrUnexpectedEOF
		case err != nil:
			return nil, err
		default:
			return text[:len(text)-1], nil
		}
	}
}

// take is for one line: an answer, or an event.
func (s *Session) take(text []byte) error {
	var l line
	if err := json.Unmarshal(text, &l); err != nil {
		return fmt.Errorf("the OSGi host sends what is no JSON: %w", err)
	}
	switch {
	case l.ID != nil:
		return s.answer(*l.ID, l)
	case l.Event == "bundle" && l.Bundle != nil:
		return s.update(*l.Bundle)
	case l.Event == "framework" && (l.Type == "ERROR" || l.Type == "WARNING") && s.trouble.allow(time.Now()):
		log := s.log.WithField("text", cut(l.Text))
		if l.Bundle != nil {
			log = log.WithField("bundle", cut(l.Bundle.Location))
		}
		log.Warn("the OSGi framework reports trouble")
	}
	return nil
}

// answer takes in what an answer says of bundles before it wakes who waits: what is asked
// after an operation shows its end.
func (s *Session) answer(id uint64, l line) error {
	s.mu.Lock()
	c := s.waiting[id]
	delete(s.waiting, id)
	s.mu.Unlock()
	var one bundle.Actual
	var all some[bundle.Actual]
	switch {
	case len(l.OK) > 0 && l.OK[0] == '[':
		err := json.Unmarshal(l.OK, &all)
		if err == nil && len(all) > 0 && all[0].State != "" {
			err = s.replace(all)
		} else if !errors.Is(err, errTooMany) {
			err = nil // it is a list of something else
		}
		if err != nil {
			return err
		}
	case len(l.OK) > 0 && l.OK[0] == '{' && json.Unmarshal(l.OK, &one) == nil && one.State != "":
		if err := s.update(one); err != nil {
			return err
		}
	}
	if c != nil {
		c <- l
	}
	return nil
}

// replace makes a list the picture.
func (s *Session) replace(all []bundle.Actual) error {
	if len(all) > maxBundles {
		return errTooMany
	}
	p := &bundle.Picture{All: all, ByLocation: make(map[string]bundle.Actual, len(all))}
	for _, a := range all {
		if len(a.Location)+len(a.SymbolicName)+len(a.Version)+len(a.Digest)+len(a.State) > maxText {
			return fmt.Errorf("the OSGi framework has a bundle that says more than %d bytes of itself", maxText)
		}
		p.ByLocation[a.Location] = a
	}
	s.picture.Store(p)
	return nil
}

// update puts one bundle into the picture. Only the reader calls it.
func (s *Session) update(a bundle.Actual) error {
	old := s.picture.Load()
	all := make([]bundle.Actual, 0, len(old.All)+1)
	placed := a.State == bundle.Uninstalled
	for _, b := range old.All {
		if !placed && b.ID >= a.ID {
			all, placed = append(all, a), true
		}
		if b.ID != a.ID {
			all = append(all, b)
		}
	}
	if !placed {
		all = append(all, a)
	}
	return s.replace(all)
}

// cut makes a text of the framework's fit for a log and an answer.
func cut(text string) string {
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "..."
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, text)
}
