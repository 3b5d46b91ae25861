package network

import (
	"strings"

	"github.com/edged/edged/pkg/lazyregexp"
)

// validName is labels of RFC 1123, 2.1, joined by dots.
var validName = lazyregexp.New(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$`)

// ValidName says whether a name may stand in a hosts file: nothing else enters one,
// since a blank in a name would make two of it and a newline a line of its own.
func ValidName(name string) bool { return len(name) <= 253 && validName().MatchString(name) }

// reservedName says that a name means the module itself, on every machine.
func reservedName(name string) bool {
	switch n := strings.ToLower(name); n {
	case "localhost", "ip6-localhost", "ip6-loopback":
		return true
	default:
		return strings.HasSuffix(n, ".localhost")
	}
}

// networkName is what CNI takes for the name of a network.
var networkName = lazyregexp.New(`^[a-zA-Z0-9][a-zA-Z0-9_.\-]{0,62}$`)
