package bench

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/device"
)

// signEnv makes the test binary a server that signs for whoever asks, with descriptor 3 as its listener.
const signEnv = "EDGED_BENCH_SIGN"

// The routes of that server.
const (
	// bareReady reads the body and answers bytes of a signature's length that are ready.
	bareReady = "/ready"
	// bareHMAC decodes the same JSON and base64 as edged does, computes HMAC-SHA256 under one key, and encodes the answer: what signing costs when nobody asks who asks.
	bareHMAC = "/hmac"
)

// newBareSigner starts the baseline of signing, in a process of its own, on a socket that
// the module finds at the path returned.
func newBareSigner(b *testing.B, d *device.Device, module string) string {
	b.Helper()
	socket := filepath.Join(d.ProbeDir(module), "bare.sock")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	require.NoError(b, err)
	file, err := listener.File()
	require.NoError(b, err)
	defer file.Close()
	listener.SetUnlinkOnClose(false)
	require.NoError(b, listener.Close())
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), signEnv+"=1")
	cmd.ExtraFiles = []*os.File{file}
	cmd.Stderr = os.Stderr
	require.NoError(b, cmd.Start())
	b.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return "/probe/bare.sock"
}

func serveSigner() {
	key := make([]byte, 32)
	ready, err := json.Marshal(map[string]string{"digest": base64.StdEncoding.EncodeToString(key)})
	fatal(err)
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+bareReady, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		answer(w, ready)
	})
	mux.HandleFunc("POST "+bareHMAC, func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			KeyID string `json:"keyId"`
			Algo  string `json:"algo"`
			Data  string `json:"data"`
		}
		text, err := io.ReadAll(r.Body)
		fatal(err)
		fatal(json.Unmarshal(text, &body))
		data, err := base64.StdEncoding.DecodeString(body.Data)
		fatal(err)
		mac := hmac.New(sha256.New, key)
		mac.Write(data)
		text, err = json.Marshal(map[string]string{"digest": base64.StdEncoding.EncodeToString(mac.Sum(nil))})
		fatal(err)
		answer(w, text)
	})
	listener, err := net.FileListener(os.NewFile(3, "listener"))
	fatal(err)
	fatal(http.Serve(listener, mux)) //nolint:gosec // without time limits, as bare as can be
}
