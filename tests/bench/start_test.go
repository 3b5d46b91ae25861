package bench

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/device"
)

// BenchmarkStart is from the connect of a first client, which wakes edged through socket
// activation, to the answer that client gets; against a bare server woken in the same way.
func BenchmarkStart(b *testing.B) {
	f := newFleet(b, "")
	running := fromEnv(b, "BENCH_RUNNING", 10)
	b.Run("empty", func(b *testing.B) { starts(b, f, 40) })
	b.Run("100-created", func(b *testing.B) {
		f.grow(b, 100)
		starts(b, f, 60)
	})
	b.Run(fmt.Sprintf("100-modules-%d-running", running), func(b *testing.B) {
		f.grow(b, 100)
		f.run(b, max(running, f.running))
		starts(b, f, 60)
	})
}

// starts ends edged and wakes it again, many times; at the end it runs as before.
func starts(b *testing.B, f *fleet, limit float64) {
	b.Helper()
	f.Edged.Signal(syscall.SIGTERM)
	bareServer := []string{os.Args[0]}
	listFile := filepath.Join(f.Root, "bare")
	require.NoError(b, os.WriteFile(listFile+".json", []byte(`{"modules":[{}]}`), 0o600))
	var edged, floor []time.Duration
	rounds(b, 15, func() {
		edged = append(edged, wake(b, f, nil, program("edged"), "--config", activatedConfig(b, f)))
		floor = append(floor, wake(b, f, []string{bareEnv + "=" + listFile}, bareServer...))
	})
	figure(b, "min-ms", ms(sorted(edged)[0]))
	figure(b, "bare-p50-ms", ms(median(floor)))
	atMost(b, "p50-ms", ms(median(edged)), limit)
	f.StartEdged()
	f.list(b)
}

// wake starts a program by a connection and returns the time to its answer.
func wake(b *testing.B, f *fleet, env []string, command ...string) time.Duration {
	b.Helper()
	folder := b.TempDir()
	sockets := []string{f.Management(), f.Workload()}
	if env != nil {
		sockets = []string{filepath.Join(f.Root, "bare.sock"), filepath.Join(f.Root, "bare2.sock")}
	}
	for _, s := range sockets {
		_ = os.Remove(s)
	}
	args := []string{"--listen=" + sockets[0], "--listen=" + sockets[1], "--fdname=edged.mgmt.socket:edged.workload.socket"}
	for _, kv := range env {
		args = append(args, "--setenv="+kv)
	}
	log, err := os.Create(filepath.Join(folder, "log"))
	require.NoError(b, err)
	defer log.Close()
	cmd := exec.Command("systemd-socket-activate", append(args, command...)...)
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(b, cmd.Start())
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}()
	f.Eventually("the sockets are there", func() bool {
		text, _ := os.ReadFile(log.Name())
		return strings.Count(string(text), "Listening on") == 2
	})
	began := time.Now()
	conn, err := net.Dial("unix", sockets[0])
	require.NoError(b, err)
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "GET /modules?%s HTTP/1.1\r\nHost: localhost\r\n\r\n", device.Version)
	require.NoError(b, err)
	answer := make([]byte, 64<<10)
	n, err := conn.Read(answer)
	took := time.Since(began)
	require.NoError(b, err)
	if !strings.HasPrefix(string(answer[:n]), "HTTP/1.1 200 ") {
		text, _ := os.ReadFile(log.Name())
		b.Fatalf("%s\n%s", answer[:n], text)
	}
	return took
}

// activatedConfig is the device's configuration with sockets from the service manager.
func activatedConfig(b *testing.B, f *fleet) string {
	b.Helper()
	text, err := os.ReadFile(filepath.Join(f.Root, "config.toml"))
	require.NoError(b, err)
	changed := strings.NewReplacer(
		f.Management(), "fd://edged.mgmt.socket", f.Workload(), "fd://edged.workload.socket",
	).Replace(string(text))
	file := filepath.Join(f.Root, "activated.toml")
	require.NoError(b, os.WriteFile(file, []byte(changed), 0o600))
	return file
}
