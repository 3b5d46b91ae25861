package bench

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/device"
)

const logsPath = "/modules/writer/logs?" + device.Version

// BenchmarkLogs reads a log of a million lines of 100 bytes over the management socket.
func BenchmarkLogs(b *testing.B) {
	d := newDevice(b, "")
	flood(b, chatty(b, d, "writer", "10m"), million)
	stored := int64(0)
	d.Eventually("the log is stored", func() bool {
		before := stored
		stored = storedBytes(b, d)
		return stored >= million*lineSize && stored == before
	})
	b.Run("tail-100", func(b *testing.B) {
		bare := newBare(b, `{"modules":[`+d.Host("GET", onePath, "").Body+`]}`)
		edged, floor := newTarget(b, d.Management(), logsPath+"&tail=100"), newTarget(b, bare.socket, readyList)
		var took [2][]time.Duration
		rounds(b, 5, func() {
			for i, t := range byTurns(b, 200, edged, floor) {
				took[i] = append(took[i], t...)
			}
		})
		figure(b, "bare-p50-ms", ms(median(took[1]))) // of a small answer: what any request takes here
		atMost(b, "p50-ms", ms(median(took[0])), 0.3)
	})
	b.Run("whole", func(b *testing.B) {
		client := device.UnixClient(d.Management())
		var rates []float64
		rounds(b, 7, func() {
			began := time.Now()
			response, err := client.Get("http://localhost" + logsPath)
			require.NoError(b, err)
			defer response.Body.Close()
			require.Equal(b, http.StatusOK, response.StatusCode)
			n, err := io.CopyBuffer(onlyWriter{io.Discard}, response.Body, make([]byte, 256<<10))
			require.NoError(b, err)
			require.GreaterOrEqual(b, n, int64(million*lineSize))
			rates = append(rates, float64(stored)/time.Since(began).Seconds()/1e6)
		})
		atLeast(b, "MB/s", median(rates), 500)
	})
}

// onlyWriter keeps io.CopyBuffer from using another buffer than the one it is given.
type onlyWriter struct{ io.Writer }

// storedBytes is the size of a module's log on the disk.
func storedBytes(b *testing.B, d *device.Device) int64 {
	b.Helper()
	sum := int64(0)
	files, err := filepath.Glob(filepath.Join(d.Home, "logs", "writer-*", "*", "*.log"))
	require.NoError(b, err)
	for _, file := range files {
		info, err := os.Stat(file)
		require.NoError(b, err)
		sum += info.Size()
	}
	return sum
}
