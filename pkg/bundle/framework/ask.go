package framework

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/pkg/bundle"
)

// ask sends a request, and waits for its answer as long as ctx lasts. With bytes the line is
// followed by them. Errors: *bundle.Refused, Unavailable, those of bytes' source.
func (s *Session) ask(ctx context.Context, r request, bytes io.Reader, into any) error {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return late(ctx, r.Op)
	}
	// A request behind the bytes of another waits for their end, and no longer than it may.
	select {
	case s.writing <- struct{}{}:
	case <-ctx.Done():
		return late(ctx, r.Op)
	}
	if ctx.Err() != nil {
		<-s.writing
		return late(ctx, r.Op) // nothing is begun that nobody waits for
	}
	id, answer, err := s.post(r, bytes)
	<-s.writing
	if err != nil {
		return err
	}
	select {
	case l, ok := <-answer:
		switch {
		case !ok:
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.cause
		case l.Error != nil:
			return l.Error.err()
		case into == nil:
			return nil
		}
		if err := json.Unmarshal(l.OK, into); err != nil {
			return fmt.Errorf("cannot read the OSGi framework's answer to %s: %w: %w", r.Op, err, errdefs.ErrUnavailable)
		}
		return nil
	case <-ctx.Done():
		s.forget(id)
		return late(ctx, r.Op)
	}
}

// post sends a request with a number of its own, and returns where its answer comes.
func (s *Session) post(r request, bytes io.Reader) (uint64, <-chan line, error) {
	s.mu.Lock()
	if s.cause != nil {
		s.mu.Unlock()
		return 0, nil, s.cause
	}
	s.next++
	r.ID = s.next
	c := make(chan line, 1)
	s.waiting[r.ID] = c
	s.mu.Unlock()
	if err := s.send(r, bytes); err != nil {
		s.forget(r.ID)
		// Half of a request was sent, and nobody knows which: another connection begins anew.
		s.close(err)
		return 0, nil, fmt.Errorf("cannot ask the OSGi framework: %w: %w", err, errdefs.ErrUnavailable)
	}
	return r.ID, c, nil
}

// late is of an answer that nobody waits for any longer.
func late(ctx context.Context, op string) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("the OSGi framework has not ended the operation %s in time, and goes on with it: %w", op, errdefs.ErrUnavailable)
	}
	return fmt.Errorf("nobody waits for the operation %s any longer: %w: %w", op, context.Cause(ctx), errdefs.ErrUnavailable)
}

func (s *Session) forget(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waiting, id)
}

// send writes a request as a whole. Each piece has its own deadline: a host that takes nothing
// any more is as good as gone.
func (s *Session) send(r request, bytes io.Reader) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := s.write(append(text, '\n')); err != nil || r.Size == nil {
		return err
	}
	buffer := make([]byte, min(piece, *r.Size+1))
	for left := *r.Size; left > 0; {
		n, err := io.ReadFull(bytes, buffer[:min(int64(len(buffer)), left)])
		if err != nil {
			return err
		}
		if err := s.write(buffer[:n]); err != nil {
			return err
		}
		left -= int64(n)
	}
	return nil
}

func (s *Session) write(p []byte) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(stallTimeout)); err != nil {
		return err
	}
	_, err := s.conn.Write(p)
	return err
}

// Ping asks nothing. Events are sent in order, so all from before its answer were taken in.
func (s *Session) Ping(ctx context.Context) error { return s.ask(ctx, request{Op: "ping"}, nil, nil) }

// Install makes a bundle of bytes.
func (s *Session) Install(ctx context.Context, location string, r io.Reader, size int64) (a bundle.Actual, err error) {
	err = s.ask(ctx, request{Op: "install", Location: location, Size: &size}, r, &a)
	return a, err
}

// Update gives a bundle other bytes.
func (s *Session) Update(ctx context.Context, id int64, r io.Reader, size int64) (a bundle.Actual, err error) {
	err = s.ask(ctx, request{Op: "update", Bundle: &id, Size: &size}, r, &a)
	return a, err
}

// Uninstall removes a bundle. Those that use it are left as they are.
func (s *Session) Uninstall(ctx context.Context, id int64) error {
	return s.ask(ctx, request{Op: "uninstall", Bundle: &id}, nil, nil)
}

// Start starts a bundle.
func (s *Session) Start(ctx context.Context, id int64) error {
	return s.ask(ctx, request{Op: "start", Bundle: &id}, nil, nil)
}

// Stop stops a bundle.
func (s *Session) Stop(ctx context.Context, id int64, transient bool) error {
	return s.ask(ctx, request{Op: "stop", Bundle: &id, Transient: transient}, nil, nil)
}

// SetStartLevel says from which level of the framework on a bundle is started.
func (s *Session) SetStartLevel(ctx context.Context, id int64, level int) error {
	return s.ask(ctx, request{Op: "setStartLevel", Bundle: &id, Level: level}, nil, nil)
}

// SetLevel lets the framework start what has up to that start level.
func (s *Session) SetLevel(ctx context.Context, level int) error {
	return s.ask(ctx, request{Op: "setFrameworkLevel", Level: level}, nil, nil)
}

// Refresh makes bundles anew.
func (s *Session) Refresh(ctx context.Context, ids ...int64) error {
	return s.ask(ctx, request{Op: "refresh", Bundles: ids}, nil, nil)
}

// Closure is bundles with all that use them.
func (s *Session) Closure(ctx context.Context, ids ...int64) ([]int64, error) {
	var all some[int64]
	err := s.ask(ctx, request{Op: "closure", Bundles: ids}, nil, &all)
	return all, err
}

// Users are the bundles that use one.
func (s *Session) Users(ctx context.Context, id int64) ([]int64, error) {
	var answer struct {
		Provides some[int64] `json:"provides"`
	}
	err := s.ask(ctx, request{Op: "wires", Bundle: &id}, nil, &answer)
	return answer.Provides, err
}
