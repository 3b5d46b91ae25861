//go:build cockpit

// Package cockpit drives the page for Cockpit as its users do: in a browser, signed in to a
// real Cockpit of each Debian that it is for, before a real device.
package cockpit

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/device"
)

// password is that of all users of the test's Cockpit; see serve.sh.
const password = "secret"

// roots is where contrib/setup/cockpit-root.sh keeps what it made.
const roots = "/var/cache/edged-test"

// console is a Cockpit before a device.
type console struct {
	t   *testing.T
	url string
	// root is where its file system is seen from outside.
	root string
}

// newConsole starts the Cockpit of a Debian, until the test ends.
func newConsole(t *testing.T, d *device.Device, suite string) *console {
	t.Helper()
	root := filepath.Join(roots, "cockpit-"+suite)
	out, err := exec.Command(filepath.Join(device.Repository(), "contrib/setup/cockpit-root.sh"), suite, root).CombinedOutput()
	require.NoErrorf(t, err, "%s", out)
	group, err := user.LookupGroup("edged")
	require.NoError(t, err, "make deps-test makes the group")

	port := freePort(t)
	log, err := os.Create(filepath.Join(t.TempDir(), "cockpit-ws"))
	require.NoError(t, err)
	defer log.Close()
	cmd := exec.Command(filepath.Join(device.Repository(), "tests/cockpit/serve.sh"),
		root, t.TempDir(), d.Run, filepath.Join(d.Root, "config.toml"), device.Repository(), fmt.Sprint(port), group.Gid)
	// The mounts go with the processes, and the bridges end when the web server does. A process-id namespace would end them for sure, but to
	// edged nobody in one is a user of the host. Unshareflags has the mounts made private, too.
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Setpgid: true}
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-ended
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("---- cockpit-ws of %s ----\n%s", suite, text)
		}
	})
	c := &console{t: t, url: fmt.Sprintf("http://127.0.0.1:%d", port), root: fmt.Sprintf("/proc/%d/root", cmd.Process.Pid)}
	client := http.Client{Timeout: time.Second}
	d.Eventually("Cockpit of "+suite+" answers", func() bool {
		select {
		case <-ended:
			require.FailNow(t, "serve.sh ended")
		default:
		}
		res, err := client.Get(c.url + "/ping")
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
	return c
}

// with is the same Cockpit in a sub-test, which fails by itself.
func (c *console) with(t *testing.T) *console {
	sub := *c
	sub.t = t
	return &sub
}

func freePort(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
