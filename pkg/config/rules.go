package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/distribution/reference"

	"github.com/edged/edged/pkg/lazyregexp"
)

// Each rule says of one value, in words that complete "key: ", what is wanted.

var (
	// RFC 1123, 2.1, and the underscore that device names have in practice.
	dnsLabel = lazyregexp.New(`^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$`)
	// containerd's identifiers, which name files and cgroups.
	identifierForm = lazyregexp.New(`^[A-Za-z0-9]+([._-][A-Za-z0-9]+)*$`)
	accountForm    = lazyregexp.New(`^[A-Za-z0-9_][A-Za-z0-9_.@\\-]*\$?$`)
	versionForm    = lazyregexp.New(`^[0-9]+(\.[0-9]+){0,2}$`)
	deviceIDForm   = lazyregexp.New(`^[A-Za-z0-9\-:.+%_#*?!(),=@$']{1,128}$`)
	systemForm     = lazyregexp.New(`^[A-Za-z_-]+[0-9]+(\.[0-9]+){0,2}$`)
	interfaceForm  = lazyregexp.New(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}$`) // IFNAMSIZ less NUL
)

func absolute(path string) error {
	if !strings.HasPrefix(path, "/") || strings.ContainsRune(path, 0) {
		return fmt.Errorf("%q is not an absolute path", path)
	}
	return nil
}

// within tells whether the clean path is dir or below it.
func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}

func oneOf(value string, allowed ...string) error {
	if !slices.Contains(allowed, value) {
		return fmt.Errorf("%q is none of %s", value, strings.Join(allowed, ", "))
	}
	return nil
}

func dnsName(name string) error {
	if len(name) > 253 {
		return fmt.Errorf("a host name has at most 253 bytes, this one %d", len(name))
	}
	for label := range strings.SplitSeq(name, ".") {
		if !dnsLabel().MatchString(label) {
			return fmt.Errorf("%q is not a host name", name)
		}
	}
	return nil
}

// serverName is a DNS name, whose first label may be a wildcard, or an address.
func serverName(name string) error {
	if _, err := netip.ParseAddr(name); err == nil {
		return nil
	}
	return dnsName(strings.TrimPrefix(name, "*."))
}

func hostPort(value string) error {
	host, port, err := net.SplitHostPort(value)
	if err != nil {
		return fmt.Errorf("%q is not host:port", value)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("%q has no port from 1 to 65535", value)
	}
	return anyHost(host)
}

// loopback is an address of this host alone, and a port. A name could come to mean another.
func loopback(value string) error {
	at, err := netip.ParseAddrPort(value)
	switch {
	case err != nil:
		return fmt.Errorf("%q is not address:port, such as 127.0.0.1:9108", value)
	case !at.Addr().IsLoopback() || at.Addr().Zone() != "":
		return fmt.Errorf("%s is not an address of the loopback interface: whoever comes there is told, so that is to be this host alone", at.Addr())
	case at.Port() == 0:
		return fmt.Errorf("%q has no port from 1 to 65535", value)
	}
	return nil
}

// host is a host name or an address, with or without a port.
func host(value string) error {
	if anyHost(strings.Trim(value, "[]")) == nil {
		return nil
	}
	return hostPort(value)
}

func anyHost(value string) error {
	if _, err := netip.ParseAddr(value); err == nil {
		return nil
	}
	return dnsName(value)
}

// deviceID holds the characters that an IoT hub takes in a device's id.
func deviceID(id string) error {
	if !deviceIDForm().MatchString(id) {
		return fmt.Errorf("%q is not a device id: 1 to 128 letters, digits and any of -:.+%%_#*?!(),=@$'", id)
	}
	return nil
}

func identifier(name string) error {
	if len(name) > 76 || !identifierForm().MatchString(name) {
		return fmt.Errorf("%q is not an identifier: at most 76 letters and digits, single . _ - between them", name)
	}
	return nil
}

func interfaceName(name string) error {
	if !interfaceForm().MatchString(name) {
		return fmt.Errorf("%q is not the name of a network interface: 1 to 15 letters, digits and any of _.-", name)
	}
	return nil
}

// subnet holds a network to have no host bits and room for modules.
func subnet(p netip.Prefix, longest int) error {
	switch {
	case p != p.Masked():
		return fmt.Errorf("%s has host bits: %s", p, p.Masked())
	case p.Bits() > longest || p.Bits() < 1:
		return fmt.Errorf("/%d is not from /1 to /%d", p.Bits(), longest)
	case p.Addr().IsLoopback() || p.Addr().IsMulticast() || p.Addr().IsUnspecified() || p.Addr().IsLinkLocalUnicast():
		return fmt.Errorf("%s is not for hosts", p)
	}
	return nil
}

func image(name string) error {
	if _, err := reference.ParseNormalizedNamed(name); err != nil {
		return fmt.Errorf("%q is not the name of an image: %w", name, err)
	}
	return nil
}

// account is a user or a group of the host, by name or id.
func account(name string) error {
	if id, err := strconv.ParseUint(name, 10, 64); err == nil && id >= 1<<32-1 {
		return fmt.Errorf("%s is not an id: it has 32 bits, and the last value means none", name)
	}
	if !accountForm().MatchString(name) || len(name) > 255 {
		return fmt.Errorf("%q is not the name or id of an account", name)
	}
	return nil
}

// segment is a word that stands between slashes in a path.
func segment(word string) error {
	if word == "" || strings.ContainsAny(word, "/*") || strings.ContainsFunc(word, unicode.IsControl) {
		return fmt.Errorf("%q is not a name: want no /, * and control characters", word)
	}
	return nil
}

// operatingSystem is a name and a version, as packages list those that they are for.
func operatingSystem(name string) error {
	if !systemForm().MatchString(name) {
		return errors.New(`want a name and a version such as "debian12"`)
	}
	return nil
}

func dottedVersion(version string) error {
	if !versionForm().MatchString(version) {
		return errors.New(`want a version such as "7.2" or "7.2.4"`)
	}
	return nil
}
