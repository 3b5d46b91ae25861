package module

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/pkg/lazyregexp"
)

// AgentName is the module that may create, update, delete and prepare modules.
// It is fixed: a setting would be one more way to hand the device over.
const AgentName = "edgeAgent"

// HubName is the module that others on the device, and devices below it, connect to by the
// names of the device.
const HubName = "edgeHub"

// maxName is the longest name in bytes.
const maxName = 255

// CanonicalName checks a module's name and returns the form under which it is
// kept. Exactly one leading '$' is the same module without it, so that
// "$edgeHub" and "edgeHub" are one. The error is errdefs.InvalidArgument.
func CanonicalName(name string) (string, error) {
	bare := name
	if strings.HasPrefix(name, "$") && !strings.HasPrefix(name, "$$") {
		bare = name[1:]
	}
	switch {
	case bare == "":
		return "", fmt.Errorf("module name is empty: %w", errdefs.ErrInvalidArgument)
	case len(bare) > maxName:
		return "", fmt.Errorf("module name is longer than %d bytes: %w", maxName, errdefs.ErrInvalidArgument)
	case !utf8.ValidString(bare):
		return "", fmt.Errorf("module name is not UTF-8: %w", errdefs.ErrInvalidArgument)
	case bare == "." || bare == "..":
		// No client could address it: URLs with these segments are never routed.
		return "", fmt.Errorf("module name %q cannot stand in a URL: %w", bare, errdefs.ErrInvalidArgument)
	case strings.Contains(bare, "/"), strings.ContainsFunc(bare, unicode.IsControl):
		return "", fmt.Errorf("module name %q has a slash or a control character: %w", bare, errdefs.ErrInvalidArgument)
	}
	return bare, nil
}

// maxSlug bounds the readable part of derived ids; containerd allows ids of 76
// characters, and "-<8 hex>-g<generation>" must fit behind it.
const maxSlug = 40

// ContainerID derives the id of a generation's container. Names may hold any
// character, container ids may not, so the id is a readable slug made unique by
// a hash of the whole name.
func ContainerID(name string, generation int64) string {
	return fmt.Sprintf("%s-g%d", baseID(name), generation)
}

var containerID = lazyregexp.New(`^[A-Za-z0-9-]+-[0-9a-f]{8}-g[0-9]+$`)

// IsContainerID says whether a text has the form of the ids that ContainerID derives.
func IsContainerID(s string) bool { return containerID().MatchString(s) }

// baseID is the part that all generations of a module share.
func baseID(name string) string {
	sum := sha256.Sum256([]byte(name))
	return slug(name) + "-" + hex.EncodeToString(sum[:4])
}

// DefaultHostname is that of a module whose createOptions name none: a DNS label, no other
// module's. On the host's own network or in its UTS namespace it is the host's instead.
func DefaultHostname(name string) string { return strings.ToLower(baseID(name)) }

// baseOf is the baseID that a container id was derived from.
func baseOf(containerID string) string {
	if i := strings.LastIndex(containerID, "-g"); i > 0 {
		return containerID[:i]
	}
	return containerID
}

// slug keeps ASCII letters and digits and joins what is between them by '-'.
func slug(name string) string {
	fields := strings.FieldsFunc(name, func(r rune) bool {
		return r >= utf8.RuneSelf || !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
	s := strings.Join(fields, "-")
	if len(s) > maxSlug {
		s = strings.TrimRight(s[:maxSlug], "-")
	}
	if s == "" {
		return "m"
	}
	return s
}
