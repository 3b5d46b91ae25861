package tpm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpm2/transport/linuxtpm"
)

// Times of one use of the TPM, which is some commands. Slow ones take half a second
// for a signature and seconds for a key.
const (
	useTimeout = 30 * time.Second
	// closeTimeout is how long Close waits for a command that hangs in the kernel.
	closeTimeout = 5 * time.Second
)

// device is a TPM and the one goroutine that speaks to it: a TPM does one thing at a
// time, and a read of its device cannot be cut short, only be waited for no longer.
type device struct {
	path string
	jobs chan func(transport.TPM)
	done chan struct{}
}

// openDevice opens a character device of the kernel, or the socket of an emulator.
// Errors: errdefs.NotFound, errdefs.Unavailable.
func openDevice(path string) (*device, error) {
	tpm, err := connect(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no TPM at %s: %w", path, errdefs.ErrUnavailable)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open TPM %s (%w): %w", path, err, errdefs.ErrUnavailable)
	}
	d := &device{path: path, jobs: make(chan func(transport.TPM)), done: make(chan struct{})}
	go func() {
		defer close(d.done)
		for job := range d.jobs {
			job(tpm)
		}
		_ = tpm.Close()
	}()
	return d, nil
}

func connect(path string) (transport.TPMCloser, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if st.Mode()&fs.ModeSocket == 0 {
		tpm, err := linuxtpm.Open(path)
		if err != nil {
			return nil, err
		}
		return patient{tpm}, nil
	}
	tpm := patient{socket(path)}
	return tpm, flushAll(tpm)
}

// patient sends a command again that the TPM could not begin yet.
type patient struct{ transport.TPMCloser }

// Times of what a TPM does before it begins: it tests an algorithm, mostly.
const (
	firstPause = 2 * time.Millisecond
	patience   = 10 * time.Second
)

// Send is transport.TPM's. TPM 2.0 Library, Part 1, 39.4 asks for TPM_RC_RETRY,
// TPM_RC_TESTING and TPM_RC_YIELDED to be answered so.
func (p patient) Send(command []byte) ([]byte, error) {
	for wait := firstPause; ; wait *= 2 {
		answer, err := p.TPMCloser.Send(command)
		if err != nil || len(answer) < 10 || wait > patience {
			return answer, err
		}
		switch tpm2.TPMRC(binary.BigEndian.Uint32(answer[6:10])) {
		case tpm2.TPMRCRetry, tpm2.TPMRCTesting, tpm2.TPMRCYielded:
			time.Sleep(wait)
		default:
			return answer, nil
		}
	}
}

// flushAll frees what an edged that was killed left in the TPM. The kernel does it
// for each opener of /dev/tpmrm0, an emulator does not.
func flushAll(tpm transport.TPM) error {
	const transient = 0x80000000 // TPM 2.0 Library, Part 2, 7.2: TPM_HT_TRANSIENT
	for _, first := range []uint32{transient, 0x02000000 /* TPM_HT_HMAC_SESSION */} {
		got, err := tpm2.GetCapability{Capability: tpm2.TPMCapHandles, Property: first, PropertyCount: 16}.Execute(tpm)
		if err != nil {
			return err
		}
		handles, err := got.CapabilityData.Data.Handles()
		if err != nil {
			return err
		}
		for _, h := range handles.Handle {
			if uint32(h)>>24 == first>>24 {
				_, _ = tpm2.FlushContext{FlushHandle: h}.Execute(tpm)
			}
		}
	}
	return nil
}

// socket is an emulator's socket. It takes one command a connection.
type socket string

// Send sends a command and returns the answer.
func (s socket) Send(command []byte) ([]byte, error) {
	conn, err := net.DialTimeout("unix", string(s), useTimeout)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(useTimeout)); err != nil {
		return nil, err
	}
	if _, err := conn.Write(command); err != nil {
		return nil, err
	}
	answer := make([]byte, 4096) // more than TPM2_MAX_RESPONSE_SIZE
	n, err := conn.Read(answer)
	return answer[:n], err
}

// Close has nothing to close.
func (s socket) Close() error { return nil }

// use runs job with the TPM and waits for it, until ctx ends or for useTimeout. A job
// that is waited for no longer goes on: what it returns is dropped, and so it must not
// write elsewhere. Errors: the job's, errdefs.Unavailable.
func use[T any](ctx context.Context, d *device, job func(transport.TPM) (T, error)) (T, error) {
	type outcome struct {
		value T
		err   error
	}
	ctx, cancel := context.WithTimeout(ctx, useTimeout)
	defer cancel()
	result := make(chan outcome, 1)
	var none T
	select {
	case d.jobs <- func(tpm transport.TPM) {
		value, err := job(tpm)
		result <- outcome{value, err}
	}:
	case <-ctx.Done():
		return none, d.late()
	}
	select {
	case o := <-result:
		return o.value, d.explain(o.err)
	case <-ctx.Done():
		return none, d.late()
	}
}

func (d *device) late() error {
	return fmt.Errorf("TPM %s does not answer: %w", d.path, errdefs.ErrUnavailable)
}

// explain gives an error its class, and words of its own where an operator can mend it.
func (d *device) explain(err error) error {
	var network net.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, tpm2.TPMRCBadAuth), errors.Is(err, tpm2.TPMRCAuthFail):
		return fmt.Errorf("TPM %s refuses its storage hierarchy: the owner has a password, which has to be empty (tpm2_changeauth -c o): %w", d.path, errdefs.ErrFailedPrecondition)
	case errors.Is(err, tpm2.TPMRCIntegrity):
		return &foreign{d.path}
	case errors.As(err, &network), errors.Is(err, tpm2.TPMRCRetry), errors.Is(err, tpm2.TPMRCInitialize):
		return fmt.Errorf("TPM %s does not answer (%w): %w", d.path, err, errdefs.ErrUnavailable)
	}
	return fmt.Errorf("TPM %s: %w", d.path, err)
}

// foreign is the error of a key that another TPM made.
type foreign struct{ path string }

func (e *foreign) Error() string {
	return fmt.Sprintf("the keys were made in another TPM than %s, or its storage hierarchy was cleared since (a firmware set-up does that); "+
		"they never leave the TPM, so this device has to go back to it or begin anew with \"edged --new-keys\"", e.path)
}

// Unwrap gives it its class.
func (e *foreign) Unwrap() error { return errdefs.ErrFailedPrecondition }

// close ends the goroutine, waiting for a command that is under way for a while.
func (d *device) close() error {
	close(d.jobs)
	select {
	case <-d.done:
		return nil
	case <-time.After(closeTimeout):
		return d.late()
	}
}
