package check

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// How long one answer is waited for, and how often it is asked for: a datagram may be lost.
const (
	askTimeout = 2 * time.Second
	askTries   = 2
)

// noAnswer is the error of a server that did not say anything.
type noAnswer struct{ err error }

func (e *noAnswer) Error() string { return "no answer: " + e.err.Error() }

// silence is the *noAnswer in an error, nil without one.
func silence(err error) *noAnswer {
	var s *noAnswer
	errors.As(err, &s)
	return s
}

// ask asks a name server (RFC 1035) over a connected datagram socket: for a host's
// address or, without a name, for the servers of the root. The error is a *noAnswer when
// nothing came, and another when the server says that it cannot tell. Of the root any
// answer is a good one.
func ask(ctx context.Context, conn net.Conn, name string) error {
	id := uint16(rand.Uint32()) //nolint:gosec // it tells late answers apart, and who forges one gains nothing
	packet, err := question(id, name)
	if err != nil {
		return err
	}
	for range askTries {
		var code dnsmessage.RCode
		if code, err = exchange(ctx, conn, id, packet); err == nil {
			if name == "" || code == dnsmessage.RCodeSuccess {
				return nil
			}
			return errors.New(strings.ToLower(strings.TrimPrefix(code.String(), "RCode")))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return &noAnswer{plainCause(err)}
}

func question(id uint16, name string) ([]byte, error) {
	q := dnsmessage.Question{Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}
	if name == "" {
		q.Type = dnsmessage.TypeNS
	}
	var err error
	if q.Name, err = dnsmessage.NewName(strings.TrimSuffix(name, ".") + "."); err != nil {
		return nil, fmt.Errorf("cannot ask for %q: %w", name, err)
	}
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: id, RecursionDesired: true}, Questions: []dnsmessage.Question{q}}
	return m.Pack()
}

// exchange sends a question and returns the code of its answer.
func exchange(ctx context.Context, conn net.Conn, id uint16, packet []byte) (dnsmessage.RCode, error) {
	until := time.Now().Add(askTimeout)
	if end, ok := ctx.Deadline(); ok && end.Before(until) {
		until = end
	}
	if err := conn.SetDeadline(until); err != nil {
		return 0, err
	}
	if _, err := conn.Write(packet); err != nil {
		return 0, err
	}
	answer := make([]byte, 4096)
	for {
		n, err := conn.Read(answer)
		if err != nil {
			return 0, err
		}
		var p dnsmessage.Parser
		if h, err := p.Start(answer[:n]); err == nil && h.Response && h.ID == id {
			return h.RCode, nil
		}
		// What is no answer to this question is passed over, until the time is up.
	}
}

// plainCause is why a packet was not answered, without the addresses that stand beside it.
func plainCause(err error) error {
	var errno syscall.Errno
	switch {
	case errors.As(err, &errno):
		return errno
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("nothing within %s", askTries*askTimeout)
	}
	return err
}
