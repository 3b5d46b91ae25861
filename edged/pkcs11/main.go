//go:build cgo

// Command edged-pkcs11 speaks for edged to a PKCS#11 token. edged starts it, with
// one end of a socket pair as descriptor 3, and tells it over that which token to
// open and with which PIN: nothing of it is in arguments or the environment. It ends
// with edged, and edged ends it when the token's library hangs.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/edged/edged/pkg/keystore/token/protocol"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	if kind, err := unix.GetsockoptInt(protocol.FD, unix.SOL_SOCKET, unix.SO_TYPE); err != nil || kind != unix.SOCK_STREAM {
		return errors.New("this program is started by edged, when [keystore] uri names a token")
	}
	unix.CloseOnExec(protocol.FD)
	// The PIN is in this process, and whoever may trace it could ask the token anyway; but it shall not be in a core file.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("cannot forbid core files: %w", err)
	}
	conn := os.NewFile(protocol.FD, "edged")
	requests := make(chan *protocol.Request)
	go read(conn, requests)
	k := new(keys)
	for request := range requests {
		if err := protocol.Write(conn, answer(k, request)); err != nil {
			return nil //nolint:nilerr // edged is gone, and so nobody waits for it
		}
	}
	return k.close()
}

// read passes requests on. It ends the program when edged ends, also while the
// library hangs: whoever else uses the token would have to wait for it.
func read(conn io.Reader, requests chan<- *protocol.Request) {
	for {
		request := new(protocol.Request)
		if err := protocol.Read(conn, request); err != nil {
			os.Exit(0)
		}
		requests <- request
	}
}

func answer(k *keys, r *protocol.Request) *protocol.Answer {
	data, err := k.do(r)
	if err == nil {
		return &protocol.Answer{Data: data}
	}
	class := protocol.Failed
	var known *classified
	if errors.As(err, &known) {
		class = known.class
	}
	return &protocol.Answer{Error: err.Error(), Class: class}
}
