package network

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/device"
	"github.com/edged/edged/tests/systemd/nspawn"
)

// TestModulesAreReachedBesideFirewalld: it refuses to forward what is of no zone that
// trusts, beside what iptables says.
func TestModulesAreReachedBesideFirewalld(t *testing.T) {
	t.Parallel()
	bin := t.TempDir()
	d := device.New(t, device.Options{Network: true, Env: []string{"PATH=" + bin + ":" + os.Getenv("PATH")}})
	ask := firewalld(t, d, bin)
	require.Equal(t, "public", ask("--get-default-zone"))
	d.CreateAndStart(device.WithOptions(d.Spec("server"), func(_, host map[string]any) { bind(host, "", "8080") }))
	d.CreateAndStart(d.Spec("client"))
	serve(t, d, "server", "tcp", "80")
	require.Equal(t, "trusted", ask("--get-zone-of-interface="+d.Bridge()))

	l := d.ListenNeighbour("tcp", device.NeighbourAddress+":9000")
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("outside"))
			_ = c.Close()
		}
	}()
	out := func() string { return dialFrom(t, d, "client", "tcp", device.NeighbourAddress+":9000") }
	in := func() string {
		c, err := d.DialNeighbour(t.Context(), "tcp", device.HostAddress+":8080")
		return told(c, err, "tcp")
	}
	require.Equal(t, "outside", out())
	require.Contains(t, in(), "server ")
	require.Contains(t, dialFrom(t, d, "client", "tcp", "server:80"), "server ")

	ask("--zone=trusted", "--remove-interface="+d.Bridge())
	require.Contains(t, out(), "error", "without its zone a module is cut off: else the test shows nothing")
}

// startFirewalld starts firewalld and the bus it answers on in a mount namespace, from
// the Debian that the systemd tests boot.
const startFirewalld = `set -eu
root=$1 folder=$2
mount -t tmpfs tmpfs "$folder"
mkdir "$folder/upper" "$folder/work" "$folder/root"
mount -t overlay -o "lowerdir=$root,upperdir=$folder/upper,workdir=$folder/work" overlay "$folder/root"
cd "$folder/root"
mount -t tmpfs tmpfs run
mkdir run/dbus run/firewalld
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
chroot . dbus-daemon --system --fork
exec chroot . firewalld --nofork --nopid
`

// firewalld runs firewalld in the device's network until the test ends, and returns
// firewall-cmd, which edged finds in bin.
func firewalld(t *testing.T, d *device.Device, bin string) func(args ...string) string {
	t.Helper()
	folder, program := t.TempDir(), filepath.Join(bin, "firewall-cmd")
	var log strings.Builder
	// What is started there ends with the first process of its PID namespace.
	cmd := exec.Command("nsenter", "--net="+d.NetNS(), "unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child",
		"sh", "-c", startFirewalld, "sh", nspawn.Root(t, nspawn.Bookworm), folder)
	cmd.Stdout, cmd.Stderr = &log, &log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log("firewalld: " + log.String())
		}
	})
	d.Eventually("firewalld answers", func() bool {
		child, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", cmd.Process.Pid))
		require.NoError(t, err)
		if len(child) == 0 {
			return false
		}
		text := "#!/bin/sh\nexec nsenter --target=" + strings.TrimSpace(string(child)) + " --mount chroot " + folder + "/root firewall-cmd \"$@\"\n"
		require.NoError(t, os.WriteFile(program, []byte(text), 0o755))
		return exec.Command(program, "--state").Run() == nil
	})
	return func(args ...string) string {
		t.Helper()
		out, err := exec.Command(program, args...).CombinedOutput()
		require.NoErrorf(t, err, "firewall-cmd %s: %s", args, out)
		return strings.TrimSpace(string(out))
	}
}
