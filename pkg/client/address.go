package client

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/errdefs"
)

// HostVariable is the environment variable that names the socket.
const HostVariable = "EDGED_HOST"

// DefaultHost is the management socket where the package puts it.
const DefaultHost = scheme + "/run/edged/mgmt.sock"

const scheme = "unix://"

// maxSocketPath is what fits into sun_path with its end (unix(7)).
const maxSocketPath = 107

func socketPath(host string) (string, error) {
	from := ""
	if host == "" {
		if host = os.Getenv(HostVariable); host != "" {
			from = " from " + HostVariable
		} else {
			host = DefaultHost
		}
	}
	path := strings.TrimPrefix(host, scheme)
	switch {
	case !filepath.IsAbs(path):
		return "", fmt.Errorf("cannot use host %q%s: it is not unix:///path or an absolute path: %w", host, from, errdefs.ErrInvalidArgument)
	case len(path) > maxSocketPath:
		return "", fmt.Errorf("cannot use host %q%s: its path is longer than the %d bytes of a socket's: %w", host, from, maxSocketPath, errdefs.ErrInvalidArgument)
	}
	return path, nil
}
