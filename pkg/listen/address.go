package listen

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// maxSunPath is the longest path that bind(2) and connect(2) take: sun_path of
// unix(7) has 108 bytes, the last of which is the terminating NUL.
const maxSunPath = 107

// maxFDName is the longest name of a descriptor, sd_listen_fds(3).
const maxFDName = 255

// Address says where a socket is. Exactly one field is set.
type Address struct {
	// FD is the name of a socket that the service manager passes.
	FD string
	// Path is the absolute, clean path of a socket in the file system.
	Path string
}

// String gives the address as ParseAddress reads it.
func (a Address) String() string {
	if a.FD != "" {
		return "fd://" + a.FD
	}
	return "unix://" + a.Path
}

// ParseAddress reads a socket setting: fd://name, unix:///path or a bare
// absolute path. Nothing is percent-decoded.
func ParseAddress(uri string) (Address, error) {
	if name, ok := strings.CutPrefix(uri, "fd://"); ok {
		if err := checkFDName(name); err != nil {
			return Address{}, fmt.Errorf("cannot read address %q: %w", uri, err)
		}
		return Address{FD: name}, nil
	}
	path, ok := strings.CutPrefix(uri, "unix://")
	if !ok && !strings.HasPrefix(uri, "/") {
		return Address{}, fmt.Errorf("cannot read address %q: want fd://name, unix:///path or an absolute path", uri)
	}
	switch {
	case !strings.HasPrefix(path, "/"):
		return Address{}, fmt.Errorf("cannot read address %q: the path is not absolute (three slashes: unix:///path)", uri)
	case strings.ContainsRune(path, 0):
		return Address{}, fmt.Errorf("cannot read address %q: the path has a NUL", uri)
	case strings.HasSuffix(path, "/"):
		return Address{}, fmt.Errorf("cannot read address %q: the path names a folder", uri)
	}
	path = filepath.Clean(path)
	if len(path) > maxSunPath {
		return Address{}, fmt.Errorf("cannot read address %q: the path has %d bytes, a socket's may have %d", uri, len(path), maxSunPath)
	}
	return Address{Path: path}, nil
}

// checkFDName holds the rule of sd_listen_fds(3) for FileDescriptorName=.
func checkFDName(name string) error {
	if name == "" {
		return errors.New("the descriptor has no name")
	}
	if len(name) > maxFDName {
		return fmt.Errorf("the descriptor's name has %d bytes, it may have %d", len(name), maxFDName)
	}
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c > '~' || c == ':' {
			return fmt.Errorf("the descriptor's name %q has the byte %#02x", name, c)
		}
	}
	return nil
}
