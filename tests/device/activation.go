package device

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/stretchr/testify/require"
)

// kept are sockets that outlive edged, with the service manager's names of them.
type kept struct {
	names []string
	files []*os.File
}

// Keep listens on a path in edged's place, as a service manager does for a unit's socket
// (its name is listen.ManagementSocket or listen.WorkloadSocket) or with what is in its
// descriptor store (listen.FDName), and gives the socket to every edged that starts from
// now on. Whoever connects while edged is down waits. Call it while edged is down.
func (d *Device) Keep(name, path string) {
	d.tb.Helper()
	_ = os.Remove(path)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(d.tb, err)
	defer l.Close() // the file is a copy
	l.SetUnlinkOnClose(false)
	require.NoError(d.tb, os.Chmod(path, 0o666))
	f, err := l.File()
	require.NoError(d.tb, err)
	d.tb.Cleanup(func() { _ = f.Close() })
	d.kept.names, d.kept.files = append(d.kept.names, name), append(d.kept.files, f)
	config, err := os.ReadFile(filepath.Join(d.Root, "config.toml"))
	require.NoError(d.tb, err)
	d.write("config.toml", strings.ReplaceAll(string(config), strconv.Quote(path), strconv.Quote("fd://"+name)))
}

// activated is a command line, with what belongs into its environment, that finds what is
// kept as sd_listen_fds(3) has it: LISTEN_PID is the program's own.
func (d *Device) activated(command []string) ([]string, []string) {
	if len(d.kept.names) == 0 {
		return command, nil
	}
	env := []string{"LISTEN_FDS=" + strconv.Itoa(len(d.kept.names)), "LISTEN_FDNAMES=" + strings.Join(d.kept.names, ":")}
	return append([]string{"sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`}, command...), env
}
