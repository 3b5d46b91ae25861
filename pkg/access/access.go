// Package access decides which Caller may use which route. It is the one place
// that does: a route names a Rule, and Decide applies it. Unknown is always no.
package access

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/pkg/module"
	"github.com/edged/edged/pkg/peer"
)

// Rule is what a route demands of its caller. target is the canonical name of the
// module that the path names, empty when it names none. The answer is the reason of
// a refusal, for the audit log alone; empty means yes.
type Rule struct {
	name  string
	check func(d *Decider, c peer.Caller, target string) string
}

// Name is the rule's name in the audit log and in the golden test.
func (r Rule) Name() string { return r.name }

// IsZero says that a route was given no rule.
func (r Rule) IsZero() bool { return r.check == nil }

// The rules. Each is a word in the route table.
var (
	// Known admits any caller that the kernel vouches for. What concerns one of edged's own
	// modules is for operators.
	Known = Rule{"known", (*Decider).system}

	// Agent admits the module edgeAgent and nobody else: host root gets no as well,
	// so that what runs on the device has one author.
	Agent = Rule{"agent", func(_ *Decider, c peer.Caller, _ string) string {
		if c.Module() != module.AgentName {
			return "not_agent"
		}
		return ""
	}}

	// Lifecycle admits any known caller, but lets no other module stop edgeAgent.
	Lifecycle = Rule{"lifecycle", func(d *Decider, c peer.Caller, target string) string {
		if target == module.AgentName && c.Kind == peer.Module && c.Module() != module.AgentName {
			return "agent_is_not_yours"
		}
		return d.system(c, target)
	}}

	// Operator admits those who own the device: edgeAgent, host root and host users in
	// the operators' group. A permission that was granted for something else is not enough.
	Operator = Rule{"operator", func(d *Decider, c peer.Caller, _ string) string {
		if !d.operates(c) {
			return "not_operator"
		}
		return ""
	}}

	// Root admits root of the host and nobody else: for what shows edged from the inside.
	Root = Rule{"root", func(_ *Decider, c peer.Caller, _ string) string {
		if c.Kind != peer.Host || c.UID != 0 {
			return "not_root"
		}
		return ""
	}}

	// Named admits only the module that the path names: for its keys, tokens and certificates.
	Named = Rule{"named", func(_ *Decider, c peer.Caller, target string) string {
		if target == "" || c.Module() != target {
			return "not_the_named_module"
		}
		return ""
	}}
)

// Permitted admits callers that a grant gives the permission to.
func Permitted(p Permission) Rule {
	return Rule{"permission " + string(p), func(d *Decider, c peer.Caller, _ string) string {
		if !d.Has(c, p) {
			return "no_permission"
		}
		return ""
	}}
}

// Permission is a right that the configuration grants.
type Permission string

// The permissions.
const (
	AdminTemplates     Permission = "adminTemplates"
	ViewClusterModules Permission = "view_cluster_modules"
	UpdateCluster      Permission = "update_cluster"
	CatalogWrite       Permission = "catalog_write"
)

// Grant gives permissions to whoever is on one of its lists.
type Grant struct {
	Permissions []Permission
	// ServerNames are DNS names, "*." for one label before the rest, and addresses
	// for which the modules get server certificates.
	ServerNames []string
	Modules     []string
	UIDs, GIDs  []uint32
}

// Decider holds the grants; SetGrants replaces them while requests go on.
type Decider struct {
	grants    atomic.Pointer[[]Grant]
	operators atomic.Pointer[[]uint32]
}

// New returns a Decider with grants.
func New(grants []Grant) *Decider {
	d := new(Decider)
	d.SetGrants(grants)
	return d
}

// SetGrants replaces all grants at once.
func (d *Decider) SetGrants(grants []Grant) { d.grants.Store(&grants) }

// SetOperators says which groups' members are operators beside host root.
func (d *Decider) SetOperators(gids ...uint32) { d.operators.Store(&gids) }

