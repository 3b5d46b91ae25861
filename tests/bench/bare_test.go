package bench

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/gorilla/mux"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/client/wire"
)

// bareEnv makes the test binary a bare server on this socket.
const bareEnv = "EDGED_BENCH_BARE"

// bare is the baseline of requests: gorilla/mux on a Unix socket in a process of its
// own, which answers the bytes that edged answered, without asking who asks.
type bare struct {
	socket string
	pid    int
}

// The routes of a bare server.
const (
	readyList   = "/modules"       // the list, as bytes that are ready
	encodedList = "/encoded"       // the list, encoded anew for each request
	readyOne    = "/modules/{one}" // one module, ready
	uploadBare  = "/upload"        // a file in a form
)

// newBare starts a server that answers this list, and one of its modules for /modules/...
func newBare(b *testing.B, list string) *bare {
	b.Helper()
	folder, err := os.MkdirTemp("", "edb")
	require.NoError(b, err)
	b.Cleanup(func() { _ = os.RemoveAll(folder) })
	socket := filepath.Join(folder, "s")
	require.NoError(b, os.WriteFile(socket+".json", []byte(list), 0o600))
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	require.NoError(b, err)
	file, err := listener.File()
	require.NoError(b, err)
	defer file.Close()
	listener.SetUnlinkOnClose(false)
	require.NoError(b, listener.Close())
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), bareEnv+"="+socket)
	cmd.ExtraFiles = []*os.File{file}
	cmd.Stderr = os.Stderr
	require.NoError(b, cmd.Start())
	b.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return &bare{socket, cmd.Process.Pid}
}

// serveBare is the server; its listener is descriptor 3.
func serveBare(socket string) {
	text, err := os.ReadFile(socket + ".json")
	fatal(err)
	var list wire.ModuleList
	fatal(json.Unmarshal(text, &list))
	one, err := json.Marshal(list.Modules[0])
	fatal(err)
	router := mux.NewRouter()
	router.HandleFunc(readyList, func(w http.ResponseWriter, _ *http.Request) { answer(w, text) }).Methods(http.MethodGet)
	router.HandleFunc(readyOne, func(w http.ResponseWriter, _ *http.Request) { answer(w, one) }).Methods(http.MethodGet)
	router.HandleFunc(encodedList, func(w http.ResponseWriter, _ *http.Request) {
		b, err := json.Marshal(list)
		fatal(err)
		answer(w, b)
	}).Methods(http.MethodGet)
	router.HandleFunc(uploadBare, bareUpload(filepath.Dir(socket))).Methods(http.MethodPost)
	listener, err := net.FileListener(os.NewFile(3, "listener"))
	fatal(err)
	fatal(http.Serve(listener, router)) //nolint:gosec // without time limits, as bare as can be
}

func answer(w http.ResponseWriter, b []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	_, _ = w.Write(b)
}

func fatal(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
