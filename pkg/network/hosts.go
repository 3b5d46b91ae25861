package network

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// loopbackLines begin every hosts file.
const loopbackLines = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"

// hostLine is an address with its names.
type hostLine struct {
	addr  netip.Addr
	names []string
}

// renderHosts writes a hosts file. Names stand also in small letters, since not every
// C library compares without regard to case; what is no valid name is left out.
func renderHosts(lines []hostLine) []byte {
	var b strings.Builder
	b.WriteString(loopbackLines)
	for _, l := range lines {
		var names []string
		for _, name := range l.names {
			for _, n := range []string{name, strings.ToLower(name)} {
				if ValidName(n) && !slices.Contains(names, n) {
					names = append(names, n)
				}
			}
		}
		if len(names) > 0 && l.addr.IsValid() {
			fmt.Fprintf(&b, "%s\t%s\n", l.addr, strings.Join(names, " "))
		}
	}
	return []byte(b.String())
}

// rewrite changes a file in place: modules have mounted its inode. The new text is
// there before what is left of the old one goes, so no reader finds it empty. A file
// that is not there is not made. The module may hold a lease on it, for which an open
// would wait up to a minute: the error is EAGAIN then, and the lease is being broken
// (fcntl(2), "Leases").
func rewrite(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot open hosts file: %w", err)
	}
	_, err = f.WriteAt(text, 0)
	if err == nil {
		err = f.Truncate(int64(len(text)))
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("cannot write hosts file: %w", err)
	}
	return nil
}