// operates says whether the caller is edgeAgent, host root or a host user in an operators' group.
func (d *Decider) operates(c peer.Caller) bool {
	if c.Module() == module.AgentName || c.Kind == peer.Host && c.UID == 0 {
		return true
	}
	gids := d.operators.Load()
	return c.Kind == peer.Host && gids != nil && (&Grant{GIDs: *gids}).names(c)
}

// system keeps edged's own modules to operators.
func (d *Decider) system(c peer.Caller, target string) string {
	if module.System(target) && !d.operates(c) {
		return "system_module"
	}
	return ""
}

// ReasonBrowser is of a request that a web page had a browser send. Whoever the page found a
// way through, a tunnel to the socket say, is not who asks.
const ReasonBrowser = "browser"

// Refusal is why a caller was refused. Clients are told nothing of rule and reason.
type Refusal struct {
	Rule, Reason string
	Caller       peer.Caller
}

func (r *Refusal) Error() string { return fmt.Sprintf("forbidden by rule %s: %s", r.Rule, r.Reason) }

// Unwrap gives a refusal its class, errdefs.PermissionDenied.
func (r *Refusal) Unwrap() error { return errdefs.ErrPermissionDenied }

// Decide returns nil, or a *Refusal.
func (d *Decider) Decide(rule Rule, c peer.Caller, target string) error {
	reason := ""
	switch {
	case c.Kind != peer.Host && c.Kind != peer.Module:
		if reason = c.Reason; reason == "" {
			reason = "unknown_caller"
		}
	case c.Kind == peer.Module && c.Instance == nil:
		reason = "unknown_caller"
	case rule.IsZero():
		reason = "no_rule"
	default:
		reason = rule.check(d, c, target)
	}
	if reason == "" {
		return nil
	}
	return &Refusal{Rule: rule.name, Reason: reason, Caller: c}
}

// Has says whether a grant gives the caller the permission. A module's uid and
// gids are its own affair and count for nothing.
func (d *Decider) Has(c peer.Caller, p Permission) bool {
	return d.any(c, func(g *Grant) bool { return slices.Contains(g.Permissions, p) })
}

// HasAny says whether the caller holds any permission at all.
func (d *Decider) HasAny(c peer.Caller) bool {
	return d.any(c, func(g *Grant) bool { return len(g.Permissions) > 0 })
}

// MayServe says whether a grant gives a module certificates for a server's name,
// DNS name or address.
func (d *Decider) MayServe(c peer.Caller, name string) bool {
	return c.Kind == peer.Module && d.any(c, func(g *Grant) bool {
		return slices.ContainsFunc(g.ServerNames, func(pattern string) bool { return covers(pattern, name) })
	})
}

// covers compares names as DNS does, without regard to case. A wildcard stands for
// one label, as in certificates (RFC 6125, 6.4.3).
func covers(pattern, name string) bool {
	if rest, wild := strings.CutPrefix(pattern, "*."); wild {
		if _, parent, ok := strings.Cut(name, "."); ok && !strings.HasPrefix(name, "*.") {
			pattern, name = rest, parent
		}
	}
	return name != "" && strings.EqualFold(pattern, name)
}

func (d *Decider) any(c peer.Caller, want func(*Grant) bool) bool {
	grants := *d.grants.Load()
	for i := range grants {
		if g := &grants[i]; want(g) && g.names(c) {
			return true
		}
	}
	return false
}

func (g *Grant) names(c peer.Caller) bool {
	switch c.Kind {
	case peer.Module:
		return slices.Contains(g.Modules, c.Module())
	case peer.Host:
		return slices.Contains(g.UIDs, c.UID) || slices.Contains(g.GIDs, c.GID) ||
			slices.ContainsFunc(c.Groups, func(gid uint32) bool { return slices.Contains(g.GIDs, gid) })
	}
	return false
}
