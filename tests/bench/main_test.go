// Package bench measures the whole of edged against what the same work costs without
// it, both in one run and by turns: machines differ and are never quiet, so a ratio of
// medians says more than a figure.
//
// Each benchmark reports its figures under units that name them and logs which limit
// was missed; with BENCH_ENFORCE=1 a missed limit is a failure. More in the environment:
//
//	BENCH_BIN      the folder with edged and edged-logger, by default bin/
//	BENCH_BUILDS   rows of the catalog (200,000)
//	BENCH_UPDATES  updates after which growth is looked at (200)
//	BENCH_QUIET    seconds of rest before memory is looked at (45)
//	BENCH_RUNNING  modules that run when the start is measured (10)
package bench

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/edged/edged/tests/device"
)

func TestMain(m *testing.M) {
	if socket := os.Getenv(bareEnv); socket != "" {
		serveBare(socket)
		return
	}
	if config := os.Getenv(netFloorEnv); config != "" {
		serveNetFloor(config)
		return
	}
	if os.Getenv(signEnv) != "" {
		serveSigner()
		return
	}
	if to := os.Getenv(copyEnv); to != "" {
		copyToFile(to)
		return
	}
	os.Exit(m.Run())
}

// newDevice makes a device whose edgeAgent is the probe. Its edged logs to a file.
func newDevice(b *testing.B, config string) *device.Device {
	b.Helper()
	return device.New(b, device.Options{Binary: program("edged"), Config: config})
}

func program(name string) string {
	folder := os.Getenv("BENCH_BIN")
	if folder == "" {
		folder = filepath.Join(device.Repository(), "bin")
	}
	return filepath.Join(folder, name)
}

func fromEnv(b *testing.B, key string, otherwise int) int {
	b.Helper()
	text := os.Getenv(key)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		b.Fatalf("%s: %v", key, err)
	}
	return n
}
