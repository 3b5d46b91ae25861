package keystore

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// emulator is a TPM 2.0.
type emulator struct {
	t      *testing.T
	dir    string
	socket string
	cmd    *exec.Cmd
}

// newTPM makes a new TPM, with seeds of its own.
func newTPM(t *testing.T) *emulator {
	dir, err := os.MkdirTemp("", "tpm") // a socket's path is short
	require.NoError(t, err)
	e := &emulator{t: t, dir: dir, socket: filepath.Join(dir, "tpm.sock")}
	t.Cleanup(func() {
		e.stop()
		_ = os.RemoveAll(dir)
	})
	e.start()
	return e
}

func (e *emulator) uri() string { return "tpm2:" + e.socket }

func (e *emulator) start() {
	e.t.Helper()
	e.cmd = exec.Command("swtpm", "socket", "--tpm2", "--tpmstate", "dir="+e.dir, "--flags", "startup-clear",
		"--server", "type=unixio,path="+e.socket, "--ctrl", "type=unixio,path="+filepath.Join(e.dir, "ctrl.sock"))
	require.NoError(e.t, e.cmd.Start())
	require.Eventually(e.t, func() bool {
		conn, err := net.Dial("unix", e.socket)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}, 10*time.Second, 5*time.Millisecond, "swtpm answers")
}

// stop ends the TPM as a power cut does.
func (e *emulator) stop() {
	if e.cmd != nil {
		_ = e.cmd.Process.Signal(syscall.SIGKILL)
		_ = e.cmd.Wait()
		e.cmd = nil
	}
	_ = os.Remove(e.socket)
}

// pause makes the TPM hang.
func (e *emulator) pause(on bool) {
	sig := syscall.SIGCONT
	if on {
		sig = syscall.SIGSTOP
	}
	require.NoError(e.t, e.cmd.Process.Signal(sig))
}
