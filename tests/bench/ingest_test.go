package bench

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/device"
)

// copyEnv makes the test binary copy its standard input to this file: what a logger
// that does nothing to the lines would take.
const copyEnv = "EDGED_BENCH_COPY"

func copyToFile(path string) {
	f, err := os.Create(path) //nolint:gosec // the benchmark's own
	fatal(err)
	buffer := make([]byte, 64<<10)
	for {
		n, err := os.Stdin.Read(buffer)
		if err != nil {
			return
		}
		_, err = f.Write(buffer[:n])
		fatal(err)
	}
}

const (
	lineSize = 100
	million  = 1_000_000
)

// chatty makes a module whose log keeps everything.
func chatty(b *testing.B, d *device.Device, name string, size string) *device.Probe {
	b.Helper()
	d.CreateAndStart(device.WithOptions(d.Spec(name), func(_, host map[string]any) {
		host["LogConfig"] = map[string]any{"Config": map[string]string{"max-size": size, "max-file": "40"}}
	}))
	return d.Probe(name)
}

// flood makes a module write lines, and returns the time from the first to the last.
func flood(b *testing.B, p *device.Probe, lines int) time.Duration {
	b.Helper()
	status, text := p.Do(http.MethodPost, fmt.Sprintf("/flood?n=%d&size=%d", lines, lineSize), "")
	require.Equal(b, http.StatusOK, status)
	ns, err := strconv.ParseInt(text, 10, 64)
	require.NoError(b, err)
	return time.Duration(ns)
}

// BenchmarkIngest is 100-byte lines in pieces of 32 KiB from a module through the shim's
// logger into files, against the same pieces through a pipe and into a file as they are.
func BenchmarkIngest(b *testing.B) {
	d := newDevice(b, "")
	p := chatty(b, d, "writer", "100m")
	var edged, floor []float64
	rounds(b, 5, func() {
		edged = append(edged, million*lineSize/flood(b, p, million).Seconds()/1e6)
		floor = append(floor, million*lineSize/plainCopy(b).Seconds()/1e6)
	})
	figure(b, "copy-MB/s", median(floor))
	figure(b, "ratio-vs-copy", median(edged)/median(floor))
	atLeast(b, "MB/s", median(edged), 300)
}

// plainCopy writes as many bytes to a process that only copies.
func plainCopy(b *testing.B) time.Duration {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), copyEnv+"="+filepath.Join(b.TempDir(), "copy"))
	in, err := cmd.StdinPipe()
	require.NoError(b, err)
	require.NoError(b, cmd.Start())
	piece := make([]byte, 32<<10/lineSize*lineSize)
	_, err = in.Write(piece) // the process is up
	require.NoError(b, err)
	began := time.Now()
	for n := 0; n < million*lineSize; n += len(piece) {
		_, err := in.Write(piece)
		require.NoError(b, err)
	}
	took := time.Since(began)
	require.NoError(b, in.Close())
	require.NoError(b, cmd.Wait())
	return took
}
