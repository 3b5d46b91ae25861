package engine

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/device"
)

// What a start finds may be other than what the create found.

func TestAStartLooksAtThePresent(t *testing.T) {
	d := device.New(t, device.Options{Network: true})
	t.Run("a device is looked for again", func(t *testing.T) { lookForDevices(t, d.For(t)) })
	t.Run("a module joins another that runs and none that does not", func(t *testing.T) { joinWhatRuns(t, d.For(t)) })
}

func TestATerminalsOutputIsStoredOverRestartsAlsoInASharedShim(t *testing.T) {
	d := device.New(t, device.Options{Network: true, Config: "[containerd]\nshared_shim = true\n"})
	startScript(d, "console", `{"Tty":true,"StopTimeout":0}`, "echo ready; exec /bin/probe sleep")
	for runs := 2; runs <= 3; runs++ {
		d.Post("console", "restart")
		d.Eventually("the next run's output is there", func() bool { return strings.Count(d.Logs("console", ""), "ready\r\n") == runs })
	}
	m, _ := d.Get("console")
	require.Equal(t, "running", m.Status.RuntimeStatus.Status)
	d.Eventually("the loggers of runs that ended are gone", func() bool { return loggers(d) == 2 }) // the agent's and this one's
}

// loggers counts this device's.
func loggers(d *device.Device) int {
	n := 0
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range lines {
		b, _ := os.ReadFile(file)
		if args := strings.Split(string(b), "\x00"); strings.HasSuffix(args[0], "/edged-logger") && strings.Contains(string(b), d.Root) {
			n++
		}
	}
	return n
}

func lookForDevices(t *testing.T, d *device.Device) {
	link := filepath.Join(d.Root, "by-id")
	require.NoError(t, os.Symlink("/dev/tty61", link))
	startScript(d, "reader", `{"StopTimeout":0,"HostConfig":{"Devices":[{"PathOnHost":"`+link+`","PathInContainer":"/dev/adapter"}]}}`,
		"stat -c 'ready %t:%T' /dev/adapter; true </dev/adapter && echo opened; exec /bin/probe sleep")
	require.Contains(t, d.Logs("reader", ""), "ready 4:3d\n")
	require.NoError(t, os.Remove(link))
	a := d.Host("POST", "/modules/reader/restart?"+device.Version, "")
	require.Equal(t, http.StatusBadRequest, a.Status, a.Body)
	require.Contains(t, a.Message(), "HostConfig.Devices")
	require.NoError(t, os.Symlink("/dev/tty60", link)) // plugged in again, it is another
	d.Post("reader", "start")
	d.Eventually("it has the device", func() bool { return strings.Count(d.Logs("reader", ""), "opened\n") == 2 })
	require.Contains(t, d.Logs("reader", ""), "ready 4:3c\n")
}

func joinWhatRuns(t *testing.T, d *device.Device) {
	atOnce := func(top, _ map[string]any) { top["StopTimeout"] = 0 } // its first process may not have a handler yet
	d.CreateAndStart(device.WithOptions(d.CommandSpec("host-of-it", "sleep"), atOnce))
	d.Post("host-of-it", "stop")
	spec := device.WithOptions(d.CommandSpec("joins", "sleep"), func(top, host map[string]any) {
		atOnce(top, host)
		host["PidMode"] = "container:host-of-it"
	})
	d.Create(spec)
	a := d.Host("POST", "/modules/joins/start?"+device.Version, "")
	require.Equal(t, http.StatusConflict, a.Status, a.Body)
	require.Contains(t, a.Message(), "host-of-it")
	for range 2 { // each run of it has another first process
		d.Post("host-of-it", "restart")
		d.Post("joins", "restart")
		d.WaitFor("joins", "running")
	}
}
