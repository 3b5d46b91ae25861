package token

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/edged/edged/pkg/keystore/token/protocol"
	"github.com/edged/edged/pkg/mountns"
)

// Times of the helper.
const (
	// callTimeout bounds one request; a card may need seconds to make a key.
	callTimeout = 20 * time.Second
	// pause is between a start that failed and the next.
	pause = time.Second
	// exitTimeout is how long a helper whose socket was closed has to end.
	exitTimeout = 2 * time.Second
	// lastWords is how long what an ended helper said is read.
	lastWords = 100 * time.Millisecond
)

// helper is one run of edged-pkcs11.
type helper struct {
	conn net.Conn
	cmd  *exec.Cmd
	done chan struct{}
}

// start runs the program. It inherits its end of a socket pair and nothing else.
func start(program string, mounts *mountns.Namespace, warn func(format string, args ...any)) (*helper, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	mine, theirs := os.NewFile(uintptr(pair[0]), "edged"), os.NewFile(uintptr(pair[1]), "edged-pkcs11")
	defer mine.Close()
	defer theirs.Close()
	conn, err := net.FileConn(mine)
	if err != nil {
		return nil, err
	}
	said, saying, err := os.Pipe()
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	defer saying.Close()
	h := &helper{conn: conn, cmd: exec.Command(program), done: make(chan struct{})}
	h.cmd.ExtraFiles = []*os.File{theirs}
	h.cmd.Stdout, h.cmd.Stderr = saying, saying
	h.cmd.Env = environment()
	if err := mounts.Run(h.cmd.Start); err != nil {
		_, _ = conn.Close(), said.Close()
		return nil, err
	}
	go func() {
		defer close(h.done)
		told := make(chan struct{})
		go func() {
			defer close(told)
			tell(said, warn)
		}()
		_ = h.cmd.Wait()
		// What the token's library started may hold the pipe for ever.
		_ = said.SetReadDeadline(time.Now().Add(lastWords))
		<-told
	}()
	return h, nil
}

// environment is edged's own, by which libraries of tokens find their settings, but
// for the credentials, which are none of theirs.
func environment() []string {
	var all []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "CREDENTIALS_DIRECTORY=") {
			all = append(all, e)
		}
	}
	return all
}

// tell passes on what the program and the token's library say.
func tell(said *os.File, warn func(format string, args ...any)) {
	defer said.Close()
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		warn("edged-pkcs11: %s", lines.Text())
	}
	_, _ = io.Copy(io.Discard, said) // a line too long must not block it
}

// alive says that it has not ended yet.
func (h *helper) alive() bool {
	select {
	case <-h.done:
		return false
	default:
		return true
	}
}

// ask sends a request and reads the answer, until the deadline of ctx or for
// callTimeout. It goes on when ctx is cancelled: a client that leaves must not cost
// all others a new helper. After an error of the socket the helper is of no more use.
func (h *helper) ask(ctx context.Context, request *protocol.Request) (*protocol.Answer, error) {
	deadline := time.Now().Add(callTimeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	if err := h.conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	if err := protocol.Write(h.conn, request); err != nil {
		return nil, err
	}
	answer := new(protocol.Answer)
	return answer, protocol.Read(h.conn, answer)
}

// end closes the socket, which ends the program, and kills it when it does not.
func (h *helper) end() {
	_ = h.conn.Close()
	timer := time.NewTimer(exitTimeout)
	defer timer.Stop()
	select {
	case <-h.done:
	case <-timer.C:
		h.kill()
	}
}

func (h *helper) kill() {
	_ = h.conn.Close()
	_ = h.cmd.Process.Kill()
	<-h.done
}

// classError turns an answer's error into one of a class.
func classError(a *protocol.Answer) error {
	var class error = errdefs.ErrFailedPrecondition
	switch a.Class {
	case "":
		if a.Error == "" {
			return nil
		}
	case protocol.NotFound:
		class = errdefs.ErrNotFound
	case protocol.PINRefused:
		return &refused{a.Error}
	case protocol.Unavailable:
		class = errdefs.ErrUnavailable
	}
	return fmt.Errorf("%s: %w", a.Error, class)
}

// refused is a PIN that the token did not take.
type refused struct{ cause string }

func (r *refused) Error() string { return "the token refuses the PIN: " + r.cause }

// Unwrap gives it its class.
func (r *refused) Unwrap() error { return errdefs.ErrFailedPrecondition }

// late says that an error of the socket is a deadline's.
func late(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
