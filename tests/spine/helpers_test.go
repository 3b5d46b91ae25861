package spine

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/device"
)

func escape(name string) string { return url.PathEscape(name) }

func environ(d *device.Device, name string) []string {
	_, body := d.Probe(name).Do(http.MethodGet, "/environ", "")
	var env []string
	_ = json.Unmarshal([]byte(body), &env)
	return env
}

func fileInside(d *device.Device, name, path string) string {
	_, body := d.Probe(name).Do(http.MethodGet, "/file?path="+url.QueryEscape(path), "")
	return body
}

func randomID() string { return rand.Text()[:8] }

// containerOf is the id of a module's only container.
func containerOf(d *device.Device, name string) string { return d.Containers(name + "-")[0] }

func readAll(r io.Reader) (string, error) {
	b, err := io.ReadAll(r)
	return string(b), err
}

// smallDisk is a file system of its own, in MiB.
func smallDisk(t *testing.T, mib int) string {
	dir := t.TempDir()
	require.NoError(t, syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", mib)))
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// fill writes until the disk is full.
func fill(t *testing.T, file string) {
	f, err := os.Create(file)
	require.NoError(t, err)
	defer f.Close()
	for size := 1 << 20; size > 0; size /= 2 {
		block := make([]byte, size)
		for {
			if _, err := f.Write(block); err != nil {
				require.ErrorIs(t, err, syscall.ENOSPC)
				break
			}
		}
	}
}

func hardLimit(t *testing.T) uint64 {
	var r syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r))
	return r.Max
}

// silentRegistry accepts connections and never answers.
func silentRegistry(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = c.Close() })
		}
	}()
	return l.Addr().String()
}
